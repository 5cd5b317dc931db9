"""What a volume populator makes to fill a PVC: a pod, and a temporary PVC beside the real one, which it fills. Pure (facts 1.7).

Their names are made of the uid of the PVC. While they are there, a finalizer keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.cluster.images import OPENSTACK_POPULATOR_IMAGE, OVIRT_POPULATOR_IMAGE
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import SELECTED_NODE
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import GROUP

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings

Object = dict[str, Any]

PREFIX = "forklift.konveyor.io"
FINALIZER = f"{PREFIX}/populate-target-protection"
POPULATED_FROM = f"{PREFIX}/populated-from"
SERVICE_ACCOUNT = f"{PREFIX}/serviceAccount"
#: On the PVC: how often its pod was made anew after it had failed.
RECREATIONS, MOST_RECREATIONS = "recreations", 3
CONTAINER, VOLUME = "populate", "target"
MOUNT_PATH, IMAGE_PATH, DEVICE_PATH = "/mnt/", "/mnt/disk.img", "/dev/block"
MIGRATION = "migration"  # the label by which a pod belongs to a migration, which takes it away
#: Labels of the PVC that its temporary PVC and its pod have, too.
HANDED_ON = (MIGRATION, "vmID", "plan")
USER = 107

#: Reasons of events.
CREATED, FINISHED, FAILED, RECREATED = "PopulatorCreated", "PopulatorFinished", "PopulatorFailed", "PopulatorRecreated"
CREATION_ERROR, CLAIM_CREATION_ERROR = "PopulatorCreationError", "PopulatorPVCCreationError"


@dataclass(frozen=True)
class Program:
    """What fills volumes for one kind of populator: the image, the Secret's name, and arguments out of its spec."""

    image: str
    secret: Callable[[Object], str]
    arguments: Callable[[Object], dict[str, str]]


#: By the kind of the object that a PVC's dataSourceRef names.
PROGRAMS: dict[str, Program] = {
    "OpenstackVolumePopulator": Program(
        OPENSTACK_POPULATOR_IMAGE,
        lambda spec: spec["secretName"],
        lambda spec: {"endpoint": spec["identityUrl"], "secret-name": spec["secretName"], "image-id": spec["imageId"]},
    ),
    "OvirtVolumePopulator": Program(
        OVIRT_POPULATOR_IMAGE,
        lambda spec: spec["engineSecretName"],
        lambda spec: {"secret-name": spec["engineSecretName"], "disk-id": spec["diskId"], "engine-url": spec["engineUrl"]},
    ),
}


def kind_of(claim: Object) -> str:
    """The kind of the populator that fills a PVC; "" for one that no populator of ours fills."""
    reference = claim["spec"].get("dataSourceRef") or {}
    kind = reference.get("kind", "")
    return kind if reference.get("apiGroup") == GROUP and kind in PROGRAMS else ""


def pod_name(uid: str) -> str:
    return f"populate-{uid}"


def is_populator(pod: Object) -> bool:
    return pod["metadata"]["name"].startswith(pod_name(""))


def prime_name(uid: str) -> str:
    return f"prime-{uid}"


def recreations(claim: Object) -> int:
    return int((claim["metadata"].get("annotations") or {}).get(RECREATIONS) or 0)


def has_failed(claim: Object, pod: Object) -> bool:
    """For good: the pod is not made anew once more."""
    return pod.get("status", {}).get("phase") == "Failed" and recreations(claim) >= MOST_RECREATIONS


def is_block(claim: Object) -> bool:
    return claim["spec"].get("volumeMode") == "Block"


def arguments(claim: Object, populator: Object) -> list[str]:
    """Of the program, as Forklift gives them."""
    program = PROGRAMS[populator["kind"]]
    given = {
        "volume-path": DEVICE_PATH if is_block(claim) else IMAGE_PATH,
        **program.arguments(populator["spec"]),
        "cr-name": populator["metadata"]["name"],
        "cr-namespace": populator["metadata"]["namespace"],
        "owner-uid": claim["metadata"]["uid"],
        "pvc-size": str(quantity.bytes_of(claim["spec"]["resources"]["requests"]["storage"])),
    }
    return [f"--{name}={value}" for name, value in given.items()]


def pod(claim: Object, populator: Object, settings: Settings) -> Object:
    """The pod that fills the temporary PVC of `claim`."""
    meta, program = claim["metadata"], PROGRAMS[populator["kind"]]
    secret = program.secret(populator["spec"])
    place = (
        {"volumeDevices": [{"name": VOLUME, "devicePath": DEVICE_PATH}]}
        if is_block(claim)
        else {"volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}]}
    )
    container: Object = {
        "name": CONTAINER,
        "image": program.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(claim, populator),
        "envFrom": [{"secretRef": {"name": secret}}],
        "env": [{"name": "cacert", "valueFrom": {"secretKeyRef": {"name": secret, "key": "ca.crt", "optional": True}}}],
        "ports": [{"name": "metrics", "containerPort": 8443, "protocol": "TCP"}],
        "resources": settings.populators.requirements(),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": USER},
        **place,
    }
    spec: Object = {
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": VOLUME, "persistentVolumeClaim": {"claimName": prime_name(meta["uid"])}}],
    }
    account = (meta.get("annotations") or {}).get(SERVICE_ACCOUNT)
    if account:
        spec["serviceAccountName"] = account
    network = populator["spec"].get("transferNetwork")
    annotations = {"k8s.v1.cni.cncf.io/networks": f"{network['namespace']}/{network['name']}"} if network else {}
    labels = {"pvcName": meta["name"], **_handed_on(claim)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _meta(claim, pod_name(meta["uid"]), labels, annotations), "spec": spec}


def prime(claim: Object) -> Object:
    """The temporary PVC: as large and of the same kind as `claim`, and blank."""
    meta, spec = claim["metadata"], claim["spec"]
    kept = {field: spec[field] for field in ("accessModes", "resources", "storageClassName", "volumeMode") if field in spec}
    node = (meta.get("annotations") or {}).get(SELECTED_NODE)
    annotations = {SELECTED_NODE: node} if node else {}
    made = _meta(claim, prime_name(meta["uid"]), _handed_on(claim), annotations)
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": made, "spec": kept}


def rebinding(claim: Object, populator: Object) -> Object:
    """The patch of a PersistentVolume that makes it the one of `claim`."""
    meta = claim["metadata"]
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "resourceVersion": meta["resourceVersion"]}
    reference.update({field: meta[field] for field in ("namespace", "name", "uid")})
    where = populator["metadata"]
    return {
        "metadata": {"annotations": {POPULATED_FROM: f"{where['namespace']}/{where['name']}"}},
        "spec": {"claimRef": reference},
    }


def _handed_on(claim: Object) -> dict[str, str]:
    found = claim["metadata"].get("labels") or {}
    return {label: found[label] for label in HANDED_ON if label in found}


def _meta(claim: Object, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Object:
    meta = claim["metadata"]
    owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta["name"], "uid": meta["uid"]}
    return {
        "name": name,
        "namespace": meta["namespace"],
        **({"labels": labels} if labels else {}),
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [owner],
    }
