"""Making the machines in a simulator that runs, through its own API as far as that goes; bytes go straight into the datastores' folders."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyVmomi import vim

from ansible_collections.vmshift.mtv.lab import booted, guests
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session

Object = dict[str, Any]
PVSCSI_KEY, IDE_KEY = 1000, 200  # IDE comes with every VM
DEVICES = {
    "usb": lambda: vim.vm.device.VirtualUSBController(key=7000),
    "vtpm": lambda: vim.vm.device.VirtualTPM(key=11000),
    "cdrom": lambda: vim.vm.device.VirtualCdrom(
        key=3000, controllerKey=IDE_KEY + 1, unitNumber=0, backing=vim.vm.device.VirtualCdrom.AtapiBackingInfo(deviceName="cdrom0")
    ),
}


class Seed:
    """Makes machines in the first datacenter of a session's simulator."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.datacenter: Any = session.content.rootFolder.childEntity[0]
        self.compute = self.datacenter.hostFolder.childEntity[0]
        self.networks = {network.name: network for network in self.datacenter.network}
        self.datastores = {datastore.name: Path(datastore.summary.url) for datastore in self.compute.host[0].datastore}
        self.tags: dict[str, list[str]] = {}

    def make_all(self, machines: Sequence[Machine]) -> list[Object]:
        """Make the machines and return their facts."""
        facts = []
        for machine in machines:
            vm = self.make(machine)
            facts.append({"name": machine.name, "path": machine.path, "id": vm._moId, "disks": self.fill(vm, machine)})
            for tag in machine.tags:
                self.tags.setdefault(tag, []).append(vm._moId)
        if self.tags:
            Tagging(self.session).attach(self.tags)
        return facts

    def make(self, machine: Machine) -> Any:
        for disk in machine.disks:
            (self.datastores[disk.datastore] / folder_of(machine)).mkdir(exist_ok=True)
        hosts = self.compute.host
        specification = self.specification(machine)
        vm = self.done(
            self.folder(machine.folder).CreateVM_Task(specification, self.compute.resourcePool, hosts[machine.host % len(hosts)])
        )
        if machine.tracked:
            self.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=True)))
        if machine.on:
            self.done(vm.PowerOnVM_Task())
        if machine.tools:
            self.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=self.guest(machine))))
        if machine.template:
            vm.MarkAsTemplate()
        return vm

    def done(self, task: Any) -> Any:
        return self.session.wait(task, timeout=60)

    def folder(self, path: str) -> Any:
        folder = self.datacenter.vmFolder
        for name in filter(None, path.split("/")):
            found = [child for child in folder.childEntity if isinstance(child, vim.Folder) and child.name == name]
            folder = found[0] if found else folder.CreateFolder(name)
        return folder

    def specification(self, machine: Machine) -> Any:
        Operation = vim.vm.device.VirtualDeviceSpec.Operation
        devices = [DEVICES[name]() for name in machine.devices]
        if any(disk.controller == "pvscsi" for disk in machine.disks):
            sharing = vim.vm.device.VirtualSCSIController.Sharing.noSharing
            devices.append(vim.vm.device.ParaVirtualSCSIController(key=PVSCSI_KEY, busNumber=0, sharedBus=sharing))
        changes = [vim.vm.device.VirtualDeviceSpec(operation=Operation.add, device=device) for device in devices]
        changes += [
            vim.vm.device.VirtualDeviceSpec(
                operation=Operation.add,
                fileOperation=None if disk.file else vim.vm.device.VirtualDeviceSpec.FileOperation.create,
                device=self.disk(machine, number, disk),
            )
            for number, disk in enumerate(machine.disks)
        ]
        changes += [
            vim.vm.device.VirtualDeviceSpec(operation=Operation.add, device=self.nic(machine, number, nic))
            for number, nic in enumerate(machine.nics)
        ]
        datastore = machine.disks[0].datastore if machine.disks else next(iter(self.datastores))
        return vim.vm.ConfigSpec(
            name=machine.name,
            files=vim.vm.FileInfo(vmPathName=f"[{datastore}] {folder_of(machine)}/{machine.name}.vmx"),
            guestId=machine.guest_id,
            numCPUs=machine.cpus,
            memoryMB=machine.memory,
            firmware=machine.firmware,
            bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=machine.secure_boot),
            annotation=machine.annotation or None,
            deviceChange=changes,
        )

    def disk(self, machine: Machine, number: int, disk: Disk) -> Any:
        name = f"{machine.name}_{number}" if number else machine.name
        size = content_of(disk).stat().st_size if disk.content else disk.size
        return vim.vm.device.VirtualDisk(
            key=2000 + number,
            controllerKey=PVSCSI_KEY if disk.controller == "pvscsi" else IDE_KEY,
            unitNumber=number if number < 7 else number + 1,  # 7 is the controller's own
            capacityInKB=size // 1024,
            capacityInBytes=size,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName=disk.file or f"[{disk.datastore}] {folder_of(machine)}/{name}.vmdk",
                diskMode=disk.mode,
                thinProvisioned=True,
                sharing=disk.sharing or None,
                uuid=uuid_of(f"{machine.path} {number}"),
            ),
        )

    def nic(self, machine: Machine, number: int, nic: Nic) -> Any:
        network = self.networks[nic.network]
        if isinstance(network, vim.dvs.DistributedVirtualPortgroup):
            port = vim.dvs.PortConnection(portgroupKey=network.key, switchUuid=network.config.distributedVirtualSwitch.uuid)
            backing: Any = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
        else:
            backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=nic.network, network=network)
        return vim.vm.device.VirtualVmxnet3(
            key=4000 + number, unitNumber=7 + number, addressType="assigned", macAddress=mac_of(machine, number), backing=backing
        )

    def guest(self, machine: Machine) -> list[Any]:
        """What VMware Tools tell of the guest, as the simulator lets itself be told."""
        Nic = vim.vm.GuestInfo.NicInfo
        Stack = vim.vm.GuestInfo.StackInfo
        running = "guestToolsRunning" if machine.on else "guestToolsNotRunning"
        addresses = [address.partition("/")[0] for nic in machine.nics for address in nic.addresses]
        values: Object = {
            **({"guest.ipAddress": addresses[0]} if machine.on and addresses else {}),
            "guest.toolsStatus": "toolsOk" if machine.on else "toolsNotRunning",
            "guest.toolsRunningStatus": running,
            "guest.toolsVersionStatus": "guestToolsUnmanaged",
            "guest.toolsVersionStatus2": "guestToolsUnmanaged",
            "guest.toolsVersion": "12352",
            "guest.guestState": "running" if machine.on else "notRunning",
            "guest.guestId": machine.guest_id,
            "guest.hostName": machine.name,
        }
        if machine.on:
            cards, routes = [], []
            for number, nic in enumerate(machine.nics):
                configured = [
                    vim.net.IpConfigInfo.IpAddress(ipAddress=ip, prefixLength=int(prefix), origin="manual", state="preferred")
                    for ip, _unused, prefix in (address.partition("/") for address in nic.addresses)
                ]
                cards.append(
                    Nic(
                        network=nic.network,
                        macAddress=mac_of(machine, number),
                        connected=True,
                        deviceConfigId=4000 + number,
                        ipAddress=[address.ipAddress for address in configured],
                        ipConfig=vim.net.IpConfigInfo(ipAddress=configured),
                        dnsConfig=vim.net.DnsConfigInfo(dhcp=False, hostName="", domainName="", ipAddress=list(nic.dns)),
                    )
                )
                if nic.gateway:
                    gateway = vim.net.IpRouteConfigInfo.Gateway(ipAddress=nic.gateway, device=str(number))
                    routes.append(vim.net.IpRouteConfigInfo.IpRoute(network="0.0.0.0", prefixLength=0, gateway=gateway))
            values["guest.net"] = Nic.Array(cards)
            dns = vim.net.DnsConfigInfo(dhcp=False, hostName=machine.name, domainName="", ipAddress=[])
            values["guest.ipStack"] = Stack.Array([Stack(dnsConfig=dns, ipRouteConfig=vim.net.IpRouteConfigInfo(ipRoute=routes))])
        return [vim.option.OptionValue(key=f"SET.{key}", value=value) for key, value in values.items()]

    def fill(self, vm: Any, machine: Machine) -> list[Object]:
        """Put bytes into the disks; then take the snapshots. Returns facts of the disks."""
        found = [device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
        facts = []
        for disk, device in zip(machine.disks, found, strict=True):
            extent = self.extent(device.backing.fileName)
            if disk.file:
                digest = sha256(extent)
            elif disk.content:
                copy_sparse(content_of(disk), extent)
                digest = known_sha256(content_of(disk))
            else:
                os.truncate(extent, disk.size)
                digest = sha256(extent)
            write_descriptor(extent)
            facts.append({"key": device.key, "file": device.backing.fileName, "size": device.capacityInBytes, "sha256": digest})
        for name in machine.snapshots:
            self.done(vm.CreateSnapshot_Task(name, "", False, False))
        return facts

    def extent(self, file: str) -> Path:
        return extent_path(file, self.datastores)


def extent_path(file: str, datastores: dict[str, Path]) -> Path:
    """The local file with the bytes of the disk "[datastore] folder/name.vmdk"."""
    datastore, _unused, path = file[1:].partition("] ")
    return datastores[datastore] / f"{path.removesuffix('.vmdk')}-flat.vmdk"


def write_descriptor(extent: Path) -> None:
    text = (
        '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="vmfs"\n'
        f'RW {extent.stat().st_size // 512} VMFS "{extent.name}"\nddb.adapterType = "lsilogic"\n'
    )
    extent.with_name(extent.name.replace("-flat.vmdk", ".vmdk")).write_text(text)


def folder_of(machine: Machine) -> str:
    """The folder of a VM in its datastores: unlike on a real vCenter it tells twins apart."""
    return machine.path.replace("/", "-")


def content_of(disk: Disk) -> Path:
    if disk.content == "debian":
        return booted.debian_guest(agent=False).disk
    root, data, _facts = guests.guest_disks("encrypted" if disk.content == "encrypted" else "tiny")
    return data if disk.content == "data" else root


def mac_of(machine: Machine, number: int) -> str:
    return guests.mac_address(f"{machine.path} {number}")


def uuid_of(text: str) -> str:
    """A UUID as vSphere writes those of disks, always the same for the same text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"6000C29{digest[0]}-{digest[1:5]}-{digest[5:9]}-{digest[9:13]}-{digest[13:25]}"


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def known_sha256(file: Path) -> str:
    """The sum of a file in the cache, which never changes."""
    return sha256(file)


def copy_sparse(source: Path, target: Path) -> None:
    """Overwrite `target` with the content of `source`; holes stay holes."""
    with source.open("rb") as reader, target.open("wb") as writer:
        size = source.stat().st_size
        writer.truncate(size)
        offset = 0
        while offset < size:
            try:
                start = os.lseek(reader.fileno(), offset, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            offset = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            while start < offset:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), offset - start, start, start)
                start += copied


class Tagging:
    """The REST service for tags."""

    def __init__(self, session: Session) -> None:
        host, port, _unused = session.endpoint.address()
        self.base = f"https://{host}:{port}/rest/com/vmware/cis"
        self.context = session.endpoint.tls()
        login = b64encode(f"{session.endpoint.user}:{session.endpoint.password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {login}"}
        self.headers = {"vmware-api-session-id": self.post("/session")}

    def attach(self, tags: dict[str, list[str]]) -> None:
        """Make tags "category:name" with their categories, and attach them to VMs by ID."""
        categories: dict[str, str] = {}
        for tag, vms in tags.items():
            category, _unused, name = tag.partition(":")
            if category not in categories:
                wanted = {"name": category, "description": "", "cardinality": "SINGLE", "associable_types": ["VirtualMachine"]}
                categories[category] = self.post("/tagging/category", {"create_spec": wanted})
            made = self.post("/tagging/tag", {"create_spec": {"category_id": categories[category], "name": name, "description": ""}})
            for vm in vms:
                self.post(f"/tagging/tag-association/id:{made}?~action=attach", {"object_id": {"id": vm, "type": "VirtualMachine"}})

    def post(self, path: str, body: Object | None = None) -> str:
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {**self.headers, "Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            content = answer.read()
        return str(json.loads(content).get("value", "")) if content else ""
