"""KubeVirt's kinds (groups kubevirt.io, instancetype.kubevirt.io, export.kubevirt.io).

What the domain of a VM is made of is kept without being described.
"""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.cdi import DATA_VOLUME_SPEC
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    ANYTHING,
    BOOLEAN,
    INT64,
    QUANTITY,
    STRING,
    STRING_MAP,
    TIME,
    Schema,
    array,
    choice,
    obj,
    open_obj,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import AFFINITY

GROUP, VERSION = "kubevirt.io", "v1"
INSTANCE_TYPES = "instancetype.kubevirt.io"
EXPORTS = "export.kubevirt.io"

# Templates carry metadata of objects to be: {"creationTimestamp": null} is what Go writes of empty ones.
_TEMPLATE_METADATA: Schema = {**ANYTHING, "nullable": True}
_GUEST = open_obj(
    "domain",
    affinity=AFFINITY,
    domain=ANYTHING,
    evictionStrategy=STRING,
    hostname=STRING,
    networks=array(open_obj("name", name=STRING)),
    nodeSelector=STRING_MAP,
    priorityClassName=STRING,
    subdomain=STRING,
    terminationGracePeriodSeconds=INT64,
    tolerations=array(ANYTHING),
    volumes=array(open_obj("name", name=STRING)),
)
_MATCHER = obj(inferFromVolume=STRING, inferFromVolumeFailurePolicy=STRING, kind=STRING, name=STRING, revisionName=STRING)
_VIRTUAL_MACHINE = obj(
    "spec",
    spec=obj(
        "template",
        dataVolumeTemplates=array(
            obj("spec", apiVersion=STRING, kind=STRING, metadata=_TEMPLATE_METADATA, spec=DATA_VOLUME_SPEC, status=ANYTHING)
        ),
        instancetype=_MATCHER,
        preference=_MATCHER,
        running=BOOLEAN,
        runStrategy=choice("Always Halted Manual RerunOnFailure Once WaitAsReceiver"),
        template=obj(metadata=_TEMPLATE_METADATA, spec=_GUEST),
        updateVolumesStrategy=STRING,
    ),
    status=ANYTHING,
)
_INSTANCE = obj("spec", spec=_GUEST, status=ANYTHING)
_INSTANCE_TYPE = obj(
    "spec",
    spec=open_obj(
        "cpu memory",
        annotations=STRING_MAP,
        cpu=open_obj("guest", guest=INT64),
        memory=open_obj("guest", guest=QUANTITY),
        nodeSelector=STRING_MAP,
    ),
)

_FORMATS = array(obj("format url", format=STRING, url=STRING))
_LINK = obj(
    "cert",
    cert=STRING,
    manifests=array(obj("type url", type=STRING, url=STRING)),
    volumes=array(obj("name", name=STRING, formats=_FORMATS)),
)
_CONDITION = obj(
    "status type",
    lastProbeTime={**TIME, "nullable": True},
    lastTransitionTime={**TIME, "nullable": True},
    message=STRING,
    reason=STRING,
    status=STRING,
    type=STRING,
)
_EXPORT = obj(
    "spec",
    spec=obj(
        "source",
        source=obj("apiGroup kind name", apiGroup=STRING, kind=STRING, name=STRING),
        tokenSecretRef=STRING,
        ttlDuration=STRING,
    ),
    status=obj(
        conditions=array(_CONDITION),
        links=obj(internal=_LINK, external=_LINK),
        phase=STRING,
        serviceName=STRING,
        tokenSecretRef=STRING,
        ttlExpirationTime=TIME,
        virtualMachineName=STRING,
    ),
)

_AGE = Column("Age", "date", ".metadata.creationTimestamp")


def _condition(name: str, type: str, priority: int = 0) -> Column:
    return Column(name, "string", f".status.conditions[?(@.type=='{type}')].status", priority)


_MACHINE_COLUMNS = (
    _AGE,
    Column("Status", "string", ".status.printableStatus", description="Human Readable Status"),
    _condition("Ready", "Ready"),
)
_INSTANCE_COLUMNS = (
    _AGE,
    Column("Phase", "string", ".status.phase"),
    Column("IP", "string", ".status.interfaces[0].ipAddress"),
    Column("NodeName", "string", ".status.nodeName"),
    _condition("Ready", "Ready"),
    _condition("Live-Migratable", "LiveMigratable", 1),
    _condition("Paused", "Paused", 1),
)
_EXPORT_COLUMNS = (
    Column("SourceKind", "string", ".spec.source.kind"),
    Column("SourceName", "string", ".spec.source.name"),
    Column("Phase", "string", ".status.phase"),
)

KINDS = (
    Kind(
        GROUP,
        VERSION,
        "virtualmachines",
        "virtualmachine",
        "VirtualMachine",
        schema=_VIRTUAL_MACHINE,
        status=True,
        short_names=("vm", "vms"),
        categories=("all",),
        columns=_MACHINE_COLUMNS,
        custom=True,
        description="A VM, running or not",
    ),
    Kind(
        GROUP,
        VERSION,
        "virtualmachineinstances",
        "virtualmachineinstance",
        "VirtualMachineInstance",
        schema=_INSTANCE,
        status=True,
        short_names=("vmi", "vmis"),
        categories=("all",),
        columns=_INSTANCE_COLUMNS,
        custom=True,
        description="A running VM",
    ),
    Kind(
        EXPORTS,
        "v1",
        "virtualmachineexports",
        "virtualmachineexport",
        "VirtualMachineExport",
        schema=_EXPORT,
        status=True,
        short_names=("vmexport", "vmexports"),
        categories=("all",),
        columns=_EXPORT_COLUMNS,
        custom=True,
        description="The disks of a VM that is off, served to whoever has its token",
    ),
    Kind(
        INSTANCE_TYPES,
        "v1beta1",
        "virtualmachineinstancetypes",
        "virtualmachineinstancetype",
        "VirtualMachineInstancetype",
        schema=_INSTANCE_TYPE,
        short_names=("vminstancetype", "vminstancetypes", "vmf", "vmfs"),
        categories=("all",),
        custom=True,
        description="CPU and memory that VMs of a namespace may ask for by name",
    ),
    Kind(
        INSTANCE_TYPES,
        "v1beta1",
        "virtualmachineclusterinstancetypes",
        "virtualmachineclusterinstancetype",
        "VirtualMachineClusterInstancetype",
        namespaced=False,
        schema=_INSTANCE_TYPE,
        short_names=("vmclusterinstancetype", "vmclusterinstancetypes", "vmcf", "vmcfs"),
        custom=True,
        description="CPU and memory that VMs may ask for by name",
    ),
)
