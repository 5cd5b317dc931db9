# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a Plan: which Migration to follow, whether to start one, what became of each VM. Pure, over objects as the API returns them.

The record of a run is the last entry of the Plan's `status.migration.history`; its VMs are `status.migration.vms`. The Migration
mirrors them, later and not always completely (a canceled Migration keeps its last but one VM list, a deleted one is gone).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CANCELED,
    ENDED,
    FAILED,
    RUNNING,
    STEP_COMPLETED,
    SUCCEEDED,
    blockers,
    describe_conditions,
    ended,
    is_true,
)

Object = Mapping[str, Any]

START, FOLLOW, DONE, REFUSED, CONTINUE = "start", "follow", "done", "refused", "continue"
PENDING = "Pending"
MAC_CONFLICTS = "MacConflicts"
#: The step that makes the VM on the target.
CREATION_STEP = "VirtualMachineCreation"
#: Blockers of a Plan that say "not yet" about an object it refers to.
PASSING = ("SourceProviderNotReady", "DestinationProviderNotReady", "NetworkMapNotReady", "StorageMapNotReady", "HookNotReady")
NAME_LENGTH = 63  # a Migration's name becomes the value of a label of the OVA volumes


class Decision(NamedTuple):
    """What to do about a plan. action: start a new Migration, follow `migration`, DONE (the plan has succeeded), REFUSED (its last run
    did not succeed and a new one was not asked for) or CONTINUE (what is left must be migrated by a follow-up plan).
    `outcome`: how the last run ended, None when there was none or it goes on."""

    action: str
    migration: Object | None = None
    outcome: str | None = None


def of_plan(migrations: Iterable[Object], plan: Object) -> list[Object]:
    """The Migrations whose `spec.plan` names `plan`, oldest first."""
    meta = plan["metadata"]
    mine = [m for m in migrations if _same_ref((m.get("spec") or {}).get("plan"), meta)]
    return sorted(mine, key=lambda m: (m["metadata"].get("creationTimestamp", ""), m["metadata"]["name"]))


def decide(plan: Object, migrations: Sequence[Object], retry: bool) -> Decision:
    """One Migration per Plan at a time: follow the one that runs or waits; nothing after success; anew after failure only if asked.

    migrations: those `of_plan`. A plan that has succeeded never runs again, whatever waits (facts 3.1 number 7); nor does one that its
    own new VMs block, and a Migration that waits for it is not followed by a retry.
    """
    last = last_run(plan)
    named = _named(migrations, last)
    if is_true(plan, SUCCEEDED):
        left = any(r["outcome"] == CANCELED for r in rows_of(plan, None))
        return Decision(CONTINUE if retry and left else DONE, named, SUCCEEDED)
    outcome = ended({"status": last}) if last else None
    again = retry and outcome in (FAILED, CANCELED)
    open_ones = [m for m in migrations if not outcome_of(plan, m)]
    if open_ones and not (again and has_made_vms(plan) and is_true(plan, MAC_CONFLICTS)):
        return Decision(FOLLOW, named if named in open_ones else open_ones[0])
    if outcome in (FAILED, CANCELED) and not retry:
        return Decision(REFUSED, named, outcome)
    if again and has_made_vms(plan):
        return Decision(CONTINUE, named, outcome)
    return Decision(START, None, outcome)


def has_made_vms(plan: Object) -> bool:
    """Some VM of the last run was made on the target. MTV then holds the plan's own VMs against it (condition MacConflicts), a moment
    after the run has ended; also the VM of a run that failed after that, in a hook for instance."""
    vms = vms_of(plan, None)
    return any(row(vm)["outcome"] == SUCCEEDED or _completed(vm, CREATION_STEP) for vm in vms)


def _completed(vm: Object, name: str) -> bool:
    return any(step.get("name") == name and step.get("phase") == STEP_COMPLETED for step in vm.get("pipeline") or [])


def last_run(plan: Object) -> Mapping[str, Any] | None:
    """The newest entry of the plan's history: {migration {name, namespace, uid}, conditions, …}."""
    history = _migration_status(plan).get("history") or []
    return history[-1] if history else None


def outcome_of(plan: Object, migration: Object) -> str | None:
    """Succeeded, Failed or Canceled, as the Plan or the Migration has it first; None while the run goes on or waits."""
    for entry in _migration_status(plan).get("history") or []:
        if (entry.get("migration") or {}).get("uid") == migration["metadata"].get("uid") and ended({"status": entry}):
            return ended({"status": entry})
    return ended(migration)


def next_name(plan: Object, migrations: Iterable[Object]) -> str:
    """`<plan>-<n>`, n = the runs there were + 1: the same name for whoever asks at the same time, never one of the history."""
    name = plan["metadata"]["name"]
    history = _migration_status(plan).get("history") or []
    names = [m["metadata"]["name"] for m in migrations] + [(entry.get("migration") or {}).get("name", "") for entry in history]
    stem = name[: NAME_LENGTH - 6].rstrip("-.")
    numbers = [int(m.group(1)) for m in (re.fullmatch(re.escape(stem) + r"-(\d{1,5})", n) for n in names) if m]
    return f"{stem}-{max([len(history), *numbers]) + 1}"


def vms_of(plan: Object, migration: Object | None) -> list[Mapping[str, Any]]:
    """The per-VM status of a run: the plan's while it is about this Migration, else what the Migration has kept."""
    last = last_run(plan)
    uid = ((last or {}).get("migration") or {}).get("uid")
    if migration is None or migration["metadata"].get("uid") == uid:
        return _migration_status(plan).get("vms") or []
    return (migration.get("status") or {}).get("vms") or []


def rows_of(plan: Object, migration: Object | None) -> list[dict[str, Any]]:
    """The VMs of a run as a task reports them."""
    over = bool(outcome_of(plan, migration) if migration else ended({"status": last_run(plan) or {}}))
    return [row(vm, over) for vm in vms_of(plan, migration)]


def row(vm: Mapping[str, Any], over: bool = False) -> dict[str, Any]:
    """One VM of a run; RETURN of the migration module describes the keys. Durations in seconds, disks in MiB.

    over: the run has ended. A VM without an end of its own (its Migration was deleted) then counts as canceled.
    """
    steps = vm.get("pipeline") or []
    outcome = next((t for t in ENDED if is_true({"status": vm}, t)), None)
    outcome = outcome or (CANCELED if over else RUNNING if vm.get("started") else PENDING)
    return {
        "name": vm.get("name") or "",
        "id": vm.get("id") or "",
        "outcome": outcome,
        "phase": vm.get("phase") or "",
        "step": _step(steps, outcome),
        "waiting_for": _current(steps).get("reason") if outcome == RUNNING else None,
        "target_name": vm.get("newName") or vm.get("targetName") or vm.get("name") or "",
        "made": _completed(vm, CREATION_STEP),
        "started": vm.get("started"),
        "completed": vm.get("completed"),
        "duration": _seconds(vm.get("started"), vm.get("completed")),
        "disk_mb": _megabytes(steps),
        "error": _error(vm, steps) if outcome == FAILED or vm.get("error") else None,
        "warnings": _warnings(vm, steps),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of equal columns, ready to print."""
    cells = [("VM", "RESULT", "TARGET", "DISKS", "TIME", "NOTE")]
    for r in rows:
        disks = "{} MiB".format(r["disk_mb"]) if r["disk_mb"] else "-"
        cells.append((r["name"], r["outcome"], r["target_name"] if _is_there(r) else "-", disks, _clock(r["duration"]), _note(r)))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]


def _is_there(row: Mapping[str, Any]) -> bool:
    """On the target, where also a VM stays whose PostHook has failed."""
    return bool(row["made"] or row["outcome"] == SUCCEEDED)


def failure_report(plan: Object, migration: Object | None, rows: Sequence[Mapping[str, Any]], logs: Mapping[str, Sequence[str]]) -> str:
    """Which VM failed in which step and why, the last log lines of its pod, and what Plan and Migration say.

    logs: VM id -> lines to show; the first one names the pod.
    """
    lines = []
    for r in rows:
        if r["error"]:
            reasons = _reasons(r["error"])
            left = f". The VM {r['target_name']} that it has made stays on the target" if r["made"] else ""
            lines.append("VM {} ({}) failed in step {}: {}{}".format(r["name"], r["id"], r["error"]["step"], reasons, left))
        elif r["outcome"] != SUCCEEDED:
            at = f" at step {_standing(r)}" if r["step"] else ""
            lines.append("VM {} ({}): {}{}".format(r["name"], r["id"], r["outcome"], at))
        lines += ["  " + text for text in logs.get(r["id"], ())]
    for kind, obj in (("Plan", plan), ("Migration", migration)):
        if obj:
            said = describe_conditions((obj.get("status") or {}).get("conditions") or [])
            lines.append("{} {}: {}".format(kind, obj["metadata"]["name"], said))
    return "\n".join(lines)


def blocks_start(plan: Object) -> str | None:
    """Why a plan will not become Ready, None while that is open. Some blockers pass by themselves: what the plan refers to was checked
    to be Ready, the controller just has not noticed yet."""
    found = [c for c in blockers(plan) if c["type"] not in PASSING]
    return describe_conditions(found) if found else None


def blocked_by_itself(plan: Object) -> bool:
    """Nothing but the VMs that it has made keeps the plan from being ready."""
    return has_made_vms(plan) and [c["type"] for c in blockers(plan)] == [MAC_CONFLICTS]


def _migration_status(plan: Object) -> Mapping[str, Any]:
    return (plan.get("status") or {}).get("migration") or {}


def _same_ref(ref: Mapping[str, Any] | None, meta: Mapping[str, Any]) -> bool:
    return ref is not None and (ref.get("name"), ref.get("namespace")) == (meta["name"], meta["namespace"])


def _named(migrations: Iterable[Object], run: Mapping[str, Any] | None) -> Object | None:
    uid = ((run or {}).get("migration") or {}).get("uid")
    return next((m for m in migrations if uid and m["metadata"].get("uid") == uid), None)


def _step(steps: Sequence[Mapping[str, Any]], outcome: str) -> str | None:
    """The step with the error, else the one that runs; of a VM that ended well none."""
    if outcome == SUCCEEDED:
        return None
    failed = [s["name"] for s in steps if s.get("error")]
    return next(iter(failed), _current(steps).get("name"))


def _current(steps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The step that is being done: while it waits, for a volume say, it is Pending again, with a reason."""
    return next((s for s in steps if s.get("phase") == RUNNING or (s.get("started") and not s.get("completed"))), {})


def _error(vm: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    error = vm.get("error") or {}
    reasons = [*(error.get("reasons") or []), *(reason for s in steps for reason in (s.get("error") or {}).get("reasons") or [])]
    return {
        "step": _step(steps, FAILED) or error.get("phase") or "",
        "phase": error.get("phase") or "",
        "reasons": list(dict.fromkeys(reasons)),
    }


def _warnings(vm: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = [part for s in steps for part in (s, *(s.get("tasks") or []))]
    texts = [reason for part in parts for reason in (part.get("warning") or {}).get("reasons") or []]
    # VM conditions use `Warning` beside the usual `Warn` (facts 2.1).
    told = [c for c in vm.get("conditions") or [] if c.get("category") in ("Warn", "Warning") and c.get("status") == "True"]
    texts += [c.get("message") or c["type"] for c in told]
    return list(dict.fromkeys(texts))


def _megabytes(steps: Sequence[Mapping[str, Any]]) -> int:
    """Allocation and copy of the same disks are two steps: the largest figure counts the disks once."""
    sizes = [(s.get("progress") or {}).get("total") or 0 for s in steps if (s.get("annotations") or {}).get("unit") == "MB"]
    return max(sizes, default=0)


def _seconds(started: str | None, completed: str | None) -> int | None:
    if not started or not completed:
        return None
    begin, end = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ") for text in (started, completed))
    return int((end - begin).total_seconds())


def _clock(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _note(r: Mapping[str, Any]) -> str:
    if r["error"]:
        return "{}: {}".format(r["error"]["step"], _reasons(r["error"]))
    if r["outcome"] == RUNNING and r["step"]:
        return _standing(r)
    return "; ".join(r["warnings"])


def _standing(r: Mapping[str, Any]) -> str:
    return "{}: {}".format(r["step"], r["waiting_for"]) if r["waiting_for"] else r["step"]


def _reasons(error: Mapping[str, Any]) -> str:
    return "; ".join(reason.rstrip(". ") for reason in error["reasons"]) or "no reason given"
