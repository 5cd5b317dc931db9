"""The disks of the target: made, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster import imports
from ansible_collections.vmshift.mtv.controlplane.migration import children, pipeline, volumes
from ansible_collections.vmshift.mtv.controlplane.migration.phases import populators

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

TRANSFER_COMPLETED = "Transfer completed."
_REFUSALS = ("ErrExceededQuota;", "ErrClaimNotValid;", "ProvisioningFailed;")
IMPORTER_RETRY = 3  # restarts of an importer; with one more its disk has failed


def create(work: VmRun) -> bool:
    if work.traits.populated:
        return populators.create(work)
    if not work.run.source.prepare(work):
        return False
    secret = children.secret(work, "isDV")
    children.config_map(work)
    config = children.library_config(work)
    volumes.ensure_data_volumes(work, secret["metadata"]["name"], config["metadata"]["name"] if config else "")
    return True


def allocate(work: VmRun) -> bool:
    volumes.ensure_consumer(work)
    step, found, claims = work.step, children.data_volumes(work), children.claims(work)
    for task in step["tasks"]:
        volume = found.get(task["name"])
        if volume is None:
            pipeline.add_error(task, pipeline.RUNNING, [f"The DataVolume of disk {task['name']} is gone."])
        else:
            _reflect(work.target, task, volume, claims.get(task["name"]))
    _reflect_step(step)
    return all("completed" in task for task in step["tasks"])


def copy(work: VmRun) -> bool:
    """CopyDisks and Finalize: importers fill the disks, at warm migrations up to the last checkpoint; or populators do."""
    if work.traits.populated:
        return populators.copy(work)
    volumes.ensure_consumer(work)
    step, found, claims = work.step, children.data_volumes(work), children.claims(work)
    pipeline.start(step)
    for task in step["tasks"]:
        volume, claim = found.get(task["name"]), claims.get(task["name"])
        if volume is None:
            pipeline.add_error(task, pipeline.RUNNING, [f"The DataVolume of disk {task['name']} is gone."])
            continue
        _reflect(work.target, task, volume, claim)
        if claim:
            _tell_of_importer(work, step, task, claim)
    _reflect_step(step)
    return all("completed" in task for task in step["tasks"]) and not any("error" in task for task in step["tasks"])


def _tell_of_importer(work: VmRun, step: Object, task: Object, claim: Object) -> None:
    """Restarts of the pod that fills a claim, and a full copy where only changes were asked for."""
    annotations = claim["metadata"].get("annotations") or {}
    if why := annotations.get(imports.FULL_COPY):
        pipeline.add_warning(step, work.vm["phase"], [f"Disk {task['name']}: {why}"])
    if "completed" in task:
        return
    pod = work.target.find("Pod", work.namespace, imports.pod_name(claim["metadata"]["name"]))
    container: Object = next(iter((pod or {}).get("status", {}).get("containerStatuses") or ()), {})
    restarts = container.get("restartCount", 0)
    if restarts and (lost := work.run.source.lost(work)):
        pipeline.add_error(task, pipeline.RUNNING, [lost])
        return
    if "warm" in work.vm:
        work.vm["warm"]["failures"] = restarts
    if restarts > IMPORTER_RETRY:
        last = container.get("lastState", {}).get("terminated", {}).get("message") or "The importer failed."
        events = [event["message"] for event in work.target.events_about(claim) if event["reason"] == "ErrImportFailed"]
        pipeline.add_error(task, pipeline.RUNNING, dict.fromkeys([last, *events]))


def _reflect(api: Objects, task: Object, volume: Object, claim: Object | None) -> None:
    """What a DataVolume has come to, into the task of its disk (facts 3.8)."""
    status = volume.get("status") or {}
    phase = status.get("phase")
    if "completed" in task:
        return
    if phase == "Succeeded" and claim and children.bound(claim) or phase == "Paused" and _is_copied(volume, claim):
        pipeline.begin_step(task)
        pipeline.end_step(task)
        task["reason"] = TRANSFER_COMPLETED
        pipeline.set_progress(task, 100)
    elif phase == "Paused":
        task["phase"], task["reason"] = pipeline.PENDING, "Waiting for checkpoint to be applied"
    elif phase == "Failed":
        reason = _condition(status, "Running") or "no reason is given"
        pipeline.add_error(task, pipeline.RUNNING, [f"The DataVolume of disk {task['name']} failed: {reason}"])
    elif phase in ("ImportInProgress", "Succeeded"):
        pipeline.begin_step(task)
        task["reason"] = _condition(status, "Running")
        task["progress"]["completed"] = 0  # of an earlier round
        pipeline.set_progress(task, percent(status.get("progress", "")))
    elif phase:
        bound = claim is not None and children.bound(claim)
        task["phase"] = pipeline.PENDING
        task["reason"] = _refused(api, claim) or _condition(status, "Running" if bound else "Bound")


def _is_copied(volume: Object, claim: Object | None) -> bool:
    """The last checkpoint of the volume."""
    checkpoints = volume["spec"].get("checkpoints") or ({"current": ""},)
    return claim is not None and imports.copied_key(checkpoints[-1]["current"]) in (claim["metadata"].get("annotations") or {})


def _reflect_step(step: Object) -> None:
    """While a disk waits its reason is the step's: that of a disk which is refused before that of one which only takes its time."""
    reasons = [task["reason"] for task in step["tasks"] if task.get("phase") == pipeline.PENDING and task.get("reason")]
    waiting = next((reason for reason in reasons if reason.startswith(_REFUSALS)), reasons[0] if reasons else "")
    step["phase"] = pipeline.PENDING if waiting else pipeline.RUNNING
    step.pop("reason", None)
    if waiting:
        step["reason"] = waiting


def _condition(status: Object, type: str) -> str:
    found = next((c for c in status.get("conditions") or () if c["type"] == type), None)
    return f"{found.get('reason', '')}; {found.get('message', '')}" if found else ""


def _refused(api: Objects, claim: Object | None) -> str:
    """The provisioner's refusal of a claim: without it a full disk would only look like a long wait."""
    if claim is None or children.bound(claim):
        return ""
    about = [event for event in api.events_about(claim) if event["reason"] == "ProvisioningFailed"]
    return f"ProvisioningFailed; {about[-1]['message']}" if about else ""


def percent(text: str) -> float:
    """CDI's progress ("34.3%", "N/A")."""
    try:
        return float(text.rstrip("%"))
    except ValueError:
        return 0.0
