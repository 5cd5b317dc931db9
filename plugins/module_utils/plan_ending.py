# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a plan and its follow-ups, in the order in which MTV cleans up: no run goes on, archived, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import follow_ups, runs
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ARCHIVED, EXECUTING, is_true, object_reference
from ansible_collections.vmshift.mtv.plugins.module_utils.migration_task import cancel_list, migration_manifest
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, describe, ensure_absent, ensure_present, get
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_for, wait_gone

Plan = Mapping[str, Any]


def is_archived(plan: Plan) -> bool:
    return is_true(plan, ARCHIVED)


def require_idle(course: Sequence[Plan], cancel_running: bool) -> None:
    """To archive or remove a plan whose disks are being copied is refused, unless its run may be canceled."""
    for plan in course if not cancel_running else ():
        if is_true(plan, EXECUTING):
            raise TalkError(
                f"{describe(plan)} is being executed; give cancel_running, or cancel its migration first (vmshift.mtv.migration with state "
                "canceled)."
            )


def stop(cluster: Cluster, plan: Plan, *, timeout: float) -> bool:
    """Cancel the run that goes on, and wait for its end. Returns whether there was one."""
    run = (runs.last_run(plan) or {}).get("migration") or {}
    if not is_true(plan, EXECUTING) or not run:
        return False
    migration = get(cluster, "Migration", run["namespace"], run["name"])
    if migration is None or migration["metadata"].get("uid") != run.get("uid"):
        return False  # it was deleted, which ends the run
    vms = [{"id": vm["id"], "name": vm.get("name") or vm["id"]} for vm in runs.vms_of(plan, None) if vm.get("id")]

    def canceling(current: Mapping[str, Any]) -> dict[str, Any]:
        manifest = migration_manifest(plan, run["name"])
        return {**manifest, "spec": {"cancel": cancel_list(current, vms)}}

    ensure_present(cluster, canceling(migration), amend=canceling)
    target = target_of(plan)
    wait_for(cluster, [target], lambda obj: runs.outcome_of(obj, migration) is not None, timeout=timeout, goal="canceled")
    return True


def archive(cluster: Cluster, plan: Plan, *, timeout: float, check_mode: bool) -> bool:
    """Whether there was something to do; afterwards MTV has removed what the plan's failed migrations have left."""
    manifest = {"kind": "Plan", "metadata": object_reference(plan), "spec": {"archived": True}}
    changed = ensure_present(cluster, manifest, check_mode=check_mode).changed
    if not check_mode:
        with reporting(changed=True):
            wait_for(cluster, [target_of(plan)], is_archived, timeout=timeout, goal="archived")
    return changed


def absent(module: Any, cluster: Cluster) -> dict[str, Any]:
    """`state: absent` of the plan module. Follow-ups go with their first plan, the last one first."""
    params, check_mode = module.params, module.check_mode
    plan = get(cluster, "Plan", params["namespace"], params["name"])
    if plan is None:
        return {"changed": False, "diff": {"before": {}, "after": {}}, "plan": None}
    course = follow_ups.course_of(cluster, plan)
    require_idle(course, params["cancel_running"])
    gone: list[Result] = []
    for part in reversed(course):
        with reporting(changed=any(result.changed for result in gone)):
            _prepare(cluster, part, params["wait_timeout"], check_mode)
            gone.append(ensure_absent(cluster, "Plan", params["namespace"], part["metadata"]["name"], check_mode=check_mode))
        if params["wait"] and not check_mode:
            with reporting(changed=True):
                wait_gone(cluster, [target_of(part)], timeout=params["wait_timeout"])
    diffs = [result.diff for result in gone]
    return {"changed": any(result.changed for result in gone), "diff": diffs if len(diffs) > 1 else diffs[0], "plan": None}


def _prepare(cluster: Cluster, plan: Plan, timeout: float, check_mode: bool) -> None:
    """A plan that has never run has left nothing."""
    if check_mode or is_archived(plan) or not runs.last_run(plan):
        return
    if "deletionTimestamp" in plan["metadata"]:
        return
    with reporting(changed=True):
        stop(cluster, plan, timeout=timeout)
        archive(cluster, plan, timeout=timeout, check_mode=False)
