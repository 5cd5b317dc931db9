"""What fills DataVolumes from elsewhere: a pod for each claim, which for a copy in several stages is made anew for each checkpoint.

As in CDI, annotations of the claim tell which checkpoint it is at and which are copied. The objects are built purely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import IMPORTER_IMAGE

Object = dict[str, Any]

#: DataVolumes of these sources are filled by a pod.
SOURCES = ("vddk", "pvc", "http")

_CDI = "cdi.kubevirt.io/storage."
IMPORT_POD = f"{_CDI}import.importPodName"
POD_PHASE, POD_RESTARTS = f"{_CDI}pod.phase", f"{_CDI}pod.restarts"
CURRENT, PREVIOUS, FINAL = (f"{_CDI}checkpoint.{name}" for name in ("current", "previous", "final"))
COPIED, DONE = f"{_CDI}checkpoint.copied", f"{_CDI}checkpoint.done"
SERVICE_ACCOUNT = f"{_CDI}pod.serviceAccountName"
#: Of ours: why the whole disk was copied where a checkpoint asked for changes only.
FULL_COPY = "vmshift.mtv/full-copy"
_HANDED_ON = ("k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network")

CONTAINER, VOLUME = "importer", "cdi-data-vol"
MOUNT_PATH, DEVICE_PATH = "/data", "/dev/cdi-block-volume"
#: What is cloned, beside them.
ORIGINAL, ORIGINAL_PATH, ORIGINAL_DEVICE = "cdi-clone-source-vol", "/source", "/dev/cdi-clone-source"
#: What a download needs: certificates that vouch for the server, and headers that nobody else may see.
CERTIFICATES, CERTIFICATES_PATH = "cdi-cert-vol", "/certs"
HEADERS, HEADERS_PATH = "cdi-secret-extra-headers-vol-{}", "/extraheaders"

Checkpoint = Mapping[str, str]
#: Of a copy in one stage.
WHOLE: Checkpoint = {"current": "", "previous": ""}


def pod_name(claim: str) -> str:
    return f"importer-{claim}"


def copied_key(checkpoint: str) -> str:
    return f"{COPIED}.{checkpoint}"


def next_checkpoint(volume: Object, claim: Object) -> Checkpoint | None:
    """The first one that is not copied; None when all are. A volume without checkpoints is copied in one stage."""
    annotations = claim["metadata"].get("annotations") or {}
    checkpoints = volume["spec"].get("checkpoints")
    if not checkpoints:
        return None if annotations.get(POD_PHASE) == "Succeeded" else WHOLE
    return next((checkpoint for checkpoint in checkpoints if copied_key(checkpoint["current"]) not in annotations), None)


def is_final(volume: Object, checkpoint: Checkpoint) -> bool:
    checkpoints = volume["spec"].get("checkpoints") or ()
    return bool(volume["spec"].get("finalCheckpoint")) and checkpoints[-1:] == [checkpoint]


def ends(volume: Object) -> bool:
    """Once all checkpoints are copied, nothing more is to come."""
    return not volume["spec"].get("checkpoints") or bool(volume["spec"].get("finalCheckpoint"))


def stage_annotations(volume: Object, checkpoint: Checkpoint) -> dict[str, str | None]:
    """What the claim tells of the checkpoint that is being copied."""
    if checkpoint == WHOLE:
        return {}
    return {
        CURRENT: checkpoint["current"],
        PREVIOUS: checkpoint["previous"],
        FINAL: str(is_final(volume, checkpoint)).lower(),
    }


def copied_annotations(checkpoint: Checkpoint, pod: Object) -> dict[str, str | None]:
    """What the claim tells once `pod` has copied the checkpoint."""
    found: dict[str, str | None] = {POD_PHASE: "Succeeded"}
    return found if checkpoint == WHOLE else {**found, copied_key(checkpoint["current"]): pod["metadata"]["uid"]}


def done_annotations(claim: Object) -> dict[str, str | None]:
    """After the last checkpoint nothing of the stages is left on the claim."""
    annotations = claim["metadata"].get("annotations") or {}
    stages = [key for key in annotations if key in (CURRENT, PREVIOUS, FINAL) or key.startswith(f"{COPIED}.")]
    return {**dict.fromkeys(stages), DONE: "true"} if stages else {}


def belongs(pod: Object, checkpoint: Checkpoint) -> bool:
    """The pod copies this checkpoint, and not an earlier one."""
    return _variable(pod, "IMPORTER_CURRENT_CHECKPOINT") == checkpoint["current"]


def cloned(volume: Object) -> str:
    """The name of the claim that a volume is a clone of, in its namespace; "" when it is none. Raises ValueError for another namespace."""
    source = volume["spec"]["source"].get("pvc") or {}
    namespace = volume["metadata"]["namespace"]
    if source and source["namespace"] != namespace:
        raise ValueError(f"this control plane clones within a namespace: {source['namespace']} is not {namespace}")
    return source.get("name", "")


def _variable(pod: Object, name: str) -> str:
    variables = pod["spec"]["containers"][0].get("env") or ()
    return next((variable.get("value", "") for variable in variables if variable["name"] == name), "")


def pod(volume: Object, claim: Object, checkpoint: Checkpoint, original: Object | None = None) -> Object:
    """The pod that copies one checkpoint into a claim, or the claim `original`, which is cloned."""
    meta = claim["metadata"]
    annotations = meta.get("annotations") or {}
    owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta["name"], "uid": meta["uid"]}
    places = [_place(claim, VOLUME, MOUNT_PATH, DEVICE_PATH)]
    claims: list[Object] = [{"name": VOLUME, "persistentVolumeClaim": {"claimName": meta["name"]}}]
    if original is not None:
        places.append(_place(original, ORIGINAL, ORIGINAL_PATH, ORIGINAL_DEVICE))
        claims.append({"name": ORIGINAL, "persistentVolumeClaim": {"claimName": original["metadata"]["name"], "readOnly": True}})
    for volume_of_more, path in _of_download(volume["spec"]["source"].get("http") or {}):
        places.append(("volumeMounts", {"name": volume_of_more["name"], "mountPath": path}))
        claims.append(volume_of_more)
    place = {key: [use for found, use in places if found == key] for key in dict.fromkeys(found for found, _use in places)}
    container: Object = {
        "name": CONTAINER,
        "image": IMPORTER_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment(volume, claim, checkpoint),
        "ports": [{"name": "metrics", "containerPort": 8443, "protocol": "TCP"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 107},
        **place,
    }
    spec: Object = {
        "restartPolicy": "OnFailure",
        "securityContext": {"fsGroup": 107, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": claims,
    }
    if annotations.get(SERVICE_ACCOUNT):
        spec["serviceAccountName"] = annotations[SERVICE_ACCOUNT]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(meta["name"]),
            "namespace": meta["namespace"],
            "labels": {"app": "containerized-data-importer", "cdi.kubevirt.io": "importer", "prometheus.cdi.kubevirt.io": "true"},
            "annotations": {
                "cdi.kubevirt.io/storage.createdByController": "yes",
                **{key: annotations[key] for key in _HANDED_ON if key in annotations},
            },
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": spec,
    }


def _place(claim: Object, name: str, path: str, device: str) -> tuple[str, Object]:
    """How a container uses a claim: the field that says so, and what is in it."""
    if claim["spec"].get("volumeMode") == "Block":
        return "volumeDevices", {"name": name, "devicePath": device}
    return "volumeMounts", {"name": name, "mountPath": path}


def _of_download(source: Object) -> Iterator[tuple[Object, str]]:
    """Volumes of a pod that downloads, and where each is mounted."""
    if source.get("certConfigMap"):
        yield {"name": CERTIFICATES, "configMap": {"name": source["certConfigMap"]}}, CERTIFICATES_PATH
    for number, secret in enumerate(source.get("secretExtraHeaders") or ()):
        yield {"name": HEADERS.format(number), "secret": {"secretName": secret}}, f"{HEADERS_PATH}/{number}"


def _environment(volume: Object, claim: Object, checkpoint: Checkpoint) -> list[Object]:
    if "pvc" in volume["spec"]["source"]:
        return [{"name": "IMPORTER_SOURCE", "value": "pvc"}, {"name": "OWNER_UID", "value": claim["metadata"]["uid"]}]
    if "http" in volume["spec"]["source"]:
        return _download(volume["spec"]["source"]["http"], claim)
    source = volume["spec"]["source"]["vddk"]
    secret = source.get("secretRef", "")
    given = {
        "IMPORTER_SOURCE": "vddk",
        "IMPORTER_ENDPOINT": source.get("url", ""),
        "IMPORTER_UUID": source.get("uuid", ""),
        "IMPORTER_BACKING_FILE": source.get("backingFile", ""),
        "IMPORTER_THUMBPRINT": source.get("thumbprint", ""),
        "IMPORTER_IMAGE_SIZE": claim["spec"]["resources"]["requests"]["storage"],
        "IMPORTER_CURRENT_CHECKPOINT": checkpoint["current"],
        "IMPORTER_PREVIOUS_CHECKPOINT": checkpoint["previous"],
        "IMPORTER_FINAL_CHECKPOINT": str(is_final(volume, checkpoint)).lower() if checkpoint["current"] else "",
        "OWNER_UID": claim["metadata"]["uid"],
    }
    # The CA is of ours: Forklift puts it there, and CDI does not ask for it.
    return [*_given(given), *_login(secret), _from_secret("IMPORTER_CA", secret, "cacert", optional=True)]


def _download(source: Object, claim: Object) -> list[Object]:
    given = {
        "IMPORTER_SOURCE": "http",
        "IMPORTER_ENDPOINT": source["url"],
        "IMPORTER_CONTENTTYPE": "kubevirt",
        "IMPORTER_IMAGE_SIZE": claim["spec"]["resources"]["requests"]["storage"],
        "IMPORTER_CERT_DIR": CERTIFICATES_PATH if source.get("certConfigMap") else "",
        "IMPORTER_CHECKSUM": source.get("checksum", ""),
        "OWNER_UID": claim["metadata"]["uid"],
        **{f"IMPORTER_EXTRA_HEADER_{number}": line for number, line in enumerate(source.get("extraHeaders") or ())},
    }
    return [*_given(given), *(_login(source["secretRef"]) if source.get("secretRef") else ())]


def _given(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _login(secret: str) -> list[Object]:
    return [_from_secret("IMPORTER_ACCESS_KEY_ID", secret, "accessKeyId"), _from_secret("IMPORTER_SECRET_KEY", secret, "secretKey")]


def _from_secret(name: str, secret: str, key: str, *, optional: bool = False) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, **({"optional": True} if optional else {})}}}
