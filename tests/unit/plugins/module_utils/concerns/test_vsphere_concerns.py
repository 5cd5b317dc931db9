"""Concerns about VMs from vSphere: which input raises which, and that they are the recorded ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import rules_version, validate

MIB = 1 << 20


def ids(**workload: Any) -> list[str]:
    return [concern["id"].removeprefix("vmware.") for concern in validate("vsphere", {"name": "web", **workload})["concerns"]]


def disk(**fields: Any) -> list[dict[str, Any]]:
    return [{"file": "[ds] web/web.vmdk", "capacity": 1, "datastore": {"kind": "Datastore", "id": "datastore-1"}, **fields}]


@pytest.mark.parametrize(
    ("workload", "raised"),
    [
        ({}, []),
        ({"changeTrackingEnabled": False}, ["changed_block_tracking.disabled"]),
        ({"changeTrackingEnabled": None}, []),
        ({"disks": disk(changeTrackingEnabled=False, bus="scsi", unitNumber=1)}, ["changed_block_tracking.disk.disabled"]),
        ({"consolidationNeeded": True}, ["consolidation_needed"]),
        ({"cpuAffinity": [0]}, ["cpu_affinity.detected"]),
        ({"numaNodeAffinity": ["0"]}, ["numa_affinity.detected"]),
        ({"cpuHotAddEnabled": True, "memoryHotAddEnabled": True}, ["cpu_memory.hotplug.enabled"]),
        ({"disks": disk(datastore={"kind": "", "id": ""})}, ["datastore.missing"]),
        ({"disks": disk() * 165}, []),
        ({"disks": disk() * 166}, ["disk.count.exceeds.limit"]),
        ({"disks": disk(mode="independent_persistent")}, ["disk_mode.independent"]),
        ({"disks": disk(mode="persistent", rdm=True)}, ["disk.rdm.detected"]),
        ({"disks": disk(shared=True)}, ["disk.shared.detected"]),
        ({"disks": disk(bus="scsi"), "diskEnableUuid": True}, ["disk_serial.truncated"]),
        ({"disks": disk(bus="nvme"), "diskEnableUuid": True}, []),
        ({"disks": disk(capacity=0)}, ["disk.capacity.invalid"]),
        ({"host": {"cluster": {"drsEnabled": True}}}, ["drs.enabled"]),
        ({"host": None}, []),
        ({"host": "host-1"}, []),
        ({"id": "vm-1", "host": {"cluster": {"hostAffinityVms": [{"id": "vm-1"}]}}}, ["host_affinity.detected"]),
        ({"id": "vm-2", "host": {"cluster": {"hostAffinityVms": [{"id": "vm-1"}]}}}, []),
        ({"faultToleranceEnabled": True}, ["fault_tolerance.enabled"]),
        ({"guestDisks": [{"diskPath": "/", "freeSpace": 100 * MIB - 1, "key": 1}]}, ["guestDisks.freespace"]),
        ({"guestDisks": [{"diskPath": "/", "freeSpace": 100 * MIB, "key": 1}]}, []),
        ({"guestDisks": [{"diskPath": "/boot", "freeSpace": 49 * MIB, "key": 1}]}, ["guestDisks.freespace"]),
        ({"guestDisks": [{"diskPath": "/var", "freeSpace": 11 * MIB, "key": 1}]}, []),
        ({"guestDisks": [{"diskPath": "C:\\", "freeSpace": 99 * MIB, "key": 1}]}, ["guestDisks.freespace"]),
        ({"guestDisks": [{"diskPath": "D:\\", "freeSpace": 99 * MIB, "key": 1}]}, []),
        ({"hostName": ""}, ["hostname.empty"]),
        ({"hostName": "localhost.localdomain"}, ["hostname.default"]),
        ({"guestNetworks": []}, ["vm_missing_ip.detected"]),
        ({"guestNetworks": None}, []),
        ({"devices": [{"kind": "VirtualPCIPassthrough"}]}, ["passthrough_device.detected"]),
        (
            {"devices": [{"kind": "VirtualSriovEthernetCard"}, {"kind": "VirtualUSBController"}]},
            ["device.sriov.detected", "usb_controller.detected"],
        ),
        ({"tpmEnabled": True}, ["tpm.detected"]),
        ({"snapshot": {"kind": "VirtualMachineSnapshot", "id": "snapshot-1"}}, ["snapshot.detected"]),
        ({"snapshot": {"kind": "", "id": ""}}, []),
        ({"name": "my vm"}, ["vm.name.invalid"]),
        ({"name": "a" * 64}, ["vm.name.invalid"]),
        ({"guestId": "rhel8_64Guest"}, []),
        ({"guestId": "windows2022srvNext_64Guest"}, []),
        ({"guestId": "debian10_64Guest"}, ["os.unsupported"]),
        ({"guestId": "otherGuest", "guestName": "Red Hat Enterprise Linux 9 (64-bit)", "guestNameFromVmwareTools": ""}, []),
        (
            {"guestId": "otherGuest", "guestName": "Red Hat Enterprise Linux 9 (64-bit)", "guestNameFromVmwareTools": "Debian"},
            ["os.unsupported"],
        ),
    ],
)
def test_what_is_raised(workload: dict[str, Any], raised: list[str]) -> None:
    assert ids(**workload) == raised


@pytest.fixture(scope="module")
def golden() -> Path:
    for parent in Path(__file__).resolve().parents:
        folder = parent.parent / "shared" / "golden" / "concerns"
        if folder.is_dir():
            return folder
    pytest.skip("no recordings of the real service here")


def told(concerns: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """All but the assessment, which is in our own words."""
    return sorted((concern["id"], concern["category"], concern["label"]) for concern in concerns)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_recorded_vms_have_the_recorded_concerns(golden: Path) -> None:
    hosts = json.loads((golden / "hosts.json").read_text())
    recorded = lines(golden / "vms-concerns.jsonl")
    different = []
    for line in recorded:
        workload = {**line["vm"], "host": hosts.get(line["vm"]["host"])}
        if told(validate("vsphere", workload)["concerns"]) != told(line["concerns"] or []):
            different.append((line["variant"], told(line["concerns"]), told(validate("vsphere", workload)["concerns"])))
    assert not different
    assert len(recorded) > 50


def test_recorded_answers_of_the_policy_server(golden: Path) -> None:
    first, *recorded = lines(golden / "policy-direct.jsonl")
    assert rules_version("vsphere") == json.loads((golden / "rules-version.json").read_text())["vmware"]["result"]["rules_version"]
    for line in recorded:
        answer = validate("vsphere", changed(first["input"], line["changes"]))
        assert told(answer["concerns"]) == told(line["result"]["concerns"]), line["variant"]
        assert answer["errors"] == line["result"]["errors"], line["variant"]


def changed(workload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The workload with the changes by dotted path."""
    workload = copy.deepcopy(workload)
    for path, value in changes.items():
        *heads, last = path.split(".")
        place: Any = workload
        for head in heads:
            place = place[int(head)] if isinstance(place, list) else place[head]
        if value == "<absent>":
            place.pop(last, None)
        else:
            place[last] = value
    return workload
