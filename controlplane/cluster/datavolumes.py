"""DataVolumes, as CDI moves them: a claim of the same name, then its content. Blank ones are ready once they are bound.

A volume here is a sparse file full of zeros, so nothing remains to be done for a blank one; its phases are still gone through, because
clients follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import default_class, waits_for_consumer
from ansible_collections.vmshift.mtv.controlplane.cluster.volumes import DRIVER
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

COMPONENT = "datavolume-controller"
ENDED = ("Succeeded", "Failed")
_BOUND_PHASES = ("ImportScheduled", "ImportInProgress", "Succeeded")
_DEFAULT_PROPERTIES: Object = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}


class DataVolumeReconciler(Reconciler):
    kind = "DataVolume"

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"PersistentVolumeClaim": lambda claim: [key_of(claim)]}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        volume = self._api.find(self.kind, namespace, name)
        if volume is None or "deletionTimestamp" in volume["metadata"] or volume.get("status", {}).get("phase") in ENDED:
            return None
        sources = volume["spec"].get("source") or {}
        if set(sources) != {"blank"}:
            asked = ", ".join(sources) or "none"
            self._refuse(volume, "SourceNotSupported", f"this control plane makes DataVolumes of the source blank only, not {asked}")
            return None
        claim = self._api.find("PersistentVolumeClaim", namespace, name)
        if claim is None:
            try:
                claim = self._api.create(_claim(self._api, volume))
            except ApiError as error:
                self._refuse(volume, "ErrClaimNotValid", error.message)
                return None
        elif not _owned(claim, volume):
            self._refuse(volume, "ErrClaimNotOwned", f"PVC {name} exists and does not belong to this DataVolume")
            return None
        if claim.get("status", {}).get("phase") != "Bound":
            self._write(volume, "PendingPopulation" if waits_for_consumer(self._api, claim) else "Pending", claim)
            return None
        phase = volume.get("status", {}).get("phase")
        for step in _BOUND_PHASES[_BOUND_PHASES.index(phase) + 1 if phase in _BOUND_PHASES else 0 :]:
            volume = self._write(volume, step, claim)
        return None

    def _refuse(self, volume: Object, reason: str, message: str) -> None:
        status = {"phase": "Pending", "progress": "N/A", "conditions": [_condition("Running", "False", reason, message)]}
        if volume.get("status", {}).get("conditions", [{}])[-1].get("reason") != reason:
            self._api.record_event(volume, "Warning", reason, message, COMPONENT)
            self._api.update_status({**volume, "status": status})

    def _write(self, volume: Object, phase: str, claim: Object) -> Object:
        before = {condition["type"]: condition for condition in volume.get("status", {}).get("conditions", ())}
        conditions = [_unless_new(condition, before.get(condition["type"])) for condition in _conditions(phase, claim)]
        progress = {"ImportScheduled": "0.0%", "ImportInProgress": "1.0%", "Succeeded": "100.0%"}.get(phase, "N/A")
        status = {"claimName": claim["metadata"]["name"], "conditions": conditions, "phase": phase, "progress": progress}
        return self._api.update_status({**volume, "status": status})


def _conditions(phase: str, claim: Object) -> list[Object]:
    """Bound, Running and Ready in the words of CDI."""
    name, bound = claim["metadata"]["name"], claim.get("status", {}).get("phase") == "Bound"
    told = f"PVC {name} {'Bound' if bound else 'Pending'}" if phase not in ("ImportInProgress", "Succeeded") else ""
    running = {
        "ImportScheduled": ("False", "Pending", ""),
        "ImportInProgress": ("True", "Pod is running", ""),
        "Succeeded": ("False", "Completed", "Import Complete"),
    }.get(phase, ("False", "", ""))
    return [
        _condition("Bound", str(bound), "Bound" if bound else "Pending", told),
        _condition("Running", *running),
        _condition("Ready", str(phase == "Succeeded"), "", ""),
    ]


def _condition(type: str, status: str, reason: str, message: str) -> Object:
    time = now()
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": time,
        "lastTransitionTime": time,
    }


def _unless_new(condition: Object, before: Object | None) -> Object:
    """The condition as it was when nothing of it is new, so that it is not written again."""
    if before and all(before.get(field) == condition[field] for field in ("status", "reason", "message")):
        return before
    return condition


def _claim(api: Api, volume: Object) -> Object:
    """The PersistentVolumeClaim of a DataVolume."""
    meta = volume["metadata"]
    owner = {"apiVersion": volume["apiVersion"], "kind": volume["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {**meta.get("labels", {}), "app": "containerized-data-importer"},
            "annotations": {**meta.get("annotations", {}), "cdi.kubevirt.io/storage.contentType": "kubevirt"},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": volume["spec"].get("pvc") or _storage(api, volume["spec"].get("storage") or {}),
    }


def _storage(api: Api, wanted: Object) -> Object:
    """`spec.storage`, completed from the profile of its StorageClass."""
    spec = dict(wanted)
    name = spec.get("storageClassName") or default_class(api)
    if name:
        spec["storageClassName"] = name
    profile = (api.find("StorageProfile", None, name) if name else None) or {}
    sets = profile.get("spec", {}).get("claimPropertySets") or profile.get("status", {}).get("claimPropertySets") or [_DEFAULT_PROPERTIES]
    mode = spec.get("volumeMode")
    chosen = next((properties for properties in sets if mode in (None, properties["volumeMode"])), _DEFAULT_PROPERTIES)
    spec.setdefault("accessModes", chosen["accessModes"])
    spec.setdefault("volumeMode", chosen["volumeMode"])
    return spec


def _owned(claim: Object, volume: Object) -> bool:
    return any(owner["uid"] == volume["metadata"]["uid"] for owner in claim["metadata"].get("ownerReferences", ()))


class StorageProfileReconciler(Reconciler):
    """One StorageProfile per StorageClass, which says what claims of that class should ask for."""

    kind = "StorageProfile"

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"StorageClass": lambda storage_class: [key_of(storage_class)]}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        storage_class = self._api.find("StorageClass", None, name)
        if storage_class is None:
            return None
        profile = self._api.find(self.kind, None, name)
        if profile is None:
            meta = {"name": name}
            profile = self._api.create({"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": self.kind, "metadata": meta, "spec": {}})
        status: Object = {"provisioner": storage_class["provisioner"], "storageClass": name, "cloneStrategy": "copy"}
        ours = [_DEFAULT_PROPERTIES, {**_DEFAULT_PROPERTIES, "volumeMode": "Block"}] if storage_class["provisioner"] == DRIVER else []
        sets = profile["spec"].get("claimPropertySets") or ours
        if sets:
            status["claimPropertySets"] = sets
        self._api.update_status({**profile, "status": status})
        return None
