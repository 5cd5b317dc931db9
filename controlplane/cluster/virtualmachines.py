"""VirtualMachines: what can be said of them as long as nothing here starts guests.

A halted VM is Stopped, as in KubeVirt. A VM that is to run gets no VirtualMachineInstance: it shows ErrorUnschedulable, KubeVirt's
word for a VM that no node can run, and its Ready condition says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Reconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

NOT_STARTED = "GuestNotStarted"
_RUNS = ("Always", "RerunOnFailure", "Once")


class VirtualMachineReconciler(Reconciler):
    kind = "VirtualMachine"

    def __init__(self, context: Context) -> None:
        self._api = context.api

    async def reconcile(self, namespace: str, name: str) -> float | None:
        machine = self._api.find(self.kind, namespace, name)
        if machine is None or "deletionTimestamp" in machine["metadata"]:
            return None
        before = machine.get("status", {}).get("conditions", [])
        wanted = status(machine["spec"])
        if [_known(condition) for condition in before] == [_known(condition) for condition in wanted["conditions"]]:
            wanted["conditions"] = before
        self._api.update_status({**machine, "status": wanted})
        return None


def status(spec: Object) -> Object:
    """The status of a VirtualMachine with that spec."""
    strategy = spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted")
    if strategy in _RUNS:
        reason, message = NOT_STARTED, "this control plane does not start guests (run_vms is off)"
        printable = "ErrorUnschedulable"
    else:
        reason, message, printable = "VMINotExists", "VMI does not exist", "Stopped"
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    condition.update(lastProbeTime=now(), lastTransitionTime=now())
    return {"conditions": [condition], "created": False, "printableStatus": printable, "ready": False, "runStrategy": strategy}


def _known(condition: Object) -> tuple[Any, ...]:
    return tuple(condition.get(field) for field in ("type", "status", "reason", "message"))
