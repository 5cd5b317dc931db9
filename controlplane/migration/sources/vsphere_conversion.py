"""What the conversion of a VM from vSphere is told (facts 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import vddk
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere_access import Access

Object = dict[str, Any]

LEGACY_DRIVERS = "/usr/local/virtio-win-legacy.iso"


def conversion(work: VmRun, access: Access, vddk_image: str, config: str = "") -> Conversion:
    """`config`: name of the ConfigMap with settings of VMware's disk library."""
    volumes = [{"name": vddk.CONFIG_VOLUME, "configMap": {"name": config}}] if config else []
    mounts = [{"name": vddk.CONFIG_VOLUME, "mountPath": vddk.CONFIG_PATH}] if config else []
    return Conversion({**_guest(work), **_source(work, access), **_program(work)}, volumes, mounts, vddk_image)


def _source(work: VmRun, access: Access) -> dict[str, str]:
    return {
        "V2V_source": "vSphere",
        "V2V_vmName": work.source_vm["name"],
        "V2V_libvirtURL": access.libvirt,
        "V2V_fingerprint": access.thumbprint,  # no secret: anybody who connects sees it
    }


def _guest(work: VmRun) -> dict[str, str]:
    """How the guest is to come out."""
    vm, found = work.source_vm, {}
    if vm.get("hostName"):
        found["V2V_HOSTNAME"] = vm["hostName"]
    if work.run.spec.get("preserveStaticIPs", True):
        found["V2V_preserveStaticIPs"] = "true"
        if addresses := vms.static_ips(vm):
            found["V2V_staticIPs"] = "_".join(addresses)
    found.update(_windows(work))
    if work.vm.get("nbdeClevis"):
        found["V2V_NBDE_CLEVIS"] = "true"
    if work.vm.get("rootDisk"):
        found["V2V_RootDisk"] = work.vm["rootDisk"]
    if work.vm.get("newName"):
        found["V2V_NewName"] = work.vm["newName"]
    return found


def _windows(work: VmRun) -> dict[str, str]:
    wanted = work.run.spec.get("installLegacyDrivers")
    if vms.is_legacy_windows(work.source_vm) if wanted is None else wanted:
        return {"VIRTIO_WIN": LEGACY_DRIVERS}
    if vms.is_windows(work.source_vm) and vms.has_several_static_ips_per_nic(work.source_vm):
        return {"V2V_multipleIPsPerNic": "true"}
    return {}


def _program(work: VmRun) -> dict[str, str]:
    settings = work.run.settings
    found = {"V2V_extra_args": settings.extra_args, "V2V_inspector_extra_args": settings.inspector_extra_args}
    if settings.memsize:
        found["V2V_memSize"] = settings.memsize
    if settings.smp:
        found["V2V_smp"] = settings.smp
    return found
