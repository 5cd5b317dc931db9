"""The VirtualMachine of a server from OpenStack (facts 3.14). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import quantities
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair, Nic

Object = dict[str, Any]

ISO = "iso"
UEFI, DEDICATED, ISOLATE, NO_VIDEO, FLOATING = "uefi", "dedicated", "isolate", "none", "floating"
#: Buses of disks that OpenStack and KubeVirt name differently, or not at all.
_BUSES = {"ide": "sata", "scsi": "scsi"}
#: Models of network cards that KubeVirt has, and what stands for others.
_MODELS = ("e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "virtio")
_SIMILAR = {"VirtualE1000": "e1000", "VirtualE1000e": "e1000e", "VirtualPCNet32": "pcnet"}


@dataclass(frozen=True)
class SourceDisk:
    """`source`: id of the volume or image it is made of; `format`: of its image in Glance."""

    source: str
    bootable: bool
    format: str = "raw"


def virtual_machine(
    vm: Object,
    plan: Object,
    status: Object,
    *,
    disks: Iterable[SourceDisk],
    networks: Iterable[NetworkPair],
    claims: Mapping[str, str],
    labels: dict[str, str],
    instance_type: Object | None = None,
) -> Object:
    """The target VM.

    `vm`: a workload, as the inventory has it (facts 5.3); `status`: its status in the plan; `disks`: in their order, the image of the
    server itself last; `claims`: source of a disk -> PVC name; `labels`: of child objects; `instance_type`: {kind, name}. Raises
    ValueError for an unmapped network and a disk without PVC.
    """
    spec = plan["spec"]
    strategy = base.run_strategy(status.get("targetPowerState") or spec.get("targetPowerState"), status.get("restorePowerState"))
    built = base.shell(status, plan, vm["name"], labels, converted=False, run_strategy=strategy)
    devices, volumes = _disks(vm, list(disks), claims)
    interfaces, targets = base.networks(_nics(vm), networks, model=_card_model(vm))
    domain = _domain(vm, status, spec)
    domain["devices"].update(disks=devices, interfaces=interfaces)
    built["spec"]["template"]["spec"].update(domain=domain, networks=targets, volumes=volumes)
    base.use_instance_type(built, instance_type)
    return built


def _properties(vm: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = vm["image"].get("properties") or {}
    return found


def _specs(vm: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = vm["flavor"].get("extraSpecs") or {}
    return found


def _property(vm: Object, name: str) -> str:
    """A property of the image; where that is gone or silent, of the image that a volume to boot from was made of."""
    own = _properties(vm).get(name)
    if own is not None:
        return str(own)
    volumes = [volume for volume in vm.get("volumes") or () if volume["bootable"] == "true"]
    said = [(volume.get("volumeImageMetadata") or {}).get(name) for volume in volumes]
    return next((str(value) for value in said if value), "")


def _domain(vm: Object, status: Object, spec: Object) -> Object:
    properties = _properties(vm)
    loader: Object = {"efi": {"secureBoot": False}} if _property(vm, "hw_firmware_type") == UEFI else {"bios": {}}
    devices: Object = {"autoattachGraphicsDevice": properties.get("hw_video_model") != NO_VIDEO}
    if "hw_pointer_model" in properties:
        devices["inputs"] = [{"name": "tablet", "type": "tablet", "bus": "usb"}]
    if _specs(vm).get("hw_rng:allowed") == "true" and "hw_rng_model" in properties:
        devices["rng"] = {}
    queues = properties.get("hw_vif_multiqueue_enabled", _specs(vm).get("hw:vif_multiqueue_enabled"))
    if str(queues).lower() in ("true", "1", "t"):
        devices["networkInterfaceMultiqueue"] = True
    return {
        "cpu": _cpu(vm, status, spec),
        "memory": {"guest": quantities.quantity(vm["flavor"]["ram"] * quantities.MIB)},
        "firmware": {"bootloader": loader},
        "devices": devices,
        "resources": {},
    }


def _cpu(vm: Object, status: Object, spec: Object) -> Object:
    """Each CPU in a socket of its own, unless image or flavor say otherwise."""
    counts = {"sockets": vm["flavor"]["vcpus"], "cores": 1, "threads": 1}
    found: Object = {name: _count(vm, name, default) for name, default in counts.items()}
    policy = _specs(vm).get("hw:cpu_policy") or _properties(vm).get("hw_cpu_policy")
    if policy == DEDICATED:
        found["dedicatedCpuPlacement"] = True
    if _specs(vm).get("hw:emulator_threads_policy") == ISOLATE:
        found["isolateEmulatorThread"] = True
    nested = status.get("enableNestedVirtualization")
    nested = spec.get("enableNestedVirtualization") if nested is None else nested
    if nested is not None:
        found["features"] = base.cpu(1, 1, nested=nested)["features"]
    return found


def _count(vm: Object, name: str, default: int) -> int:
    said = _properties(vm).get(f"hw_cpu_{name}", _specs(vm).get(f"hw:cpu_{name}"))
    return int(said) if said is not None and str(said).isdigit() else default


def _disks(vm: Object, wanted: list[SourceDisk], claims: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    """(disks, volumes)"""
    bus = _BUSES.get(_property(vm, "hw_disk_bus"), base.VIRTIO)
    disks: list[Object] = []
    volumes: list[Object] = []
    for disk in wanted:
        if disk.source not in claims:
            raise ValueError(f"Disk {disk.source} has no PersistentVolumeClaim.")
        name = f"vol-{disk.source}"
        if disk.format == ISO:
            device: Object = {"cdrom": {"bus": _properties(vm).get("hw_cdrom_bus", bus)}}
        else:
            device = {"disk": {"bus": bus}}
        disks.append({"name": name, **device})
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claims[disk.source]}})
    if not disks:
        raise ValueError(f"VM {vm['name']} has no disk to boot from.")
    boot = next((place for place, disk in enumerate(wanted) if disk.bootable), None)
    if boot is not None:
        disks[boot]["bootOrder"] = 1
    return disks, volumes


def _nics(vm: Object) -> list[Nic]:
    """One on each network, by its first address: a floating one stands for no card."""
    ids = {network["name"]: network["id"] for network in vm.get("networks") or ()}
    firsts = [(ids.get(name, name), addresses[0]) for name, addresses in vm["addresses"].items() if addresses]
    return [
        Nic(network, first.get("OS-EXT-IPS-MAC:mac_addr") or "")
        for network, first in firsts
        if first.get("OS-EXT-IPS:type") != FLOATING
    ]  # fmt: skip


def _card_model(vm: Object) -> str:
    said = str(_properties(vm).get("hw_vif_model") or base.VIRTIO)
    return said if said in _MODELS else _SIMILAR.get(said, base.VIRTIO)
