"""Disks that volume populators fetch: what they need at the source, the PVCs, and how far they are (facts 3.6, 3.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster import podstatus
from ansible_collections.vmshift.mtv.controlplane.controllers import populator_objects
from ansible_collections.vmshift.mtv.controlplane.migration import children, pipeline, populators, volumes

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

MISSING = "PVC is missing; disk transfer cannot continue"
POD_FAILED = "populator pod failed for PVC {uid}. Please check the pod logs"
TRANSFER_COMPLETED = "Transfer completed."
#: Warnings about a PVC and its temporary one: why nothing is fetched.
REFUSALS = (populator_objects.CREATION_ERROR, populator_objects.CLAIM_CREATION_ERROR, "ProvisioningFailed")


def create(work: VmRun) -> bool:
    """CreateDataVolumes, without DataVolumes."""
    if not populators.source_of(work).prepare(work):
        return False
    secret = children.secret(work, "isPopulator")
    populators.ensure(work, secret["metadata"]["name"])
    volumes.ensure_consumer(work)
    return True


def copy(work: VmRun) -> bool:
    volumes.ensure_consumer(work)
    step, claims = work.step, children.claims(work)
    pipeline.start(step)
    tasks = {task["name"]: task for task in step["tasks"]}
    for disk in work.disks:
        task, claim = tasks[disk.task_name], claims.get(disk.source)
        if claim is None:
            pipeline.add_error(task, pipeline.RUNNING, [MISSING])
        else:
            _reflect(work, task, claim)
    _reflect_step(step)
    return all("completed" in task for task in step["tasks"]) and not any("error" in task for task in step["tasks"])


def _reflect(work: VmRun, task: Object, claim: Object) -> None:
    """How far a PVC is, into the task of its disk."""
    if "completed" in task:
        return
    if children.bound(claim):
        pipeline.begin_step(task)
        pipeline.end_step(task)
        task["reason"] = TRANSFER_COMPLETED
        pipeline.set_progress(task, 100)
        return
    pod = work.target.find("Pod", work.namespace, populator_objects.pod_name(claim["metadata"]["uid"]))
    if pod and populator_objects.has_failed(claim, pod):
        told = podstatus.last_message(pod)
        pipeline.add_error(task, pipeline.RUNNING, [POD_FAILED.format(uid=claim["metadata"]["uid"]), *([told] if told else [])])
    elif pod and pod.get("status", {}).get("phase") in ("Running", "Succeeded"):
        pipeline.begin_step(task)
        task.pop("reason", None)
        populator = populators.populator_of(work, claim) or {}
        pipeline.set_progress(task, float((populator.get("status") or {}).get("progress") or 0))
    else:
        task["phase"], task["reason"] = pipeline.PENDING, _waits_for(work, claim, pod)


def _waits_for(work: VmRun, claim: Object, pod: Object | None) -> str:
    """Why nothing is fetched (yet)."""
    prime = work.target.find("PersistentVolumeClaim", work.namespace, populator_objects.prime_name(claim["metadata"]["uid"]))
    about = [event for obj in (claim, prime) if obj for event in work.target.events_about(obj)]
    refused = [event for event in about if event["reason"] in REFUSALS]
    if refused and not (prime and children.bound(prime)):
        return f"{refused[-1]['reason']}; {refused[-1]['message']}"
    if pod is None:
        return "Pending; the populator pod is not there yet"
    return f"Pending; {podstatus.waits_for(pod) or 'the populator pod has not started yet'}"


def _reflect_step(step: Object) -> None:
    """The step waits as long as one of its disks does, for what the first refused one tells."""
    reasons = [task["reason"] for task in step["tasks"] if task.get("phase") == pipeline.PENDING and task.get("reason")]
    waiting = next((reason for reason in reasons if reason.startswith(REFUSALS)), reasons[0] if reasons else "")
    step["phase"] = pipeline.PENDING if waiting else pipeline.RUNNING
    step.pop("reason", None)
    if waiting:
        step["reason"] = waiting
