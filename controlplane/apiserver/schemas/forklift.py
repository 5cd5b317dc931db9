"""Forklift's kinds (group forklift.konveyor.io): the definitions of 2.12, and the fields that 5.0 adds to them."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.forklift_parts import (
    CONDITIONS,
    PROVIDER_PAIR,
    REF_FIELDS,
    SOURCE_REF,
    status,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.forklift_plan import MIGRATION, PLAN
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.forklift_settings import CONTROLLER_SPEC
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import OBJECT_REFERENCE
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    ANYTHING,
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
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import AFFINITY, VOLUME, VOLUME_MOUNT

GROUP, VERSION = "forklift.konveyor.io", "v1beta1"

# Provider, Host

PROVIDER = obj(
    spec=obj("secret type", secret=OBJECT_REFERENCE, settings=STRING_MAP, type=STRING, url=STRING),
    status=status(fingerprint=STRING, phase=STRING, secretResourceVersion=STRING, service=OBJECT_REFERENCE),
)
HOST = obj(
    spec=obj("ipAddress provider secret", **REF_FIELDS, ipAddress=STRING, provider=OBJECT_REFERENCE, secret=OBJECT_REFERENCE),
    status=status(),
)

# NetworkMap, StorageMap

_VLAN = r"^([1-9]|[1-9][0-9]{1,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-4])$"
_XCOPY_VENDORS = "flashsystem vantara ontap primera3par pureFlashArray powerflex powermax powerstore infinibox"

_NETWORK_PAIR = obj(
    "destination source",
    destination=obj("type", name=STRING, namespace=STRING, type=choice("pod multus ignored")),
    source=obj(**REF_FIELDS, vlan=string(pattern=_VLAN)),
)
_OFFLOAD_PLUGIN = obj(
    csiVolumeImport=obj(
        "secretRef storageVendorProduct",
        secretRef=STRING,
        storageVendorProduct=choice("primera3par ontap"),
    ),
    vsphereXcopyConfig=obj(
        "secretRef storageVendorProduct",
        dedicatedMigrationHosts=STRINGS,
        secretRef=STRING,
        storageVendorProduct=choice(_XCOPY_VENDORS),
    ),
)
_STORAGE_PAIR = obj(
    "destination source",
    destination=obj(
        "storageClass",
        accessMode=choice("ReadWriteOnce ReadWriteMany ReadOnlyMany"),
        storageClass=STRING,
        volumeMode=choice("Filesystem Block"),
    ),
    offloadPlugin=_OFFLOAD_PLUGIN,
    source=SOURCE_REF,
)


def _map(pair: Schema) -> Schema:
    return obj(spec=obj("map provider", map=array(pair), provider=PROVIDER_PAIR), status=status(references=array(SOURCE_REF)))


# Hook

HOOK = obj(
    spec=obj(
        aap=obj("jobTemplateId", jobTemplateId=INTEGER, timeout=INT64, tokenSecret=OBJECT_REFERENCE, url=STRING),
        deadline=INT64,
        image=STRING,
        playbook=STRING,
        serviceAccount=STRING,
    ),
    status=status(),
)

# Conversion

_STAGES = "CreatingPod PodRunning CreatingSnapshot WaitingForSnapshot RemovingSnapshot WaitingForSnapshotRemoval FetchingResults Finished"
_DISK = obj("name", devicePath=STRING, mountPath=STRING, name=STRING, namespace=STRING, volumeMode=STRING)
_POD_SETTINGS = obj(
    affinity=AFFINITY,
    generateName=STRING,
    nodeSelector=STRING_MAP,
    requestKVM=flag(True),
    serviceAccount=STRING,
    transferNetworkAnnotations=STRING_MAP,
)
_INSPECTION = obj(
    allChecksPassed=BOOLEAN,
    concerns=array(obj("category id label message", category=STRING, id=STRING, label=STRING, message=STRING)),
    filesystems=array(obj("device type", device=STRING, type=STRING, uuid=STRING)),
    mountpoints=array(obj("device mountPoint", device=STRING, mountPoint=STRING)),
    osInfo=obj(arch=STRING, distro=STRING, name=STRING, version=STRING),
)
CONVERSION = obj(
    spec=obj(
        "connection type vm",
        connection=obj("secret", secret=OBJECT_REFERENCE),
        destination=OBJECT_REFERENCE,
        diskEncryption=obj("type", secret=OBJECT_REFERENCE, type=choice("LUKS Clevis")),
        disks=array(_DISK),
        extraMounts=array(VOLUME_MOUNT),
        extraVolumes=array(VOLUME),
        image=STRING,
        localMigration=BOOLEAN,
        podSettings=_POD_SETTINGS,
        settings=STRING_MAP,
        targetNamespace=STRING,
        type=choice("DeepInspection Inspection InPlace Remote"),
        vddkImage=STRING,
        vm=SOURCE_REF,
        xfsCompatibility=flag(False),
    ),
    status=status(
        completionTime=TIME,
        inspectionResult=_INSPECTION,
        message=STRING,
        phase=choice("Pending Running Succeeded Failed Canceled"),
        pod=OBJECT_REFERENCE,
        snapshot=obj(createTaskId=STRING, moref=STRING, owned=BOOLEAN, removeTaskId=STRING),
        stage=choice(_STAGES),
        startTime=TIME,
    ),
)

# Provider servers, volume populators

_SERVER_STATUS = obj(conditions=CONDITIONS, phase=STRING, service=OBJECT_REFERENCE)
_IMMUTABLE_PROVIDER: Schema = {
    **OBJECT_REFERENCE,
    "x-kubernetes-validations": [
        {"rule": "oldSelf == null || oldSelf.name == '' || self == oldSelf", "message": "spec.provider is immutable"}
    ],
}


def _populator(required: str, *results: str, **more: Schema) -> Schema:
    spec = obj(required, **dict.fromkeys(required.split(), STRING), **more)
    return obj("spec", spec=spec, status=obj(progress=STRING, **dict.fromkeys(results, STRING)))


_XCOPY_RESULTS = """allocatedBytes cloneMethod copyDurationSeconds provisionedBytes result storageProtocol storageVendor vibVersion
    xcopyUsed"""

# Printer columns

_AGE = Column("AGE", "date", ".metadata.creationTimestamp")


def _condition(name: str, type: str) -> Column:
    return Column(name, "string", f".status.conditions[?(@.type=='{type}')].status")


_READY = _condition("READY", "Ready")
_OUTCOMES = (_condition("SUCCEEDED", "Succeeded"), _condition("FAILED", "Failed"))
_PROVIDER_COLUMNS = (
    Column("TYPE", "string", ".spec.type"),
    Column("STATUS", "string", ".status.phase"),
    _READY,
    _condition("CONNECTED", "ConnectionTestSucceeded"),
    _condition("INVENTORY", "InventoryCreated"),
    Column("URL", "string", ".spec.url"),
    _AGE,
)
_CONVERSION_COLUMNS = (
    Column("TYPE", "string", ".spec.type"),
    Column("PHASE", "string", ".status.phase"),
    Column("STAGE", "string", ".status.stage"),
    _READY,
    _AGE,
)
_HOOK_COLUMNS = (
    _condition("Ready", "Ready"),
    Column("Image", "string", ".spec.image"),
    Column("Age", "date", ".metadata.creationTimestamp"),
)
_HYPERV_COLUMNS = (Column("PHASE", "string", ".status.phase"), Column("SERVICE", "string", ".status.service.name"))


def _kind(plural: str, kind: str, schema: Schema, about: str, *columns: Column, status: bool = True, short_names: str = "") -> Kind:
    return Kind(
        GROUP,
        VERSION,
        plural,
        kind.lower(),
        kind,
        schema=schema,
        status=status,
        short_names=tuple(short_names.split()),
        columns=columns,
        custom=True,
        description=about,
    )


KINDS = (
    _kind("providers", "Provider", PROVIDER, "A hypervisor or cluster to migrate from or to", *_PROVIDER_COLUMNS),
    _kind("hosts", "Host", HOST, "Access to one ESXi host", _READY, _condition("CONNECTED", "ConnectionTestSucceeded"), _AGE),
    _kind("networkmaps", "NetworkMap", _map(_NETWORK_PAIR), "Which source network becomes which target network", _READY, _AGE),
    _kind("storagemaps", "StorageMap", _map(_STORAGE_PAIR), "Which source storage becomes which StorageClass", _READY, _AGE),
    _kind("plans", "Plan", PLAN, "VMs to migrate, and how", _READY, _condition("EXECUTING", "Executing"), *_OUTCOMES, _AGE),
    _kind("migrations", "Migration", MIGRATION, "One run of a Plan", _READY, _condition("RUNNING", "Running"), *_OUTCOMES, _AGE),
    _kind("hooks", "Hook", HOOK, "A playbook to run before or after a VM is migrated", *_HOOK_COLUMNS),
    _kind("forkliftcontrollers", "ForkliftController", obj(spec=CONTROLLER_SPEC, status=ANYTHING), "Settings of the installation"),
    _kind("conversions", "Conversion", CONVERSION, "One guest conversion or inspection", *_CONVERSION_COLUMNS),
    _kind(
        "ovaproviderservers",
        "OVAProviderServer",
        obj(spec=obj("provider", provider=_IMMUTABLE_PROVIDER), status=_SERVER_STATUS),
        "The server that reads the OVA files of a Provider",
    ),
    _kind(
        "hypervproviderservers",
        "HyperVProviderServer",
        obj(spec=obj("provider", provider=OBJECT_REFERENCE), status=_SERVER_STATUS),
        "The server that reads the Hyper-V share of a Provider",
        *_HYPERV_COLUMNS,
    ),
    _kind(
        "ovirtvolumepopulators",
        "OvirtVolumePopulator",
        _populator("diskId engineSecretName engineUrl", transferNetwork=OBJECT_REFERENCE),
        "Fills a volume with an oVirt disk",
        status=False,
        short_names="ovvp ovvps",
    ),
    _kind(
        "openstackvolumepopulators",
        "OpenstackVolumePopulator",
        _populator("identityUrl imageId secretName", transferNetwork=OBJECT_REFERENCE),
        "Fills a volume with an OpenStack image",
        status=False,
        short_names="osvp osvps",
    ),
    _kind(
        "vspherexcopyvolumepopulators",
        "VSphereXcopyVolumePopulator",
        _populator("secretName storageVendorProduct vmId vmdkPath", *_XCOPY_RESULTS.split(), migrationHost=STRING),
        "Fills a volume with a VMDK inside the storage array",
        status=False,
        short_names="vxvp vxvps",
    ),
)
