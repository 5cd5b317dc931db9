"""How many VMs may be under way at a time (facts 3.15, Scheduler)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, Conditions
from ansible_collections.vmshift.mtv.controlplane.migration import history

Object = dict[str, Any]

PENDING = "Pending"


def under_way(vm: Object) -> bool:
    return "started" in vm and "completed" not in vm


def waiting(vm: Object) -> bool:
    return "started" not in vm and "completed" not in vm


def in_other_plans(plans: Iterable[Object], plan: Object) -> int:
    """VMs under way in other executing plans with the same source provider."""
    source = plan["spec"]["provider"]["source"]
    uid = plan["metadata"]["uid"]
    others = [p for p in plans if p["metadata"]["uid"] != uid and p["spec"]["provider"]["source"] == source and history.active(p)]
    return sum(under_way(vm) for p in others for vm in p["status"]["migration"].get("vms") or ())


def choose(vms: list[Object], busy_elsewhere: int, limit: int) -> list[Object]:
    """Those of the waiting VMs that may begin now, in the order of the plan."""
    free = limit - busy_elsewhere - sum(under_way(vm) for vm in vms)
    return [vm for vm in vms if waiting(vm)][: max(free, 0)]


def mark(vms: list[Object], chosen: list[Object], limit: int) -> None:
    """Say on each waiting VM why it waits, and take that from those that begin."""
    message = f"Waiting to start migration: in-flight limit reached (max {limit})."
    begins = {id(vm) for vm in chosen}
    for vm in vms:
        if id(vm) in begins or not waiting(vm):
            history.drop(vm, PENDING)
        elif not any(c["type"] == PENDING and c["message"] == message for c in vm.get("conditions") or ()):
            conditions = Conditions(vm.get("conditions") or ())
            conditions.set(PENDING, ADVISORY, message, durable=True)
            vm["conditions"] = conditions.finish()
