"""From a VM of oVirt to a VirtualMachine."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.builders import ovirt
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair

LABELS = {"migration": "run-uid", "plan": "plan-uid", "plan-name": "p", "plan-namespace": "ns", "resource": "vm-config", "vmID": "vm-1"}
POD = {"type": "pod"}
NAD = {"type": "multus", "namespace": "tgt", "name": "vlan"}
CPUS = "2:Old Family:nx:Nehalem:x86_64; 3:New Family:vmx,model_New:New-Server-noTSX,-hle,+vmx:x86_64"


def attached(id="disk-1", interface="virtio_scsi", bootable=True):
    return {"id": id, "interface": interface, "bootable": bootable, "disk": {"id": id, "name": f"{id}-name"}}


def nic(network="net-1", interface="virtio", mac="56:6f:1a:00:00:01"):
    return {"interface": interface, "mac": mac, "profile": {"network": network} if network else {}}


def source(**other):
    return {
        "id": "vm-1",
        "name": "app",
        "bios": "q35_sea_bios",
        "osType": "rhel_9x64",
        "timezone": "",
        "memory": 2 << 30,
        "cpuSockets": 2,
        "cpuCores": 3,
        "cpuThreads": 1,
        "cpuPinningPolicy": "none",
        "customCpuModel": "",
        "cluster": {"biosType": "q35_ovmf", "version": {"major": "4", "minor": "7"}, "cpu": {"type": "New Family"}},
        "serverCpu": {"systemOptionValue": [{"value": "9:New Family::Wrong:x86_64", "version": "4.6"}, {"value": CPUS, "version": "4.7"}]},
        "diskAttachments": [attached()],
        "nics": [nic()],
        **other,
    }


def build(vm=None, *, spec=None, status=None, pairs=(("net-1", POD),), **other):
    vm = vm or source()
    plan = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"targetNamespace": "tgt", **(spec or {})}}
    claims = {found["disk"]["id"]: f"pvc-{found['disk']['id']}" for found in vm["diskAttachments"]}
    made = {"claims": claims, "labels": LABELS, "networks": [NetworkPair(*pair) for pair in pairs], **other}
    return ovirt.virtual_machine(vm, plan, {"id": vm["id"], "name": vm["name"], **(status or {})}, **made)


def domain(vm=None, **other):
    return build(vm, **other)["spec"]["template"]["spec"]["domain"]


def test_what_a_plain_vm_becomes():
    assert build(status={"restorePowerState": "On"}) == {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "app", "namespace": "tgt", "labels": LABELS},
        "spec": {
            "runStrategy": "Always",
            "template": {
                "metadata": {
                    "labels": {"app": "app"},
                    "annotations": {"vm.kubevirt.io/flavor": "", "vm.kubevirt.io/os": "", "vm.kubevirt.io/workload": ""},
                },
                "spec": {
                    "domain": {
                        "cpu": {"sockets": 2, "cores": 3, "threads": 1},
                        "memory": {"guest": "2Gi"},
                        "firmware": {"bootloader": {"bios": {}}, "serial": "vm-1", "uuid": "vm-1"},
                        "devices": {
                            "disks": [{"name": "disk-1", "serial": "disk-1", "disk": {"bus": "scsi"}, "bootOrder": 1}],
                            "interfaces": [{"name": "net-0", "model": "virtio", "macAddress": "56:6f:1a:00:00:01", "masquerade": {}}],
                            "inputs": [{"name": "tablet", "type": "tablet", "bus": "virtio"}],
                        },
                        "resources": {},
                    },
                    "networks": [{"name": "net-0", "pod": {}}],
                    "volumes": [{"name": "disk-1", "persistentVolumeClaim": {"claimName": "pvc-disk-1"}}],
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("interface", "bus"), [("virtio_scsi", "scsi"), ("sata", "sata"), ("ide", "sata"), ("virtio", "virtio"), ("spapr_vscsi", "virtio")]
)
def test_disks_keep_their_interface_as_far_as_it_goes(interface, bus):
    assert domain(source(diskAttachments=[attached(interface=interface)]))["devices"]["disks"][0]["disk"] == {"bus": bus}


def test_only_the_bootable_disk_is_booted_from():
    disks = domain(source(diskAttachments=[attached("a", bootable=False), attached("b")]))["devices"]["disks"]
    assert [disk.get("bootOrder") for disk in disks] == [None, 1]


@pytest.mark.parametrize(
    ("bios", "loader"),
    [
        ("i440fx_sea_bios", {"bios": {}}),
        ("q35_ovmf", {"efi": {"secureBoot": False}}),
        ("q35_secure_boot", {"efi": {"secureBoot": False}}),
        ("cluster_default", {"efi": {"secureBoot": False}}),
    ],
)
def test_firmware(bios, loader):
    assert domain(source(bios=bios))["firmware"]["bootloader"] == loader


@pytest.mark.parametrize(
    ("vm", "spec", "cpu"),
    [
        ({"customCpuModel": "Skylake-Server"}, {}, {"model": "Skylake-Server"}),
        ({"cpuPinningPolicy": "dedicated"}, {}, {"dedicatedCpuPlacement": True}),
        (
            {},
            {"preserveClusterCpuModel": True},
            {"model": "New-Server-noTSX", "features": [{"name": "hle", "policy": "disable"}, {"name": "vmx", "policy": "require"}]},
        ),
        ({"cluster": None}, {"preserveClusterCpuModel": True}, {}),
        ({"serverCpu": None}, {"preserveClusterCpuModel": True}, {}),
    ],
)
def test_cpu(vm, spec, cpu):
    assert domain(source(**vm), spec=spec)["cpu"] == {"sockets": 2, "cores": 3, "threads": 1, **cpu}


@pytest.mark.parametrize("os", ["windows_2022", "windows_11"])
def test_guests_that_need_a_tpm_get_one(os):
    assert domain(source(osType=os))["devices"]["tpm"] == {"persistent": True}


def test_the_clock_has_the_timezone_of_the_vm():
    assert domain(source(timezone="Etc/GMT"))["clock"] == {"timezone": "Etc/GMT"}


@pytest.mark.parametrize(("interface", "model"), [("e1000", "e1000"), ("rtl8139", "rtl8139"), ("rtl8139_virtio", "virtio")])
def test_nics_keep_their_model_as_far_as_it_goes(interface, model):
    assert domain(source(nics=[nic(interface=interface)]))["devices"]["interfaces"][0]["model"] == model


def test_a_card_of_the_host_stays_one_on_a_network_of_its_own():
    card = nic(interface="pci_passthrough")
    (interface,) = domain(source(nics=[card]), pairs=[("net-1", NAD)])["devices"]["interfaces"]
    assert interface == {"name": "net-0", "macAddress": card["mac"], "sriov": {}}
    (interface,) = domain(source(nics=[card]))["devices"]["interfaces"]
    assert interface == {"name": "net-0", "model": "virtio", "macAddress": card["mac"], "masquerade": {}}


def test_a_nic_without_a_profile_is_left_out():
    assert domain(source(nics=[nic(""), nic()]))["devices"]["interfaces"][0]["name"] == "net-0"


def test_an_unmapped_network_is_refused():
    with pytest.raises(ValueError, match="net-2"):
        build(source(nics=[nic("net-2")]))


def test_a_disk_without_a_claim_is_refused():
    with pytest.raises(ValueError, match=r"disk-1-name \(disk-1\) has no PersistentVolumeClaim"):
        build(claims={})


def test_an_instance_type_says_cpu_and_memory():
    built = build(instance_type={"kind": "VirtualMachineInstancetype", "name": "small"})
    assert built["spec"]["instancetype"]["name"] == "small"
    assert not {"cpu", "memory"} & built["spec"]["template"]["spec"]["domain"].keys()
