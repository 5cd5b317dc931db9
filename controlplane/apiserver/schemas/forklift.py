"""Forklift's kinds (group forklift.konveyor.io)."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

GROUP, VERSION = "forklift.konveyor.io", "v1beta1"
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _kind(plural: str, kind: str, *short_names: str, status: bool = True) -> Kind:
    return Kind(GROUP, VERSION, plural, kind.lower(), kind, schema=_ANY, status=status, short_names=short_names, custom=True)


KINDS = (
    _kind("providers", "Provider"),
    _kind("hosts", "Host"),
    _kind("networkmaps", "NetworkMap"),
    _kind("storagemaps", "StorageMap"),
    _kind("plans", "Plan"),
    _kind("migrations", "Migration"),
    _kind("hooks", "Hook"),
    _kind("forkliftcontrollers", "ForkliftController"),
    _kind("conversions", "Conversion"),
    _kind("ovaproviderservers", "OVAProviderServer"),
    _kind("hypervproviderservers", "HyperVProviderServer"),
    _kind("ovirtvolumepopulators", "OvirtVolumePopulator", "ovvp", "ovvps", status=False),
    _kind("openstackvolumepopulators", "OpenstackVolumePopulator", "osvp", "osvps", status=False),
    _kind("vspherexcopyvolumepopulators", "VSphereXcopyVolumePopulator", "vxvp", "vxvps", status=False),
)
