# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concerns about VMs from vSphere (facts 6.2).

Two of the real rules look at keys that the inventory does not have, `host.cluster.dpmEnabled` and `host.cluster.hostAffinityVms`; they are
here for workloads that bring them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import CRITICAL, INFORMATION, WARNING, concern

RULES_VERSION = 5
MOST_DISKS = 165
MIB = 1 << 20

_NAME = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9.]*)?[A-Za-z0-9])?")
_HOTPLUG = ("cpuHotAddEnabled", "cpuHotRemoveEnabled", "memoryHotAddEnabled")
_FREE_SPACE = {"/": 100, "/boot": 50, "c:": 100, "c:\\": 100, "c:/": 100}  # MiB that a conversion needs, by path
_FREE_SPACE_ELSEWHERE = 10
_SUPPORTED_ID = re.compile(r"rhel(7|8|9|10)(_64)?guest|windows(10|11|2016|2019|2022|2025)\w*guest")
_SUPPORTED_NAME = re.compile(r"red hat enterprise linux (7|8|9|10)|windows (10|11)|windows server (2016|2019|2022|2025)")

Workload = Mapping[str, Any]
Concerns = Iterator["dict[str, str]"]


def _list(workload: Workload, key: str) -> list[Any]:
    """A list of the workload; empty when it is missing, null or something else."""
    value = workload.get(key)
    return value if isinstance(value, list) else []


def _disks(workload: Workload) -> list[dict[str, Any]]:
    return [disk for disk in _list(workload, "disks") if isinstance(disk, dict)]


def _has_device(workload: Workload, kind: str) -> bool:
    return any(isinstance(device, dict) and device.get("kind") == kind for device in _list(workload, "devices"))


def _cluster(workload: Workload) -> Mapping[str, Any]:
    host = workload.get("host")
    cluster = host.get("cluster") if isinstance(host, dict) else None
    return cluster if isinstance(cluster, dict) else {}


def change_tracking(workload: Workload) -> Concerns:
    if workload.get("changeTrackingEnabled") is False:
        yield concern(
            "vmware.changed_block_tracking.disabled",
            WARNING,
            "Changed Block Tracking (CBT) not enabled",
            "A warm migration needs changed-block tracking, which is off for this VM.",
        )
    for disk in _disks(workload):
        if disk.get("changeTrackingEnabled") is False and "unitNumber" in disk:
            # The number of the controller is always 0 in the real service.
            yield concern(
                "vmware.changed_block_tracking.disk.disabled",
                WARNING,
                f"Disk - {disk.get('bus', '')}0:{disk['unitNumber']} does not have CBT enabled",
                "A warm migration needs changed-block tracking on every disk, and it is off for this one.",
            )


def consolidation(workload: Workload) -> Concerns:
    if workload.get("consolidationNeeded") is True:
        yield concern(
            "vmware.consolidation_needed",
            WARNING,
            "Snapshot consolidation required",
            "Files of removed snapshots are still to be consolidated, which may hold up the precopies of a warm migration.",
        )


def affinity(workload: Workload) -> Concerns:
    if _list(workload, "cpuAffinity"):
        yield concern(
            "vmware.cpu_affinity.detected",
            WARNING,
            "CPU affinity detected",
            "The CPU affinity of the source is not carried over. It can be set on the new VM after the migration.",
        )
    if _list(workload, "numaNodeAffinity"):
        yield concern(
            "vmware.numa_affinity.detected",
            WARNING,
            "NUMA node affinity detected",
            "The NUMA node affinity of the source is not carried over.",
        )
    bound = _list(_cluster(workload), "hostAffinityVms")
    if any(isinstance(vm, dict) and vm.get("id") == workload.get("id") for vm in bound):
        yield concern(
            "vmware.host_affinity.detected",
            WARNING,
            "VM-Host affinity detected",
            "The VM's affinity to hosts is not carried over. Node affinity can be set on the new VM after the migration.",
        )


def hotplug(workload: Workload) -> Concerns:
    if any(workload.get(key) is True for key in _HOTPLUG):
        yield concern(
            "vmware.cpu_memory.hotplug.enabled",
            WARNING,
            "CPU/Memory hotplug detected",
            "Adding CPUs or memory to the running machine is not carried over. CPUs and memory can be changed after the migration.",
        )


def disk_places(workload: Workload) -> Concerns:
    if any(isinstance(disk.get("datastore"), dict) and disk["datastore"].get("id") == "" for disk in _disks(workload)):
        yield concern(
            "vmware.datastore.missing",
            CRITICAL,
            "Disk is not located on a datastore",
            "A disk of the VM lies on no datastore, so the VM cannot be migrated.",
        )
    for disk in _disks(workload):
        capacity = disk.get("capacity")
        if isinstance(capacity, (int, float)) and capacity <= 0:
            yield concern(
                "vmware.disk.capacity.invalid",
                CRITICAL,
                f"Disk '{disk.get('file', '')}' has an invalid capacity of {capacity} bytes",
                f"The disk '{disk.get('file', '')}' has a capacity of {capacity} bytes; it must be greater than zero.",
            )


def disk_count(workload: Workload) -> Concerns:
    count = len(_list(workload, "disks"))
    if count > MOST_DISKS:
        yield concern(
            "vmware.disk.count.exceeds.limit",
            WARNING,
            f"VM has {count} disks, which exceeds the limit of {MOST_DISKS}",
            f"A VM on the target can have up to {MOST_DISKS} disks. With {count} disks it cannot be migrated.",
        )


def disk_kinds(workload: Workload) -> Concerns:
    disks = _disks(workload)
    if any(disk.get("mode") in ("independent_persistent", "independent_nonpersistent") for disk in disks):
        yield concern(
            "vmware.disk_mode.independent",
            WARNING,
            "Independent disk detected",
            "An independent disk has no snapshots, so it is transferred by storage offload alone. Without offload, change its mode to "
            "dependent before the migration.",
        )
    if any(disk.get("rdm") is True for disk in disks):
        yield concern(
            "vmware.disk.rdm.detected",
            WARNING,
            "Raw Device Mapped disk detected",
            "A raw device mapping is transferred by storage offload alone. Without offload, remove it before the migration and attach it "
            "to the new VM afterwards.",
        )
    if any(disk.get("shared") is True for disk in disks):
        yield concern(
            "vmware.disk.shared.detected",
            WARNING,
            "Shared disk detected",
            "A disk of the VM belongs to another VM as well; the plan says which of them migrates it.",
        )
    if workload.get("diskEnableUuid") is True and any(disk.get("bus") == "scsi" for disk in disks):
        yield concern(
            "vmware.disk_serial.truncated",
            INFORMATION,
            "Disk serial numbers may be truncated",
            "disk.EnableUUID is on, so the guest may depend on the serial numbers of its SCSI disks, which are shortened by the migration.",
        )


def cluster_features(workload: Workload) -> Concerns:
    if _cluster(workload).get("drsEnabled") is True:
        yield concern(
            "vmware.drs.enabled",
            INFORMATION,
            "VM running in a DRS-enabled cluster",
            "Distributed resource scheduling does not come along with the VM.",
        )
    if _cluster(workload).get("dpmEnabled") is True:
        yield concern(
            "vmware.dpm.enabled",
            INFORMATION,
            "vSphere DPM detected",
            "Distributed power management does not come along with the VM.",
        )
    if workload.get("faultToleranceEnabled") is True:
        yield concern(
            "vmware.fault_tolerance.enabled",
            INFORMATION,
            "Fault tolerance",
            "Fault tolerance does not come along with the VM.",
        )


def guest_disks(workload: Workload) -> Concerns:
    windows = isinstance(workload.get("guestId"), str) and "windows" in workload["guestId"].lower()
    for disk in _list(workload, "guestDisks"):
        if not isinstance(disk, dict) or not isinstance(disk.get("diskPath"), str):
            continue
        path, free = disk["diskPath"], disk.get("freeSpace")
        least = _FREE_SPACE.get(path.lower() if path[1:2] == ":" else path, _FREE_SPACE_ELSEWHERE)
        if isinstance(free, (int, float)) and free < least * MIB:
            yield concern(
                "vmware.guestDisks.freespace",
                CRITICAL,
                f"Insufficient free space for conversion on '{path}'",
                f"The guest's filesystem '{path}' has {free // MIB} MB free; a conversion needs {least} MB there.",
            )
        if windows and not disk.get("key"):
            yield concern(
                "vmware.guestDisks.key.not_found",
                INFORMATION,
                f"Missing disk key mapping for '{path}'",
                "vSphere does not tell on which disk this drive lies, so templates of PVC names do not know its letter.",
            )


def host_name(workload: Workload) -> Concerns:
    if workload.get("hostName") == "":
        yield concern(
            "vmware.hostname.empty",
            WARNING,
            "Empty Host Name",
            "The guest's host name is not known; it may be another after the migration.",
        )
    if workload.get("hostName") == "localhost.localdomain":
        yield concern(
            "vmware.hostname.default",
            WARNING,
            "Default Host Name",
            "The guest's host name is the default 'localhost.localdomain'; it may be another after the migration.",
        )


def addresses(workload: Workload) -> Concerns:
    if isinstance(workload.get("guestNetworks"), list) and not workload["guestNetworks"]:
        yield concern(
            "vmware.vm_missing_ip.detected",
            WARNING,
            "VM is missing IP addresses",
            "Static addresses can be kept only when the VM runs with VMware Tools, which tell them.",
        )


def name(workload: Workload) -> Concerns:
    given = workload.get("name")
    if isinstance(given, str) and not (_NAME.fullmatch(given) and len(given) < 64):
        yield concern(
            "vmware.vm.name.invalid",
            WARNING,
            "Invalid VM Name",
            "The name cannot be kept, because it is no DNS subdomain name (RFC 1123: up to 63 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends). Give the VM a target name, or a valid one is made from it.",
        )


def devices(workload: Workload) -> Concerns:
    if _has_device(workload, "VirtualPCIPassthrough"):
        yield concern(
            "vmware.passthrough_device.detected",
            CRITICAL,
            "Passthrough device detected",
            "The VM cannot be migrated with a passthrough device; remove it first.",
        )
    if _has_device(workload, "VirtualSriovEthernetCard"):
        yield concern(
            "vmware.device.sriov.detected",
            WARNING,
            "SR-IOV passthrough adapter configuration detected",
            "The SR-IOV adapter is not carried over. It can be configured on the new VM after the migration.",
        )
    if _has_device(workload, "VirtualUSBController"):
        yield concern(
            "vmware.usb_controller.detected",
            WARNING,
            "USB controller detected",
            "The USB controller and the devices at it are not carried over.",
        )
    if workload.get("tpmEnabled") is True:
        yield concern("vmware.tpm.detected", WARNING, "TPM detected", "The content of the TPM is not carried over.")


def snapshot(workload: Workload) -> Concerns:
    present = workload.get("snapshot")
    if isinstance(present, dict) and present.get("kind") == "VirtualMachineSnapshot":
        yield concern(
            "vmware.snapshot.detected",
            INFORMATION,
            "VM snapshot detected",
            "The VM is migrated as it is now; its snapshots do not come along.",
        )


def operating_system(workload: Workload) -> Concerns:
    told = [workload.get(key) for key in ("guestId", "guestNameFromVmwareTools", "guestName")]
    if not any(isinstance(text, str) for text in told):
        return
    guest_id, from_tools, configured = (text.lower() if isinstance(text, str) else "" for text in told)
    if not _SUPPORTED_ID.fullmatch(guest_id) and not _SUPPORTED_NAME.search(from_tools or configured):
        yield concern(
            "vmware.os.unsupported",
            WARNING,
            "Unsupported operating system detected",
            "MTV does not support the guest's operating system; the conversion may fail or leave a guest that does not boot.",
        )


RULES = (
    change_tracking,
    consolidation,
    affinity,
    hotplug,
    disk_places,
    disk_count,
    disk_kinds,
    cluster_features,
    guest_disks,
    host_name,
    addresses,
    name,
    devices,
    snapshot,
    operating_system,
)
