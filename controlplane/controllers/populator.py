"""The populator controller: PVCs whose dataSourceRef names a volume populator of ours, filled by a pod (facts 1.7).

The pod fills a temporary PVC ("prime"). Only when it has succeeded, the volume behind that one becomes the volume of the real PVC: what
is bound is complete. Every step is found again in what is there, so that a death of this control plane or of the pod loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import place
from ansible_collections.vmshift.mtv.controlplane.cluster import podstatus
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import populator_progress
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import waits_for_consumer
from ansible_collections.vmshift.mtv.controlplane.controllers import populator_objects as objects
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.controlplane.migration.settings import settings

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

CLAIM = "PersistentVolumeClaim"
COMPONENT = "populator"
LOOK_AGAIN = 1.0  # seconds, while a pod fetches
QUOTA_RETRY = 15.0  # seconds


class PopulatorReconciler(Reconciler):
    kind = CLAIM

    def __init__(self, context: Context) -> None:
        self._context = context
        self._api, self._state = context.api, context.state

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {
            CLAIM: _owning_claims,
            "Pod": _owning_claims,
            "StorageClass": lambda _class: [key_of(claim) for claim in self._api.list(CLAIM) if objects.kind_of(claim)],
            "ResourceQuota": self._unfilled_in_namespace,
            **dict.fromkeys(objects.PROGRAMS, self._filled_by),
        }

    def _unfilled_in_namespace(self, quota: Object) -> Iterable[Key]:
        """PVCs for whose temporary ones there may be room now."""
        claims = self._api.list(CLAIM, quota["metadata"]["namespace"])
        return [key_of(claim) for claim in claims if objects.kind_of(claim) and not claim["spec"].get("volumeName")]

    def _filled_by(self, populator: Object) -> Iterable[Key]:
        meta = populator["metadata"]
        return [record.place for record in self._api.referring(CLAIM, "content", place(populator["kind"], meta["name"]), meta["namespace"])]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        claim = self._api.find(CLAIM, namespace, name)
        kind = objects.kind_of(claim) if claim else ""
        if claim is None or not kind:
            return None
        uid = claim["metadata"]["uid"]
        pod = self._owned(claim, "Pod", objects.pod_name(uid))
        prime = self._owned(claim, CLAIM, objects.prime_name(uid))
        if "deletionTimestamp" in claim["metadata"]:
            self._let_go(claim, pod, prime)
            return None
        if claim["spec"].get("volumeName"):
            self._finish(claim, pod, prime)
            return None
        populator = self._api.find(kind, namespace, claim["spec"]["dataSourceRef"]["name"])
        if populator is None or not self._may_be_placed(claim):
            return None
        return self._fill(claim, populator, pod, prime)

    def _owned(self, claim: Object, kind: str, name: str) -> Object | None:
        """The object of that name, unless it is somebody else's."""
        found = self._api.find(kind, claim["metadata"]["namespace"], name)
        owners = (found or {}).get("metadata", {}).get("ownerReferences") or ()
        return found if any(owner["uid"] == claim["metadata"]["uid"] for owner in owners) else None

    def _may_be_placed(self, claim: Object) -> bool:
        """The StorageClass is there, and a consumer where it waits for one."""
        name = claim["spec"].get("storageClassName") or ""
        return self._api.find("StorageClass", None, name) is not None and not waits_for_consumer(self._api, claim)

    # Filling

    def _fill(self, claim: Object, populator: Object, pod: Object | None, prime: Object | None) -> float | None:
        claim = self._protect(claim)
        if prime is None and pod and pod["spec"].get("nodeName"):  # somebody took away what it was to fill
            self._delete(pod)
            pod = None
        if pod is None or prime is None:
            return self._begin(claim, populator, pod, prime)
        phase = pod.get("status", {}).get("phase", "Pending")
        if phase == "Failed":
            return self._try_again(claim, pod)
        if phase == "Succeeded":
            self._tell_progress(populator, "100")
            self._rebind(claim, populator, prime)
        elif phase == "Running":
            self._tell_progress(populator, self._percent(pod))
            return LOOK_AGAIN
        return None

    def _begin(self, claim: Object, populator: Object, pod: Object | None, prime: Object | None) -> float | None:
        uid = claim["metadata"]["uid"]
        chosen = settings(self._api, self._context.namespace)
        steps = (
            (pod, objects.CREATION_ERROR, lambda: objects.pod(claim, populator, chosen)),
            (prime, objects.CLAIM_CREATION_ERROR, lambda: objects.prime(claim)),
        )
        for there, reason, make in steps:
            if there is None:
                new = make()
                try:
                    self._api.create(new)
                except ApiError as error:
                    self._tell(claim, "Warning", reason, f"{new['kind']} {new['metadata']['name']}: {error.message}")
                    return QUOTA_RETRY
        self._tell(claim, "Normal", objects.CREATED, f"Populator started: pod {objects.pod_name(uid)} fills {objects.prime_name(uid)}")
        return None

    def _percent(self, pod: Object) -> str:
        told = populator_progress(self._state, pod["metadata"]["uid"])
        if not told:
            return "0"
        return str(min(100 * told["done"] // told["total"], 99) if told["total"] else 0)

    def _tell_progress(self, populator: Object, percent: str) -> None:
        if (populator.get("status") or {}).get("progress") != percent:
            meta = populator["metadata"]
            self._api.patch(populator["kind"], meta["namespace"], meta["name"], {"status": {"progress": percent}})

    def _try_again(self, claim: Object, pod: Object) -> float | None:
        """A pod that has failed is made anew a few times. The one that is not stays, for its log."""
        told, done = podstatus.last_message(pod) or "see the log of the pod", objects.recreations(claim)
        if objects.has_failed(claim, pod):
            if not any(event["reason"] == objects.FAILED for event in self._api.events_about(claim)):
                self._tell(claim, "Warning", objects.FAILED, f"Populator failed {done + 1} times: {told}")
            return None
        self._annotate(claim, {objects.RECREATIONS: str(done + 1)})
        self._tell(claim, "Warning", objects.RECREATED, f"Populator failed and is started again: {told}")
        self._delete(pod)
        return 0.0

    def _rebind(self, claim: Object, populator: Object, prime: Object) -> None:
        """Make the volume that was filled the one of the real PVC; the rest is done by whoever binds PVCs."""
        volume = self._api.find("PersistentVolume", None, prime["spec"].get("volumeName") or "")
        if volume and (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
            self._api.patch("PersistentVolume", None, volume["metadata"]["name"], objects.rebinding(claim, populator))

    # Ending

    def _finish(self, claim: Object, pod: Object | None, prime: Object | None) -> None:
        """The real PVC has its volume: nothing else is to be left."""
        if prime:
            if prime.get("status", {}).get("phase") == "Lost" and "deletionTimestamp" not in prime["metadata"]:
                self._tell(claim, "Normal", objects.FINISHED, "Populator finished")
                self._delete(prime)
            return
        if pod and objects.MIGRATION not in (pod["metadata"].get("labels") or {}):  # of a migration, that one takes it away
            self._delete(pod)
        self._release(claim)

    def _let_go(self, claim: Object, pod: Object | None, prime: Object | None) -> None:
        for child in (pod, prime):
            if child and "deletionTimestamp" not in child["metadata"]:
                self._delete(child)
        if prime is None or self._api.find(CLAIM, claim["metadata"]["namespace"], prime["metadata"]["name"]) is None:
            self._release(claim)

    # Writing

    def _protect(self, claim: Object) -> Object:
        finalizers = claim["metadata"].get("finalizers") or []
        if objects.FINALIZER in finalizers:
            return claim
        return self._patch(claim, {"finalizers": [*finalizers, objects.FINALIZER]})

    def _release(self, claim: Object) -> None:
        finalizers = claim["metadata"].get("finalizers") or []
        if objects.FINALIZER in finalizers:
            self._patch(claim, {"finalizers": [name for name in finalizers if name != objects.FINALIZER] or None})

    def _annotate(self, claim: Object, annotations: dict[str, str]) -> None:
        self._patch(claim, {"annotations": annotations})

    def _patch(self, claim: Object, change: Object) -> Object:
        meta = claim["metadata"]
        return self._api.patch(CLAIM, meta["namespace"], meta["name"], {"metadata": change})

    def _delete(self, obj: Object) -> None:
        meta = obj["metadata"]
        self._api.delete(obj["kind"], meta["namespace"], meta["name"], uid=meta["uid"])

    def _tell(self, claim: Object, type: str, reason: str, message: str) -> None:
        self._api.record_event(claim, type, reason, message, COMPONENT)


def _owning_claims(child: Object) -> list[Key]:
    owners = child["metadata"].get("ownerReferences") or ()
    return [(child["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == CLAIM]
