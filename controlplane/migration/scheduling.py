"""Which VMs may be under way at a time (facts 3.15, Scheduler). Pure.

The limit is one of costs at a place. What a VM costs, and where, its source knows: on vSphere each ESXi host is a place, and the disks that
are read from it cost; elsewhere there is one place, and each VM costs 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, Conditions
from ansible_collections.vmshift.mtv.controlplane.migration import history
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import (
    COMPLETED,
    CONVERT_GUEST,
    COPYING_PAUSED,
    CREATE_GUEST_CONVERSION_POD,
    CREATE_VM,
    DISK_ALLOCATION,
    DISK_TRANSFER,
    POST_HOOK,
)

Object = dict[str, Any]

PENDING = "Pending"
#: Phases in which nothing more is read from the source: when virt-v2v copies the disks, and when importers do.
_COPIED_BY_VIRT_V2V = (CREATE_VM, POST_HOOK, COMPLETED)
_COPIED_BY_OTHERS = (*_COPIED_BY_VIRT_V2V, COPYING_PAUSED, CONVERT_GUEST, CREATE_GUEST_CONVERSION_POD)


class Load(NamedTuple):
    place: str
    cost: int


def under_way(vm: Object) -> bool:
    return "started" in vm and "completed" not in vm


def waiting(vm: Object) -> bool:
    return "started" not in vm and "completed" not in vm


def disk_cost(vm: Object, disks: int) -> int:
    """Of a VM of vSphere by its status. virt-v2v reads its `disks` one after the other, importers all at once, until they are done."""
    steps = {step["name"]: step for step in vm.get("pipeline") or ()}
    if DISK_ALLOCATION.name in steps:
        return 0 if vm["phase"] in _COPIED_BY_VIRT_V2V else 1
    if vm["phase"] in _COPIED_BY_OTHERS:
        return 0
    tasks = (steps.get(DISK_TRANSFER.name) or {}).get("tasks") or ()
    return disks - sum(task.get("phase") == COMPLETED for task in tasks)


def in_other_plans(plans: Iterable[Object], plan: Object) -> list[Object]:
    """The VMs under way in other executing plans with the same source provider."""
    source = plan["spec"]["provider"]["source"]
    uid = plan["metadata"]["uid"]
    others = [p for p in plans if p["metadata"]["uid"] != uid and p["spec"]["provider"]["source"] == source and history.active(p)]
    return [vm for p in others for vm in p["status"]["migration"].get("vms") or () if under_way(vm)]


def choose(vms: Iterable[tuple[Object, Load]], under_way: Iterable[Load], limit: int) -> list[Object]:
    """Those of `vms` that may begin now, in their order. One that costs more than the limit begins where nothing else is under way."""
    busy: Counter[str] = Counter()
    for place, cost in under_way:
        busy[place] += cost
    chosen = []
    for vm, (place, cost) in vms:
        there = busy[place]
        if there < limit and there + cost <= limit or there == 0 and cost > limit:
            busy[place] += cost
            chosen.append(vm)
    return chosen


def mark(vms: list[Object], chosen: list[Object], limit: int, others: Mapping[str, str]) -> None:
    """Say on each waiting VM why it waits, and take that from the `chosen`, which begin. `others`: id -> what else than room it waits for.

    A VM that waits may be shared: in its place in `vms` another one is put.
    """
    begins = {id(vm) for vm in chosen}
    for vm in chosen:
        history.drop(vm, PENDING)
    for index, vm in enumerate(vms):
        if id(vm) in begins or not waiting(vm):
            continue
        message = f"Waiting to start migration: {others.get(vm.get('id', '')) or f'in-flight limit reached (max {limit}).'}"
        if not any(c["type"] == PENDING and c["message"] == message for c in vm.get("conditions") or ()):
            conditions = Conditions(vm.get("conditions") or ())
            conditions.set(PENDING, ADVISORY, message, durable=True)
            vms[index] = {**vm, "conditions": conditions.finish()}
