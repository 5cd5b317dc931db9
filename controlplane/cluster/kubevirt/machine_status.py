"""The status of a VirtualMachine, as KubeVirt shows it. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import strategies
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now

Object = dict[str, Any]

NOT_STARTED = "GuestNotStarted"
NO_GUESTS = "this control plane does not start guests (run_vms is off)"
# A VM tells these of its instance, beside Ready.
_CARRIED = ("AgentConnected", "Paused", "Synchronized")


def without_guests(spec: Object) -> Object:
    """Where nothing starts guests: one that is to run shows ErrorUnschedulable, KubeVirt's word for a VM that no node can run."""
    strategy = strategies.strategy_of(spec)
    runs = strategy in (strategies.ALWAYS, strategies.RERUN, strategies.ONCE)
    ready = ("False", NOT_STARTED, NO_GUESTS) if runs else ("False", "VMINotExists", "VMI does not exist")
    return {
        "conditions": [_condition("Ready", *ready)],
        "created": False,
        "printableStatus": "ErrorUnschedulable" if runs else "Stopped",
        "ready": False,
        "runStrategy": strategy,
    }


def with_guests(machine: Object, instance: Object | None, requests: list[Object], failure: Object | None) -> Object:
    """With an instance, or None when there is none. `failure`: what is known of starts that failed."""
    conditions = [_ready(instance)]
    shown = {c["type"]: c for c in ((instance or {}).get("status") or {}).get("conditions") or ()}
    conditions += [shown[type] for type in _CARRIED if type in shown]
    status: Object = {
        "conditions": conditions,
        "created": instance is not None,
        "printableStatus": printable(machine, instance, failure),
        "ready": conditions[0]["status"] == "True",
        "runStrategy": strategies.strategy_of(machine["spec"]),
    }
    if requests:
        status["stateChangeRequests"] = requests
    if failure:
        status["startFailure"] = failure
    return status


def printable(machine: Object, instance: Object | None, failure: Object | None) -> str:
    """What `kubectl get vm` shows."""
    if "deletionTimestamp" in machine["metadata"]:
        return "Terminating"
    if instance is None:
        wanted = strategies.strategy_of(machine["spec"]) in (strategies.ALWAYS, strategies.RERUN)
        return "CrashLoopBackOff" if failure and wanted else "Stopped"
    if "deletionTimestamp" in instance["metadata"]:
        return "Stopping"
    status = instance.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    phase = status.get("phase", "Pending")
    if phase in strategies.FINAL:
        return "CrashLoopBackOff" if failure else "Stopped"
    if phase == "Running":
        return "Paused" if conditions.get("Paused", {}).get("status") == "True" else "Running"
    held = conditions.get("Synchronized", {})
    if held.get("status") == "False":
        return "ErrorPvcNotFound" if held.get("reason") == "FailedPvcNotFound" else "ErrorUnschedulable"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return "WaitingForVolumeBinding" if "to be bound" in scheduled.get("message", "") else "ErrorUnschedulable"
    return "Starting"


def _ready(instance: Object | None) -> Object:
    if instance is None:
        return _condition("Ready", "False", "VMINotExists", "VMI does not exist")
    found = next((c for c in (instance.get("status") or {}).get("conditions") or () if c["type"] == "Ready"), None)
    return found or _condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")


def kept(before: list[Object], wanted: list[Object]) -> list[Object]:
    """`wanted`, where conditions that say what they said before keep their times."""
    old = {_said(condition): condition for condition in before}
    return [old.get(_said(condition), condition) for condition in wanted]


def _condition(type: str, status: str, reason: str, message: str) -> Object:
    condition = {"type": type, "status": status, "reason": reason, "message": message}
    return {**condition, "lastProbeTime": now(), "lastTransitionTime": now()}


def _said(condition: Object) -> tuple[Any, ...]:
    return tuple(condition.get(field) for field in ("type", "status", "reason", "message"))
