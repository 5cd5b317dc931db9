# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow-up plans: they migrate what a plan has left, where the plan itself cannot be run again.

After a run in which one VM failed and another succeeded, MTV takes the new VM for the owner of its source's MAC addresses, and the plan
never becomes ready again (condition MacConflicts). A plan that has succeeded although one of its VMs was canceled is never run again
either. What is left goes to a plan of the same spec with only the VMs that are left, named after the first: `app`, `app-retry-1`,
`app-retry-2`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    ARCHIVED,
    SUCCEEDED,
    blockers,
    is_true,
    object_reference,
    ready,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import LABEL_MAX, is_dns1123_subdomain
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, describe, ensure_present, get, list_objects
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import WaitError, target_of, wait_for

Plan = Mapping[str, Any]

#: Annotation of a plan: the name of the one that goes on with it. It was archived for that, which removes what its failed VMs have left.
CONTINUED_BY = "vmshift.io/continued-by"
#: Label of a follow-up plan: the name of the first one.
CONTINUES = "vmshift.io/continues"
#: Names of Migrations are cut at this length, before their number.
_NAME_LENGTH = runs.NAME_LENGTH - 6
_SUFFIX = "-retry-"
#: What a plan that is archived has left of its failed VMs goes away within this time, and is in the way of its follow-up until then.
CLEANUP_SECONDS = 120
_LEFTOVERS = (runs.MAC_CONFLICTS, "VMAlreadyExists")
#: What a plan's own metadata says about itself, not about its VMs.
_OWN_ANNOTATIONS = (CONTINUED_BY, "kubectl.kubernetes.io/last-applied-configuration", "populatorLabels")


# --- pure -----------------------------------------------------------------------------------------------------------


def first_of(plan: Plan) -> str:
    """The name of the plan that this one belongs to: its own, unless it is a follow-up."""
    return (plan["metadata"].get("labels") or {}).get(CONTINUES) or plan["metadata"]["name"]


def next_of(plan: Plan) -> str | None:
    return (plan["metadata"].get("annotations") or {}).get(CONTINUED_BY)


def name_of_follow_up(first: str, number: int) -> str:
    suffix = f"{_SUFFIX}{number}"
    return first[: _NAME_LENGTH - len(suffix)].rstrip("-.") + suffix


def left_of(plan: Plan) -> list[dict[str, Any]]:
    """The entries of `spec.vms` that the plan has not migrated."""
    migrated = [vm for vm in runs.vms_of(plan, None) if runs.row(vm)["outcome"] == SUCCEEDED]
    known = {(key, vm[key]) for vm in migrated for key in ("id", "name") if vm.get(key)}

    def done(entry: Mapping[str, Any]) -> bool:
        key = "id" if entry.get("id") else "name"
        return (key, entry.get(key)) in known

    return [dict(entry) for entry in plan["spec"].get("vms") or [] if not done(entry)]


def manifest(plan: Plan, name: str) -> dict[str, Any]:
    """The follow-up of `plan`: the same maps, hooks and options for the VMs that are left."""
    meta = plan["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _OWN_ANNOTATIONS}
    metadata = {
        "name": name,
        "namespace": meta["namespace"],
        "labels": {**(meta.get("labels") or {}), CONTINUES: first_of(plan)},
        **({"annotations": annotations} if annotations else {}),
    }
    ran = {
        key: vm for vm in runs.vms_of(plan, None) for key in (vm.get("id"), vm.get("name")) if key and vm.get("restorePowerState") == "On"
    }
    auto = plan["spec"].get("targetPowerState") in (None, "", "auto")
    vms = [_kept_on(entry) if auto and (entry.get("id") or entry.get("name")) in ran else entry for entry in left_of(plan)]
    spec = {key: value for key, value in plan["spec"].items() if key != "archived"}
    return {"kind": "Plan", "metadata": metadata, "spec": {**spec, "vms": vms}}


def _kept_on(entry: dict[str, Any]) -> dict[str, Any]:
    """A VM that ran when the first plan switched it off: "as at the source" would find it off now, and leave the new VM off (recorded)."""
    return {**entry, "targetPowerState": "on"} if entry.get("targetPowerState") in (None, "", "auto") else entry


def rows_of(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """What became of each VM of a plan and its follow-ups, by the last of them that has taken it up; `plan` names that one."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for plan in plans:
        for row in runs.rows_of(plan, None):
            rows[(row["id"], row["name"])] = {**row, "plan": plan["metadata"]["name"]}
    return list(rows.values())


def grouped(plans: Iterable[Plan]) -> list[list[Plan]]:
    """Each plan with its follow-ups behind it; a follow-up whose first plan is not among them stands for itself."""
    found = list(plans)
    named = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for p in found}
    groups: list[list[Plan]] = []
    taken: set[tuple[str, str]] = set()
    for key in sorted(named, key=lambda key: named[key]["metadata"]["name"] != first_of(named[key])):
        group: list[Plan] = []
        while key in named and key not in taken:
            taken.add(key)
            group.append(named[key])
            key = (key[0], next_of(named[key]) or "")
        groups += [group] if group else []
    return groups


# --- looked up, and made --------------------------------------------------------------------------------------------


def course_of(cluster: Cluster, plan: Plan) -> list[Plan]:
    """The plan and those that go on with it, in their order."""
    found = [plan]
    while name := next_of(found[-1]):
        later = get(cluster, "Plan", plan["metadata"]["namespace"], name)
        if later is None or first_of(later) != first_of(plan) or any(p["metadata"]["name"] == name for p in found):
            break
        found.append(later)
    return found


def follow_ups_in(cluster: Cluster, namespace: str | None, plan: str | None = None) -> list[dict[str, Any]]:
    """All follow-up plans, or those of one plan; a name that cannot be a label is the name of none."""
    if plan and not (len(plan) <= LABEL_MAX and is_dns1123_subdomain(plan)):
        return []
    return list_objects(cluster, "Plan", namespace, label_selector=f"{CONTINUES}={plan}" if plan else CONTINUES)


def begin(cluster: Cluster, course: Sequence[Plan], written: list[Result], *, timeout: float, check_mode: bool) -> Plan:
    """Archive the last plan of `course`, which removes what its failed VMs have left, and make the one that goes on; returns that, Ready.

    Each step may have been done by a task that was interrupted. What is written is added to `written`, also when a later step fails.
    Raises TalkError for a plan that somebody has archived: that is no pause, it is the end.
    """
    plan = course[-1]
    known = next_of(plan)
    if plan["spec"].get("archived") and not known:
        raise TalkError(f"{describe(plan)} is archived and cannot be run.")
    name = known or _free_name(cluster, plan, len(course))
    metadata = {**object_reference(plan), "annotations": {CONTINUED_BY: name}}
    archived = {"kind": "Plan", "metadata": metadata, "spec": {"archived": True}}
    predicted = ensure_present(cluster, manifest(plan, name), check_mode=True)  # admission speaks while nothing is done yet
    written.append(ensure_present(cluster, archived, check_mode=check_mode))
    if check_mode:
        written.append(predicted)
        return predicted.object or {}
    with reporting(changed=True):
        target = target_of(plan)
        wait_for(cluster, [target], lambda obj: is_true(obj, ARCHIVED), timeout=timeout, goal="archived")
        written.append(ensure_present(cluster, manifest(plan, name)))
        return _await_ready(cluster, written[-1].object or {}, timeout)


def _free_name(cluster: Cluster, plan: Plan, number: int) -> str:
    """The same for whoever asks: a plan of that name that is no follow-up of this one is passed over."""
    first, namespace = first_of(plan), plan["metadata"]["namespace"]
    while True:
        name = name_of_follow_up(first, number)
        existing = get(cluster, "Plan", namespace, name)
        if existing is None or (first_of(existing) == first and not runs.last_run(existing)):
            return name
        number += 1


def _await_ready(cluster: Cluster, plan: Plan, timeout: float) -> Plan:
    """What the archived plan has made for the same VMs goes away in its own time, and is in the way until then."""
    target, begin = target_of(plan), time.monotonic()

    def blocks(obj: dict[str, Any]) -> str | None:
        patient = time.monotonic() - begin < min(timeout, CLEANUP_SECONDS)
        return None if patient and any(c["type"] in _LEFTOVERS for c in blockers(obj)) else runs.blocks_start(obj)

    try:
        return wait_for(cluster, [target], ready, blocks, timeout=min(timeout, CLEANUP_SECONDS))[target]
    except WaitError as error:
        if not error.timed_out or timeout <= CLEANUP_SECONDS:
            raise
    return wait_for(cluster, [target], ready, runs.blocks_start, timeout=timeout - CLEANUP_SECONDS)[target]
