"""One adapter per kind of source: what phases ask of it, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration.sources.openshift import OpenShiftSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.openstack import OpenStackSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ova import OvaSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ovirt import OVirtSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere import VsphereSource

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Source

#: Provider type -> adapter; a new source is a new file and a line here.
ADAPTERS: dict[str, Callable[[Objects, dict[str, Any], ProviderInventory], Source]] = {
    "openstack": OpenStackSource,
    "openshift": OpenShiftSource,
    "ova": OvaSource,
    "ovirt": OVirtSource,
    "vsphere": VsphereSource,
}
