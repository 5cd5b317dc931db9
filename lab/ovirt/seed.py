"""Making what the engine holds."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ovirtsdk4 import types

from ansible_collections.vmshift.mtv.lab import guests
from ansible_collections.vmshift.mtv.lab.ovirt import images
from ansible_collections.vmshift.mtv.lab.ovirt.machines import GIB, Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.ovirt.model import Layer, World, reference

#: Storage domain -> (kind of storage, format of the domain).
DOMAINS = {"data-nfs": types.StorageType.NFS, "data-block": types.StorageType.ISCSI, "edge-nfs": types.StorageType.NFS}
#: Network -> VLAN.
NETWORKS = {"ovirtmgmt": None, "storage-net": 20, "mirrored": 30}
SERVER_CPUS = "3:Secure Intel Cascadelake Server Family:vmx,ssbd,model_Cascadelake-Server:Cascadelake-Server-noTSX,-hle,-rtm:x86_64"
KINDS = {"high_availability": types.HighAvailability, "time_zone": types.TimeZone, "io": types.Io, "usb": types.Usb}


async def seed(world: World, machines: Sequence[Machine]) -> list[dict[str, Any]]:
    """Make everything. Returns facts of the VMs: name, id, cluster, disks (id, name, size, sha256 of what they were filled with)."""
    _surroundings(world)
    facts = await asyncio.gather(*(_machine(world, number, machine) for number, machine in enumerate(machines)))
    world.options["ServerCPUList"] = [(SERVER_CPUS, "4.7")]
    return list(facts)


def _surroundings(world: World) -> None:
    version = types.Version(major=4, minor=7)
    for name in ("Default", "Edge"):
        center = types.DataCenter(name=name, status=types.DataCenterStatus.UP, version=version, local=False)
        center = world.add("datacenters", center, _id("datacenter", name))
        cluster = types.Cluster(
            name=name,
            cpu=types.Cpu(architecture=types.Architecture.X86_64, type="Secure Intel Cascadelake Server Family"),
            data_center=reference(center),
            version=version,
            ha_reservation=name == "Edge",
            ksm=types.Ksm(enabled=name == "Edge"),
            bios_type=types.BiosType.Q35_SEA_BIOS,
            description="",
        )
        cluster = world.add("clusters", cluster, _id("cluster", name))
        _host(world, f"host-{name.lower()}", cluster)
    for name, kind in DOMAINS.items():
        _storage_domain(world, name, kind)
    center = world.find("datacenters", "Default")
    for name, vlan in NETWORKS.items():
        network = types.Network(name=name, description="", data_center=reference(center), usages=[types.NetworkUsage.VM])
        if vlan:
            network.vlan = types.Vlan(id=vlan)
        network = world.add("networks", network, _id("network", name))
        profile = types.VnicProfile(name="mirror" if name == "mirrored" else name, network=reference(network), description="")
        profile.port_mirroring = name == "mirrored"
        profile.pass_through = types.VnicPassThrough(mode=types.VnicPassThroughMode.DISABLED)
        world.add("vnicprofiles", profile, _id("profile", profile.name))
    for host in world.all("hosts"):
        _host_network(world, host, world.find("networks", "ovirtmgmt"))


def _host(world: World, name: str, cluster: Any) -> None:
    topology = types.CpuTopology(sockets=2, cores=8, threads=2)
    host = types.Host(
        name=name,
        address="localhost",
        status=types.HostStatus.UP,
        cluster=reference(cluster),
        cpu=types.Cpu(topology=topology),
        os=types.OperatingSystem(type="RHEL", version=types.Version(full_version="8.7 - 1.el8")),
        memory=64 * GIB,
        type=types.HostType.RHEL,
        version=types.Version(full_version="vdsm-4.50.5.1-1.el8"),
        description="",
    )
    world.add("hosts", host, _id("host", name))


def _host_network(world: World, host: Any, network: Any) -> None:
    card = types.HostNic(name="eth0", speed=10_000_000_000, mtu=1500, mac=types.Mac(address=mac_address(host.name)), host=reference(host))
    card = world.add(f"hosts/{host.id}/nics", card, _id("card", host.name))
    attachment = types.NetworkAttachment(host=reference(host), network=reference(network), host_nic=reference(card))
    world.add(f"hosts/{host.id}/networkattachments", attachment, _id("attachment", host.name))


def _storage_domain(world: World, name: str, kind: Any) -> None:
    domain = types.StorageDomain(
        name=name,
        type=types.StorageDomainType.DATA,
        status=types.StorageDomainStatus.ACTIVE,
        storage=types.HostStorage(type=kind),
        storage_format=types.StorageFormat.V5,
        available=100 * GIB,
        used=GIB,
        data_centers=[reference(world.find("datacenters", "Edge" if name.startswith("edge") else "Default"))],
        description="",
    )
    domain = world.add("storagedomains", domain, _id("domain", name))
    world.add("diskprofiles", types.DiskProfile(name=name, storage_domain=reference(domain), description=""), _id("diskprofile", name))


async def _machine(world: World, number: int, machine: Machine) -> dict[str, Any]:
    vm = _vm(world, machine)
    world.add("vms", vm, _id("vm", f"{number} {machine.name}"))
    if not machine.agent:
        world.deaf.add(vm.id)
    path = f"vms/{vm.id}"
    for name in ("applications", "cdroms", "graphicsconsoles", "hostdevices", "numanodes", "permissions", "reporteddevices", "tags"):
        world.objects[f"{path}/{name}"] = {}
    for name in ("diskattachments", "nics", "snapshots", "watchdogs"):
        world.objects[f"{path}/{name}"] = {}
    world.add(f"{path}/cdroms", types.Cdrom(vm=reference(vm)), _id("cdrom", vm.id))
    disks = [await _disk(world, vm, index, disk) for index, disk in enumerate(machine.disks)]
    for index, nic in enumerate(machine.nics):
        _nic(world, vm, index, nic)
    if machine.watchdog:
        watchdog = types.Watchdog(action=types.WatchdogAction.RESET, model=types.WatchdogModel.I6300ESB)
        world.add(f"{path}/watchdogs", watchdog, _id("watchdog", vm.id))
    if machine.usb_device:
        device = types.HostDevice(
            name="usb_1_1", capability="usb_device", product=types.Product(name="Token"), vendor=types.Vendor(name="Keys Inc.")
        )
        world.add(f"{path}/hostdevices", device, _id("usb", vm.id))
    for description in machine.snapshots:
        await _snapshot(world, vm, description)
    active = types.Snapshot(
        description="Active VM", snapshot_type=types.SnapshotType.ACTIVE, snapshot_status=types.SnapshotStatus.OK, persist_memorystate=False
    )
    world.add(f"{path}/snapshots", active, _id("active", vm.id))
    return {"name": machine.name, "id": vm.id, "cluster": machine.cluster, "disks": disks}


def _vm(world: World, machine: Machine) -> Any:
    own = {name: _attribute(name, value) for name, value in machine.more.items()}
    up = machine.on
    defaults: dict[str, Any] = {
        "description": "",
        "display": types.Display(type=types.DisplayType.VNC),
        "high_availability": types.HighAvailability(enabled=False),
        "usb": types.Usb(enabled=False),
        "io": types.Io(threads=0),
        "cpu_shares": 0,
        "cpu_pinning_policy": types.CpuPinningPolicy.NONE,
        "time_zone": types.TimeZone(name="Etc/GMT"),
    }
    vm = types.Vm(
        name=machine.name,
        status=types.VmStatus.UP if up else types.VmStatus.DOWN,
        cluster=reference(world.find("clusters", machine.cluster)),
        memory=machine.memory,
        cpu=types.Cpu(topology=types.CpuTopology(sockets=machine.sockets, cores=machine.cores, threads=1)),
        os=types.OperatingSystem(type=machine.os),
        bios=types.Bios(type=types.BiosType(machine.bios), boot_menu=types.BootMenu(enabled=False)),
        memory_policy=types.MemoryPolicy(ballooning=False),
        has_illegal_images=any(disk.status == "illegal" for disk in machine.disks),
        placement_policy=types.VmPlacementPolicy(affinity=types.VmAffinity.USER_MIGRATABLE),
        storage_error_resume_behaviour=types.VmStorageErrorResumeBehaviour.AUTO_RESUME,
        stateless=False,
        creation_time=datetime(2026, 1, 1, tzinfo=timezone.utc),
        **{**defaults, **own},
    )
    if up:
        vm.host = reference(world.find("hosts", f"host-{machine.cluster.lower()}"))
        vm.guest_operating_system = types.GuestOperatingSystem(distribution="Debian GNU/Linux", version=types.Version(full_version="12"))
    return vm


def _attribute(name: str, value: Any) -> Any:
    if name == "display":
        return types.Display(type=types.DisplayType(value["type"]))
    if name == "cpu_pinning_policy":
        return types.CpuPinningPolicy(value)
    return KINDS[name](**value) if isinstance(value, Mapping) else value


async def _disk(world: World, vm: Any, index: int, wanted: Disk) -> dict[str, Any]:
    domain = world.find("storagedomains", wanted.domain)
    source = content_of(wanted)
    size = source.stat().st_size if source else wanted.size
    disk = types.Disk(
        name=f"{vm.name}_Disk{index + 1}",
        alias=f"{vm.name}_Disk{index + 1}",
        description="",
        provisioned_size=size,
        format=types.DiskFormat(wanted.format),
        sparse=wanted.sparse,
        shareable=wanted.shareable,
        status=types.DiskStatus(wanted.status),
        storage_type=types.DiskStorageType.LUN if wanted.lun else types.DiskStorageType.IMAGE,
        content_type=types.DiskContentType.DATA,
        wipe_after_delete=False,
    )
    world.add("disks", disk, _id("disk", f"{vm.id} {index}"))
    if wanted.lun:
        unit = types.LogicalUnit(id="360014050000000000000000000000001", address="192.0.2.10", port=3260, target="iqn.2026-01.lab:lun1")
        unit.size, unit.lun_mapping = size, 1
        disk.lun_storage = types.HostStorage(type=types.StorageType.ISCSI, logical_units=[unit])
        disk.actual_size = disk.total_size = size
    else:
        layer = Layer(str(uuid.uuid4()), world.folder / "disks" / f"{disk.id}.base", images.format_of(disk))
        await images.make_file(layer.file, disk, source)
        world.layers[disk.id] = [layer]
        disk.image_id = layer.id
        disk.actual_size = disk.total_size = await images.allocated(layer)
        disk.storage_domains = [reference(domain)]
        disk.disk_profile = reference(world.find("diskprofiles", wanted.domain))
    attachment = types.DiskAttachment(
        active=True,
        bootable=wanted.bootable,
        interface=types.DiskInterface(wanted.interface),
        disk=reference(disk),
        vm=reference(vm),
        uses_scsi_reservation=wanted.scsi_reservation,
        read_only=False,
    )
    world.add(f"vms/{vm.id}/diskattachments", attachment, disk.id)
    return {"id": disk.id, "name": disk.name, "size": size, "sha256": await asyncio.to_thread(sha256, source, size)}


def _nic(world: World, vm: Any, index: int, wanted: Nic) -> None:
    nic = types.Nic(
        name=f"nic{index + 1}",
        interface=types.NicInterface(wanted.interface),
        linked=True,
        plugged=wanted.plugged,
        mac=types.Mac(address=mac_address(f"{vm.id} {index}")),
    )
    if wanted.profile:
        nic.vnic_profile = reference(world.find("vnicprofiles", wanted.profile))
    if wanted.addresses:
        versions = (types.IpVersion.V4, types.IpVersion.V6)
        ips = [types.Ip(address=address, version=versions[":" in address]) for address in wanted.addresses]
        device = types.ReportedDevice(name=f"eth{index}", mac=nic.mac, ips=ips, type=types.ReportedDeviceType.NETWORK)
        nic.reported_devices = [device]
    world.add(f"vms/{vm.id}/nics", nic, _id("nic", f"{vm.id} {index}"))


async def _snapshot(world: World, vm: Any, description: str) -> None:
    snapshot = types.Snapshot(
        description=description,
        snapshot_type=types.SnapshotType.REGULAR,
        snapshot_status=types.SnapshotStatus.OK,
        persist_memorystate=False,
        date=datetime(2026, 1, 2, tzinfo=timezone.utc),
    )
    world.add(f"vms/{vm.id}/snapshots", snapshot, _id("snapshot", f"{vm.id} {description}"))
    for disk in world.disks_of(vm.id):
        if disk.id in world.layers:
            await images.push(world, disk, snapshot.id)


def content_of(disk: Disk) -> Path | None:
    if not disk.content:
        return None
    root, data, _facts = guests.guest_disks("virtio")
    return root if disk.content == "root" else data


def mac_address(text: str) -> str:
    """In oVirt's range, always the same for the same text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"56:6f:1a:{digest[0]:02x}:{digest[1]:02x}:{digest[2]:02x}"


@functools.cache
def sha256(file: Path | None, size: int) -> str:
    if file is None:
        digest = hashlib.sha256()
        for start in range(0, size, 1 << 20):
            digest.update(bytes(min(1 << 20, size - start)))
        return digest.hexdigest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {name}"))
