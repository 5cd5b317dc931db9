"""One pass over a run: what has begun goes on, what waits begins as far as there is room, and the run ends when all VMs have (facts 3.1).

A pass changes the plan's status in memory; whoever calls stores it. Side effects of a pass that is lost with the process
are found again by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import place
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, now
from ansible_collections.vmshift.mtv.controlplane.migration import (
    cleanup,
    history,
    pipeline,
    plan_configuration,
    resumption,
    scheduling,
)
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import COMPLETED, STARTED, lacking
from ansible_collections.vmshift.mtv.controlplane.migration.phases import PHASES, warm
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, Run, VmRun, own
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Source

log = logging.getLogger(__name__)

Object = dict[str, Any]

CANCELED_MESSAGE = "The migration has been canceled."


def go_on(run: Run) -> bool:
    """One pass. True when something changed its phase, so that the next pass need not wait."""
    begun = not history.holds(run.snapshot, history.EXECUTING)
    if begun:
        refusal = resumption.refusal(run)
        if refusal:
            history.turn(run.snapshot, history.FAILED, refusal, category=CRITICAL)
            return True
        _begin(run)
    before = _phases(run)
    for vm in own(run.vms, lambda vm: scheduling.under_way(vm) or (scheduling.waiting(vm) and _is_canceled(run, vm))):
        _run(run, vm)
    for vm in _admitted(run):
        pipeline.start(vm)
        _run(run, vm)
    _end(run)
    return begun or before != _phases(run)


def _phases(run: Run) -> list[tuple[str, bool]]:
    return [(vm["phase"], "completed" in vm) for vm in run.vms]


def _admitted(run: Run) -> list[Object]:
    """The VMs that begin in this pass."""
    waiting = [vm for vm in run.vms if scheduling.waiting(vm)]
    if not waiting:
        return []
    source, limit = run.source, run.settings.max_vm_inflight
    held = {vm["id"]: why for vm in waiting if (why := source.waits_for(run, vm))}
    under_way = [*filter(scheduling.under_way, run.vms), *scheduling.in_other_plans(_plans_beside(run), run.plan)]
    free = [(vm, source.load(vm)) for vm in waiting if vm["id"] not in held]
    chosen = {id(vm) for vm in scheduling.choose(free, [source.load(vm) for vm in under_way], limit)}
    begin = own(run.vms, lambda vm: id(vm) in chosen)
    scheduling.mark(run.vms, begin, limit, held)
    return begin


def _plans_beside(run: Run) -> list[Object]:
    """The other plans with the same source provider. This one, which may be large, is at hand."""
    source = run.spec["provider"]["source"]
    found = run.api.referring("Plan", "provider", place(source["namespace"], source["name"]))
    return [record.object() for record in found if record.uid != run.plan["metadata"]["uid"]]


def not_served(run: Run) -> dict[str, list[str]]:
    """Phases that nothing here carries out -> names of the VMs of the plan whose way has them."""
    found: dict[str, list[str]] = {}
    for entry in run.spec.get("vms") or ():
        source_vm = run.source.find(entry)
        if source_vm is None:
            continue
        for phase in lacking(VmRun(run, entry, source_vm).itinerary, PHASES):
            found.setdefault(phase, []).append(source_vm["name"])
    return found


# Beginning


def _begin(run: Run) -> None:
    _ensure_namespace(run)
    plan_configuration.copy(run)
    meta = run.plan["metadata"]
    cleanup.of_absent_plan(run.api, run.target.objects, meta["namespace"], meta["name"], except_uid=meta["uid"])
    old = {vm["id"]: vm for vm in run.vms if vm.get("id")}
    run.status["vms"] = [_fresh_or_kept(run, spec, old) for spec in run.spec["vms"]]
    run.status["started"] = now()
    run.status.pop("completed", None)
    history.turn(run.snapshot, history.EXECUTING, "The plan is EXECUTING.")


def _ensure_namespace(run: Run) -> None:
    objects = run.target.objects
    if run.target.is_host and run.target_namespace == run.plan["metadata"]["namespace"]:
        return  # where it is gone, so is the plan, in the middle of this pass
    if objects.find("Namespace", None, run.target_namespace) is None:
        objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": run.target_namespace}})


def _fresh_or_kept(run: Run, spec: Object, old: dict[str, Object]) -> Object:
    """The status of a VM at the begin of a run: a VM that has succeeded before keeps its own, any other starts anew, or is resumed."""
    source_vm = run.source.find(spec)
    if source_vm is None:
        lost: Object = {**spec, "phase": COMPLETED, "pipeline": []}
        _cancel(lost, "NotFound", "VM was not found in inventory.")
        return lost
    kept = old.get(source_vm["id"])
    if kept and (history.holds(kept, history.SUCCEEDED) or (run.resumes and not resumption.resumable(kept))):
        return kept
    fresh: Object = {"luks": {}, **spec, "id": source_vm["id"], "name": source_vm["name"], "phase": STARTED, "pipeline": []}
    if run.resumes and kept:
        fresh |= resumption.kept(kept)
    work = VmRun(run, fresh, source_vm)
    try:
        disks = [(disk.task_name, disk.size) for disk in work.disks]
    except PhaseError as error:
        _fail(fresh, error.reasons)
        return fresh
    fresh["pipeline"] = pipeline.build(work.itinerary, disks)
    if work.traits.warm and not run.resumes:
        fresh["warm"] = warm.status()
    return fresh


# Going on


def _run(run: Run, vm: Object) -> None:
    """Take one VM as far as one pass takes it."""
    if vm["phase"] != COMPLETED and _is_canceled(run, vm):
        _cancel(vm, "UserRequested", CANCELED_MESSAGE)
        vm["phase"] = COMPLETED
    elif vm["phase"] == COMPLETED:
        _settle(vm, run.api, run.target.objects, run.plan, run.source)
    else:
        source_vm = run.source.find({"id": vm["id"], "name": vm["name"]})
        if source_vm is None:
            _cancel(vm, "NotFound", "VM was not found in inventory.")
            vm["phase"] = COMPLETED
        else:
            _run_phase(VmRun(run, vm, source_vm))


def _is_canceled(run: Run, vm: Object) -> bool:
    return any(refers_to(ref, vm) for ref in run.migration["spec"].get("cancel") or ())


def refers_to(ref: Object, vm: Object) -> bool:
    """A reference {id, name} means this VM; the id wins."""
    return ref["id"] == vm.get("id") if ref.get("id") else ref.get("name") == vm.get("name")


def _run_phase(work: VmRun) -> None:
    vm = work.vm
    unended: Object | None = None
    try:
        over = PHASES[vm["phase"]](work)
        if over:
            pipeline.advance(vm, work.itinerary, to=over if isinstance(over, str) else "")
    except PhaseError as error:
        pipeline.add_error(work.step, work.step.get("phase", ""), error.reasons)
        unended = None if error.ended else work.step
    except ApiError as error:
        if error.code >= 500:
            raise  # of this machine, not of this VM
        if error.code == 409:
            return  # somebody else changed it first: the next pass sees how
        pipeline.add_error(work.step, work.step.get("phase", ""), [error.message])
    except SourceError as error:
        if error.kind == DATA:
            pipeline.add_error(work.step, work.step.get("phase", ""), [error.message])
        else:  # of the source or the destination, whose Provider tells that to its users
            log.info("plan %s, VM %s, phase %s is tried again: %s", work.plan["metadata"]["name"], vm["name"], vm["phase"], error.message)
    except OSError:
        raise
    except Exception as error:
        log.exception("plan %s, VM %s, phase %s", work.plan["metadata"]["name"], vm["name"], vm["phase"])
        pipeline.add_error(
            work.step, work.step.get("phase", ""), [f"Unexpected error in phase {vm['phase']}: {type(error).__name__}: {error}"]
        )
    pipeline.roll_up(vm, unended)
    if "error" in vm:
        _as_far_as_possible(vm, lambda: warm.remove_last_snapshot(work.run.source, vm, work.source_vm))
        _release(vm, work.run.source)
        _fail(vm, vm["error"]["reasons"])
    elif vm["phase"] == COMPLETED:
        history.turn(vm, history.SUCCEEDED, "The VM migration has SUCCEEDED.")
        cleanup.after_success(work.api, work.target, work.plan, vm, retain_populators=work.run.settings.retain_populator_pods)
        _release(vm, work.run.source)
        pipeline.complete(vm)


def _fail(vm: Object, reasons: tuple[str, ...] | list[str]) -> None:
    """Nothing is cleaned up now, so that what went wrong can be looked at; that is done by the next attempt, or when archived."""
    pipeline.add_error(vm, vm["phase"], reasons)
    history.turn(vm, history.FAILED, "The VM migration has FAILED.")
    history.drop(vm, scheduling.PENDING)
    vm.pop("completed", None)  # until the next pass
    vm["phase"] = COMPLETED
    pipeline.start(vm)


def _cancel(vm: Object, reason: str, message: str) -> None:
    history.turn(vm, history.CANCELED, message, reason=reason)
    history.drop(vm, scheduling.PENDING)
    pipeline.start(vm)


def _settle(vm: Object, here: Objects, there: Objects, plan: Object, source: Source | None) -> None:
    """A VM that failed or was canceled comes to its end; a canceled one leaves nothing and runs again where it ran."""
    if history.holds(vm, history.CANCELED):
        _undo(vm, here, there, plan, source)
    pipeline.complete(vm)


def _undo(vm: Object, here: Objects, there: Objects, plan: Object, source: Source | None) -> None:
    if vm.get("id"):
        clear(vm, here, there, plan, source)
        source_vm = source.find({"id": vm["id"]}) if source else None
        if source and source_vm:
            _as_far_as_possible(vm, lambda: warm.remove_last_snapshot(source, vm, source_vm))
            if vm.get("restorePowerState") == "On":
                _as_far_as_possible(vm, lambda: source.power_on(source_vm))
    pipeline.end_begun_steps(vm)


def clear(vm: Object, here: Objects, there: Objects, plan: Object, source: Source | None) -> None:
    """Leave of a VM only what was migrated."""
    _release(vm, source)
    _as_far_as_possible(vm, lambda: cleanup.of_vm(here, there, plan, vm, keeps_target=history.holds(vm, history.SUCCEEDED)))


def _release(vm: Object, source: Source | None) -> None:
    """What was made at a source so that its disks could be fetched has served, or never will."""
    try:
        if source:
            source.release(vm)
    except (SourceError, PhaseError) as error:
        log.warning("VM %s: what was made at the source for its migration is still there: %s", vm["name"], error)
        begun = [step for step in vm["pipeline"] if "started" in step]
        if begun:
            pipeline.add_warning(begun[-1], vm["phase"], [f"What was made at the source for the migration is still there: {error}"])


def _as_far_as_possible(vm: Object, undo: Callable[[], Any]) -> None:
    """A source or destination that cannot be reached does not keep a run from its end."""
    try:
        undo()
    except (SourceError, PhaseError) as error:
        log.warning("VM %s: not all that is left of it could be taken away: %s", vm["name"], error)


# Ending


def _end(run: Run) -> None:
    if not all("completed" in vm for vm in run.vms):
        return
    run.status["completed"] = now()
    if any(history.holds(vm, history.FAILED) for vm in run.vms):
        history.turn(run.snapshot, history.FAILED, "The plan execution has FAILED.")
    elif any(history.holds(vm, history.SUCCEEDED) for vm in run.vms):
        history.turn(run.snapshot, history.SUCCEEDED, "The plan execution has SUCCEEDED.")
    else:
        history.turn(run.snapshot, history.CANCELED, "The plan execution has been CANCELED.")


def cancel_all(here: Objects, there: Objects, plan: Object, source: Source | None, snapshot: Object, *, reason: str, message: str) -> None:
    """End a run from outside: its Migration is gone, or an object it runs with has become another one."""
    for vm in _unended(plan):
        if not history.holds(vm, history.FAILED, history.CANCELED):
            _cancel(vm, "Modified", CANCELED_MESSAGE)
        _settle(vm, here, there, plan, source)
    history.turn(snapshot, history.CANCELED, message, reason=reason)


def fail_all(here: Objects, there: Objects, plan: Object, source: Source | None, snapshot: Object, *, why: str) -> None:
    """End a run that a validation blocker holds up for too long."""
    message = f"The migration has FAILED due to a validation blocker: {why}"
    for vm in _unended(plan):
        if not history.holds(vm, history.FAILED, history.CANCELED):
            _fail(vm, [message])
        _settle(vm, here, there, plan, source)
    plan["status"]["migration"]["completed"] = now()
    history.turn(snapshot, history.FAILED, message)


def _unended(plan: Object) -> list[Object]:
    return own(plan["status"]["migration"].get("vms") or [], lambda vm: "completed" not in vm)
