"""How soon the task that waits for a migration ends after the event it waits for."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from appliances import NAMESPACE, make_export, migration, names, plays, request_for, tools_without_conversion
from measures import Measure, median
from plane import Plane, running
from playing import play

ROUNDS = 6
SMOKE = {"ROUNDS": 1}
PATH = f"/apis/forklift.konveyor.io/v1beta1/namespaces/{NAMESPACE}/migrations"


def measure(work: Path) -> Iterator[Measure]:
    vms = names(ROUNDS)
    make_export(work / "export", work, vms, size=1 << 20)
    path = f"{tools_without_conversion(work / 'bin')}:{os.environ['PATH']}"
    with running(work / "state", PATH=path) as plane:
        requests = [request_for(work / "export", vm, [vm]) for vm in vms]
        for number, request in enumerate(requests):
            request["storage_map"]["name"] = request["network_map"]["name"] = f"map-{number}"
        tasks = [play(work, request["name"], plays(plane.state.kubeconfig, request)) and migration(request["name"]) for request in requests]
        ends, costs = asyncio.run(watched(plane, work, tasks))
        waits = [cost["begun"] + cost["wall"] - end for cost, end in zip(costs, ends, strict=True)]
        empty = median(cost["wall"] for cost in play(work, "ping", [{"hosts": "localhost", "gather_facts": False, "tasks": PINGS}]))
        yield Measure("a task that does nothing", empty, "s")
        yield Measure("from the event to the end of the task, median", median(waits), "s", median(waits) / empty, "ping", most=0.5)
        yield Measure("from the event to the end of the task, longest", max(waits), "s", max(waits) / empty, "ping")


PINGS = [{"name": "ansible.builtin.ping", "ansible.builtin.ping": {}}] * 4


async def watched(plane: Plane, work: Path, tasks: list[dict[str, object]]) -> tuple[list[float], list[dict[str, float]]]:
    """When a watch showed each migration succeeded (the time since the epoch), and what the tasks cost."""
    ends: dict[str, float] = {}

    async def follow() -> None:
        headers = {"Authorization": f"Bearer {plane.token}"}
        async with (
            aiohttp.ClientSession(plane.url, connector=aiohttp.TCPConnector(ssl=plane.tls()), headers=headers) as session,
            session.get(PATH, params={"watch": "true", "timeoutSeconds": "3600"}, timeout=aiohttp.ClientTimeout(None)) as stream,
        ):
            while line := await stream.content.readline():
                obj = json.loads(line)["object"]
                ended = any(c["type"] == "Succeeded" for c in (obj.get("status") or {}).get("conditions") or ())
                if ended:
                    ends.setdefault(obj["metadata"]["uid"], time.time())

    following = asyncio.create_task(follow())
    followed = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks, "module_defaults": defaults(plane)}]
    costs = await asyncio.to_thread(play, work, "migrations", followed)
    while len(ends) < len(tasks):
        await asyncio.sleep(0.05)
    following.cancel()
    return list(ends.values()), costs


def defaults(plane: Plane) -> dict[str, object]:
    return {"group/vmshift.mtv.mtv": {"kubeconfig": str(plane.state.kubeconfig)}}
