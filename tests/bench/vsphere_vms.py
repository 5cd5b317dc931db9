"""200 one-disk VMs of a simulated vCenter through one plan, 20 in flight: VMs per minute, CPU time, memory. No guest is converted."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from appliances import NAMESPACE, migration, plays
from many_vms import Memory
from measures import Measure
from plane import Plane, running
from playing import play

VMS, IN_FLIGHT = 200, 20
DISK, CONTENT = 16 << 20, 4 << 20  # bytes
SMOKE = {"VMS": 3, "IN_FLIGHT": 2}


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

    names = [f"bench-{number:04}" for number in range(VMS)]
    machines = tuple(Machine(name, on=False, disks=(Disk(size=DISK),)) for name in names)
    lab = VSphere.start(work / "vcenter", machines, while_process=os.getpid())
    try:
        for name in names:
            lab.write(name, 0, 0, secrets.token_bytes(CONTENT))
        with running(work / "state") as plane:
            kubeconfig, request = plane.state.kubeconfig, request_for(lab, names)
            settings = {
                "name": "vmshift.mtv.settings",
                "vmshift.mtv.settings": {"namespace": NAMESPACE, "controller_max_vm_inflight": IN_FLIGHT},
            }
            play(work, "plan", plays(kubeconfig, request, settings))
            used = plane.cpu_seconds()
            with Memory(plane) as memory:
                seconds = play(work, "run", plays(kubeconfig, request, migration("all")))[-1]["wall"]
            yield Measure(f"{VMS} VMs, from Migration to its end", seconds, "s")
            yield Measure(f"{VMS} VMs, rate", 60 * VMS / seconds, "VMs/minute")
            yield Measure("CPU of the control plane beside its pods", (plane.cpu_seconds() - used) / VMS, "CPU s per VM")
            yield Measure("memory of the control plane, median", memory.median(), "MiB")
            yield Measure("memory of the control plane, highest", plane.resident_mib("VmHWM"), "MiB")
            status = plane.get(f"/apis/forklift.konveyor.io/v1beta1/namespaces/{NAMESPACE}/plans/all")["status"]["migration"]
            yield Measure("VMs in flight, most", most_at_once(status["vms"]), "", most=IN_FLIGHT)
            some = names[:: max(1, VMS // 10)]
            same = sum(lab.sha256(name) == copied(plane, name) for name in some)
            yield Measure("disks that are as their source, of some", same, "", least=len(some))
    finally:
        lab.stop()


def request_for(lab: Any, names: list[str]) -> dict[str, Any]:
    secret = {"user": lab.user, "password": lab.password, "ca_cert": lab.ca}
    # MTV asks for an image with VDDK where CDI copies; here it is only a name.
    source = {
        "name": "bench",
        "type": "vsphere",
        "url": lab.url,
        "secret": secret,
        "settings": {"vddkInitImage": "registry.example/vddk:8"},
    }
    return {
        "name": "all",
        "source_provider": source,
        "target_namespace": "bench",
        "network_map": {"name": "bench", "pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"name": "bench", "pairs": [{"source": "LocalDS_0", "destination": "vmshift-local"}]},
        "vms": [{"name": name} for name in names],
        "plan": {"skip_guest_conversion": True, "target_power_state": "off"},
    }


def copied(plane: Plane, name: str) -> str:
    """SHA-256 of the disk that a VM has now."""
    machine = plane.get(f"/apis/kubevirt.io/v1/namespaces/bench/virtualmachines/{name}")
    claim = machine["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    volume = plane.get(f"/api/v1/namespaces/bench/persistentvolumeclaims/{claim}")["spec"]["volumeName"]
    return hashlib.sha256(plane.state.volume(volume).read_bytes()).hexdigest()


def most_at_once(vms: list[dict[str, Any]]) -> int:
    """How many were under way at the same time. Of what happens in one second, ends count first: times have no fractions."""
    moments = [(datetime.fromisoformat(vm[field]), step) for vm in vms for field, step in (("started", 1), ("completed", -1))]
    under_way = most = 0
    for _moment, step in sorted(moments):
        under_way += step
        most = max(most, under_way)
    return most
