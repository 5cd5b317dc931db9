"""Guests converted again whose disks an earlier run of the plan has copied: `resumeConversion` of a Migration (facts 3.3, 3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import history
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import VIRTUAL_MACHINE_CREATION

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import Run

Object = dict[str, Any]

MESSAGE = "Disks of failed VMs were copied; their conversion can be resumed."
#: What the earlier run has found out, and a resumed one does not ask again.
_FOUND = ("disksCopied", "restorePowerState", "newName")


def resumable(vm: Object) -> bool:
    """The VM failed with all its disks copied, and before its target was made: nothing may convert the disks of a VM. `vm`: its status."""
    made = any(step["name"] == VIRTUAL_MACHINE_CREATION.name and step.get("phase") == "Completed" for step in vm.get("pipeline") or ())
    return bool(vm.get("disksCopied")) and history.holds(vm, history.FAILED) and not made


def offered(plan: Object) -> bool:
    """A plan that failed has VMs that can be resumed."""
    return any(map(resumable, plan["status"]["migration"].get("vms") or ()))


def refusal(run: Run) -> str:
    """Why the run cannot be a resumption, in one sentence; "" when it can, or is none."""
    if not run.resumes or offered(run.plan):
        return ""
    return "The conversion cannot be resumed: no VM of the plan failed after all its disks were copied."


def kept(vm: Object) -> Object:
    """What of the status of a VM is taken over."""
    return {field: vm[field] for field in _FOUND if field in vm}
