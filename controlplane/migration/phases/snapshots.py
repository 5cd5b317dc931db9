"""ConvertOpenstackSnapshot: disks that came as images of another format are made raw, by one Job each (facts 3.6, 3.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.cluster import podstatus
from ansible_collections.vmshift.mtv.controlplane.cluster.images import IMAGE_CONVERTER_IMAGE
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import BIND_IMMEDIATELY
from ansible_collections.vmshift.mtv.controlplane.migration import children, populators
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

#: On the Job and its second volume: the PVC whose content is converted.
SOURCE_LABEL = "forklift.konveyor.io/conversionSourcePVC"
SOURCE, TARGET = "source", "target"
_FOLDERS = {SOURCE: "/mnt", TARGET: "/output"}
_DEVICES = {SOURCE: "/dev/block", TARGET: "/dev/output"}
USER = 107
MOST_RESTARTS = 2  # of a Job's container; with one more the Job fails, too


def convert(work: VmRun) -> bool:
    """Over when all Jobs have succeeded, which go on beside each other; at once, where nothing needs one."""
    converted = [_is_converted(work, claim) for claim in children.claims(work).values() if populators.requires_conversion(claim)]
    return all(converted)


def _is_converted(work: VmRun, claim: Object) -> bool:
    """What the Job needs is made, and followed. Raises PhaseError when it failed."""
    wanted = {**work.labels, SOURCE_LABEL: claim["metadata"]["name"]}
    job = children.present(work.target, "Job", work.namespace, wanted)
    if job is None:
        scratch = children.ensure(work.target, "DataVolume", work.namespace, wanted, lambda: _scratch(claim))
        if scratch.get("status", {}).get("phase") == "Failed":
            raise PhaseError(f"The DataVolume {scratch['metadata']['name']} for the conversion of {wanted[SOURCE_LABEL]} failed.")
        name = scratch["metadata"]["name"]
        job = children.ensure(work.target, "Job", work.namespace, wanted, lambda: _job(claim, name))
    _refuse_failed(work, claim, job)
    return (job.get("status") or {}).get("succeeded", 0) > 0


def _refuse_failed(work: VmRun, claim: Object, job: Object) -> None:
    """What a container told that has failed twice, while its pod is there: that goes when the Job fails. Raises PhaseError."""
    failed = next((c for c in (job.get("status") or {}).get("conditions") or () if c["type"] == "Failed" and c["status"] == "True"), None)
    pods = work.target.list("Pod", work.namespace, {"job-name": job["metadata"]["name"]})
    told = [podstatus.last_failure(pod) for pod in pods if podstatus.restarts(pod) >= MOST_RESTARTS]
    if failed or any(told):
        format = claim["metadata"]["annotations"][populators.SOURCE_FORMAT]
        why = next(filter(None, told), "") or (failed or {}).get("message", "")
        raise PhaseError(f"The disk {claim['metadata']['name']} could not be converted from {format}: {why}")


def _scratch(claim: Object) -> Object:
    """A volume as large as the claim."""
    spec, name = claim["spec"], claim["metadata"]["name"]
    kept = {field: spec[field] for field in ("accessModes", "resources", "storageClassName", "volumeMode") if field in spec}
    return {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": {"generateName": f"scratch-dv-{name}-", "annotations": {BIND_IMMEDIATELY: "true"}},
        "spec": {"source": {"blank": {}}, "storage": kept},
    }


def _job(claim: Object, scratch: str) -> Object:
    name, mode = claim["metadata"]["name"], claim["spec"].get("volumeMode", "Filesystem")
    format = claim["metadata"]["annotations"][populators.SOURCE_FORMAT]
    block = mode == "Block"
    source, target = (_DEVICES[volume] if block else f"{_FOLDERS[volume]}/disk.img" for volume in (SOURCE, TARGET))
    given = {
        "src-path": source,
        "dst-path": target,
        "src-format": format,
        "dst-format": populators.RAW,
        "src-volume-mode": mode,
        "dst-volume-mode": mode,
    }
    used = [{"name": volume, **_place(volume, block)} for volume in (SOURCE, TARGET)]
    container: Object = {
        "name": "convert",
        "image": IMAGE_CONVERTER_IMAGE,
        "args": [f"-{option}={value}" for option, value in given.items()],
        "env": [{"name": "VOLUME_SIZE", "value": str(quantity.bytes_of(claim["spec"]["resources"]["requests"]["storage"]))}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": USER},
        ("volumeDevices" if block else "volumeMounts"): used,
    }
    claims = {SOURCE: name, TARGET: scratch}
    pod: Object = {
        # Its process is started again with what it has done already, which a new pod would not know.
        "restartPolicy": "OnFailure",
        "securityContext": {"fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": claims[volume]}} for volume in (SOURCE, TARGET)],
    }
    spec = {"backoffLimit": MOST_RESTARTS + 1, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": f"convert-{name}-"}, "spec": spec}


def _place(volume: str, block: bool) -> Object:
    return {"devicePath": _DEVICES[volume]} if block else {"mountPath": _FOLDERS[volume]}
