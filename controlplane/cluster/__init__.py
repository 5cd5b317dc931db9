"""Stand-ins for what a cluster brings: storage, DataVolumes, pods and Jobs, VirtualMachines, on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.vmshift.mtv.controlplane.cluster import storage
from ansible_collections.vmshift.mtv.controlplane.cluster.datavolumes import DataVolumeReconciler, StorageProfileReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.jobs import JobReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.exports import VirtualMachineExportReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.instances import VirtualMachineInstanceReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.machines import VirtualMachineReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import PodReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.quotas import ResourceQuotaReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import ClaimReconciler
from ansible_collections.vmshift.mtv.controlplane.cluster.volumes import VolumeReconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Reconciler


def reconcilers(context: Context) -> list[Reconciler]:
    """All of them, once per control plane: storage's admission is added to the API along with them."""
    context.api.admission.append(storage.admission(context.api))
    return [
        ClaimReconciler(context),
        ResourceQuotaReconciler(context),
        VolumeReconciler(context),
        DataVolumeReconciler(context),
        StorageProfileReconciler(context),
        PodReconciler(context),
        JobReconciler(context),
        VirtualMachineReconciler(context),
        VirtualMachineInstanceReconciler(context),
        VirtualMachineExportReconciler(context),
    ]
