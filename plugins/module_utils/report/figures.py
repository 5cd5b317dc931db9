# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From plans and their migrations to the figures of a report: one JSON-ready dict, which the HTML page and the CSV file show.

No clock is read. What still runs counts up to the newest time stamp of its plan, so that the same objects give the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.follow_ups import grouped
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CANCELED, FAILED, RUNNING, SUCCEEDED, conditions_of, ended

Object = Mapping[str, Any]

#: Changes when a key of the report changes its meaning or goes.
FORMAT = 1
OUTCOMES = (SUCCEEDED, FAILED, CANCELED, RUNNING, runs.PENDING)
#: Steps that copy disks; the others that count in MiB only allocate them.
COPYING = ("DiskTransfer", "DiskTransferV2v")


def build(
    plans: Sequence[Object],
    migrations: Sequence[Object],
    *,
    title: str,
    concerns: Mapping[str, Mapping[str, Sequence[Object]]] | None = None,
    log_of: Callable[[Object, Mapping[str, Any]], Sequence[str]] | None = None,
    generated: str | None = None,
) -> dict[str, Any]:
    """The report: {format, title, generated, summary, plans}. docs/report.md describes all keys. Sizes in MiB, times in seconds.

    concerns: uid of a plan -> id or name of a VM -> its concerns as the inventory has them.
    log_of: (plan, row of a failed VM) -> last lines of its pod's log.
    """
    ordered = sorted(grouped(plans), key=lambda course: (course[0]["metadata"]["namespace"], course[0]["metadata"]["name"]))
    parts = [_plan(course, migrations, (concerns or {}).get(course[0]["metadata"].get("uid", ""), {}), log_of) for course in ordered]
    return {"format": FORMAT, "title": title, "generated": generated, "summary": _summary(parts), "plans": parts}


def lines_of(report: Mapping[str, Any]) -> list[str]:
    """The gist of a report, one line for the whole and one per VM: what a diff shows."""
    summary = report["summary"]
    counted = ", ".join(f"{summary[outcome.lower()]} {outcome.lower()}" for outcome in OUTCOMES)
    size, time = "{} MiB".format(summary["disk_mb"]), clock(summary["duration"])
    lines = ["{} plans, {} VMs: {}; {}; {}".format(summary["plans"], summary["vms"], counted, size, time)]
    return lines + [vm_line(plan, vm) for plan in report["plans"] for vm in plan["vms"]]


def vm_line(plan: Mapping[str, Any], vm: Mapping[str, Any]) -> str:
    """`crm-wave/crm web: Failed in ImageConversion, 10240 MiB, 0:01:07`."""
    at = " in {}".format(vm["step"]) if vm["step"] else ""
    parts = ["{}/{} {}: {}{}".format(plan["namespace"], plan["name"], vm["name"], vm["outcome"], at)]
    return ", ".join(parts + ["{} MiB".format(vm["disk_mb"]), clock(vm["duration"])])


def clock(seconds: int | None) -> str:
    """1:02:03, `-` for a time that is not known."""
    if seconds is None:
        return "-"
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def seconds_between(started: str | None, completed: str | None) -> int | None:
    if not started or not completed:
        return None
    return int((moment(completed) - moment(started)).total_seconds())


def moment(text: str) -> datetime:
    """A time stamp of the API; fractions of a second are possible in some."""
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")


def _plan(
    course: Sequence[Object],
    migrations: Sequence[Object],
    concerns: Mapping[str, Sequence[Object]],
    log_of: Callable[[Object, Mapping[str, Any]], Sequence[str]] | None,
) -> dict[str, Any]:
    """A plan with its follow-ups as one: each VM as the last of them that has taken it up has it."""
    plan, spec = course[0], course[0].get("spec") or {}
    newest = next((p for p in reversed(course) if runs.last_run(p)), plan)
    last, record = runs.last_run(newest), (newest.get("status") or {}).get("migration") or {}
    warm = spec.get("type") == "warm" or bool(spec.get("warm"))
    vms = [_vm(entries, warm, concerns) for entries in _entries(course)]
    owners = {p["metadata"]["name"]: p for p in course}
    for vm in vms:
        if log_of and vm["outcome"] == FAILED:
            vm["log"] = [line[2:] if line.startswith("| ") else line for line in log_of(owners[vm["plan"]], vm)]
    started = min((s for p in course if (s := _record(p).get("started"))), default=None)
    providers = spec.get("provider") or {}
    return {
        "name": plan["metadata"]["name"],
        "namespace": plan["metadata"]["namespace"],
        "follow_ups": [p["metadata"]["name"] for p in course[1:]],
        "type": spec.get("type") or ("warm" if warm else "cold"),
        "source": (providers.get("source") or {}).get("name") or "",
        "destination": (providers.get("destination") or {}).get("name") or "",
        "target_namespace": spec.get("targetNamespace") or "",
        "outcome": (ended({"status": last}) or RUNNING) if last else runs.PENDING,
        "started": started,
        "completed": record.get("completed"),
        "until": _newest(record.get("completed"), vms),
        "duration": seconds_between(started, _newest(record.get("completed"), vms)),
        "disk_mb": sum(vm["disk_mb"] for vm in vms),
        "conditions": [_condition(c) for c in conditions_of(course[-1]) if c.get("status") == "True"],
        "runs": [_run(p, m) for p in course for m in runs.of_plan(migrations, p)],
        "vms": vms,
    }


def _record(plan: Object) -> Mapping[str, Any]:
    return (plan.get("status") or {}).get("migration") or {}


def _entries(course: Sequence[Object]) -> list[list[tuple[Object, Object]]]:
    """For each VM its (plan, entry of `status.migration.vms`) in the plans that have taken it up, the last one at the end.

    A plan that has not run lists its VMs in its spec only.
    """
    found: dict[tuple[str, str], list[tuple[Object, Object]]] = {}
    for number, plan in enumerate(course):
        waiting = [] if number else [{"id": v.get("id"), "name": v.get("name") or v.get("id")} for v in plan["spec"].get("vms") or []]
        for entry in runs.vms_of(plan, None) or waiting:
            found.setdefault((entry.get("id") or "", entry.get("name") or ""), []).append((plan, entry))
    return list(found.values())


def _vm(entries: Sequence[tuple[Object, Object]], warm: bool, concerns: Mapping[str, Sequence[Object]]) -> dict[str, Any]:
    plan, source = entries[-1]
    row = runs.row(source, over=bool(ended({"status": runs.last_run(plan) or {}})))
    steps = [_step(step, warm) for step in source.get("pipeline") or []]
    found = concerns.get(row["id"]) or concerns.get(row["name"]) or []
    return {
        **row,
        "plan": plan["metadata"]["name"],
        "operating_system": source.get("operatingSystem") or "",
        "downtime": _downtime([entry for _plan, entry in entries], warm),
        "mb_per_second": next((s["mb_per_second"] for s in steps if s["mb_per_second"] is not None), None),
        "concerns": [{k: str(c.get(k) or "") for k in ("category", "label", "assessment")} for c in found],
        "conditions": [_condition(c) for c in conditions_of({"status": source}) if c.get("status") == "True"],
        "steps": steps,
        "log": [],
    }


def _step(step: Object, warm: bool) -> dict[str, Any]:
    progress, sized = step.get("progress") or {}, (step.get("annotations") or {}).get("unit") == "MB"
    lasted = seconds_between(step.get("started"), step.get("completed"))
    done = progress.get("completed") or 0 if sized else None
    # A warm copy waits between its rounds: its time says nothing of a rate.
    rated = done and lasted and step.get("name") in COPYING and not warm
    return {
        "name": step.get("name") or "",
        "description": step.get("description") or "",
        "phase": step.get("phase") or "",
        "reason": step.get("reason") or "",
        "started": step.get("started"),
        "completed": step.get("completed"),
        "duration": lasted,
        "done_mb": done,
        "total_mb": progress.get("total") or 0 if sized else None,
        "mb_per_second": round((done or 0) / (lasted or 1), 1) if rated else None,
        "disks": [_disk(task) for task in step.get("tasks") or []] if sized else [],
        "error": list((step.get("error") or {}).get("reasons") or []),
    }


def _disk(task: Object) -> dict[str, Any]:
    progress = task.get("progress") or {}
    return {"name": task.get("name") or "", "done_mb": progress.get("completed") or 0, "total_mb": progress.get("total") or 0}


def _downtime(entries: Sequence[Object], warm: bool) -> int | None:
    """How long a VM that ran was off until its target was made: cold from its start, warm from the cutover. None unless it succeeded.

    A first attempt that failed has left it off.
    """
    off = next((entry for entry in entries if entry.get("restorePowerState") == "On"), None)
    if off is None or ended({"status": entries[-1]}) != SUCCEEDED:
        return None
    begun = _of_step(off, "Cutover", "started") if warm else off.get("started")
    # A hook and the removal of the last snapshot come after the target.
    made = _of_step(entries[-1], runs.CREATION_STEP, "completed") or entries[-1].get("completed")
    return seconds_between(begun, made)


def _of_step(entry: Object, step: str, time: str) -> str | None:
    return next((found.get(time) for found in entry.get("pipeline") or [] if found.get("name") == step), None)


def _condition(condition: Object) -> dict[str, Any]:
    return {
        "type": condition.get("type") or "",
        "category": condition.get("category") or "",
        "reason": condition.get("reason") or "",
        "message": condition.get("message") or "",
        "items": [str(item).strip() for item in condition.get("items") or []],
    }


def _run(plan: Object, migration: Object) -> dict[str, Any]:
    status = migration.get("status") or {}
    return {
        "name": migration["metadata"]["name"],
        "outcome": runs.outcome_of(plan, migration) or (RUNNING if status.get("started") else runs.PENDING),
        "started": status.get("started"),
        "completed": status.get("completed"),
        "conditions": [_condition(c) for c in conditions_of(migration) if c.get("status") == "True"],
    }


def _newest(completed: str | None, vms: Sequence[Mapping[str, Any]]) -> str | None:
    """The end of a plan's run, or the newest time stamp of one that goes on."""
    if completed:
        return completed
    parts = [part for vm in vms for part in (vm, *vm["steps"])]
    return max((t for part in parts for t in (part["started"], part["completed"]) if t), default=None)


def _summary(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    vms = [vm for plan in plans for vm in plan["vms"]]
    started = min((p["started"] for p in plans if p["started"]), default=None)
    until = max((p["until"] for p in plans if p["until"]), default=None)
    return {
        "plans": len(plans),
        "vms": len(vms),
        **{outcome.lower(): sum(vm["outcome"] == outcome for vm in vms) for outcome in OUTCOMES},
        "disk_mb": sum(vm["disk_mb"] for vm in vms),
        "started": started,
        "until": until,
        "duration": seconds_between(started, until),
    }
