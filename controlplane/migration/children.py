"""Child objects of a VM's run: looked for by their labels, and made only when they are not there.

So a phase can be entered again at any time, also after the control plane was killed in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

ALREADY_EXISTS = "AlreadyExists"


def present(api: Objects, kind: str, namespace: str | None, wanted: dict[str, str]) -> Object | None:
    """The first object with these labels that is not on its way out."""
    return next((obj for obj in api.list(kind, namespace, wanted) if "deletionTimestamp" not in obj["metadata"]), None)


def ensure(api: Objects, kind: str, namespace: str, wanted: dict[str, str], make: Callable[[], Object]) -> Object:
    """The object with these labels; made, with just these, when there is none. `make` returns it without metadata.labels and namespace."""
    found = present(api, kind, namespace, wanted)
    if found:
        return found
    new = make()
    new["metadata"].update(namespace=namespace, labels=wanted)
    return create(api, new)


def create(api: Objects, new: Object) -> Object:
    """Create an object. Raises PhaseError when one of that name is there already and is somebody else's."""
    try:
        return api.create(new)
    except ApiError as error:
        if error.reason != ALREADY_EXISTS:
            raise
        meta = new["metadata"]
        raise PhaseError(
            f"{new['kind']} {meta['namespace']}/{meta['name']} already exists and does not belong to this migration."
        ) from None


def secret(work: VmRun, purpose: str) -> Object:
    """The Secret "isDV" or "isV2V" with what the source wants there."""
    wanted = {**work.labels, purpose: "true"}
    data = work.run.source.secret_data(work, purpose)
    body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": work.child_name}, "type": "Opaque"}
    return ensure(work.target, "Secret", work.namespace, wanted, lambda: {**body, **({"data": data} if data else {})})


def connection(work: VmRun, data: dict[str, str]) -> Object:
    """The Secret by which a VM is inspected; it lives beside the plan, where the pod does that."""
    return _beside_plan(work, labels.CONNECTION, "di-", data)


def inspection_keys(work: VmRun) -> Object | None:
    """A copy of the LUKS keys of a VM beside the plan; None as for `luks_keys`. Raises PhaseError when they are gone."""
    original = _original_keys(work)
    return _beside_plan(work, labels.LUKS_KEYS, "di-luks-", original.get("data") or {}) if original else None


def _beside_plan(work: VmRun, purpose: str, suffix: str, data: dict[str, str]) -> Object:
    wanted = {**work.labels, purpose: "true", labels.CONVERSION_TYPE: labels.INSPECTION_TYPE}
    body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": f"{work.child_name}{suffix}"}, "type": "Opaque"}
    return ensure(work.api, "Secret", work.plan["metadata"]["namespace"], wanted, lambda: {**body, "data": data})


def luks_keys(work: VmRun, conversion_type: str) -> Object | None:
    """A copy of the Secret with the LUKS keys of a VM; None for a VM without keys, or with Clevis. Raises PhaseError when it is gone.

    Two are made, as with Forklift: one for pods that MTV makes itself, and the one that is returned, for a Conversion.
    """
    original = _original_keys(work)
    if original is None:
        return None
    for_pods = {**work.labels, labels.LUKS_KEYS: "true"}
    for_conversion = labels.of_keys(work.plan, work.vm["id"], conversion_type)
    body: Object = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": original.get("data") or {}}
    ensure(work.target, "Secret", work.namespace, for_pods, lambda: {**body, "metadata": {"generateName": work.child_name}})
    name = {"generateName": f"{work.child_name}luks-"}
    return ensure(work.target, "Secret", work.namespace, for_conversion, lambda: {**body, "metadata": name})


def _original_keys(work: VmRun) -> Object | None:
    reference = work.vm.get("luks") or {}
    if not reference.get("name") or work.vm.get("nbdeClevis"):
        return None
    original = work.api.find("Secret", reference.get("namespace") or work.plan["metadata"]["namespace"], reference["name"])
    if original is None:
        raise PhaseError(f'Secret "{reference["name"]}" not found')
    return original


def config_map(work: VmRun) -> Object:
    """With what the source wants there."""
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": work.child_name}}
    data = work.run.source.config_data(work)
    return ensure(work.target, "ConfigMap", work.namespace, work.labels, lambda: {**body, **({"data": data} if data else {})})


def library_config(work: VmRun) -> Object | None:
    """The ConfigMap with settings of VMware's disk library, which all VMs of a run share; None where there is nothing to set."""
    data = work.run.source.library_settings(work.plan)
    if not data:
        return None
    wanted = labels.of_library(work.plan, work.run.migration["metadata"]["uid"])
    meta = {"generateName": f"{work.plan['metadata']['name']}-vddk-conf-"}
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    return ensure(work.target, "ConfigMap", work.namespace, wanted, lambda: body)


def instance_type(work: VmRun) -> Object | None:
    """{kind, name} of the instance type that a VM asks for, of its namespace before those of the cluster. Raises PhaseError."""
    name = work.vm.get("instanceType")
    if not name:
        return None
    for kind, namespace in (("VirtualMachineInstancetype", work.namespace), ("VirtualMachineClusterInstancetype", None)):
        if work.target.find(kind, namespace, name):
            return {"kind": kind, "name": name}
    raise PhaseError(f'The instance type "{name}" was not found, neither in namespace {work.namespace} nor in the cluster.')


def claims(work: VmRun) -> dict[str, Object]:
    """Disk source -> PVC."""
    found = work.target.list("PersistentVolumeClaim", work.namespace, work.claim_labels)
    return {pvc["metadata"].get("annotations", {}).get(labels.DISK_SOURCE, ""): pvc for pvc in found}


def data_volumes(work: VmRun) -> dict[str, Object]:
    """Disk source -> DataVolume."""
    found = work.target.list("DataVolume", work.namespace, work.labels)
    return {volume["metadata"].get("annotations", {}).get(labels.DISK_SOURCE, ""): volume for volume in found}


def claims_in_order(work: VmRun) -> list[Object]:
    """The PVC of each disk, in the order of the guest's disks. Raises PhaseError for a disk without one."""
    found = claims(work)
    for disk in work.disks:
        if disk.source not in found:
            raise PhaseError(f"Disk {disk.source} has no PersistentVolumeClaim.")
    return [found[disk.source] for disk in work.disks]


def conversion(work: VmRun) -> Object | None:
    """The Conversion of this run; it lives beside the plan."""
    found = work.api.list("Conversion", work.plan["metadata"]["namespace"], {**work.labels, labels.APP: labels.VIRT_V2V})
    return found[0] if found else None


def inspection(work: VmRun) -> Object | None:
    """The Conversion that inspects the VM in this run."""
    wanted = {**work.labels, labels.APP: labels.DEEP_INSPECTION}
    return present(work.api, "Conversion", work.plan["metadata"]["namespace"], wanted)


def conversion_pod(work: VmRun) -> Object | None:
    found = work.target.list("Pod", work.namespace, {**work.labels, labels.APP: labels.VIRT_V2V})
    return found[0] if found else None


def bound(pvc: Object) -> bool:
    return pvc.get("status", {}).get("phase") == "Bound"
