"""Concerns about VMs from oVirt: which input raises which."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import rules_version, validate


def raised(**workload: Any) -> dict[str, str]:
    return {
        concern["id"].removeprefix("ovirt."): concern["category"] for concern in validate("ovirt", {"name": "web", **workload})["concerns"]
    }


def disk(interface: str = "virtio", **more: Any) -> dict[str, Any]:
    return {"interface": interface, "disk": {"provisionedSize": 1, "storageType": "image", "status": "ok", **more}}


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ({}, {}),
        ({"balloonedMemory": True}, {"memory.ballooning.enabled": "Information"}),
        ({"bootMenuEnabled": True}, {"bios.boot_menu.enabled": "Warning"}),
        ({"customCpuModel": "Skylake"}, {"cpu.custom_model.detected": "Warning"}),
        ({"customCpuModel": ""}, {}),
        ({"cpuPinningPolicy": "isolate_threads"}, {"cpu.pinning_policy.unsupported": "Warning"}),
        ({"cpuPinningPolicy": "dedicated"}, {}),
        ({"cpuShares": 512}, {"cpu.shares.defined": "Warning"}),
        ({"cpuShares": 0}, {}),
        ({"cpuAffinity": [{"set": "1", "cpu": 0}]}, {"cpu.tuning.detected": "Warning"}),
        ({"properties": [{}]}, {"vm.custom_properties.detected": "Warning"}),
        ({"diskAttachments": [disk()] * 165}, {}),
        ({"diskAttachments": [disk()] * 166}, {"disk.count.exceeds.limit": "Warning"}),
        ({"diskAttachments": [disk("ide")]}, {"disk.interface_type.unsupported": "Warning"}),
        ({"diskAttachments": [{"disk": {}}]}, {}),
        ({"diskAttachments": [disk(provisionedSize=0)]}, {"disk.capacity.invalid": "Critical"}),
        ({"diskAttachments": [disk(provisionedSize=0, storageType="lun")]}, {}),
        ({"diskAttachments": [disk(status="locked")]}, {"disk.illegal_or_locked_status": "Critical"}),
        ({"diskAttachments": [disk(storageType="cinder")]}, {"disk.storage_type.unsupported": "Critical"}),
        ({"diskAttachments": [disk(shared=True)]}, {"disk.shared.detected": "Warning"}),
        ({"diskAttachments": [{**disk(), "scsiReservation": True}]}, {"disk.scsi_reservation.enabled": "Warning"}),
        ({"display": "spice"}, {"display_type.spice.enabled": "Information"}),
        ({"haEnabled": True}, {"ha.enabled": "Warning"}),
        ({"cluster": {"haReservation": True, "ksmEnabled": True}}, {"ha.reservation.enabled": "Warning", "cluster.ksm_enabled": "Warning"}),
        ({"cluster": None}, {}),
        ({"hostDevices": [{}]}, {"host_devices.mapped": "Warning"}),
        ({"hasIllegalImages": True}, {"disk.illegal_images.detected": "Critical"}),
        ({"ioThreads": 2}, {"iothreads.configured": "Information"}),
        ({"ioThreads": 1}, {}),
        ({"name": "my vm"}, {"name.invalid": "Warning"}),
        ({"nics": [{"interface": "virtio", "profile": {}}]}, {}),
        ({"nics": [{"profile": {"properties": [{}]}}]}, {"nic.custom_properties.detected": "Warning"}),
        ({"nics": [{"interface": "spapr_vlan"}]}, {"nic.interface_type.unsupported": "Warning"}),
        ({"nics": [{"profile": {"networkFilter": "f"}}]}, {"nic.network_filter.detected": "Warning"}),
        (
            {"nics": [{"interface": "pci_passthrough"}]},
            {"nic.pci_passthrough.detected": "Warning", "nic.interface_type.unsupported": "Warning"},
        ),
        ({"nics": [{"plugged": False}]}, {"nic.unplugged.detected": "Warning"}),
        ({"nics": [{"profile": {"portMirroring": True}}]}, {"nic.port_mirroring.detected": "Warning"}),
        ({"nics": [{"profile": {"qos": "q"}}]}, {"nic.qos.detected": "Warning"}),
        ({"numaNodeAffinity": ["0"]}, {"numa.tuning.detected": "Warning"}),
        ({"snapshots": [{"persistMemory": True}]}, {"snapshot.online_memory.detected": "Warning"}),
        ({"placementPolicyAffinity": "migratable"}, {"placement_policy.affinity_set": "Warning"}),
        ({"placementPolicyAffinity": "user_migratable"}, {}),
        ({"bios": "q35_secure_boot"}, {"secure_boot.detected": "Warning"}),
        ({"storageErrorResumeBehaviour": "kill"}, {"storage.resume_behavior.unsupported": "Information"}),
        ({"osType": "windows_2022"}, {"tpm.required_by_os": "Warning"}),
        ({"osType": "rhel_6x64"}, {"os.unsupported": "Warning"}),
        ({"usbEnabled": True}, {"usb.enabled": "Warning"}),
        ({"status": "image_locked"}, {"vm.status_invalid": "Warning"}),
        ({"status": "powering_up"}, {}),
        ({"watchDogs": [{}]}, {"watchdog.enabled": "Warning"}),
    ],
)
def test_what_is_raised(workload: dict[str, Any], expected: dict[str, str]) -> None:
    assert raised(**workload) == expected


def test_each_concern_says_something_of_its_own() -> None:
    worst = {
        "balloonedMemory": True,
        "diskAttachments": [disk("ide", status="illegal", shared=True)],
        "nics": [{"interface": "pci_passthrough", "plugged": False}],
        "status": "unknown",
    }
    concerns = validate("ovirt", {"name": "web", **worst})["concerns"]
    assert len({concern["assessment"] for concern in concerns}) == len(concerns) == 8
    assert rules_version("ovirt") == 6
