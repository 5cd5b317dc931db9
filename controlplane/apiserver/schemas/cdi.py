"""CDI's kinds (group cdi.kubevirt.io): volumes with content, and what a StorageClass can do."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    BOOLEAN,
    EMPTY,
    INT32,
    STRING,
    STRING_MAP,
    STRINGS,
    TIME,
    Schema,
    array,
    choice,
    obj,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import CLAIM_SPEC

GROUP, VERSION = "cdi.kubevirt.io", "v1beta1"

_NAMED = obj("name namespace", name=STRING, namespace=STRING)


def _download(required: str = "url", **more: Schema) -> Schema:
    return obj(required, url=STRING, secretRef=STRING, certConfigMap=STRING, **more)


_SOURCE = obj(
    blank=EMPTY,
    gcs=_download(),
    http=_download(checksum=STRING, extraHeaders=STRINGS, secretExtraHeaders=STRINGS),
    imageio=_download("diskId url", diskId=STRING, insecureSkipVerify=BOOLEAN),
    pvc=_NAMED,
    registry=_download("", checksum=STRING, imageStream=STRING, platform=obj(architecture=STRING), pullMethod=STRING),
    s3=_download(),
    snapshot=_NAMED,
    upload=EMPTY,
    vddk=_download("", backingFile=STRING, extraArgs=STRING, initImageURL=STRING, thumbprint=STRING, uuid=STRING),
)
_CONDITION = obj(
    "status type",
    lastHeartbeatTime=TIME,
    lastTransitionTime=TIME,
    message=STRING,
    reason=STRING,
    status=STRING,
    type=STRING,
)
DATA_VOLUME_SPEC = obj(
    checkpoints=array(obj("current previous", current=STRING, previous=STRING)),
    contentType=choice("kubevirt archive"),
    finalCheckpoint=BOOLEAN,
    preallocation=BOOLEAN,
    priorityClassName=STRING,
    pvc={**CLAIM_SPEC, "required": ["accessModes", "resources"]},
    source=_SOURCE,
    sourceRef=obj("kind name", kind=STRING, name=STRING, namespace=STRING),
    storage=CLAIM_SPEC,
)
_DATA_VOLUME_STATUS = obj(claimName=STRING, conditions=array(_CONDITION), phase=STRING, progress=STRING, restartCount=INT32)

_PROPERTY_SETS = array(obj("accessModes volumeMode", accessModes={**STRINGS, "maxItems": 4}, volumeMode=STRING), maxItems=8)
_PROFILE: dict[str, Schema] = {
    "claimPropertySets": _PROPERTY_SETS,
    "cloneStrategy": STRING,
    "dataImportCronSourceFormat": STRING,
    "snapshotClass": STRING,
}
_STORAGE_PROFILE = obj(
    "spec",
    spec=obj(**_PROFILE),
    status=obj(**_PROFILE, annotations=STRING_MAP, conditions=array(_CONDITION), provisioner=STRING, storageClass=STRING),
)

_COLUMNS = (
    Column("Phase", "string", ".status.phase", description="The phase the data volume is in"),
    Column("Progress", "string", ".status.progress", description="Transfer progress in percentage if known, N/A otherwise"),
    Column("Restarts", "integer", ".status.restartCount", description="The number of times the transfer has been restarted."),
    Column("Age", "date", ".metadata.creationTimestamp"),
)

KINDS = (
    Kind(
        GROUP,
        VERSION,
        "datavolumes",
        "datavolume",
        "DataVolume",
        schema=obj("spec", spec=DATA_VOLUME_SPEC, status=_DATA_VOLUME_STATUS),
        status=True,
        short_names=("dv", "dvs"),
        categories=("all",),
        columns=_COLUMNS,
        custom=True,
        description="A PersistentVolumeClaim and what to fill it with",
    ),
    Kind(
        GROUP,
        VERSION,
        "storageprofiles",
        "storageprofile",
        "StorageProfile",
        namespaced=False,
        schema=_STORAGE_PROFILE,
        status=True,
        custom=True,
        description="Access and volume modes that a StorageClass supports",
    ),
)
