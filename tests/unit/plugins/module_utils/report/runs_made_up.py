"""Plans with runs, shaped as MTV records them, of any number of VMs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

START = datetime(2026, 11, 22, 20, 0, 0)
HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}"
STEPS = (("Initialize", 10), ("DiskAllocation", 20), ("ImageConversion", 60), ("DiskTransferV2v", 100), ("VirtualMachineCreation", 0))


def at(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, category: str = "Advisory", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": "True", "category": category, "message": message or f"It has {kind.upper()}."}


def a_vm(number: int, outcome: str = "Succeeded", begin: int = 0, **more: Any) -> dict[str, Any]:
    """A cold VM of one disk of 10000 MiB. Failed: in DiskTransferV2v. Running: in DiskTransferV2v, 2500 MiB done. Canceled: there, too."""
    vm: dict[str, Any] = {
        "id": f"vm-{number}",
        "name": f"app-{number:03d}",
        "started": at(begin),
        "restorePowerState": "On",
        "phase": "Completed",
    }
    steps, now = [], begin
    for name, lasts in STEPS:
        step: dict[str, Any] = {"name": name, "phase": "Completed", "started": at(now), "progress": {"completed": 0, "total": 1}}
        now += lasts
        step["completed"] = at(now)
        if name.startswith("Disk"):
            step["annotations"] = {"unit": "MB"}
            step["progress"] = {"completed": 10000, "total": 10000}
            step["tasks"] = [{"name": f"disk-{number}", "progress": dict(step["progress"])}]
        steps.append(step)
    if outcome != "Succeeded":
        steps[3].update(phase="Running", progress={"completed": 2500, "total": 10000})
        steps[3].pop("completed")
        steps[4] = {"name": "VirtualMachineCreation", "phase": "Pending", "progress": {"completed": 0, "total": 1}}
    if outcome == "Failed":
        steps[3].update(completed=at(now), error={"phase": "Running", "reasons": ["Guest conversion failed. See pod logs for details."]})
        vm["error"] = {"phase": "CopyDisksVirtV2V", "reasons": ["Guest conversion failed. See pod logs for details."]}
    if outcome != "Running":
        vm.update(completed=at(now), conditions=[condition(outcome)])
    return {**vm, "pipeline": steps, **more}


def a_plan(count: int = 1, name: str = "crm", outcomes: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    """A plan that has run: every 17th VM failed, or as `outcomes` says. The VMs begin one after the other, twenty at a time."""
    chosen = outcomes or tuple("Failed" if i % 17 == 5 else "Succeeded" for i in range(count))
    vms = [a_vm(i, outcome, begin=i // 20 * 190) for i, outcome in enumerate(chosen)]
    record: dict[str, Any] = {"started": at(0), "vms": vms, "history": [{"migration": {"name": f"{name}-1", "uid": f"{name}-run"}}]}
    conditions = [condition("NetMapPreservingIPsOnPodNetwork", "Warn", "Static IPs are not preserved.")]
    if "Running" not in chosen:
        ending = condition(next((o for o in ("Failed", "Canceled") if o in chosen), "Succeeded"))
        record["completed"] = max(vm["completed"] for vm in vms)
        record["history"][0]["conditions"] = [ending]
        conditions.append(ending)
    reference = {"namespace": "openshift-mtv"}
    return {
        "metadata": {"name": name, "namespace": "wave", "uid": f"{name}-uid"},
        "spec": {
            "provider": {"source": {"name": "vcenter", **reference}, "destination": {"name": "host", **reference}},
            "targetNamespace": "crm",
            "vms": [{"name": vm["name"]} for vm in vms],
            **spec,
        },
        "status": {"conditions": conditions, "migration": record},
    }
