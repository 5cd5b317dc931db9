"""Writes, reads, a list of 10 000 VMs and 1 000 watches over HTTPS, beside what the disk and JSON alone cost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from measures import Measure, median, percentile
from plane import Plane, running

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.state import State

BATCH = 100  # requests of one kind in a row
TURNS = 12
AT_ONCE = 8
LISTED = 10_000
PAGE = 500
LISTS = 3
WATCHED = 200
WATCHES = 1000
WATCHED_BY_ALL = 20
SMOKE = {"BATCH": 4, "TURNS": 1, "LISTED": 20, "PAGE": 5, "LISTS": 1, "WATCHED": 3, "WATCHES": 5, "WATCHED_BY_ALL": 2}
PATH = "/api/v1/namespaces/bench/configmaps"
VMS = "/apis/kubevirt.io/v1/namespaces/machines/virtualmachines"

Request = Callable[[int], Awaitable[Any]]


def measure(work: Path) -> Iterator[Measure]:
    fill(work / "state")
    with running(work / "state") as plane:
        yield from asyncio.run(Client(plane, work).measures())


def fill(root: Path) -> None:
    """VirtualMachines of 2 KiB, as migrations make them."""
    State(root).prepare()
    store = Store(root / "store.sqlite")
    api = Api(store, Registry())
    disks = [{"name": "disk-0", "disk": {"bus": "virtio"}}]
    devices = {"disks": disks, "interfaces": [{"name": "net-0", "masquerade": {}, "model": "virtio", "macAddress": "00:50:56:8a:00:01"}]}
    domain = {"devices": devices, "memory": {"guest": "2Gi"}, "cpu": {"cores": 2, "sockets": 1}, "machine": {"type": "q35"}}
    with store.transaction():
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "machines"}})
        for number in range(LISTED):
            volumes = [{"name": "disk-0", "persistentVolumeClaim": {"claimName": f"vm-{number}-disk-0"}}]
            spec = {"domain": domain, "networks": [{"name": "net-0", "pod": {}}], "volumes": volumes}
            meta = {
                "name": f"vm-{number}",
                "namespace": "machines",
                "labels": {"app": f"app-{number % 100}"},
                "annotations": {"text": "x" * 1024},
            }
            machine = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": meta}
            api.create({**machine, "spec": {"runStrategy": "Halted", "template": {"spec": spec}}})
    store.close()


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
            return [*await self.throughput(), *await self.lists(), *await self.watch(), *await self.many_watches()]

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
        pages, whole, used = [], [], self.plane.cpu_seconds()
        for _unused in range(LISTS):
            begun = time.perf_counter()
            items = await self.list_in_pages()
            pages.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            body = await self.send("GET", VMS)
            whole.append(time.perf_counter() - begun)
        used = (self.plane.cpu_seconds() - used) / LISTS / 2
        begun = time.perf_counter()
        await self.send("GET", VMS, params={"labelSelector": "app=app-7"})
        chosen = time.perf_counter() - begun
        begun = time.perf_counter()
        json.dumps(json.loads(body))
        alone = time.perf_counter() - begun
        return [
            Measure(f"parse and write {LISTED} VMs as JSON", 1000 * alone, "ms"),
            Measure(f"list of {items} VMs, in pages of {PAGE}, parsed", 1000 * median(pages), "ms", median(pages) / alone, "JSON alone"),
            Measure(f"list of {LISTED} VMs in one answer", 1000 * median(whole), "ms", median(whole) / alone, "JSON alone"),
            Measure("either, CPU of the server", 1000 * used, "ms", used / alone, "JSON alone"),
            Measure("list of one VM in a hundred, by label", 1000 * chosen, "ms", chosen / median(whole), "all of them"),
        ]

    async def list_in_pages(self) -> int:
        found, query = 0, {"limit": str(PAGE)}
        while True:
            page = json.loads(await self.send("GET", VMS, params=query))
            found += len(page["items"])
            if not page["metadata"].get("continue"):
                return found
            query["continue"] = page["metadata"]["continue"]

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

    async def many_watches(self) -> list[Measure]:
        """From before a create is sent until the last of a thousand watches shows the object; the rate of writes while they follow."""
        memory, late = self.plane.resident_mib(), []
        version = json.loads(await self.send("GET", PATH, params={"limit": "1"}))["metadata"]["resourceVersion"]
        async with contextlib.AsyncExitStack() as stack:
            tls = aiohttp.TCPConnector(ssl=self.plane.tls(), limit=0)
            headers = {"Authorization": f"Bearer {self.plane.token}"}
            session = await stack.enter_async_context(aiohttp.ClientSession(self.plane.url, connector=tls, headers=headers))
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
            begun = time.perf_counter()
            streams = []
            for _unused in range(WATCHES):
                request = session.get(PATH, params=query, timeout=aiohttp.ClientTimeout(None))
                streams.append(await stack.enter_async_context(request))
            opened = time.perf_counter() - begun
            for number in range(WATCHED_BY_ALL):
                begun = time.perf_counter()
                create = asyncio.create_task(self.create(f"seen-by-all-{number}"))
                await asyncio.gather(*(stream.content.readline() for stream in streams), create)
                late.append(time.perf_counter() - begun)
            memory = self.plane.resident_mib() - memory
            reading = asyncio.create_task(drain(streams))
            busy = await rate(AT_ONCE, self.creating("while-watched"))
            reading.cancel()
        return [
            Measure(f"{WATCHES} watches opened, one after the other", opened, "s"),
            Measure(f"create seen by {WATCHES} watches", 1000 * median(late), "ms"),
            Measure("per watch", 1e6 * median(late) / WATCHES, "µs"),
            Measure(f"memory of {WATCHES} watches", memory * 1024 / WATCHES, "KiB each"),
            Measure(f"creates, {AT_ONCE} connections, while {WATCHES} watches follow", busy, "/s"),
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


async def drain(streams: list[aiohttp.ClientResponse]) -> None:
    await asyncio.gather(*(read_all(stream) for stream in streams))


async def read_all(stream: aiohttp.ClientResponse) -> None:
    while await stream.content.readline():
        pass


class Database:
    """Rows of the size of an object, each in a transaction of its own, with the settings of the control plane's store."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE objects (number INTEGER PRIMARY KEY, body TEXT NOT NULL)")

    async def commit(self, _number: int) -> None:
        self._connection.execute("INSERT INTO objects (body) VALUES (?)", ("x" * 1500,))
