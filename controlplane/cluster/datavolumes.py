"""DataVolumes, as CDI moves them: a claim of the same name, then its content.

A volume here is a sparse file full of zeros, so nothing remains to be done for a blank one; its phases are still gone through, because
clients follow them. What comes from elsewhere is fetched by an importer pod (imports.py), in one stage or in several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster import imports, podstatus
from ansible_collections.vmshift.mtv.controlplane.cluster.imports import Checkpoint
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import import_progress, import_result
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import default_class, waits_for_consumer
from ansible_collections.vmshift.mtv.controlplane.cluster.volumes import DRIVER
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

COMPONENT = "datavolume-controller"
ENDED = ("Succeeded", "Failed")
SCHEDULED, IN_PROGRESS, PAUSED, SUCCEEDED = "ImportScheduled", "ImportInProgress", "Paused", "Succeeded"
_BLANK_PHASES = (SCHEDULED, IN_PROGRESS, SUCCEEDED)
_PROGRESS = {SCHEDULED: "0.0%", IN_PROGRESS: "1.0%", PAUSED: "100.0%", SUCCEEDED: "100.0%"}
EXCEEDED_QUOTA = "ErrExceededQuota"
QUOTA_RETRY = 15.0  # seconds
LOOK_AGAIN = 1.0  # seconds, while a pod copies
_DEFAULT_PROPERTIES: Object = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}


class DataVolumeReconciler(Reconciler):
    kind = "DataVolume"

    def __init__(self, context: Context) -> None:
        self._api, self._state = context.api, context.state

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"PersistentVolumeClaim": lambda claim: [key_of(claim)], "Pod": _claims_filled_by, "ResourceQuota": self._refused_by}

    def _refused_by(self, quota: Object) -> Iterable[Key]:
        """DataVolumes without a claim, for which there may be room now."""
        volumes = self._api.list(self.kind, quota["metadata"]["namespace"])
        return [key_of(v) for v in volumes if any(c.get("reason") == EXCEEDED_QUOTA for c in v.get("status", {}).get("conditions", ()))]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        volume = self._api.find(self.kind, namespace, name)
        claim = self._api.find("PersistentVolumeClaim", namespace, name)
        if claim and "deletionTimestamp" in claim["metadata"]:  # it stays until nothing uses it
            self._delete_pod(claim)
            return None
        if volume is None or "deletionTimestamp" in volume["metadata"] or volume.get("status", {}).get("phase") in ENDED:
            return None
        sources = volume["spec"].get("source") or {}
        if len(sources) != 1 or not set(sources) <= {"blank", *imports.SOURCES}:
            asked, known = ", ".join(sources) or "none", ", ".join(("blank", *imports.SOURCES))
            self._refuse(volume, "SourceNotSupported", f"this control plane makes DataVolumes of these sources only: {known}; not {asked}")
            return None
        if claim is None:
            try:
                claim = self._api.create(_claim(self._api, volume))
            except ApiError as error:
                quota = error.code == 403 and "exceeded quota" in error.message
                self._refuse(volume, EXCEEDED_QUOTA if quota else "ErrClaimNotValid", error.message, unbound=True)
                return QUOTA_RETRY if quota else None
        elif not _owned(claim, volume):
            self._refuse(volume, "ErrClaimNotOwned", f"PVC {name} exists and does not belong to this DataVolume")
            return None
        if claim.get("status", {}).get("phase") != "Bound":
            self._write(volume, "PendingPopulation" if waits_for_consumer(self._api, claim) else "Pending", claim)
            return None
        if "blank" not in sources:
            return self._import(volume, claim)
        phase = volume.get("status", {}).get("phase")
        for step in _BLANK_PHASES[_BLANK_PHASES.index(phase) + 1 if phase in _BLANK_PHASES else 0 :]:
            volume = self._write(volume, step, claim)
        return None

    # Content from elsewhere

    def _import(self, volume: Object, claim: Object) -> float | None:
        checkpoint, pod = imports.next_checkpoint(volume, claim), self._pod(claim)
        if checkpoint is None:
            self._delete_pod(claim)
            self._all_copied(volume, claim)
            return None
        if pod and not imports.belongs(pod, checkpoint):
            self._delete_pod(claim)
            return None
        if pod is None:
            original, problem = self._original(volume, claim)
            if problem:
                self._refuse(volume, "CloneSourceNotUsable", problem)
                return LOOK_AGAIN
            claim = self._annotate(claim, imports.stage_annotations(volume, checkpoint))
            self._api.create(imports.pod(volume, claim, checkpoint, original))
            self._write(volume, SCHEDULED, claim)
            return None
        return self._follow(volume, claim, checkpoint, pod)

    def _original(self, volume: Object, claim: Object) -> tuple[Object | None, str]:
        """The claim that is cloned, if the volume is a clone; and why it cannot be cloned (now)."""
        try:
            name = imports.cloned(volume)
        except ValueError as error:
            return None, str(error)
        if not name:
            return None, ""
        meta = claim["metadata"]
        found = self._api.find("PersistentVolumeClaim", meta["namespace"], name)
        if found is None:
            return None, f"the PersistentVolumeClaim {name} that is to be cloned does not exist"
        if found.get("status", {}).get("phase") != "Bound":
            return None, f"the PersistentVolumeClaim {name} that is to be cloned is not bound"
        if _capacity(found) > _capacity(claim):
            return None, f"the PersistentVolumeClaim {name} that is to be cloned is larger than this volume"
        users = [pod.object() for pod in self._api.referring("Pod", "claim", name, meta["namespace"])]
        busy = [pod["metadata"]["name"] for pod in users if pod.get("status", {}).get("phase") not in podstatus.ENDED]
        if busy:
            return None, f"the PersistentVolumeClaim {name} that is to be cloned is in use by {', '.join(busy)}"
        return found, ""

    def _follow(self, volume: Object, claim: Object, checkpoint: Checkpoint, pod: Object) -> float | None:
        phase = pod.get("status", {}).get("phase", "Pending")
        if phase == SUCCEEDED:
            self._tell_of_full_copy(volume, claim, pod)
            self._annotate(claim, imports.copied_annotations(checkpoint, pod))
            return 0.0
        if phase == "Failed":  # not by its program, which is started again
            self._tell(claim, "Warning", "ErrImportFailed", pod["status"].get("message") or "the importer pod failed")
            self._delete_pod(claim)
            return None
        if phase == "Pending" or "deletionTimestamp" in pod["metadata"]:
            self._write(volume, SCHEDULED, claim, pod)
            return None
        self._tell_of_failure(claim, pod)
        restarts = str(_container(pod).get("restartCount", 0))
        self._annotate(claim, {imports.IMPORT_POD: pod["metadata"]["name"], imports.POD_PHASE: phase, imports.POD_RESTARTS: restarts})
        self._write(volume, IN_PROGRESS, claim, pod)
        return LOOK_AGAIN

    def _all_copied(self, volume: Object, claim: Object) -> None:
        name = claim["metadata"]["name"]
        if imports.ends(volume):
            self._annotate(claim, imports.done_annotations(claim))
            self._tell(volume, "Normal", "ImportSucceeded", f"Successfully imported into PVC {name}")
            self._write(volume, SUCCEEDED, claim)
        elif volume.get("status", {}).get("phase") != PAUSED:
            self._tell(volume, "Normal", "ImportPaused", f"Multistage import into PVC {name} is paused")
            self._write(volume, PAUSED, claim)

    def _tell_of_failure(self, claim: Object, pod: Object) -> None:
        last = _container(pod).get("lastState", {}).get("terminated") or {}
        known = (claim["metadata"].get("annotations") or {}).get(imports.POD_RESTARTS, "0")
        if last and known != str(_container(pod).get("restartCount", 0)):
            self._tell(claim, "Warning", "ErrImportFailed", last.get("message") or f"the importer ended with exit code {last['exitCode']}")

    def _tell_of_full_copy(self, volume: Object, claim: Object, pod: Object) -> None:
        why = (import_result(self._state, pod["metadata"]["uid"]) or {}).get("full")
        if why:
            self._tell(volume, "Warning", "FullCopy", why)
            self._annotate(claim, {imports.FULL_COPY: why})

    def _pod(self, claim: Object) -> Object | None:
        return self._api.find("Pod", claim["metadata"]["namespace"], imports.pod_name(claim["metadata"]["name"]))

    def _delete_pod(self, claim: Object) -> None:
        pod = self._pod(claim)
        if pod and _owned(pod, claim) and "deletionTimestamp" not in pod["metadata"]:
            self._api.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], uid=pod["metadata"]["uid"])

    def _annotate(self, claim: Object, annotations: Mapping[str, str | None]) -> Object:
        meta = claim["metadata"]
        return self._api.patch("PersistentVolumeClaim", meta["namespace"], meta["name"], {"metadata": {"annotations": annotations}})

    # Telling

    def _refuse(self, volume: Object, reason: str, message: str, *, unbound: bool = False) -> None:
        """`unbound`: there is no claim, whose condition says that, too."""
        conditions = [_condition("Bound", "Unknown", reason, message)] if unbound else []
        conditions.append(_condition("Running", "False", reason, message))
        status = {"phase": "Pending", "progress": "N/A", "conditions": conditions}
        last = volume.get("status", {}).get("conditions", [{}])[-1]
        if (last.get("reason"), last.get("message")) != (reason, message):
            self._api.record_event(volume, "Warning", reason, message, COMPONENT)
            self._api.update_status({**volume, "status": status})

    def _write(self, volume: Object, phase: str, claim: Object, pod: Object | None = None) -> Object:
        before = {condition["type"]: condition for condition in volume.get("status", {}).get("conditions", ())}
        conditions = [_unless_new(condition, before.get(condition["type"])) for condition in _conditions(phase, claim, pod)]
        progress = _PROGRESS.get(phase, "N/A") if pod is None or phase != IN_PROGRESS else self._progress(pod)
        shown = phase.replace("Import", "Clone") if "pvc" in volume["spec"]["source"] else phase
        status = {"claimName": claim["metadata"]["name"], "conditions": conditions, "phase": shown, "progress": progress}
        restarts = _container(pod).get("restartCount", 0) if pod else volume.get("status", {}).get("restartCount", 0)
        if restarts:
            status["restartCount"] = restarts
        return self._api.update_status({**volume, "status": status})

    def _progress(self, pod: Object) -> str:
        told = import_progress(self._state, pod["metadata"]["uid"])
        if told is None:
            return "0.0%"
        return f"{100.0 * told['done'] / told['total'] if told['total'] else 100.0:.1f}%"

    def _tell(self, obj: Object, type: str, reason: str, message: str) -> None:
        self._api.record_event(obj, type, reason, message, COMPONENT)


def _claims_filled_by(pod: Object) -> list[Key]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return [(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == "PersistentVolumeClaim"]


def _capacity(claim: Object) -> int:
    return quantity.bytes_of(claim["status"]["capacity"]["storage"])


def _container(pod: Object) -> Object:
    """The status of the pod's container."""
    return next(iter(pod.get("status", {}).get("containerStatuses") or ()), {})


def _conditions(phase: str, claim: Object, pod: Object | None) -> list[Object]:
    """Bound, Running and Ready in the words of CDI."""
    name, bound = claim["metadata"]["name"], claim.get("status", {}).get("phase") == "Bound"
    told = f"PVC {name} {'Bound' if bound else 'Pending'}" if phase not in (IN_PROGRESS, PAUSED, SUCCEEDED) else ""
    running = {
        SCHEDULED: ("False", "Pending", ""),
        IN_PROGRESS: ("True", "Pod is running", ""),
        PAUSED: ("False", "Paused", ""),
        SUCCEEDED: ("False", "Completed", "Import Complete"),
    }.get(phase, ("False", "", ""))
    if pod and _container(pod).get("state", {}).get("waiting"):
        running = _held_up(_container(pod))
    return [
        _condition("Bound", str(bound), "Bound" if bound else "Pending", told),
        _condition("Running", *running),
        _condition("Ready", str(phase == "Succeeded"), "", ""),
    ]


def _held_up(container: Object) -> tuple[str, str, str]:
    """Running, of a pod whose container does not run: as it waits; between restarts, as it failed."""
    waiting, last = container["state"]["waiting"], container.get("lastState", {}).get("terminated") or {}
    if waiting["reason"] == podstatus.CRASH_LOOP and last:
        return "False", last["reason"], last.get("message", "")
    return "False", waiting["reason"], waiting.get("message", "")


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
    return {**claim_properties(api, name, spec.get("volumeMode")), **spec}


def claim_properties(objects: Objects, storage_class: str | None, mode: str | None) -> Object:
    """{accessModes, volumeMode} that the profile of a StorageClass recommends. `mode`: the volume mode that is asked for, if any is."""
    profile = (objects.find("StorageProfile", None, storage_class) if storage_class else None) or {}
    sets = profile.get("spec", {}).get("claimPropertySets") or profile.get("status", {}).get("claimPropertySets") or [_DEFAULT_PROPERTIES]
    chosen = next((properties for properties in sets if mode in (None, properties["volumeMode"])), None)
    return chosen or {**_DEFAULT_PROPERTIES, **({"volumeMode": mode} if mode else {})}


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
