"""Writes, reads, lists and watches over HTTPS, beside what the disk and JSON alone cost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from measures import Measure, median, percentile
from plane import Plane, running

BATCH = 100  # requests of one kind in a row
TURNS = 12
AT_ONCE = 8
LISTED = 1000
LISTS = 10
WATCHED = 200
PATH = "/api/v1/namespaces/bench/configmaps"

Request = Callable[[int], Awaitable[Any]]


def measure(work: Path) -> Iterator[Measure]:
    with running(work / "state") as plane:
        yield from asyncio.run(Client(plane, work).measures())


class Client:
    """One client on one machine with the server: its own work is in every figure."""

    def __init__(self, plane: Plane, work: Path) -> None:
        self.plane = plane
        self.work = work

    async def measures(self) -> list[Measure]:
        connector = aiohttp.TCPConnector(ssl=self.plane.tls(), limit=AT_ONCE)
        headers = {"Authorization": f"Bearer {self.plane.token}"}
        async with aiohttp.ClientSession(self.plane.url, connector=connector, headers=headers) as self.session:
            await self.send("POST", "/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}})
            return [*await self.throughput(), *await self.lists(), *await self.watch()]

    async def throughput(self) -> list[Measure]:
        """In short turns with bare commits and bare answers, because the speed of a virtual machine's disk and CPU wanders."""
        database = Database(self.work / "commits.sqlite")
        turns: dict[str, list[float]] = {"commit": [], "create": [], "parallel": [], "get": [], "ping": []}
        for turn in range(TURNS):
            turns["commit"].append(await rate(1, database.commit))
            turns["create"].append(await rate(1, self.creating(f"one-{turn}")))
            turns["parallel"].append(await rate(AT_ONCE, self.creating(f"many-{turn}")))
            turns["ping"].append(await rate(1, self.getting("/healthz")))
            turns["get"].append(await rate(1, self.getting(f"{PATH}/one-{turn}-0")))

        def compared(what: str, name: str, base: str, called: str) -> Measure:
            ratio = median(value / other for value, other in zip(turns[name], turns[base], strict=True))
            return Measure(what, median(turns[name]), "/s", ratio, called)

        return [
            Measure("bare SQLite commits with fsync", median(turns["commit"]), "/s"),
            compared("creates, one connection", "create", "commit", "bare commits"),
            compared(f"creates, {AT_ONCE} connections", "parallel", "commit", "bare commits"),
            Measure("GET /healthz, bare answers", median(turns["ping"]), "/s"),
            compared("gets, one connection", "get", "ping", "bare answers"),
        ]

    async def lists(self) -> list[Measure]:
        seconds, used = [], self.plane.cpu_seconds()
        for _unused in range(LISTS):
            begun = time.perf_counter()
            body = await self.send("GET", PATH, params={"limit": str(LISTED)})
            seconds.append(time.perf_counter() - begun)
        used = (self.plane.cpu_seconds() - used) / LISTS
        items = json.loads(body)["items"]
        begun = time.perf_counter()
        json.dumps(json.loads(body))
        parsed = time.perf_counter() - begun
        return [
            Measure(f"parse and write {len(items)} objects as JSON", 1000 * parsed, "ms"),
            Measure(f"list of {len(items)}", 1000 * median(seconds), "ms", median(seconds) / parsed, "JSON alone"),
            Measure(f"list of {len(items)}, CPU of the server", 1000 * used, "ms", used / parsed, "JSON alone"),
        ]

    async def watch(self) -> list[Measure]:
        """From before a create is sent until a watch shows the object, and until the create is answered."""
        seen, answered = [], []
        version = json.loads(await self.send("GET", PATH, params={"limit": "1"}))["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "120"}
        async with self.session.get(PATH, params=query) as stream:
            for number in range(WATCHED):
                begun = time.perf_counter()
                create = asyncio.create_task(self.create(f"watched-{number}"))
                event = json.loads(await stream.content.readline())
                seen.append(time.perf_counter() - begun)
                assert event["object"]["metadata"]["name"] == f"watched-{number}", event
                answered.append(await create - begun)
        answer = median(answered)
        return [
            Measure("create answered, watched", 1000 * answer, "ms"),
            Measure("create seen by a watch, median", 1000 * median(seen), "ms", median(seen) / answer, "answered"),
            Measure(
                "create seen by a watch, 99th percentile", 1000 * percentile(seen, 99), "ms", percentile(seen, 99) / answer, "answered"
            ),
        ]

    def creating(self, prefix: str) -> Request:
        return lambda number: self.create(f"{prefix}-{number}")

    def getting(self, path: str) -> Request:
        return lambda _number: self.send("GET", path)

    async def create(self, name: str) -> float:
        """When it was answered."""
        meta = {"name": name, "namespace": "bench"}
        await self.send("POST", PATH, json={"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": "x" * 1024}})
        return time.perf_counter()

    async def send(self, method: str, path: str, **arguments: Any) -> bytes:
        async with self.session.request(method, path, **arguments) as reply:
            body = await reply.read()
            if reply.status >= 300:
                raise RuntimeError(f"{method} {path}: {reply.status} {body[:200]!r}")
            return body


async def rate(at_once: int, request: Request) -> float:
    """Requests per second over one turn with `at_once` on their way."""
    numbers = iter(range(BATCH))

    async def work() -> None:
        for number in numbers:
            await request(number)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _unused in range(at_once)))
    return BATCH / (time.perf_counter() - begun)


class Database:
    """Rows of the size of an object, each in a transaction of its own, with the settings of the control plane's store."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE objects (number INTEGER PRIMARY KEY, body TEXT NOT NULL)")

    async def commit(self, _number: int) -> None:
        self._connection.execute("INSERT INTO objects (body) VALUES (?)", ("x" * 1500,))
