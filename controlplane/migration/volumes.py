"""DataVolumes for the disks of a VM, and the pod that has their PVCs bound. The objects are built purely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import CONSUMER_IMAGE
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import BIND_IMMEDIATELY
from ansible_collections.vmshift.mtv.controlplane.migration import children, itineraries, labels, quantities, transfer_network, vddk
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.plugins.module_utils import naming
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import is_host

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk

Object = dict[str, Any]

WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"


def ensure_data_volumes(work: VmRun, secret: str, config: str = "") -> None:
    """One DataVolume per disk. `secret`, `config`: names of the Secret and the ConfigMap for those that are filled from the source."""
    there = children.data_volumes(work)
    for index, disk in enumerate(work.disks):
        if disk.source not in there:
            new = data_volume(work, index, disk, work.run.source.content(work, disk, secret))
            if config and "vddk" in new["spec"]["source"]:
                new["metadata"]["annotations"][vddk.EXTRA_ARGUMENTS] = config
            if work.traits.warm:
                new["spec"]["checkpoints"] = [first_checkpoint(work.vm)]
            children.create(work.target, new)


def data_volume(work: VmRun, index: int, disk: Disk, content: Object) -> Object:
    annotations = {
        **work.labels,
        **transfer_network.pod_annotations(work.api, work.plan),
        "cdi.kubevirt.io/storage.deleteAfterCompletion": "false",
        **_binding(work),
        labels.DISK_SOURCE: disk.source,
        **disk.annotations,
    }
    account = work.run.spec.get("serviceAccount") or work.run.settings.service_account
    if account:
        annotations["cdi.kubevirt.io/storage.pod.serviceAccountName"] = account
    meta = {"namespace": work.namespace, "labels": {**work.labels, **disk.labels}, "annotations": annotations}
    meta.update(claim_name(work, index, disk))
    storage: Object = {"resources": {"requests": {"storage": quantities.quantity(quantities.aligned(disk.size))}}}
    if disk.storage.get("storageClass"):
        storage["storageClassName"] = disk.storage["storageClass"]
    if disk.storage.get("volumeMode"):
        storage["volumeMode"] = disk.storage["volumeMode"]
    if disk.storage.get("accessMode"):
        storage["accessModes"] = [disk.storage["accessMode"]]
    return {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": meta,
        "spec": {"source": content, "storage": storage},
    }


def first_checkpoint(vm: Object) -> Object:
    """Of a warm migration: all of the disk, at its first snapshot."""
    return {"current": vm["warm"]["precopies"][0]["snapshot"], "previous": ""}


def _binding(work: VmRun) -> dict[str, str]:
    """Nobody will use the PVC before it is filled where no pod of ours runs, or where it is filled while the VM still runs."""
    found = {}
    if work.traits.warm or itineraries.from_openshift(work.traits) or not is_host(work.run.destination):
        found["cdi.kubevirt.io/storage.bind.immediate.requested"] = "true"
    if work.traits.warm:
        found["cdi.kubevirt.io/storage.usePopulator"] = "false"
    return found


def claim_name(work: VmRun, index: int, disk: Disk) -> dict[str, str]:
    """{"generateName": ...} or {"name": ...} of the PVC of a disk. Raises PhaseError (facts 3.11)."""
    keeps, settings = itineraries.from_openshift(work.traits), work.run.settings
    default = (
        (settings.ocp_pvc_name_template or naming.OPENSHIFT_PVC_TEMPLATE) if keeps else (settings.pvc_name_template or naming.PVC_TEMPLATE)
    )
    template = work.option("pvcNameTemplate") or default
    target = naming.template_vm_name(work.vm["id"], work.source_vm["name"], work.vm.get("newName", ""))
    values = {
        "VmName": work.source_vm["name"],
        "TargetVmName": target,
        "PlanName": work.plan["metadata"]["name"],
        "DiskIndex": index,
        "VmId": work.vm["id"],
        **disk.name_values,
    }
    try:
        name = naming.pvc_name(template, values)
    except ValueError as error:
        raise PhaseError(f'The PVC name template "{template}" does not work for disk {index}: {error}.') from None
    generates = work.run.spec.get("pvcNameTemplateUseGenerateName")
    if generates is False or (generates is None and keeps):
        return {"name": name}
    return {"generateName": f"{name}-"}


def ensure_consumer(work: VmRun) -> None:
    """Where a storage class waits for a first consumer, have one pod mount all PVCs that are not bound yet."""
    found = children.claims(work)
    waiting = [pvc["metadata"]["name"] for pvc in found.values() if not children.bound(pvc) and _waits_for_consumer(work, pvc)]
    if waiting and all(disk.source in found for disk in work.disks):
        wanted = {**work.labels, labels.APP: labels.CONSUMER}
        pod = children.ensure(work.target, "Pod", work.namespace, wanted, lambda: consumer(work, waiting, work.run.settings))
        if pod.get("status", {}).get("phase") == "Failed":
            why = pod["status"].get("message") or pod["status"].get("reason") or "no reason is given"
            raise PhaseError(f"The pod {pod['metadata']['name']} that binds the disks failed: {why}")


def _waits_for_consumer(work: VmRun, pvc: Object) -> bool:
    if (pvc["metadata"].get("annotations") or {}).get(BIND_IMMEDIATELY) == "true":
        return False
    storage_class = work.target.find("StorageClass", None, pvc["spec"].get("storageClassName") or "")
    return storage_class is not None and storage_class.get("volumeBindingMode") == WAIT_FOR_FIRST_CONSUMER


def consumer(work: VmRun, claims: list[str], settings: Settings) -> Object:
    spec: Object = {
        "restartPolicy": "Never",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": CONSUMER_IMAGE,
                "command": ["/bin/sh", "-c", "exit 0"],
                "resources": {
                    "limits": {"cpu": settings.limits_cpu, "memory": settings.limits_memory},
                    "requests": {"cpu": settings.requests_cpu, "memory": settings.requests_memory},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "runAsUser": 107,
                },
            }
        ],
        "volumes": [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": f"{work.child_name}pvcinit-"}, "spec": spec}
