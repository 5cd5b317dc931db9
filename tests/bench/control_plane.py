"""Start, idle CPU and memory of the control plane, empty and with 10 000 objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from measures import Measure, median
from plane import Plane, running, seconds_of

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

OBJECTS = 10_000
STARTS = 3
SETTLE, IDLE = 5.0, 25.0  # seconds
SMOKE = {"OBJECTS": 10, "STARTS": 1, "SETTLE": 0.1, "IDLE": 0.1}


def measure(work: Path) -> Iterator[Measure]:
    # What any program of this kind must load, as a yardstick for the machine.
    imports = median(
        seconds_of([sys.executable, "-c", "import asyncio, aiohttp.web, cryptography.x509, yaml"])[0] for _unused in range(STARTS)
    )
    yield Measure("import of aiohttp and cryptography", imports, "s")
    first = [running_in(work / f"new{number}") for number in range(STARTS)]
    yield starting("first start, no state folder", median(first), imports)
    for label, fill_with in (("empty store", 0), (f"{OBJECTS} objects", OBJECTS)):
        root = work / f"filled{fill_with}"
        running_in(root)
        fill(root / "store.sqlite", fill_with)
        yield starting(f"start, {label}", median(running_in(root) for _unused in range(STARTS)), imports)
        with running(root) as plane:
            yield from idle(plane, label)


def starting(what: str, seconds: float, imports: float) -> Measure:
    return Measure(what, seconds, "s", seconds / imports, "the imports", most=2)


def idle(plane: Plane, label: str) -> Iterator[Measure]:
    yield Measure(f"idle CPU, {label}", plane.idle_percent(SETTLE, IDLE), "% of a core", most=1)
    yield Measure(f"resident memory, {label}", plane.resident_mib(), "MiB", most=150)
    yield Measure(f"highest resident memory, {label}", plane.resident_mib("VmHWM"), "MiB")


def running_in(root: Path) -> float:
    with running(root) as plane:
        return plane.started_in


def fill(store: Path, count: int) -> None:
    """ConfigMaps of 1 KiB in ten namespaces."""
    opened = Store(store)
    api = Api(opened, Registry())
    with opened.transaction():
        for number in range(10 if count else 0):
            api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"bench-{number}"}})
        for number in range(count):
            meta = {"name": f"object-{number}", "namespace": f"bench-{number % 10}", "labels": {"app": f"app-{number % 50}"}}
            api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": "x" * 1024}})
    opened.close()
