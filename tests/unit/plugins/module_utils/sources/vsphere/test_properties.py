"""What is kept of pyvmomi's objects, and the items that are made of it: devices of all kinds, guests, hosts, networks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import items, properties

pyvmomi = pytest.importorskip("pyVmomi")
vim = pyvmomi.vim

Disk = vim.vm.device.VirtualDisk
FLAT = Disk.FlatVer2BackingInfo


def disk(key: int = 2000, controller: int = 1000, unit: int = 0, backing: Any = None, **fields: Any) -> Any:
    backing = backing or FLAT(fileName="[ds] web/web.vmdk", diskMode="persistent", uuid="6000C29a", datastore=vim.Datastore("datastore-1"))
    return Disk(key=key, controllerKey=controller, unitNumber=unit, capacityInKB=1024, capacityInBytes=1 << 20, backing=backing, **fields)


def vm(*devices: Any, extra: dict[str, str] | None = None, **record: Any) -> dict[str, Any]:
    options = [vim.option.OptionValue(key=key, value=value) for key, value in (extra or {}).items()]
    kept = {"config.hardware.device": properties.devices(devices), "config.extraConfig": properties.extra_config(options)}
    return items.vm("vm-1", {**kept, **record})


class TestDisks:
    def test_a_plain_one(self) -> None:
        found = vm(vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0), disk(), extra={"scsi0:0.ctkEnabled": "TRUE"})
        assert found["disks"] == [
            {
                "key": 2000,
                "unitNumber": 0,
                "controllerKey": 1000,
                "file": "[ds] web/web.vmdk",
                "datastore": {"kind": "Datastore", "id": "datastore-1"},
                "capacity": 1 << 20,
                "rdm": False,
                "parent": "",
                "mode": "persistent",
                "serial": "6000C29a",
                "shared": False,
                "bus": "scsi",
                "changeTrackingEnabled": True,
            }
        ]

    @pytest.mark.parametrize(
        ("controller", "bus"),
        [
            (vim.vm.device.VirtualLsiLogicController, "scsi"),
            (vim.vm.device.VirtualLsiLogicSASController, "scsi"),
            (vim.vm.device.VirtualBusLogicController, "scsi"),
            (vim.vm.device.VirtualIDEController, "ide"),
            (vim.vm.device.VirtualAHCIController, "sata"),
            (vim.vm.device.VirtualNVMEController, "nvme"),
        ],
    )
    def test_buses_and_the_tracking_of_each_slot(self, controller: Any, bus: str) -> None:
        devices = [controller(key=1001, busNumber=1), disk(2000, 1001, 0), disk(2001, 1001, 3)]
        found = vm(*devices, extra={f"{bus}1:3.ctkEnabled": "true", f"{bus}0:0.ctkEnabled": "true"})
        assert [(d["bus"], d["changeTrackingEnabled"]) for d in found["disks"]] == [(bus, False), (bus, True)]

    def test_a_snapshot_lies_below(self) -> None:
        backing = FLAT(fileName="[ds] web/web-000001.vmdk", parent=FLAT(fileName="[ds] web/web.vmdk"))
        assert vm(disk(backing=backing))["disks"][0]["parent"] == "[ds] web/web.vmdk"

    @pytest.mark.parametrize(("mode", "physical"), [("physicalMode", True), ("virtualMode", None)])
    def test_raw_device_mappings(self, mode: str, physical: bool | None) -> None:
        backing = Disk.RawDiskMappingVer1BackingInfo(
            fileName="[ds] web/rdm.vmdk", compatibilityMode=mode, deviceName="vml.0200", lunUuid="0200", diskMode="independent_persistent"
        )
        found = vm(disk(backing=backing))["disks"][0]
        assert (found["rdm"], found.get("physicalMode"), found["deviceName"], found["lunUuid"]) == (True, physical, "vml.0200", "0200")
        assert found["datastore"] == {"kind": "", "id": ""}

    def test_old_servers_tell_the_size_in_kilobytes(self) -> None:
        assert vm(Disk(key=1, backing=FLAT(fileName="[ds] x"), capacityInKB=10))["disks"][0]["capacity"] == 10240

    def test_drive_letters_come_from_the_guest(self) -> None:
        drive = vim.vm.GuestInfo.DiskInfo(diskPath="C:\\", capacity=100, freeSpace=50, filesystemType="NTFS")
        drive.mappings = [vim.vm.GuestInfo.VirtualDiskMapping(key=2000)]
        found = vm(disk(), disk(2001), **{"guest.disk": properties.guest_disks([drive])})
        assert [d.get("winDriveLetter") for d in found["disks"]] == ["c", None]
        assert found["guestDisks"] == [{"key": 2000, "diskPath": "C:\\", "capacity": 100, "freeSpace": 50, "filesystemType": "NTFS"}]


class TestDevices:
    def test_cards_and_their_networks(self) -> None:
        Card = vim.vm.device.VirtualEthernetCard
        standard = Card.NetworkBackingInfo(deviceName="VM Network", network=vim.Network("network-7"))
        group = Card.DistributedVirtualPortBackingInfo(port=vim.dvs.PortConnection(portgroupKey="dvportgroup-5"))
        opaque = Card.OpaqueNetworkBackingInfo(opaqueNetworkId="nsx-1")
        none = Card.NetworkBackingInfo(deviceName="gone")
        connected = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True)
        found = vm(
            vim.vm.device.VirtualVmxnet3(key=4000, macAddress="00:50:56:AA:00:01", backing=standard, connectable=connected),
            vim.vm.device.VirtualE1000e(key=4001, macAddress="00:50:56:aa:00:02", backing=group),
            vim.vm.device.VirtualE1000(key=4002, backing=opaque),
            vim.vm.device.VirtualPCNet32(key=4003, backing=none),
        )
        assert [(nic["mac"], nic["network"], nic["startConnected"], nic["order"], nic["deviceKey"]) for nic in found["nics"]] == [
            ("00:50:56:aa:00:01", ["id", "network-7"], True, 0, 4000),
            ("00:50:56:aa:00:02", ["key", "dvportgroup-5"], False, 1, 4001),
            ("", ["opaque", "nsx-1"], False, 2, 4002),
            ("", ["", ""], False, 3, 4003),
        ]

    def test_listed_are_cards_and_what_stands_in_the_way(self) -> None:
        slot = vim.vm.device.VirtualDevice.PciBusSlotInfo(pciSlotNumber=32)
        found = vm(
            vim.vm.device.VirtualVmxnet3(key=4000, slotInfo=slot),
            vim.vm.device.VirtualSriovEthernetCard(key=4001),
            vim.vm.device.VirtualPCIPassthrough(key=13000),
            vim.vm.device.VirtualUSBController(key=7000),
            vim.vm.device.VirtualUSBXHCIController(key=14000),
            vim.vm.device.VirtualCdrom(key=3000),
        )
        assert [(device["kind"], device["pciSlotNumber"]) for device in found["devices"]] == [
            ("VirtualVmxnet3", 32),
            ("VirtualSriovEthernetCard", 0),
            ("VirtualPCIPassthrough", 0),
            ("VirtualUSBController", 0),
        ]
        assert [nic["deviceKey"] for nic in found["nics"]] == [4000]

    def test_a_tpm_counts_where_the_api_tells_of_it(self) -> None:
        record = {"config.hardware.device": properties.devices([vim.vm.device.VirtualTPM(key=11000)])}
        assert [items.vm("vm-1", record, tpm_known=known)["tpmEnabled"] for known in (True, False)] == [True, False]


def test_settings_that_are_looked_at() -> None:
    found = vm(extra={"numa.nodeAffinity": "0,1", "disk.EnableUUID": "TRUE", "guestinfo.secret": "s"})
    assert (found["numaNodeAffinity"], found["diskEnableUuid"]) == (["0", "1"], True)
    assert "secret" not in str(properties.extra_config([vim.option.OptionValue(key="guestinfo.secret", value="secret")]))


def test_a_vm_of_which_nothing_is_known() -> None:
    found = items.vm("vm-1", {})
    assert (found["parent"], found["snapshot"], found["disks"], found["coresPerSocket"]) == (
        {"kind": "", "id": ""}, {"kind": "", "id": ""}, [], 1
    )  # fmt: skip


def test_guests_tell_addresses_and_routes() -> None:
    Address = vim.net.IpConfigInfo.IpAddress
    addresses = [
        Address(ipAddress="10.0.0.5", prefixLength=24, origin="manual", state="preferred"),
        Address(ipAddress="fe80::1", prefixLength=64, state="preferred"),
    ]
    card = vim.vm.GuestInfo.NicInfo(network="VM Network", macAddress="00:50:56:AA:00:01", deviceConfigId=4000, connected=True)
    card.ipConfig = vim.net.IpConfigInfo(ipAddress=addresses)
    silent = vim.vm.GuestInfo.NicInfo(macAddress="00:50:56:aa:00:02", deviceConfigId=4001, connected=True)
    found = properties.guest_networks([silent, card])
    assert [(n["device"], n["mac"], n["ip"], n["prefix"], n["origin"], n["dns"]) for n in found] == [
        ("1", "00:50:56:aa:00:01", "10.0.0.5", 24, "manual", None),
        ("1", "00:50:56:aa:00:01", "fe80::1", 64, "", None),
    ]
    Route = vim.net.IpRouteConfigInfo.IpRoute
    routes = [
        Route(network="0.0.0.0", prefixLength=0, gateway=vim.net.IpRouteConfigInfo.Gateway(ipAddress="10.0.0.1", device="1")),
        Route(network="10.0.0.0", prefixLength=24, gateway=vim.net.IpRouteConfigInfo.Gateway(device="1")),
    ]
    dns = vim.net.DnsConfigInfo(dhcp=False, hostName="h", domainName="d", ipAddress=["10.0.0.2"])
    stack = vim.vm.GuestInfo.StackInfo(ipRouteConfig=vim.net.IpRouteConfigInfo(ipRoute=routes), dnsConfig=dns)
    assert properties.guest_stacks([stack, vim.vm.GuestInfo.StackInfo()]) == [
        {"device": "1", "gateway": "10.0.0.1", "network": "0.0.0.0", "prefix": 0, "dns": ["10.0.0.2"]}
    ]


def test_vlans_of_port_groups() -> None:
    Settings, Spec = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy, vim.dvs.VmwareDistributedVirtualSwitch
    ranges = [vim.NumericRange(start=0, end=4094), vim.NumericRange(start=7, end=7)]
    assert properties.vlan(Settings(vlan=Spec.VlanIdSpec(vlanId=7, inherited=False))) == "7"
    assert properties.vlan(Settings(vlan=Spec.TrunkVlanSpec(vlanId=ranges, inherited=False))) == "0-4094,7"
    assert properties.vlan(Settings()) == ""


def test_datastores_tell_what_backs_them() -> None:
    extents = [vim.host.ScsiDisk.Partition(diskName="naa.6001", partition=1)]
    vmfs = vim.host.VmfsDatastoreInfo(vmfs=vim.host.VmfsVolume(extent=extents))
    assert properties.datastore_info(vmfs) == {"backingDevicesNames": ["naa.6001"]}
    nas = vim.host.NasDatastoreInfo(nas=vim.host.NasVolume(remoteHost="nfs", remotePath="/vol", remoteHostNames=["nfs"]))
    assert properties.datastore_info(nas) == {
        "backingDevicesNames": [], "nasRemoteHost": "nfs", "nasRemotePath": "/vol", "nasRemoteHostNames": ["nfs"]
    }  # fmt: skip
    assert items.datastore("datastore-1", {"info": {"backingDevicesNames": []}})["iormEnabled"] is False


def test_members_of_a_switch_bring_their_cards() -> None:
    Member = vim.dvs.HostMember
    backing = Member.PnicBacking(pnicSpec=[Member.PnicSpec(pnicDevice="vmnic1")])
    member = Member(config=Member.ConfigInfo(host=vim.HostSystem("host-1"), backing=backing))
    assert properties.members([member]) == [{"Host": {"kind": "Host", "id": "host-1"}, "PNIC": ["vmnic1"]}]


def test_all_paths_are_properties_of_their_types() -> None:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import managed_type

    for name, paths in properties.PROPERTIES.items():
        for path in paths:
            kind = managed_type(name)
            for part in path.split("."):
                found = [info for info in kind._GetPropertyList() if info.name == part]
                assert found, f"{name}: {path}"
                kind = found[0].type
