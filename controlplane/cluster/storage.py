"""Storage of a cluster of one machine: two StorageClasses, and claims bound to volumes that are sparse files.

A claim of the class with WaitForFirstConsumer gets its volume when a pod that uses it is placed on the node (which shows as the
annotation `volume.kubernetes.io/selected-node`). A claim that names its volume is bound to it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.cluster import volumes
from ansible_collections.vmshift.mtv.controlplane.cluster.mounts import claims_of
from ansible_collections.vmshift.mtv.controlplane.cluster.podstatus import ENDED
from ansible_collections.vmshift.mtv.controlplane.cluster.volumes import DRIVER
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

DEFAULT_CLASS, IMMEDIATE_CLASS = "vmshift-local", "vmshift-immediate"
PROTECTION = "kubernetes.io/pvc-protection"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_IMMEDIATELY = "cdi.kubevirt.io/storage.bind.immediate.requested"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner")
BINDER = "persistentvolume-controller"
RETRY = 15.0  # seconds until a volume is tried again that the disk could not hold


def storage_classes() -> list[Object]:
    return [_class(DEFAULT_CLASS, "WaitForFirstConsumer", default=True), _class(IMMEDIATE_CLASS, "Immediate", default=False)]


def _class(name: str, binding: str, *, default: bool) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": {IS_DEFAULT: str(default).lower()}},
        "provisioner": DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": binding,
        "allowVolumeExpansion": False,
    }


def storage_profiles() -> list[Object]:
    """CDI's profile of each class; its status is written by a reconciler."""
    return [
        {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "StorageProfile", "metadata": {"name": name}, "spec": {}}
        for name in (DEFAULT_CLASS, IMMEDIATE_CLASS)
    ]


def admission(api: Api) -> Callable[[str, str, Object | None, Object | None], None]:
    """What kube-apiserver's admission plugins do to storage: the default class, and protection of objects in use."""

    def hook(operation: str, kind: str, new: Object | None, _old: Object | None) -> None:
        if operation != "CREATE" or new is None:
            return
        if kind == "PersistentVolumeClaim":
            if "storageClassName" not in new["spec"] and (default := default_class(api)):
                new["spec"]["storageClassName"] = default
            _protect(new, PROTECTION)
        elif kind == "PersistentVolume":
            _protect(new, volumes.PROTECTION)

    return hook


def _protect(obj: Object, finalizer: str) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def default_class(api: Api) -> str | None:
    """The default StorageClass; the newest one, where several say so."""
    marked = [c for c in api.list("StorageClass") if c["metadata"].get("annotations", {}).get(IS_DEFAULT) == "true"]
    return max(marked, key=lambda c: c["metadata"]["creationTimestamp"])["metadata"]["name"] if marked else None


def is_populated(claim: Object) -> bool:
    """Who says what is in the claim also provides its volume: no provisioner does, which knows of claims and snapshots only."""
    reference = claim["spec"].get("dataSourceRef") or {}
    return bool(reference.get("apiGroup")) and reference.get("kind") not in ("PersistentVolumeClaim", "VolumeSnapshot")


def waits_for_consumer(api: Api, claim: Object) -> bool:
    """The claim gets no volume before a pod that uses it is placed on the node."""
    storage_class = api.find("StorageClass", None, claim["spec"].get("storageClassName") or "")
    return storage_class is not None and _waits(claim, storage_class)


def _waits(claim: Object, storage_class: Object) -> bool:
    annotations = claim["metadata"].get("annotations", {})
    lazy = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    return lazy and SELECTED_NODE not in annotations and annotations.get(BIND_IMMEDIATELY) != "true"


class ClaimReconciler(Reconciler):
    """PersistentVolumeClaims: provisioned, bound, and released when nothing uses them any more."""

    kind = "PersistentVolumeClaim"

    def __init__(self, context: Context) -> None:
        self._api, self._state = context.api, context.state
        # Before anything is provisioned: later, a file without its volume may be one that is just being made.
        volumes.prune(self._state, (volume["metadata"]["name"] for volume in self._api.list("PersistentVolume")))

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {
            "PersistentVolume": self._claims_of_volume,
            "Pod": lambda pod: [(pod["metadata"]["namespace"], claim) for claim in claims_of(pod)],
            "StorageClass": lambda _class: [key_of(c) for c in self._api.list(self.kind) if c.get("status", {}).get("phase") != "Bound"],
        }

    def _claims_of_volume(self, volume: Object) -> Iterable[Key]:
        """The one it is for; and those that name it, one of which may have to learn that it is not theirs any more."""
        reference = volume["spec"].get("claimRef")
        if reference:
            yield reference["namespace"], reference["name"]
        yield from (claim.place for claim in self._api.referring(self.kind, "volume", volume["metadata"]["name"]))

    async def reconcile(self, namespace: str, name: str) -> float | None:
        claim = self._api.find(self.kind, namespace, name)
        if claim is None:
            return None
        if "deletionTimestamp" in claim["metadata"]:
            self._release(claim)
            return None
        phase = claim.get("status", {}).get("phase")
        if phase == "Lost":
            return None
        if claim["spec"].get("volumeName"):
            volume = self._api.find("PersistentVolume", None, claim["spec"]["volumeName"])
            if phase == "Bound":
                if volume is None:
                    self._set_status(claim, {"phase": "Lost"})
                elif (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
                    self._tell(claim, "Warning", "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
                    self._set_status(claim, {"phase": "Lost"})
            elif volume and self._may_have(claim, volume):
                self._bind(claim, volume)
            return None
        return self._provision(claim)

    # Binding

    def _may_have(self, claim: Object, volume: Object) -> bool:
        name = volume["metadata"]["name"]
        reference = volume["spec"].get("claimRef")
        own = {"namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"], "uid": claim["metadata"]["uid"]}
        if reference and any(reference.get(field) not in (None, "", value) for field, value in own.items()):
            self._tell(claim, "Warning", "FailedBinding", f'volume "{name}" already bound to a different claim.')
            return False
        mismatch = _mismatch(claim["spec"], volume["spec"])
        if mismatch:
            self._tell(claim, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name}": {mismatch}')
        return not mismatch

    def _bind(self, claim: Object, volume: Object) -> None:
        """Tie the two together; every step may have been done before a crash."""
        meta = claim["metadata"]
        reference = volume["spec"].get("claimRef") or {}
        if reference.get("uid") != meta["uid"]:
            ours = {"kind": self.kind, "apiVersion": "v1", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
            ours["resourceVersion"] = meta["resourceVersion"]
            change: Object = {"spec": {"claimRef": ours}}
            if not reference:
                change["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
            volume = self._api.patch("PersistentVolume", None, volume["metadata"]["name"], change)
        if volume.get("status", {}).get("phase") != "Bound":
            volume["status"] = {"phase": "Bound", "lastPhaseTransitionTime": now()}
            self._api.update_status(volume)
        name = volume["metadata"]["name"]
        annotations = {BIND_COMPLETED: "yes"}
        if claim["spec"].get("volumeName") != name:
            annotations[BOUND_BY_CONTROLLER] = "yes"
        change = {"metadata": {"annotations": annotations}, "spec": {"volumeName": name}}
        claim = self._api.patch(self.kind, meta["namespace"], meta["name"], change)
        spec = volume["spec"]
        self._set_status(claim, {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["capacity"]})

    # Provisioning

    def _provision(self, claim: Object) -> float | None:
        storage_class = self._class_of(claim)
        if storage_class is None or not self._has_consumer(claim, storage_class):
            return None
        if storage_class["provisioner"] != DRIVER:
            other = storage_class["provisioner"]
            why = f"Waiting for a volume to be created by the external provisioner '{other}'. This control plane has none but '{DRIVER}'."
            self._tell(claim, "Normal", "ExternalProvisioning", why)
            return None
        if is_populated(claim):
            self._take_over(claim)
            return None
        claim = self._mark(claim, PROVISIONER, DRIVER)
        name = f"pvc-{claim['metadata']['uid']}"
        volume = self._api.find("PersistentVolume", None, name)
        if volume is None:
            try:
                volumes.allocate(self._state, name, quantity.bytes_of(_wanted(claim["spec"])))
            except (volumes.NoRoom, ValueError) as error:
                why = f'failed to provision volume with StorageClass "{storage_class["metadata"]["name"]}": {error}'
                self._tell(claim, "Warning", "ProvisioningFailed", why, DRIVER)
                return RETRY
            volume = self._api.create(_volume(name, claim, storage_class))
            self._tell(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}", DRIVER)
        self._bind(claim, volume)
        return None

    def _take_over(self, claim: Object) -> None:
        """The volume that a populator has filled and given to this claim."""
        for record in self._api.referring("PersistentVolume", "claim", claim["metadata"]["uid"]):
            self._bind(claim, record.object())
            return
        self._tell(claim, "Normal", "Provisioning", "Assuming an external populator will provision the volume", DRIVER)

    def _class_of(self, claim: Object) -> Object | None:
        """The StorageClass of a claim without a volume; told to the user when there is none."""
        name = claim["spec"].get("storageClassName")
        if name is None and (name := default_class(self._api)):  # it got no class when it was made; it gets one now
            meta = claim["metadata"]
            self._api.patch(self.kind, meta["namespace"], meta["name"], {"spec": {"storageClassName": name}})
        if not name:
            why = "no persistent volumes available for this claim and no storage class is set"
            self._tell(claim, "Normal", "FailedBinding", why)
            return None
        found = self._api.find("StorageClass", None, name)
        if found is None:
            self._tell(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
        return found

    def _has_consumer(self, claim: Object, storage_class: Object) -> bool:
        if not _waits(claim, storage_class):
            return True
        self._tell(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        return False

    def _mark(self, claim: Object, annotations: Iterable[str], value: str) -> Object:
        meta = claim["metadata"]
        change = {"metadata": {"annotations": dict.fromkeys(annotations, value)}}
        return self._api.patch(self.kind, meta["namespace"], meta["name"], change)

    # The end

    def _release(self, claim: Object) -> None:
        meta = claim["metadata"]
        users = self._api.referring("Pod", "claim", meta["name"], meta["namespace"])
        if any(pod.object().get("status", {}).get("phase") not in ENDED for pod in users):
            return
        left = [finalizer for finalizer in meta.get("finalizers", ()) if finalizer != PROTECTION]
        if left != meta.get("finalizers", []):
            self._api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})

    def _set_status(self, claim: Object, status: Object) -> None:
        claim["status"] = {**claim.get("status", {}), **status}
        self._api.update_status(claim)

    def _tell(self, claim: Object, type: str, reason: str, message: str, who: str = BINDER) -> None:
        self._api.record_event(claim, type, reason, message, who)


def _mismatch(claim: Object, volume: Object) -> str:
    """Why a claim cannot have the volume that it names; "" when it can."""
    if claim.get("storageClassName", "") != volume.get("storageClassName", ""):
        return "storageClassName does not match"
    if claim.get("volumeMode", "Filesystem") != volume.get("volumeMode", "Filesystem"):
        return "incompatible volumeMode"
    if not set(claim.get("accessModes", ())) <= set(volume.get("accessModes", ())):
        return "incompatible accessMode"
    if quantity.bytes_of(volume["capacity"]["storage"]) < quantity.bytes_of(_wanted(claim) or "0"):
        return "requested PV is too small"
    return ""


def _wanted(spec: Object) -> str:
    return spec.get("resources", {}).get("requests", {}).get("storage", "")


def _volume(name: str, claim: Object, storage_class: Object) -> Object:
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: DRIVER}},
        "spec": {
            "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
            "capacity": {"storage": _wanted(spec)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "csi": {"driver": DRIVER, "volumeHandle": name},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
        },
    }
