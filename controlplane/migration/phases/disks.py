"""The disks of the target: made, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import children, pipeline, volumes

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

TRANSFER_COMPLETED = "Transfer completed."


def create(work: VmRun) -> bool:
    secret = children.secret(work, "isDV")
    children.config_map(work)
    volumes.ensure_data_volumes(work, secret["metadata"]["name"])
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


def _reflect(api: Objects, task: Object, volume: Object, claim: Object | None) -> None:
    """What a DataVolume has come to, into the task of its disk (facts 3.8)."""
    status = volume.get("status") or {}
    phase = status.get("phase")
    if phase == "Succeeded" and claim and children.bound(claim):
        pipeline.begin_step(task)
        pipeline.end_step(task)
        task["reason"] = TRANSFER_COMPLETED
        pipeline.set_progress(task, 100)
    elif phase == "Failed":
        reason = _condition(status, "Running") or "no reason is given"
        pipeline.add_error(task, pipeline.RUNNING, [f"The DataVolume of disk {task['name']} failed: {reason}"])
    elif phase in ("ImportInProgress", "Succeeded"):
        pipeline.begin_step(task)
        task["reason"] = _condition(status, "Running")
        pipeline.set_progress(task, percent(status.get("progress", "")))
    elif phase:
        task["phase"] = pipeline.PENDING
        task["reason"] = _refused(api, claim) or _condition(status, "Bound")


def _reflect_step(step: Object) -> None:
    """While a disk waits its reason is the step's."""
    waiting = next((task["reason"] for task in step["tasks"] if task.get("phase") == pipeline.PENDING), "")
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
