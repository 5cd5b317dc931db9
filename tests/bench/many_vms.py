"""Plans of 100 and of 1 000 one-disk VMs: how VMs per minute, CPU time and memory grow. Disks are copied, nothing is converted."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from appliances import make_export, migration, names, plays, request_for, tools_without_conversion
from measures import Measure
from plane import Plane, running
from playing import play

SIZES = (100, 1000)
DISK, CONTENT = 4 << 20, 1 << 20  # bytes
SMOKE = {"SIZES": (2, 4)}


def measure(work: Path) -> Iterator[Measure]:
    path = f"{tools_without_conversion(work / 'bin')}:{os.environ['PATH']}"
    rates, costs, peaks = [], [], []
    for count in SIZES:
        folder = work / str(count)
        folder.mkdir()
        vms = names(count)
        make_export(folder / "export", folder, vms, size=DISK, content=secrets.token_bytes(CONTENT))
        with running(folder / "state", PATH=path) as plane:
            request = request_for(folder / "export", "all", vms)
            play(folder, "plan", plays(plane.state.kubeconfig, request))
            used = plane.cpu_seconds()
            with Memory(plane) as memory:
                seconds = play(folder, "run", plays(plane.state.kubeconfig, request, migration("all")))[-1]["wall"]
            rates.append(60 * count / seconds)
            costs.append((plane.cpu_seconds() - used) / count)
            peaks.append(plane.resident_mib("VmHWM"))
            yield Measure(f"{count} VMs, from Migration to its end", seconds, "s")
            yield Measure(f"{count} VMs, rate", rates[-1], "VMs/minute")
            yield Measure(f"{count} VMs, CPU of the control plane beside its pods", costs[-1], "CPU s per VM")
            yield Measure(f"{count} VMs, memory of the control plane, median", memory.median(), "MiB")
            yield Measure(f"{count} VMs, memory of the control plane, highest", peaks[-1], "MiB")
            succeeded = plane.get("/apis/kubevirt.io/v1/namespaces/bench/virtualmachines?limit=1")
            made = 1 + succeeded["metadata"].get("remainingItemCount", 0)
            if made != count:
                raise RuntimeError(f"{made} of {count} VMs were made")
    few, many = SIZES
    yield Measure(f"rate with {many} VMs, with {few} = 1", rates[1] / rates[0], "", least=0.8)
    yield Measure(f"CPU per VM with {many} VMs, with {few} = 1", costs[1] / costs[0], "", most=1.5)
    yield Measure(f"memory with {many} VMs above that with {few}", (peaks[1] - peaks[0]) * 1024 / (many - few), "KiB per VM", most=64)


class Memory:
    """Looks at the memory of a control plane each second."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._seen: list[float] = []
        self._end = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def __enter__(self) -> Memory:
        self._looking.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._end.set()
        self._looking.join()

    def median(self) -> float:
        return sorted(self._seen)[len(self._seen) // 2]

    def _look(self) -> None:
        while True:
            self._seen.append(self._plane.resident_mib())
            if self._end.wait(1):
                return
