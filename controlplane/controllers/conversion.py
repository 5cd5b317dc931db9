"""Conversion: a pod that converts or inspects a guest, and what has become of it (facts 1.8, 2.7)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.blocking import in_thread
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, WARN, Conditions, now
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.datapath.inspection import RESULT
from ansible_collections.vmshift.mtv.controlplane.migration import conversions, destination, inspections, labels
from ansible_collections.vmshift.mtv.controlplane.migration.destination import Destination, LocalReports
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings, settings
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Bridge, Objects
    from ansible_collections.vmshift.mtv.controlplane.context import Context

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")

PENDING_TIMEOUT = 300.0  # seconds a pod may take to start
SOON, POLL = 0.05, 3.0

CREATING_POD, POD_RUNNING, FETCHING, FINISHED = "CreatingPod", "PodRunning", "FetchingResults", "Finished"
SAYS = {
    CREATING_POD: "Creating the conversion pod.",
    POD_RUNNING: "Conversion pod is running.",
    FETCHING: "Fetching the results of the inspection.",
    FINISHED: "Finalizing conversion.",
}
RUNNING, SUCCEEDED, FAILED, CANCELED = "Running", "Succeeded", "Failed", "Canceled"


class ConversionReconciler(Reconciler):
    kind = "Conversion"

    def __init__(self, context: Context) -> None:
        self.context = context
        self._begun = time.time()

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Pod": self._of_pod}

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        name = pod["metadata"].get("labels", {}).get(labels.CONVERSION)
        if name:
            found = [record.place for record in self.context.api.referring("Conversion", "name", name)]
            # One that is gone has left its name only; its pod is to go too.
            yield from found or [("", name)]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        conversion = self.context.api.find("Conversion", namespace, name)
        if conversion is None:
            self._delete_orphans(name)
            return None
        status = conversion.get("status") or {}
        if status.get("phase") in (SUCCEEDED, FAILED, CANCELED):
            return None
        conditions = Conditions(status.get("conditions") or ())
        try:
            if not status.get("stage"):
                await self._there(conversion, lambda there: _validate(conversion, conditions, there.objects))
                if conditions.blocked:
                    report(self.context.api, conversion, conditions, "conversion")
                    return POLL
            chosen = settings(self.context.api, self.context.namespace)
            pod = await self._there(conversion, lambda there: _pod(conversion, there.objects, chosen))
            told = await self._there(conversion, lambda there: _told(conversion, there, pod))
        except SourceError as error:
            log.info("Conversion %s waits: %s", name, error.message)
            return POLL
        except ApiError as error:
            if error.code != 403:
                raise
            message = f"The conversion pod cannot be made: {error.message}"
            conditions.set(conversions.POD_REFUSED, WARN, message, reason="Forbidden")
            report(self.context.api, conversion, conditions, "conversion", {"message": message})
            return POLL
        return self._follow(conversion, conditions, pod, told)

    async def _there(self, conversion: Object, work: Callable[[Destination], T]) -> T:
        """Work on the cluster that the pod is for: the one that the guest goes to; that of an inspection is this one."""
        reference = conversion["spec"].get("destination") or {}
        provider = self.context.api.find("Provider", reference.get("namespace"), reference.get("name", ""))

        def go(bridge: Bridge) -> T:
            if provider is None:
                return work(Destination(bridge, LocalReports(self.context.state), True))
            with destination.opened(bridge, self.context.state, provider) as there:
                return work(there)

        return await in_thread(self.context.api, go)

    def _follow(self, conversion: Object, conditions: Conditions, pod: Object | None, told: Object) -> float | None:
        """One stage further, when the pod has come that far; a stage a look, so that each can be seen. `told`: by an inspection."""
        stage = (conversion.get("status") or {}).get("stage")
        if pod is None:
            self._end(conversion, conditions, FAILED, "conversion pod not found")
            return None
        phase = pod.get("status", {}).get("phase", "Pending")
        following = _stage_after(stage, phase, inspects=_inspects(conversion))
        if following:
            results = {"inspectionResult": inspections.result(told[RESULT])} if stage == FETCHING and RESULT in told else {}
            return self._stage(conversion, conditions, following, pod, results)
        if stage == FINISHED:
            self._end(conversion, conditions, *_outcome(conversion, phase, told))
            return None
        if phase == "Pending" and self._age(pod) > PENDING_TIMEOUT:
            why = f"conversion pod did not start within {PENDING_TIMEOUT / 60:.0f} minutes{_waiting_for(pod)}"
            self._end(conversion, conditions, FAILED, why)
            return None
        conditions.keep("Advisory")
        report(self.context.api, conversion, conditions, "conversion")
        return POLL

    def _age(self, pod: Object) -> float:
        """Seconds; a control plane that was down for long first gives the pod its chance."""
        created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"].replace("Z", "+00:00")).timestamp()
        return time.time() - max(created, self._begun)

    def _stage(self, conversion: Object, conditions: Conditions, stage: str, pod: Object, results: Object) -> float:
        status = conversion.get("status") or {}
        # A condition whose type is "Advisory": that is what Forklift calls it.
        conditions.set("Advisory", ADVISORY, SAYS[stage])
        fields = {
            "phase": RUNNING,
            "stage": stage,
            "message": SAYS[stage],
            "pod": {"namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]},
            "startTime": status.get("startTime") or now(),
            **results,
        }
        if _inspects(conversion):
            fields["snapshot"] = {"moref": conversion["spec"]["settings"][inspections.SNAPSHOT], "owned": False}
        report(self.context.api, conversion, conditions, "conversion", fields)
        return SOON

    def _end(self, conversion: Object, conditions: Conditions, phase: str, why: str) -> None:
        if phase == SUCCEEDED:
            message = "The conversion has completed successfully."
            conditions.set("Ready", REQUIRED, message)
        else:
            message = f"The conversion has failed: {why}"
            conditions.set("ConversionFailed", CRITICAL, message)
        fields = {"phase": phase, "stage": FINISHED, "message": message, "completionTime": now()}
        report(self.context.api, conversion, conditions, "conversion", fields)

    def _delete_orphans(self, name: str) -> None:
        """Pods of a Conversion that is gone. They cannot have it for an owner: it may live in another namespace, or cluster."""
        if self.context.api.referring("Conversion", "name", name):
            return
        for pod in self.context.api.list("Pod", None, {labels.CONVERSION: name}):
            if labels.origin(pod) is None:
                self.context.api.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])


def _validate(conversion: Object, conditions: Conditions, there: Objects) -> None:
    spec = conversion["spec"]
    secret = (spec.get("connection") or {}).get("secret") or {}
    known = spec["type"] in (conversions.REMOTE, conversions.IN_PLACE, labels.INSPECTION_TYPE)
    inspects, settings = _inspects(conversion), spec.get("settings") or {}
    snapshotless = "Inspections that make their own snapshot are not available here: name one in the setting SNAPSHOT_MOREF."
    keys = (spec.get("diskEncryption") or {}).get("secret") or {}
    problems = (
        ("TypeNotValid", not known, f"Conversions of type `{spec['type']}` are not available here."),
        ("TypeNotValid", inspects and not settings.get(inspections.SNAPSHOT), snapshotless),
        ("TargetNamespaceNotSet", not spec.get("targetNamespace"), "The target namespace is not set."),
        ("VMNotSet", not (spec["vm"].get("id") or spec["vm"].get("name")), "The VM is not set."),
        ("DisksNotSet", not inspects and not spec.get("disks"), "The disks are not set."),
        ("VDDKImageNotSet", inspects and not spec.get("vddkImage"), "The VDDK image is not set, which inspections need."),
        ("ConnectionNotSet", not secret.get("name"), "The connection secret is not set."),
    )
    for type, wrong, message in problems:
        if wrong:
            conditions.set(type, CRITICAL, message, reason="NotSet" if type != "TypeNotValid" else "NotSupported")
    if secret.get("name") and not there.find("Secret", secret.get("namespace"), secret["name"]):
        conditions.set("ConnectionSecretNotSet", CRITICAL, "The connection secret was not found.", reason="NotFound")
    if inspects and keys.get("name") and not there.find("Secret", keys.get("namespace"), keys["name"]):
        conditions.set("LUKSSecretNotSet", CRITICAL, "The secret with the LUKS keys was not found.", reason="NotFound")


def _inspects(conversion: Object) -> bool:
    return conversion["spec"]["type"] == labels.INSPECTION_TYPE


def _pod(conversion: Object, there: Objects, chosen: Settings) -> Object | None:
    """The pod; made before the first stage, and never again when it has gone."""
    found = there.list("Pod", conversion["spec"]["targetNamespace"], conversions.pod_labels(conversion))
    if found or (conversion.get("status") or {}).get("stage"):
        return found[0] if found else None
    return there.create(inspections.pod(conversion) if _inspects(conversion) else conversions.pod(conversion, chosen))


def _told(conversion: Object, there: Destination, pod: Object | None) -> Object:
    """What an inspection pod that has ended tells: {"inspection"} or {"error"}; nothing of any other."""
    ended = pod is not None and pod.get("status", {}).get("phase") in (SUCCEEDED, FAILED)
    return there.reports.inspection(pod) or {} if pod and ended and _inspects(conversion) else {}


def _outcome(conversion: Object, phase: str, told: Object) -> tuple[str, str]:
    """(phase, why it failed). An inspection without results has found nothing out, however its pod ended."""
    if _inspects(conversion) and (phase != SUCCEEDED or "inspectionResult" not in conversion["status"]):
        return FAILED, told.get("error") or "the inspection pod left no results"
    return phase, "conversion pod failed"


def _stage_after(stage: str | None, phase: str, *, inspects: bool = False) -> str | None:
    """Where a Conversion goes from `stage` when its pod is in `phase`; None while it stays, and from the last one."""
    if stage is None:
        return CREATING_POD
    if stage == CREATING_POD and phase != "Pending":
        return POD_RUNNING
    if stage == POD_RUNNING and phase in (SUCCEEDED, FAILED):
        return FETCHING if inspects and phase == SUCCEEDED else FINISHED
    return FINISHED if stage == FETCHING else None


def _waiting_for(pod: Object) -> str:
    """What a pod that does not start says about that."""
    status = pod.get("status") or {}
    states = [container.get("state", {}).get("waiting") or {} for container in status.get("containerStatuses") or ()]
    messages = [*(state.get("message") for state in states), *(c.get("message") for c in status.get("conditions") or ())]
    return next((f": {message}" for message in messages if message), "")
