"""Reconcilers: one per kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Reconciler


def reconcilers(context: Context) -> list[Reconciler]:
    """The controllers of MTV itself."""
    from ansible_collections.vmshift.mtv.controlplane.controllers.conversion import ConversionReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.hook import HookReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.host import HostReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.migration import MigrationReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.ova_provider_server import OVAProviderServerReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.plan import PlanReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.populator import PopulatorReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.provider import ProviderReconciler
    from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler

    kinds = (
        ProviderReconciler,
        OVAProviderServerReconciler,
        HostReconciler,
        NetworkMapReconciler,
        StorageMapReconciler,
        HookReconciler,
        PlanReconciler,
        MigrationReconciler,
        ConversionReconciler,
        PopulatorReconciler,
    )
    return [kind(context) for kind in kinds]
