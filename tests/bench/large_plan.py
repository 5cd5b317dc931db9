"""A plan of 400 VMs from request to Ready, again without changes, and how many requests its tasks send; a run of 20 VMs."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measures import ROOT, Measure
from plane import COUNTED, Plane, running
from playing import play

from ansible_collections.vmshift.mtv.lab import guests, ova

VMS = 400
MIGRATED = 20  # as many as MTV runs at a time
NAMESPACE = "konveyor-forklift"
SETTLE, IDLE = 12.0, 25.0  # seconds: two looks at the folder of OVA files
AGENT = "ansible-vmshift.mtv"
# Instead of the real one: what a migration costs without its conversion.
NO_CONVERSION = """#!/bin/sh
while [ "$1" != -os ]; do shift; done
echo '<domain><os/></domain>' > "$2/guest.xml"
"""


def measure(work: Path) -> Iterator[Measure]:
    export, log, tools = work / "export", work / "requests", work / "bin"
    make_export(export, work)
    tools.mkdir()
    (tools / "virt-v2v").write_text(NO_CONVERSION)
    (tools / "virt-v2v").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    with running(work / "state", COUNTED, VMSHIFT_BENCH_REQUESTS=str(log), PATH=path) as plane:
        request = request_for(export, names(VMS))
        first = Run(plane, log, play(work, "first", playbook(plane, request)))
        again = Run(plane, log, play(work, "again", playbook(plane, request), changed=0))
        yield Measure(f"{VMS} VMs, request to Ready", first.wall, "s")
        yield Measure("unchanged, again", again.wall, "s", again.wall / first.wall, "the first run")
        for cost, same in zip(first.costs, again.costs, strict=True):
            yield Measure(cost["name"], cost["cpu"], "CPU s")
            yield Measure(f"{cost['name']}, again", same["cpu"], "CPU s", same["cpu"] / cost["cpu"], "the first run")
        for cost, same in zip(first.costs, again.costs, strict=True):
            sent, resent = len(first.requests(cost)), len(again.requests(same))
            yield Measure(cost["name"], sent, "requests", sent / VMS, "the VMs")
            yield Measure(f"{cost['name']}, again", resent, "requests", resent / VMS, "the VMs")
        checked = check_whole_request(work, plane, request)
        yield Measure("playbooks/migrate.yml --check, all tasks", checked, "s", checked / again.wall, "unchanged, again")
        yield Measure(f"idle CPU, inventory and plan of {VMS} VMs", plane.idle_percent(SETTLE, IDLE), "% of a core", most=1)
        yield Measure("resident memory", plane.resident_mib(), "MiB", most=150)
        yield Measure("highest resident memory", plane.resident_mib("VmHWM"), "MiB")
        yield from migration(work, plane, log, {**request, "name": "few", "vms": request["vms"][:MIGRATED]})


def migration(work: Path, plane: Plane, log: Path, request: dict[str, Any]) -> Iterator[Measure]:
    task = {"name": "vmshift.mtv.migration", "vmshift.mtv.migration": {"namespace": NAMESPACE, "plan": request["name"]}}
    used = plane.cpu_seconds()
    run = Run(plane, log, play(work, "run", playbook(plane, request, task)))
    used = plane.cpu_seconds() - used
    cost, requests = run.costs[-1], len(run.requests(run.costs[-1]))
    again = Run(plane, log, play(work, "run-again", playbook(plane, request, task), changed=0))
    yield Measure(f"run of {MIGRATED} VMs without conversion", cost["wall"], "s")
    yield Measure("control plane", used / MIGRATED, "CPU s per VM")
    yield Measure("vmshift.mtv.migration", requests, "requests", requests / MIGRATED, "the VMs")
    yield Measure("vmshift.mtv.migration, again", again.costs[-1]["wall"], "s")
    yield Measure("vmshift.mtv.migration, again", len(again.requests(again.costs[-1])), "requests")


class Run:
    """One play: what its tasks cost, and the requests of each."""

    def __init__(self, plane: Plane, log: Path, costs: list[dict[str, Any]]) -> None:
        self.costs = costs
        self._requests = [json.loads(line) for line in log.read_text().splitlines()]

    @property
    def wall(self) -> float:
        return self.costs[-1]["begun"] + self.costs[-1]["wall"] - self.costs[0]["begun"]

    def requests(self, cost: dict[str, Any]) -> list[dict[str, Any]]:
        end = cost["begun"] + cost["wall"]
        return [r for r in self._requests if cost["begun"] <= r["time"] <= end and r["agent"] == AGENT]


def names(count: int) -> list[str]:
    return [f"bench-{number:03}" for number in range(count)]


def make_export(export: Path, work: Path) -> None:
    """OVA files of VMs with one disk of 1 GiB without content."""
    export.mkdir()
    raw, vmdk = work / "disk.raw", work / "disk.vmdk"
    with raw.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk], check=True, timeout=120)
    for name in names(VMS):
        own = work / f"{name}-disk1.vmdk"
        own.hardlink_to(vmdk)
        guest = ova.Guest(name, nics=(("VM Network", guests.mac_address(name)),), disks=(raw,))
        ovf = work / f"{name}.ovf"
        ovf.write_text(ova.descriptor(guest, [own]))
        with tarfile.open(export / f"{name}.ova", "w", format=tarfile.USTAR_FORMAT) as archive:
            for member in (ovf, own):
                archive.add(member, arcname=member.name)
                member.unlink()


def request_for(export: Path, vms: Sequence[str]) -> dict[str, Any]:
    """A request document as docs/request.md describes it."""
    return {
        "name": "all",
        "namespace": NAMESPACE,
        "source_provider": {"name": "bench", "type": "ova", "url": f"localhost:{export}"},
        "target_namespace": "bench",
        "network_map": {"name": "bench", "pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"name": "bench", "pairs": [{"source": f"{vm}-disk1.vmdk", "destination": "vmshift-local"} for vm in vms]},
        "vms": [{"name": vm} for vm in vms],
    }


def playbook(plane: Plane, request: dict[str, Any], *more: dict[str, Any]) -> list[dict[str, Any]]:
    """What the role cold_migration does with a request, up to the plan."""
    common = {"namespace": NAMESPACE}
    source = {"source": request["source_provider"]["name"], **common}
    maps = {key: request[key]["name"] for key in ("network_map", "storage_map")}
    plan = {"name": request["name"], "target_namespace": request["target_namespace"], "vms": request["vms"], **maps}
    modules = {
        "provider": {**request["source_provider"], **common},
        "network_map": {**request["network_map"], **source},
        "storage_map": {**request["storage_map"], **source},
        "plan": {**plan, **source},
    }
    tasks = [{"name": f"vmshift.mtv.{module}", f"vmshift.mtv.{module}": arguments} for module, arguments in modules.items()]
    defaults = {"group/vmshift.mtv.mtv": {"kubeconfig": str(plane.state.kubeconfig)}}
    return [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": [*tasks, *more]}]


def check_whole_request(work: Path, plane: Plane, request: dict[str, Any]) -> float:
    variables = work / "request.json"
    variables.write_text(json.dumps({"migration_request": request, "kubeconfig": str(plane.state.kubeconfig)}))
    costs = play(work, "checked", ROOT / "playbooks/migrate.yml", "--check", "-e", f"@{variables}")
    return costs[-1]["begun"] + costs[-1]["wall"] - costs[0]["begun"]
