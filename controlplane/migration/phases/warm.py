"""A warm migration: a snapshot, its copy, and again what has changed since, until the cutover (facts 3.4, 3.6, 3.10).

`warm.precopies` of the VM's status tells of each round: the snapshot, the tasks that made and removed it, the change ids of the disks
at it. A round that the control plane was killed in goes on: its snapshot is known by its description.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.migration import children, itineraries, pipeline
from ansible_collections.vmshift.mtv.controlplane.migration.phases import disks
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import WarmSource

Object = dict[str, Any]

#: For tests of ours alone: how long a minute of `controller_precopy_interval` takes, in seconds.
MINUTE_VARIABLE = "VMSHIFT_PRECOPY_MINUTE"


def status() -> Object:
    """`warm` of a VM that has not begun."""
    return {"consecutiveFailures": 0, "failures": 0, "successes": 0}


def precopies(vm: Object) -> list[Object]:
    return vm["warm"].setdefault("precopies", [])


# Snapshots


def create_snapshot(work: VmRun) -> bool:
    rounds = precopies(work.vm)
    task, snapshot = _source(work).create_snapshot(work.source_vm, _description(work, len(rounds) + 1))
    rounds.append({"start": now(), **({"createTaskId": task} if task else {}), **({"snapshot": snapshot} if snapshot else {})})
    _begin_round(work.step, len(rounds))
    return True


def wait_for_snapshot(work: VmRun) -> bool:
    rounds = precopies(work.vm)
    last = rounds[-1]
    if not last.get("snapshot"):
        made = _source(work).made_snapshot(work.source_vm, last.get("createTaskId", ""), _description(work, len(rounds)))
        if not made:
            return False
        last["snapshot"] = made
    return True


def store_deltas(work: VmRun) -> bool:
    last = precopies(work.vm)[-1]
    found = _source(work).change_ids(work.source_vm, last["snapshot"])
    last["deltas"] = [{"disk": disk.source, "deltaId": found.get(disk.source, "")} for disk in work.disks]
    return True


def remove_snapshot(work: VmRun) -> bool:
    last = precopies(work.vm)[-1]
    if "removeTaskId" not in last:
        last["removeTaskId"] = _source(work).remove_snapshot(work.source_vm, last["snapshot"])
    return True


def wait_for_removal(work: VmRun) -> bool:
    last = precopies(work.vm)[-1]
    return _source(work).has_removed(work.source_vm, last.get("removeTaskId", ""), last["snapshot"])


def remove_final_snapshot(work: VmRun) -> bool:
    """The disks are copied: a snapshot that stays is for its owner to remove, and only a warning."""
    try:
        return remove_snapshot(work)
    except PhaseError as error:
        _warn(work, error)
        return True


def wait_for_final_removal(work: VmRun) -> bool:
    if not precopies(work.vm)[-1].get("removeTaskId"):
        return True
    try:
        return wait_for_removal(work)
    except PhaseError as error:
        _warn(work, error)
        return True


def remove_last_snapshot(source: Any, vm: Object, source_vm: Object) -> None:
    """Of a VM that has failed or was canceled: nobody else would. Nothing is waited for."""
    rounds = (vm.get("warm") or {}).get("precopies") or ()
    if rounds and rounds[-1].get("snapshot") and not rounds[-1].get("removeTaskId"):
        rounds[-1]["removeTaskId"] = source.remove_snapshot(source_vm, rounds[-1]["snapshot"])


def _warn(work: VmRun, error: PhaseError) -> None:
    last = precopies(work.vm)[-1]
    told = [f"The snapshot {last['snapshot']} of the source VM could not be removed: {reason}" for reason in error.reasons]
    pipeline.add_warning(work.step, work.vm["phase"], told)


def _description(work: VmRun, number: int) -> str:
    """By which the snapshot of a round is known."""
    return f"round {number} of migration {work.run.migration['metadata']['uid']}"


def _source(work: VmRun) -> WarmSource:
    return work.run.source  # type: ignore[return-value]  # only warm itineraries come here


# Rounds


def _begin_round(step: Object, number: int) -> None:
    """The tasks of a step begin anew."""
    step.pop("completed", None)
    for task in step.get("tasks") or ():
        task.setdefault("annotations", {})["Precopy"] = str(number)
        task.pop("completed", None)
        task["started"] = now()


def end_round(work: VmRun) -> None:
    """What was asked for is copied."""
    warm = work.vm["warm"]
    precopies(work.vm)[-1]["end"] = now()
    due = datetime.now(timezone.utc) + timedelta(seconds=_interval(work))
    warm["nextPrecopyAt"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    warm["successes"] += 1


def _interval(work: VmRun) -> float:
    """Seconds between two rounds."""
    return work.run.settings.precopy_minutes * float(os.environ.get(MINUTE_VARIABLE) or 60)


def pause(work: VmRun) -> bool | str:
    """Until the cutover, or until it is time for another round."""
    cutover = cutover_of(work.run.migration, work.vm["id"])
    if cutover and _is_past(cutover):
        return itineraries.STORE_POWER_STATE
    following = work.vm["warm"].get("nextPrecopyAt")
    return bool(following) and _is_past(following)


def cutover_of(migration: Object, vm_id: str) -> str:
    """When this VM is to be cut over; "" for not yet."""
    own = {entry["id"]: entry.get("cutover") or "" for entry in migration["spec"].get("vmCutover") or ()}
    return own.get(vm_id) or migration["spec"].get("cutover") or ""


def _is_past(stamp: str) -> bool:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() <= time.time()


# Checkpoints


def checkpoint(work: VmRun, disk: str) -> Object:
    """Of the present round for a disk: its snapshot, and the change id of what is copied already."""
    rounds = precopies(work.vm)
    before = rounds[-2].get("deltas") or () if len(rounds) > 1 else ()
    previous = next((delta["deltaId"] for delta in before if delta["disk"] == disk), "")
    return {"current": rounds[-1]["snapshot"], "previous": previous}


def add_checkpoint(work: VmRun) -> bool:
    return _add(work, final=False)


def add_final_checkpoint(work: VmRun) -> bool:
    return _add(work, final=True)


def _add(work: VmRun, *, final: bool) -> bool:
    there = children.data_volumes(work)
    for disk in work.disks:
        volume = there.get(disk.source)
        if volume is None:
            raise PhaseError(f"The DataVolume of disk {disk.source} is gone.")
        checkpoints, new = volume["spec"].get("checkpoints") or [], checkpoint(work, disk.source)
        if checkpoints and not new["previous"]:
            untracked = f"Disk {disk.source}: its changes since the last copy were not tracked, so the whole disk is copied again"
            pipeline.add_warning(work.step, work.vm["phase"], [untracked])
        if checkpoints[-1:] == [new]:
            continue
        change = {"checkpoints": [*checkpoints, new], **({"finalCheckpoint": True} if final else {})}
        work.target.patch("DataVolume", work.namespace, volume["metadata"]["name"], {"spec": change})
    return True


def copy(work: VmRun) -> bool:
    """CopyDisks, of a cold migration too."""
    if not disks.copy(work):
        return False
    if work.traits.warm:
        end_round(work)
    return True
