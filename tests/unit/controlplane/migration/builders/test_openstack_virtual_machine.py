"""From a server of OpenStack to a VirtualMachine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.builders import openstack
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair
from ansible_collections.vmshift.mtv.controlplane.migration.builders.openstack import SourceDisk

LABELS = {"migration": "run-uid", "plan": "plan-uid", "vmID": "s1"}
POD = {"type": "pod"}
NAD = {"type": "multus", "namespace": "tgt", "name": "net-a"}
IGNORED = {"type": "ignored"}
FIXED = {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}

Object = dict[str, Any]


def source(**other: Any) -> Object:
    return {
        "id": "s1",
        "name": "web-1",
        "addresses": {"internal": [FIXED]},
        "networks": [{"id": "n1", "name": "internal"}, {"id": "n2", "name": "vlan-120"}],
        "image": {"id": "i1", "properties": {}},
        "flavor": {"id": "f1", "vcpus": 2, "ram": 1024},
        "volumes": [{"id": "v1", "bootable": "true"}],
        **other,
    }


def built(vm: Object, *, disks: Any = None, pairs: Any = None, status: Object | None = None, **spec: Any) -> Object:
    disks = [SourceDisk("v1", True)] if disks is None else disks
    return openstack.virtual_machine(
        vm,
        {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"targetNamespace": "tgt", **spec}},
        {"id": "s1", "name": vm["name"], **(status or {})},
        disks=disks,
        networks=[NetworkPair("n1", POD), NetworkPair("n2", NAD)] if pairs is None else pairs,
        claims={disk.source: f"pvc-{disk.source}" for disk in disks},
        labels=LABELS,
    )


def domain(vm: Object, **options: Any) -> Object:
    found: Object = built(vm, **options)["spec"]["template"]["spec"]["domain"]
    return found


def image(**properties: Any) -> Object:
    return source(image={"id": "i1", "properties": properties})


def flavor(**specs: str) -> Object:
    return source(
        flavor={"id": "f1", "vcpus": 2, "ram": 1024, "extraSpecs": {key.replace("__", ":"): value for key, value in specs.items()}}
    )


def test_a_server_that_says_nothing_special() -> None:
    assert domain(source()) == {
        "cpu": {"sockets": 2, "cores": 1, "threads": 1},
        "memory": {"guest": "1Gi"},
        "firmware": {"bootloader": {"bios": {}}},
        "devices": {
            "autoattachGraphicsDevice": True,
            "disks": [{"name": "vol-v1", "disk": {"bus": "virtio"}, "bootOrder": 1}],
            "interfaces": [{"name": "net-0", "model": "virtio", "macAddress": "fa:16:3e:00:00:01", "masquerade": {}}],
        },
        "resources": {},
    }


def test_names_labels_and_volumes() -> None:
    found = built(source(), status={"newName": "web-2"})
    assert found["metadata"]["name"] == "web-2"
    assert found["metadata"]["annotations"]["openshift.io/display-name"] == "web-1"
    assert LABELS.items() <= found["metadata"]["labels"].items()
    spec = found["spec"]["template"]["spec"]
    assert spec["volumes"] == [{"name": "vol-v1", "persistentVolumeClaim": {"claimName": "pvc-v1"}}]
    assert spec["networks"] == [{"name": "net-0", "pod": {}}]


@pytest.mark.parametrize(
    ("properties", "loader"),
    [({"hw_firmware_type": "uefi"}, {"efi": {"secureBoot": False}}), ({"hw_firmware_type": "bios"}, {"bios": {}})],
)
def test_firmware(properties: Object, loader: Object) -> None:
    assert domain(image(**properties))["firmware"] == {"bootloader": loader}


def test_firmware_and_bus_of_the_image_that_a_volume_was_made_of() -> None:
    volume = {"id": "v1", "bootable": "true", "volumeImageMetadata": {"hw_firmware_type": "uefi", "hw_disk_bus": "scsi"}}
    found = domain(source(volumes=[volume]))
    assert "efi" in found["firmware"]["bootloader"]
    assert found["devices"]["disks"][0]["disk"] == {"bus": "scsi"}


@pytest.mark.parametrize(
    ("vm", "cpu"),
    [
        (image(hw_cpu_sockets="1", hw_cpu_cores="2"), {"sockets": 1, "cores": 2, "threads": 1}),
        (flavor(hw__cpu_sockets="1", hw__cpu_threads="2"), {"sockets": 1, "cores": 1, "threads": 2}),
        (image(hw_cpu_cores="many"), {"sockets": 2, "cores": 1, "threads": 1}),
        (flavor(hw__cpu_policy="dedicated"), {"sockets": 2, "cores": 1, "threads": 1, "dedicatedCpuPlacement": True}),
        (image(hw_cpu_policy="dedicated"), {"sockets": 2, "cores": 1, "threads": 1, "dedicatedCpuPlacement": True}),
        (flavor(hw__emulator_threads_policy="isolate"), {"sockets": 2, "cores": 1, "threads": 1, "isolateEmulatorThread": True}),
    ],
)
def test_cpus(vm: Object, cpu: Object) -> None:
    assert domain(vm)["cpu"] == cpu


def test_nested_virtualization_is_asked_for() -> None:
    assert domain(source(), enableNestedVirtualization=True)["cpu"]["features"][0] == {"name": "vmx", "policy": "optional"}
    off = domain(source(), enableNestedVirtualization=True, status={"enableNestedVirtualization": False})
    assert {feature["policy"] for feature in off["cpu"]["features"]} == {"disable"}


def test_devices_that_image_and_flavor_speak_of() -> None:
    found = domain(image(hw_pointer_model="usbtablet", hw_video_model="none", hw_vif_multiqueue_enabled="true"))["devices"]
    assert found["inputs"] == [{"name": "tablet", "type": "tablet", "bus": "usb"}]
    assert found["autoattachGraphicsDevice"] is False
    assert found["networkInterfaceMultiqueue"] is True
    both = source(
        image={"id": "i1", "properties": {"hw_rng_model": "virtio"}},
        flavor={"id": "f1", "vcpus": 1, "ram": 256, "extraSpecs": {"hw_rng:allowed": "true"}},
    )
    assert domain(both)["devices"]["rng"] == {}
    assert "rng" not in domain(image(hw_rng_model="virtio"))["devices"]


@pytest.mark.parametrize(
    ("said", "model"),
    [("e1000", "e1000"), ("VirtualE1000e", "e1000e"), ("VirtualPCNet32", "pcnet"), ("VirtualVmxnet3", "virtio"), ("netfront", "virtio")],
)
def test_network_cards(said: str, model: str) -> None:
    assert domain(image(hw_vif_model=said))["devices"]["interfaces"][0]["model"] == model


@pytest.mark.parametrize(("said", "bus"), [("ide", "sata"), ("scsi", "scsi"), ("virtio", "virtio"), ("usb", "virtio")])
def test_disk_buses(said: str, bus: str) -> None:
    assert domain(image(hw_disk_bus=said))["devices"]["disks"][0]["disk"] == {"bus": bus}


def test_one_card_on_each_network_by_its_first_address() -> None:
    addresses = {
        "internal": [FIXED, {**FIXED, "addr": "203.0.113.9", "OS-EXT-IPS:type": "floating"}],
        "vlan-120": [{**FIXED, "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:02"}],
    }
    cards = domain(source(addresses=addresses))["devices"]["interfaces"]
    assert [(card["name"], card["macAddress"]) for card in cards] == [("net-0", "fa:16:3e:00:00:01"), ("net-1", "fa:16:3e:00:00:02")]
    assert "bridge" in cards[1]


def test_a_network_whose_first_address_floats_gets_no_card() -> None:
    assert domain(source(addresses={"internal": [{**FIXED, "OS-EXT-IPS:type": "floating"}]}))["devices"]["interfaces"] == []


def test_an_ignored_network_gets_no_card() -> None:
    assert domain(source(), pairs=[NetworkPair("n1", IGNORED)])["devices"]["interfaces"] == []


def test_an_unmapped_network_is_refused() -> None:
    with pytest.raises(ValueError, match='no entry for network "n1"'):
        built(source(), pairs=[])


def test_the_first_disk_that_boots_goes_first_and_only_it() -> None:
    disks = [SourceDisk("v1", False), SourceDisk("v2", True), SourceDisk("v3", True)]
    assert [disk.get("bootOrder") for disk in domain(source(), disks=disks)["devices"]["disks"]] == [None, 1, None]


def test_an_installation_medium_is_a_cdrom() -> None:
    vm = image(hw_cdrom_bus="sata")
    assert domain(vm, disks=[SourceDisk("i1", True, "iso")])["devices"]["disks"][0]["cdrom"] == {"bus": "sata"}


def test_a_disk_without_claim_is_refused() -> None:
    plan = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"targetNamespace": "tgt"}}
    with pytest.raises(ValueError, match="Disk v1 has no PersistentVolumeClaim"):
        openstack.virtual_machine(
            source(),
            plan,
            {"id": "s1", "name": "web-1"},
            disks=[SourceDisk("v1", True)],
            networks=[NetworkPair("n1", POD)],
            claims={},
            labels={},
        )


@pytest.mark.parametrize(
    ("wanted", "before", "strategy"), [(None, "On", "Always"), (None, "Off", "Halted"), ("off", "On", "Halted"), ("on", "Off", "Always")]
)
def test_power(wanted: str | None, before: str, strategy: str) -> None:
    spec = {"targetPowerState": wanted} if wanted else {}
    assert built(source(), status={"restorePowerState": before}, **spec)["spec"]["runStrategy"] == strategy
