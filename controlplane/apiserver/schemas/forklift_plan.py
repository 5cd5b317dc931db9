"""Schemas of Plan and Migration, and of the progress per VM that both of them report."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.forklift_parts import (
    CONDITIONS,
    PROVIDER_PAIR,
    REF_FIELDS,
    SOURCE_REF,
    status,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import OBJECT_REFERENCE
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    BOOLEAN,
    INT64,
    INTEGER,
    STRING,
    STRING_MAP,
    STRINGS,
    TIME,
    Schema,
    array,
    choice,
    flag,
    obj,
    string,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import AFFINITY

_POWER_STATE = choice("on off auto")
_PLANNED_VM: dict[str, Schema] = {
    **REF_FIELDS,
    "deleteVmOnFailMigration": BOOLEAN,
    "enableNestedVirtualization": BOOLEAN,
    "hooks": array(obj("hook step", hook=OBJECT_REFERENCE, step=STRING)),
    "instanceType": STRING,
    "luks": OBJECT_REFERENCE,
    "migrateSharedDisks": BOOLEAN,
    "nbdeClevis": BOOLEAN,
    "networkNameTemplate": STRING,
    "pvcNameTemplate": STRING,
    "rdmAsLun": BOOLEAN,
    "rootDisk": STRING,
    "scsiReservation": BOOLEAN,
    "targetName": STRING,
    "targetPowerState": _POWER_STATE,
    "volumeNameTemplate": STRING,
}
PLAN_SPEC = obj(
    "map provider targetNamespace vms",
    archived=BOOLEAN,
    conversionTempStorageClass=STRING,
    conversionTempStorageSize=STRING,
    convertorAffinity=AFFINITY,
    convertorLabels=STRING_MAP,
    convertorNodeSelector=STRING_MAP,
    customizationScripts=OBJECT_REFERENCE,
    deleteGuestConversionPod=BOOLEAN,
    deleteVmOnFailMigration=flag(True),
    description=STRING,
    diskBus=STRING,
    enableNestedVirtualization=BOOLEAN,
    installLegacyDrivers=BOOLEAN,
    map=obj("network storage", network=OBJECT_REFERENCE, storage=OBJECT_REFERENCE),
    migrateSharedDisks=flag(True),
    networkNameTemplate=STRING,
    preserveClusterCpuModel=BOOLEAN,
    preserveStaticIPs=flag(True),
    provider=PROVIDER_PAIR,
    pvcNameTemplate=STRING,
    pvcNameTemplateUseGenerateName=BOOLEAN,
    rdmAsLun=BOOLEAN,
    runPreflightInspection=flag(True),
    scsiReservation=BOOLEAN,
    serviceAccount=string(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", maxLength=253),
    skipGuestConversion=flag(False),
    skipZoneNodeSelector=BOOLEAN,
    tagMapping=obj(disabled=BOOLEAN, labelTags=STRINGS),
    targetAffinity=AFFINITY,
    targetLabels=STRING_MAP,
    targetNamespace=STRING,
    targetNodeSelector=STRING_MAP,
    targetPowerState=_POWER_STATE,
    transferNetwork=OBJECT_REFERENCE,
    type=choice("cold warm live conversion"),
    useCompatibilityMode=flag(True),
    virtV2vImage=STRING,
    vms=array(obj(**_PLANNED_VM)),
    volumeNameTemplate=STRING,
    warm=BOOLEAN,
    xfsCompatibility=flag(False),
)

_ERROR = obj("phase reasons", phase=STRING, reasons=STRINGS)
_TASK: dict[str, Schema] = {
    "annotations": STRING_MAP,
    "completed": TIME,
    "description": STRING,
    "error": _ERROR,
    "name": STRING,
    "phase": STRING,
    "progress": obj("completed total", completed=INT64, total=INT64),
    "reason": STRING,
    "started": TIME,
    "warning": _ERROR,
}
_STEP = obj("name progress", **_TASK, tasks=array(obj("name progress", **_TASK)))
_PRECOPY = obj(
    createTaskId=STRING,
    deltas=array(obj("deltaId disk", deltaId=STRING, disk=STRING)),
    end=TIME,
    removeTaskId=STRING,
    snapshot=STRING,
    start=TIME,
)
_WARM = obj(
    "consecutiveFailures failures successes",
    consecutiveFailures=INTEGER,
    failures=INTEGER,
    nextPrecopyAt=TIME,
    precopies=array(_PRECOPY),
    successes=INTEGER,
)
VM_STATUS = obj(
    "phase pipeline",
    **_PLANNED_VM,
    completed=TIME,
    conditions=CONDITIONS,
    detectedBootDisk=INTEGER,
    disksCopied=BOOLEAN,
    error=_ERROR,
    firmware=STRING,
    newName=STRING,
    operatingSystem=STRING,
    phase=STRING,
    pipeline=array(_STEP),
    restorePowerState=STRING,
    started=TIME,
    warm=_WARM,
)
_SNAPSHOT = obj("generation name namespace uid", generation=INT64, name=STRING, namespace=STRING, uid=STRING)
_RUN = obj(
    "map migration plan provider",
    conditions=CONDITIONS,
    map=obj("network storage", network=_SNAPSHOT, storage=_SNAPSHOT),
    migration=_SNAPSHOT,
    plan=_SNAPSHOT,
    provider=obj("destination source", destination=_SNAPSHOT, source=_SNAPSHOT),
)
PLAN = obj(
    spec=PLAN_SPEC,
    status=status(
        migration=obj(completed=TIME, history=array(_RUN), started=TIME, vms=array(VM_STATUS)),
        netAppShiftDestination=BOOLEAN,
    ),
)
MIGRATION = obj(
    spec=obj(
        "plan",
        cancel=array(SOURCE_REF),
        cutover=TIME,
        plan=OBJECT_REFERENCE,
        resumeConversion=BOOLEAN,
        vmCutover=array(obj("cutover id", cutover=TIME, id=string(minLength=1))),
    ),
    status=status(completed=TIME, started=TIME, vms=array(VM_STATUS)),
)
