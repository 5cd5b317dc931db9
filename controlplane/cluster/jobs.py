"""Jobs: one pod at a time, tried again after failures up to the backoff limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.podstatus import ENDED, restarts
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

COMPONENT = "job-controller"
UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
BACKOFF = 10.0  # seconds after the first failure; doubled for each further one
LONGEST_BACKOFF = 360.0


class JobReconciler(Reconciler):
    """Runs a Job's pod to success. Parallel and indexed Jobs run as one pod after the other up to `completions`."""

    kind = "Job"

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Pod": _job_of}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        job = self._api.find(self.kind, namespace, name)
        if job is None or "deletionTimestamp" in job["metadata"] or job["spec"].get("suspend"):
            return None
        if any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())):
            return self._expire(job)
        pods = self._api.list("Pod", namespace, labels={UID_LABELS[0]: job["metadata"]["uid"]})
        job["status"] = {"startTime": now(), **job.get("status", {})}
        wait = self._advance(job, pods)
        phases = [pod.get("status", {}).get("phase") for pod in pods]
        counts = {"succeeded": phases.count("Succeeded"), "failed": phases.count("Failed"), "ready": phases.count("Running")}
        job["status"].update(counts, active=len(_active(pods)))
        self._api.update_status(job)
        return wait

    def _advance(self, job: Object, pods: list[Object]) -> float | None:
        """Start the next pod, or end the Job; `pods` is brought up to date. Seconds until the next look."""
        spec, phases = job["spec"], [pod.get("status", {}).get("phase") for pod in pods]
        limit = spec.get("activeDeadlineSeconds")
        rest = None if limit is None else limit - _seconds_since(job["status"]["startTime"])
        if rest is not None and rest <= 0:
            self._fail(job, pods, "DeadlineExceeded", "Job was active longer than specified deadline")
        elif phases.count("Failed") > spec.get("backoffLimit", 6) or _restarted_too_often(pods, spec.get("backoffLimit", 6)):
            self._fail(job, pods, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif phases.count("Succeeded") >= spec.get("completions", 1):
            self._complete(job)
        else:
            backoff = _backoff(pods)
            if not _active(pods) and not backoff:
                pods.append(self._start(job))
            waits = [seconds for seconds in (rest, backoff) if seconds is not None]
            return min(waits) if waits else None
        return None

    def _start(self, job: Object) -> Object:
        template, meta = job["spec"]["template"], job["metadata"]
        labels = {**dict.fromkeys(UID_LABELS, meta["uid"]), **dict.fromkeys(NAME_LABELS, meta["name"])}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        given = template.get("metadata") or {}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{meta['name']}-",
                "namespace": meta["namespace"],
                "labels": {**given.get("labels", {}), **labels},
                "annotations": given.get("annotations", {}),
                "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            },
            "spec": template["spec"],
        }
        try:
            made = self._api.create(pod)
        except ApiError as error:
            self._api.record_event(job, "Warning", "FailedCreate", f"Error creating: {error.message}", COMPONENT)
            raise
        self._api.record_event(job, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}", COMPONENT)
        return made

    def _complete(self, job: Object) -> None:
        job["status"]["completionTime"] = now()
        for type in ("SuccessCriteriaMet", "Complete"):
            _set_condition(job["status"], type, "CompletionsReached", "Reached expected number of succeeded pods")
        self._api.record_event(job, "Normal", "Completed", "Job completed", COMPONENT)

    def _fail(self, job: Object, pods: list[Object], reason: str, message: str) -> None:
        for pod in _active(pods):
            self._api.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
            pods.remove(pod)
        for type in ("FailureTarget", "Failed"):
            _set_condition(job["status"], type, reason, message)
        self._api.record_event(job, "Warning", reason, message, COMPONENT)

    def _expire(self, job: Object) -> float | None:
        """Delete an ended Job when its time to live is over."""
        lifetime = job["spec"].get("ttlSecondsAfterFinished")
        if lifetime is None:
            return None
        ended = next(c["lastTransitionTime"] for c in job["status"]["conditions"] if c["type"] in ("Complete", "Failed"))
        rest = lifetime - _seconds_since(ended)
        if rest > 0:
            return rest
        self._api.delete(self.kind, job["metadata"]["namespace"], job["metadata"]["name"], uid=job["metadata"]["uid"])
        return None


def _job_of(pod: Object) -> list[Key]:
    owners = pod["metadata"].get("ownerReferences", ())
    return [(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == "Job"]


def _active(pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in ENDED]


def _restarted_too_often(pods: list[Object], limit: int) -> bool:
    """Of pods that do not fail because their containers are started again, each restart counts."""
    return sum(map(restarts, _active(pods))) >= max(limit, 1)


def _backoff(pods: list[Object]) -> float | None:
    """Seconds until the next pod may start; None for now."""
    ends = [_ended_at(pod) for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    if not ends:
        return None
    rest = min(BACKOFF * 2 ** (len(ends) - 1), LONGEST_BACKOFF) - _seconds_since(max(ends))
    return rest if rest > 0 else None


def _ended_at(pod: Object) -> str:
    containers = pod["status"].get("containerStatuses") or [{}]
    return containers[0].get("state", {}).get("terminated", {}).get("finishedAt") or pod["metadata"]["creationTimestamp"]


def _set_condition(status: Object, type: str, reason: str, message: str) -> None:
    condition = {"type": type, "status": "True", "reason": reason, "message": message}
    condition.update(lastProbeTime=now(), lastTransitionTime=now())
    status["conditions"] = [*status.get("conditions", ()), condition]


def _seconds_since(timestamp: str) -> float:
    return time.time() - datetime.fromisoformat(timestamp).timestamp()
