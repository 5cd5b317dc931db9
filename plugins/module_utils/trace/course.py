# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one VM stands: each step of its workflow, and each disk, with a state and its proof. Pure.

How far the VM has come (its phase, or for one that failed the phase of the error) says what lies behind it and before it. Of the
steps of the phase itself, which are several while disks are copied, the objects say which are done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CANCELED, PHASE_COMPLETED, STEP_COMPLETED, SUCCEEDED
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import FAILED as VM_FAILED
from ansible_collections.vmshift.mtv.plugins.module_utils.trace.children import DISK_SOURCE, Children, annotation
from ansible_collections.vmshift.mtv.plugins.module_utils.trace.hints import hint
from ansible_collections.vmshift.mtv.plugins.module_utils.trace.proofs import (
    ACTIVE,
    COUNTED,
    DONE,
    FAILED,
    PROVERS,
    SKIPPED,
    WAITING,
    Proof,
    View,
    reference,
    task_of_pipeline,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.workflows import Choice, Step, steps_for

Object = Mapping[str, Any]

_BEFORE, _AT, _AFTER = -1, 0, 1


class Entry(NamedTuple):
    """One line of a trace. `public`: as the module returns it; `pod`: whose log tells more."""

    public: dict[str, Any]
    pod: Object | None


class Run(NamedTuple):
    """The run of a plan that is traced. `record`: the object that tells of its VMs, which is the Plan unless it tells of a later run.

    over: it has ended. cutover: it has a time for that. waits_for: what a VM that has not begun waits for.
    """

    plan: Object
    record: Object
    over: bool = False
    cutover: bool = False
    waits_for: str = ""


def of_vm(run: Run, vm: Object, choice: Choice, children: Children) -> list[Entry]:
    """vm: its entry in the record, or of the plan's spec when there was no run."""
    row = runs.row(vm, run.over)
    view = View(vm, run.plan["spec"], children, _disks(vm, children), choice.converts)
    steps = steps_for(choice.workflow, vm.get("pipeline") or [], vm.get("hooks") or [])
    places = _places(view, steps, row["outcome"])
    disks: list[str | None] = [*view.disks] or [None]
    rows = [
        (step, place, disk, PROVERS.get(step.name, task_of_pipeline)(view, step.pipeline, disk))
        for step, place in zip(steps, places)
        for disk in (disks if step.per_disk else [None])
    ]
    states = _states(view, rows, row)
    entries = []
    for (step, _place, disk, proof), state in zip(rows, states):
        shown = _shown(run, view, step, disk, proof, state, row)
        public = {
            "plan": run.plan["metadata"]["name"],
            "vm": row["name"],
            "vm_id": row["id"],
            "workflow": choice.workflow.name,
            "number": step.number,
            "step": step.name,
            "text": step.text,
            "disk": disk,
            "state": state,
            **shown,
            "hint": hint(step.name, state, vm, run.cutover),
            "log": [],
        }
        entries.append(Entry(public, proof.pod))
    return entries


def _disks(vm: Object, children: Children) -> list[str]:
    """In the order of the pipeline's tasks; of a VM without a pipeline, those that were made."""
    for step in vm.get("pipeline") or []:
        if step.get("tasks"):
            return [task["name"] for task in step["tasks"] if task.get("name")]
    made = [*children.all("DataVolume"), *children.claims()]
    return list(dict.fromkeys(source for obj in made if (source := annotation(obj, DISK_SOURCE))))


def _places(view: View, steps: Sequence[Step], outcome: str) -> list[int]:
    """Whether each step lies before, at or after where the VM is: after means that it is over."""
    if outcome == SUCCEEDED:
        return [_AFTER] * len(steps)
    if outcome == runs.PENDING:
        return [_BEFORE] * len(steps)
    at = _at(view, steps, outcome)
    if at is None:
        return [_by_pipeline(view, step, outcome) for step in steps]
    reached = [index for index, step in enumerate(steps) if at in step.phases]
    first, last = reached[0], reached[-1]
    places = [_AFTER if index < first else _BEFORE if index > last else _AT for index in range(len(steps))]
    # CopyDisks comes again for each precopy: the first full copy is behind, the loop is where the VM is.
    loop = next((i for i, step in enumerate(steps) if step.name == "precopies"), None)
    if loop is not None and at == "CopyDisks" and _copied_once(view):
        places = [_AFTER if index < loop else _AT if index == loop else _BEFORE for index in range(len(steps))]
    return places


def _copied_once(view: View) -> bool:
    rounds = (view.vm.get("warm") or {}).get("precopies") or []
    return bool((view.vm.get("warm") or {}).get("successes")) or any(r.get("end") for r in rounds)


def _at(view: View, steps: Sequence[Step], outcome: str) -> str | None:
    """The phase that a VM is in or has ended in; None when no step has it, or nobody knows."""
    known = {phase for step in steps for phase in step.phases}
    phase = view.vm.get("phase")
    if phase == PHASE_COMPLETED and outcome == VM_FAILED:
        phase = (view.vm.get("error") or {}).get("phase")
    return phase if phase in known else None


def _by_pipeline(view: View, step: Step, outcome: str) -> int:
    """A coarser answer: by the step of the pipeline. When a VM is canceled, what it has begun counts there as completed."""
    told = view.step(step.pipeline) or {}
    begun = [s.get("name") for s in view.vm.get("pipeline") or [] if s.get("started")]
    if outcome == CANCELED and begun and begun[-1] == step.pipeline:
        return _AT
    if told.get("phase") == STEP_COMPLETED and not told.get("error"):
        return _AFTER
    return _AT if told.get("started") or told.get("error") else _BEFORE


def _states(view: View, rows: Sequence[tuple[Step, int, str | None, Proof]], row: Mapping[str, Any]) -> list[str]:
    """Of each step and disk. The first one of a disk that is not done is the one that is being done, or that has failed."""
    ended = row["outcome"] in (VM_FAILED, CANCELED)
    failing, blamed = row["outcome"] == VM_FAILED, _blamed(view, rows)
    open_for: set[str | None] = set()
    states: list[str] = []
    for index, (_step, place, disk, proof) in enumerate(rows):
        state = proof.state if proof.final or place != _AFTER else (SKIPPED if proof.state == SKIPPED else DONE)
        behind = bool(open_for) if disk is None else bool({disk, None} & open_for)
        if failing and index in blamed:
            state = FAILED
        elif state is None or (state == ACTIVE and place == _BEFORE):
            state = ACTIVE if place == _AT and not behind else WAITING
        if ended and state in (ACTIVE, WAITING):
            state = SKIPPED
        if state in (ACTIVE, WAITING, FAILED) or (ended and state == SKIPPED and place == _AT and not proof.final):
            open_for.add(disk)
        states.append(state)
    if row["outcome"] == runs.RUNNING and WAITING in states and not {ACTIVE, FAILED} & set(states):
        # The objects are ahead of MTV, which looks at them every few seconds: what comes next has its turn.
        following = rows[states.index(WAITING)][0]
        states = [ACTIVE if s == WAITING and line[0] is following else s for s, line in zip(states, rows)]
    return states


def _blamed(view: View, rows: Sequence[tuple[Step, int, str | None, Proof]]) -> set[int]:
    """The lines of a failed VM that its error is about: of each disk that has an error of its own, otherwise of each that is not done,
    the first line where the VM stands that is not done; if all are, the last."""
    here = [i for i, (_step, place, _disk, _proof) in enumerate(rows) if place == _AT]
    own = {i for i in here if rows[i][3].state == FAILED}
    if own or not here:
        return own
    found: dict[str | None, int] = {}
    for index in here:
        step, _place, disk, proof = rows[index]
        if proof.state is None and not {disk, None} & set(found) and not (found and not step.per_disk):
            found[disk] = index
    return set(found.values()) or {here[-1]}


def _shown(run: Run, view: View, step: Step, disk: str | None, proof: Proof, state: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """object, evidence, since and error of a line."""
    told = view.step(step.pipeline) or {}
    obj, texts = proof.object, [proof.evidence] if proof.evidence else []
    if obj is None and state in (DONE, ACTIVE, FAILED):
        obj = reference(run.record)
        texts.append(f"step {step.pipeline} of the VM's pipeline: {told.get('phase') or 'not begun'}")
        if view.children.unseen:
            texts.append("its objects cannot be read from here")
    task = view.task(step.pipeline, disk) if disk and step.name in COUNTED else None
    if state == DONE and proof.state is None and task and task.get("progress"):
        # The task of a disk that was copied may stay behind (recorded).
        texts = ["{} MiB".format(task["progress"].get("total") or 0)]
    if state == SKIPPED and not proof.final:
        texts.append("the VM was canceled before" if row["outcome"] == CANCELED else "the VM failed before")
        obj = proof.object
    if state == WAITING and row["outcome"] == runs.PENDING and run.waits_for:
        texts = [run.waits_for]
    reasons = _reasons(task, row) if state == FAILED else []
    since = proof.since
    if since is None and (state in (ACTIVE, FAILED) or (state == DONE and (proof.object is None or task))):
        since = told.get("completed") if state in (DONE, FAILED) and told.get("completed") else told.get("started")
    return {
        "object": obj,
        "evidence": "; ".join(texts),
        "since": None if state in (WAITING, SKIPPED) else since,
        "error": "; ".join(reason.rstrip(". ") for reason in reasons) or None,
    }


def _reasons(task: Object | None, row: Mapping[str, Any]) -> list[str]:
    own = ((task or {}).get("error") or {}).get("reasons")
    return list(own or (row["error"] or {}).get("reasons") or [])
