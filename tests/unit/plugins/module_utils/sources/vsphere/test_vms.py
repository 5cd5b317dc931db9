"""What is told of VMs of vSphere."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms


def network(ip, *, mac="m1", device="0", prefix=24, dns=("192.0.2.53",), origin="manual"):
    return {"mac": mac, "ip": ip, "device": device, "prefix": prefix, "dns": list(dns), "origin": origin}


def route(gateway, *, device="0", network="0.0.0.0"):
    return {"gateway": gateway, "device": device, "network": network, "prefix": 0, "dns": []}


def test_disks_go_by_bus_then_key():
    disks = [{"key": k, "bus": b} for k, b in [(2001, "scsi"), (2000, "scsi"), (3000, "ide"), (16000, "sata"), (31000, "nvme"), (1, "usb")]]
    assert [d["key"] for d in vms.ordered_disks({"disks": disks})] == [16000, 3000, 2000, 2001, 31000, 1]
    assert vms.ordered_disks({"disks": None}) == []


@pytest.mark.parametrize(
    ("file", "base"),
    [
        ("[ds] vm/vm-000002.vmdk", "[ds] vm/vm.vmdk"),
        ("[ds] vm/vm.vmdk", "[ds] vm/vm.vmdk"),
        ("[ds] vm-000001.vmdk/vm-12.vmdk", "[ds] vm-000001.vmdk/vm-12.vmdk"),
    ],
)
def test_files_of_snapshots_belong_to_their_disk(file, base):
    assert vms.base_file(file) == base


def test_files_have_a_datastore_and_a_path():
    assert vms.split_file("[ds 1] vm/vm.vmdk") == ("ds 1", "vm/vm.vmdk")
    assert vms.file_name("[ds 1] vm/vm.vmdk") == "vm.vmdk"
    for wrong in ("vm/vm.vmdk", "[ds]", ""):
        with pytest.raises(ValueError, match="no file of a datastore"):
            vms.split_file(wrong)


@pytest.mark.parametrize(
    ("vm", "windows", "legacy"),
    [
        ({"guestId": "windows2019srv_64Guest", "guestName": "Microsoft Windows Server 2019 (64-bit)"}, True, False),
        ({"guestId": "winXPProGuest", "guestName": "Microsoft Windows XP Professional"}, True, True),
        ({"guestId": "otherGuest", "guestName": "Microsoft Windows Server 2008 R2 (64-bit)"}, True, True),
        ({"guestId": "darwin18_64Guest", "guestName": "Apple macOS 10.14 (64-bit)"}, False, False),
        ({"guestId": "debian12_64Guest", "guestName": None}, False, False),
        ({}, False, False),
    ],
)
def test_what_is_windows(vm, windows, legacy):
    assert vms.is_windows(vm) is windows
    assert vms.is_legacy_windows(vm) is legacy


def test_addresses_with_their_gateways_ipv4_first():
    vm = {
        "guestId": "debian12_64Guest",
        "guestNetworks": [
            network("2001:db8::126", prefix=64),
            network("192.0.2.126", dns=("192.0.2.53", "192.0.2.54")),
            network("198.51.100.26", mac="m2", device="1", dns=(), origin="dhcp"),
            network("fe80::1", prefix=64),
            network("unknown"),
        ],
        "guestIpStacks": [
            route("192.0.2.1"),
            route("192.0.2.254"),
            route("192.0.2.9", network="10.0.0.0"),
            route("2001:db8::1", network="::"),
        ],
    }
    assert vms.static_ips(vm) == [
        "m1:ip:192.0.2.126,192.0.2.254,24,192.0.2.53,192.0.2.54",
        "m2:ip:198.51.100.26,,24",
        "m1:ip:2001:db8::126,2001:db8::1,64,192.0.2.53",
    ]


def test_of_windows_only_what_was_set_by_hand():
    vm = {
        "guestId": "windows9_64Guest",
        "guestNetworks": [network("192.0.2.1", origin="dhcp"), network("192.0.2.2")],
        "guestIpStacks": None,
    }
    assert vms.static_ips(vm) == ["m1:ip:192.0.2.2,,24,192.0.2.53"]


@pytest.mark.parametrize(
    ("networks", "several"),
    [
        ([network("192.0.2.1"), network("192.0.2.2")], True),
        ([network("192.0.2.1"), network("192.0.2.2", mac="m2")], False),
        ([network("192.0.2.1"), network("192.0.2.2", origin="dhcp")], False),
        ([network("192.0.2.1"), network("2001:db8::1")], False),
    ],
)
def test_several_addresses_of_one_nic(networks, several):
    assert vms.has_several_static_ips_per_nic({"guestNetworks": networks}) is several
