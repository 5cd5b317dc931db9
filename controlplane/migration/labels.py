"""How what belongs to one VM of one run of a plan is recognised (facts 3.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]

PLAN, PLAN_NAME, PLAN_NAMESPACE = "plan", "plan-name", "plan-namespace"
MIGRATION, VM_ID, RESOURCE = "migration", "vmID", "resource"
APP = "forklift.app"
VIRT_V2V, CONSUMER, DEEP_INSPECTION = "virt-v2v", "consumer", "deep-inspection"  # values of APP
CONVERSION_TYPE, CONVERSION = "conversion-type", "conversion"
INSPECTION_TYPE = "DeepInspection"  # value of CONVERSION_TYPE
GUEST_CONVERTED = "guestConverted"
VM_UUID = "vmUUID"  # of PVCs whose disks are copied before they are converted
OVA_STORE = "ova"
LUKS_KEYS, CONNECTION = "isLUKS", "isConnection"

#: Which source disk a DataVolume or PVC is for.
DISK_SOURCE = "forklift.konveyor.io/disk-source"
#: In which order, from 0.
DISK_INDEX = "forklift.konveyor.io/disk-index"
DISPLAY_NAME, ORIGINAL_ID = "openshift.io/display-name", "original-ID"
#: Of a VM: which names had to be changed to serve as labels or annotations.
SANITIZED = "forklift.konveyor.io/sanitized-metadata"


#: On what a control plane makes on another cluster: whose it is. A control plane there has the same plan names, perhaps.
ORIGIN = "vmshift.mtv/origin"


def identity(objects: Objects) -> str:
    """What tells a cluster from all others: by convention the uid of its namespace kube-system."""
    namespace = objects.find("Namespace", None, "kube-system")
    return namespace["metadata"]["uid"] if namespace else ""


def origin(obj: Object) -> str | None:
    """The identity of the other cluster whose control plane made `obj` here; None for what was made by this one's."""
    return (obj["metadata"].get("annotations") or {}).get(ORIGIN)


def of_named_plan(namespace: str, name: str) -> dict[str, str]:
    """What all children of a plan carry, also of one that is gone and has left only its name."""
    return {PLAN_NAME: name, PLAN_NAMESPACE: namespace}


def of_plan(plan: Object) -> dict[str, str]:
    meta = plan["metadata"]
    return {PLAN: meta["uid"], **of_named_plan(meta["namespace"], meta["name"])}


def of_vm(plan: Object, vm_id: str) -> dict[str, str]:
    """Children of one VM of `plan`, of whichever run."""
    return {**of_plan(plan), RESOURCE: "vm-config", VM_ID: vm_id}


def of_populators(plan: Object, vm_id: str) -> dict[str, str]:
    """Pods that fill the PVCs of one VM of `plan`: they have fewer labels than its other children."""
    return {PLAN: plan["metadata"]["uid"], VM_ID: vm_id}


def of_hooks(plan: Object, vm_id: str) -> dict[str, str]:
    """Jobs and ConfigMaps of hooks that ran for one VM of `plan`, in whichever run."""
    return {PLAN: plan["metadata"]["uid"], RESOURCE: "hook-config", VM_ID: vm_id}


def of_keys(plan: Object, vm_id: str, conversion_type: str = "") -> dict[str, str]:
    """The Secret with the LUKS keys for the Conversion of a VM; of any Conversion without a type."""
    found = {PLAN: plan["metadata"]["uid"], VM_ID: vm_id, LUKS_KEYS: "true"}
    return {**found, CONVERSION_TYPE: conversion_type} if conversion_type else found


def of_library(plan: Object, migration_uid: str = "") -> dict[str, str]:
    """The ConfigMap with settings of VMware's disk library, of one run or of all."""
    return {**of_plan(plan), RESOURCE: "vddk-config", "use": "vddk-conf", **({MIGRATION: migration_uid} if migration_uid else {})}


def of_run(plan: Object, migration_uid: str, vm_id: str) -> dict[str, str]:
    """Children of one VM in one run: Forklift's *vmLabels*."""
    return {**of_vm(plan, vm_id), MIGRATION: migration_uid}
