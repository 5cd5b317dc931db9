"""The pipeline of a VM: steps and tasks, how they are marked, and how they roll up (facts 3.2). Pure functions over status dicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.migration import itineraries, quantities
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Step

Object = dict[str, Any]

PENDING, RUNNING, COMPLETED = "Pending", "Running", "Completed"
UNIT = {"unit": "MB"}  # Forklift says MB and means MiB


def build(way: Itinerary, disks: Iterable[tuple[str, int]]) -> list[Object]:
    """The pipeline of a VM at its start. `disks`: (task name, size in bytes)."""
    sizes = [(name, quantities.mebibytes(size)) for name, size in disks]
    return [_new_step(step, sizes) for step in itineraries.steps(way)]


def _new_step(step: Step, sizes: list[tuple[str, int]]) -> Object:
    phase = {} if step.phaseless else {"phase": PENDING}
    new: Object = {"name": step.name, "description": step.description, **phase, "progress": {"completed": 0, "total": 1}}
    if step.per_disk:
        new["annotations"] = dict(UNIT)
        new["progress"]["total"] = sum(size for _unused, size in sizes)
        new["tasks"] = [{"name": name, "annotations": dict(UNIT), "progress": {"completed": 0, "total": size}} for name, size in sizes]
    return new


def step_of(vm: Object, step: Step) -> Object:
    """The VM's own copy of `step`."""
    return next(found for found in vm["pipeline"] if found["name"] == step.name)


def start(item: Object) -> None:
    """Mark a VM, step or task as begun; the first time counts."""
    item.setdefault("started", now())


def complete(item: Object) -> None:
    """Mark a VM, step or task as ended; the first time counts."""
    item.setdefault("completed", now())


def begin_step(step: Object) -> None:
    start(step)
    step["phase"] = RUNNING


def end_step(step: Object) -> None:
    complete(step)
    step["phase"] = COMPLETED


def add_error(item: Object, phase: str, reasons: Iterable[str]) -> None:
    """Add reasons to the error of a VM, step or task; each is said once. `phase` is where the first one struck."""
    error = item.setdefault("error", {"phase": phase, "reasons": []})
    error["reasons"].extend(reason for reason in dict.fromkeys(reasons) if reason not in error["reasons"])


def add_warning(step: Object, phase: str, reasons: Iterable[str]) -> None:
    """Add reasons to the warning of a step; each is said once."""
    warning = step.setdefault("warning", {"phase": phase, "reasons": []})
    warning["reasons"].extend(reason for reason in dict.fromkeys(reasons) if reason not in warning["reasons"])


def advance(vm: Object, way: Itinerary, to: str = "") -> None:
    """Go on to the next phase; where that is of another step, end the one and begin the other.

    `to`: the phase to go on with instead. Its step begins with what is done in it, as with Forklift.
    """
    if to:
        vm["phase"] = to
        return
    before = itineraries.row_of(way, vm["phase"])
    vm["phase"] = itineraries.after(way, vm["phase"])
    following = itineraries.row_of(way, vm["phase"])
    if before and (following is None or following.step is not before.step):
        end_step(step_of(vm, before.step))
        if following:
            begin_step(step_of(vm, following.step))


def roll_up(vm: Object, unended: Object | None = None) -> None:
    """Tasks into their step, steps into the VM. A VM is over when all of its steps are.

    unended: a step that gets no time of its end, although it has an error, as with Forklift.
    """
    for step in vm["pipeline"]:
        _roll_up_tasks(step)
        if "error" in step:
            if step is not unended:
                complete(step)
            add_error(vm, vm["phase"], step["error"]["reasons"])
    if any("started" in step for step in vm["pipeline"]):
        start(vm)
    if vm["pipeline"] and all("completed" in step for step in vm["pipeline"]):
        complete(vm)


def _roll_up_tasks(step: Object) -> None:
    tasks = step.get("tasks")
    if not tasks:
        return
    step["progress"]["completed"] = sum(task["progress"]["completed"] for task in tasks)
    if any("started" in task for task in tasks):
        start(step)
    if all("completed" in task for task in tasks):
        end_step(step)
    for task in tasks:
        if "error" in task:
            add_error(step, step.get("phase", ""), task["error"]["reasons"])


def end_begun_steps(vm: Object) -> None:
    """Nothing goes on any more: what was begun gets an end (its phase stays, it did not complete)."""
    for step in vm["pipeline"]:
        if "started" in step:
            complete(step)


def set_progress(task: Object, percent: float) -> None:
    """`percent` of the task is done; never goes back."""
    progress = task["progress"]
    done = int(progress["total"] * min(max(percent, 0.0), 100.0) / 100)
    progress["completed"] = max(progress["completed"], done)
