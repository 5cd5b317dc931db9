"""Volume populators for the disks of a VM: the objects that name what is fetched, and PVCs that refer to them (facts 3.7, 3.14).

What fills the PVCs is the populator controller. The objects are built purely.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.datavolumes import claim_properties
from ansible_collections.vmshift.mtv.controlplane.migration import children, labels, quantities, volumes
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import API_VERSION, GROUP

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.populated import PopulatedSource, Populator

Object = dict[str, Any]

SERVICE_ACCOUNT = "forklift.konveyor.io/serviceAccount"
REQUIRES_CONVERSION, SOURCE_FORMAT = "forklift.konveyor.io/requires-conversion", "forklift.konveyor.io/source-format"
RAW = "raw"
KINDS = ("OvirtVolumePopulator", "OpenstackVolumePopulator")


def source_of(work: VmRun) -> PopulatedSource:
    return work.run.source  # type: ignore[return-value]  # only VMs whose traits say so come here


def ensure(work: VmRun, secret: str) -> None:
    """One populator and one PVC per disk. `secret`: name of the Secret "isPopulator"."""
    there = children.claims(work)
    for index, disk in enumerate(work.disks):
        if disk.source not in there:
            wanted = source_of(work).populator(work, disk, secret)
            made = _ensure_populator(work, wanted)
            children.create(work.target, claim(work, index, disk, wanted, made["metadata"]["name"]))


def _ensure_populator(work: VmRun, wanted: Populator) -> Object:
    meta = {"generateName": wanted.name}
    body = {"apiVersion": API_VERSION, "kind": wanted.kind, "metadata": meta, "spec": _spec(work, wanted)}
    return children.ensure(work.target, wanted.kind, work.namespace, {**work.labels, **wanted.labels}, lambda: body)


def _spec(work: VmRun, wanted: Populator) -> Object:
    network = work.run.spec.get("transferNetwork")
    return {**wanted.spec, "transferNetwork": network} if network else wanted.spec


def claim(work: VmRun, index: int, disk: Disk, wanted: Populator, populator: str) -> Object:
    """The PVC of a disk. `populator`: name of the object that says what is in it."""
    settings, destination = work.run.settings, disk.storage
    properties = claim_properties(work.target, destination.get("storageClass"), destination.get("volumeMode"))
    mode = properties["volumeMode"]
    annotations = {labels.DISK_SOURCE: disk.source, labels.DISK_INDEX: str(index), **disk.annotations, **wanted.annotations}
    if wanted.format != RAW:
        annotations |= {REQUIRES_CONVERSION: "true", SOURCE_FORMAT: wanted.format}
    account = work.run.spec.get("serviceAccount") or settings.service_account
    if account:
        annotations[SERVICE_ACCOUNT] = account
    meta = {"namespace": work.namespace, "labels": {**work.labels, **disk.labels, **wanted.labels}, "annotations": annotations}
    spec: Object = {
        "accessModes": [destination["accessMode"]] if destination.get("accessMode") else properties["accessModes"],
        "dataSourceRef": {"apiGroup": GROUP, "kind": wanted.kind, "name": populator},
        "resources": {"requests": {"storage": quantities.quantity(claim_size(disk.size, mode, settings))}},
        "volumeMode": mode,
    }
    if destination.get("storageClass"):
        spec["storageClassName"] = destination["storageClass"]
    meta.update(volumes.claim_name(work, index, disk))
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def claim_size(size: int, mode: str, settings: Settings) -> int:
    """What a PVC asks for so that a disk of `size` bytes fits: a file system needs room for itself, too."""
    whole = quantities.aligned(size)
    if mode == "Block":
        return whole + settings.block_overhead
    return math.ceil(whole / (1 - settings.filesystem_overhead / 100))


def requires_conversion(claim: Object) -> bool:
    return (claim["metadata"].get("annotations") or {}).get(REQUIRES_CONVERSION) == "true"


def populator_of(work: VmRun, claim: Object) -> Object | None:
    """The object that says what is in a PVC."""
    reference = claim["spec"].get("dataSourceRef") or {}
    return work.target.find(reference["kind"], work.namespace, reference["name"]) if reference.get("kind") in KINDS else None
