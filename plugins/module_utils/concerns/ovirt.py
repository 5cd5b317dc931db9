# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concerns about VMs from Red Hat Virtualization and oVirt (facts 6.3).

One branch of the real rules is absent because it never fires: that about sizes of direct LUNs tests keys that the inventory does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import CRITICAL, INFORMATION, WARNING, concern

RULES_VERSION = 6
MOST_DISKS = 165

_NAME = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9.]*)?[A-Za-z0-9])?")

Workload = Mapping[str, Any]
Concerns = Iterator["dict[str, str]"]
Rule = Callable[[Workload], Concerns]


def _list(holder: Workload, key: str) -> list[Any]:
    """A list; empty when it is missing, null or something else."""
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _within(holder: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(holder, Mapping):
            return None
        holder = holder.get(key)
    return holder


def _all(workload: Workload, key: str, *keys: str) -> list[Any]:
    """A value of each element of a list: _all(vm, "diskAttachments", "disk", "status")."""
    return [_within(element, *keys) for element in _list(workload, key)]


def _matches(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.search(pattern, value) is not None


def _strange(values: list[Any], pattern: str) -> bool:
    """One of them, of those that are known at all, is not as the pattern."""
    return any(value is not None and not _matches(value, pattern) for value in values)


def _rule(id: str, category: str, label: str, assessment: str, holds: Callable[[Workload], Any]) -> Rule:
    def rule(workload: Workload) -> Concerns:
        if holds(workload):
            yield concern(f"ovirt.{id}", category, label, assessment)

    return rule


def disk_count(workload: Workload) -> Concerns:
    count = len(_list(workload, "diskAttachments"))
    if count > MOST_DISKS:
        yield concern(
            "ovirt.disk.count.exceeds.limit",
            WARNING,
            f"VM has {count} disks, which exceeds the limit of {MOST_DISKS}",
            f"A VM on the target can have up to {MOST_DISKS} disks. With {count} disks it cannot be migrated.",
        )


def name(workload: Workload) -> Concerns:
    given = workload.get("name")
    if isinstance(given, str) and not (_NAME.fullmatch(given) and len(given) < 64):
        yield concern(
            "ovirt.name.invalid",
            WARNING,
            "Invalid VM Name",
            "The name cannot be kept, because it is no DNS subdomain name (RFC 1123: up to 63 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends). Give the VM a target name, or a valid one is made from it.",
        )


def _empty_disk(workload: Workload) -> bool:
    disks = [_within(attachment, "disk") for attachment in _list(workload, "diskAttachments")]
    sizes = [_within(disk, "provisionedSize") for disk in disks if _within(disk, "storageType") != "lun"]
    return any(isinstance(size, int) and size <= 0 for size in sizes)


RULES: tuple[Rule, ...] = (
    _rule(
        "memory.ballooning.enabled",
        INFORMATION,
        "VM has memory ballooning enabled",
        "Memory ballooning is not carried over to the new VM.",
        lambda vm: vm.get("balloonedMemory") is True,
    ),
    _rule(
        "bios.boot_menu.enabled",
        WARNING,
        "VM has BIOS boot menu enabled",
        "The boot menu is not carried over: the new VM boots without asking.",
        lambda vm: vm.get("bootMenuEnabled") is True,
    ),
    _rule(
        "cpu.custom_model.detected",
        WARNING,
        "Custom CPU Model detected",
        "The VM has a CPU model of its own, which must be available on the nodes of the target.",
        lambda vm: bool(vm.get("customCpuModel")),
    ),
    _rule(
        "cpu.pinning_policy.unsupported",
        WARNING,
        "Unsupported CPU pinning policy detected",
        "The way in which the VM's CPUs are pinned (resize and pin NUMA, isolate threads) is not offered on the target.",
        lambda vm: _matches(vm.get("cpuPinningPolicy"), "resize_and_pin_numa|isolate_threads"),
    ),
    _rule(
        "cpu.shares.defined",
        WARNING,
        "VM has CPU Shares Defined",
        "CPU shares are not carried over to the new VM.",
        lambda vm: isinstance(vm.get("cpuShares"), int) and vm["cpuShares"] > 0,
    ),
    _rule(
        "cpu.tuning.detected",
        WARNING,
        "CPU tuning detected",
        "The pinning of virtual to physical CPUs is not carried over to the new VM.",
        lambda vm: _list(vm, "cpuAffinity"),
    ),
    _rule(
        "vm.custom_properties.detected",
        WARNING,
        "VM custom properties detected",
        "Custom properties of the VM are not carried over.",
        lambda vm: _list(vm, "properties"),
    ),
    disk_count,
    _rule(
        "disk.interface_type.unsupported",
        WARNING,
        "Unsupported disk interface type detected",
        "A disk is attached otherwise than by SATA, VirtIO-SCSI or VirtIO. On the target it gets another one, which its guest must know.",
        lambda vm: _strange(_all(vm, "diskAttachments", "interface"), "sata|virtio_scsi|virtio"),
    ),
    _rule(
        "disk.capacity.invalid",
        CRITICAL,
        "Disk has an invalid capacity",
        "The size of a disk is 0 or negative, so that it cannot be migrated.",
        _empty_disk,
    ),
    _rule(
        "disk.illegal_or_locked_status",
        CRITICAL,
        "VM has one or more disks with an illegal or locked status",
        "A disk that is illegal or locked cannot be read, so the migration would fail.",
        lambda vm: any(_matches(status, "illegal|locked") for status in _all(vm, "diskAttachments", "disk", "status")),
    ),
    _rule(
        "disk.storage_type.unsupported",
        CRITICAL,
        "Unsupported disk storage type detected",
        "Only disks of the types image and LUN can be migrated.",
        lambda vm: _strange(_all(vm, "diskAttachments", "disk", "storageType"), "image|lun"),
    ),
    _rule(
        "display_type.spice.enabled",
        INFORMATION,
        "VM Display Type",
        "The new VM has a VNC display: SPICE is not offered on the target.",
        lambda vm: vm.get("display") == "spice",
    ),
    _rule(
        "ha.enabled",
        WARNING,
        "VM configured as HA",
        "High availability is not carried over: which VMs are started again, the run strategy of the new VM decides.",
        lambda vm: vm.get("haEnabled") is True,
    ),
    _rule(
        "ha.reservation.enabled",
        WARNING,
        "Cluster has HA reservation",
        "The reservation of the VM's cluster for highly available VMs is not carried over.",
        lambda vm: _within(vm, "cluster", "haReservation") is True,
    ),
    _rule(
        "host_devices.mapped",
        WARNING,
        "VM has mapped host devices",
        "Devices of its host that the VM uses are not there on the target.",
        lambda vm: _list(vm, "hostDevices"),
    ),
    _rule(
        "disk.illegal_images.detected",
        CRITICAL,
        "Illegal disk images detected",
        "The VM has illegal images, which cannot be read, so the migration would fail.",
        lambda vm: vm.get("hasIllegalImages") is True,
    ),
    _rule(
        "iothreads.configured",
        INFORMATION,
        "IO Threads configuration detected",
        "The number of I/O threads is not carried over to the new VM.",
        lambda vm: isinstance(vm.get("ioThreads"), int) and vm["ioThreads"] > 1,
    ),
    _rule(
        "cluster.ksm_enabled",
        WARNING,
        "Cluster has KSM enabled",
        "Equal memory pages of VMs are merged in the VM's cluster, which the target does not do by itself.",
        lambda vm: _within(vm, "cluster", "ksmEnabled") is True,
    ),
    name,
    _rule(
        "nic.custom_properties.detected",
        WARNING,
        "NIC custom properties detected",
        "Custom properties of vNIC profiles are not carried over.",
        lambda vm: any(isinstance(found, list) and found for found in _all(vm, "nics", "profile", "properties")),
    ),
    _rule(
        "nic.interface_type.unsupported",
        WARNING,
        "Unsupported NIC interface type detected",
        "A NIC is of another model than e1000, rtl8139 or VirtIO, which the target does not offer.",
        lambda vm: _strange(_all(vm, "nics", "interface"), "e1000|rtl8139|virtio"),
    ),
    _rule(
        "nic.network_filter.detected",
        WARNING,
        "NIC with network filter detected",
        "Network filters of vNIC profiles are not carried over.",
        lambda vm: any(_all(vm, "nics", "profile", "networkFilter")),
    ),
    _rule(
        "nic.pci_passthrough.detected",
        WARNING,
        "NIC with host device passthrough detected",
        "The VM uses a network card of its host (SR-IOV). On the target it needs a network for SR-IOV.",
        lambda vm: any(_matches(found, "pci_passthrough") for found in _all(vm, "nics", "interface")),
    ),
    _rule(
        "nic.unplugged.detected",
        WARNING,
        "Unplugged NIC detected",
        "A NIC that is unplugged is plugged in on the target.",
        lambda vm: any(found is False for found in _all(vm, "nics", "plugged")),
    ),
    _rule(
        "nic.port_mirroring.detected",
        WARNING,
        "NIC with port mirroring detected",
        "Port mirroring of vNIC profiles is not carried over.",
        lambda vm: any(found is True for found in _all(vm, "nics", "profile", "portMirroring")),
    ),
    _rule(
        "nic.qos.detected",
        WARNING,
        "NIC with QoS settings detected",
        "Quality of service of vNIC profiles is not carried over.",
        lambda vm: any(_all(vm, "nics", "profile", "qos")),
    ),
    _rule(
        "numa.tuning.detected",
        WARNING,
        "NUMA tuning detected",
        "Virtual NUMA nodes are not carried over to the new VM.",
        lambda vm: _list(vm, "numaNodeAffinity"),
    ),
    _rule(
        "snapshot.online_memory.detected",
        WARNING,
        "Online (memory) snapshot detected",
        "Snapshots are not migrated, and neither is the memory that one of them holds.",
        lambda vm: any(found is True for found in _all(vm, "snapshots", "persistMemory")),
    ),
    _rule(
        "placement_policy.affinity_set",
        WARNING,
        "Placement policy affinity",
        "The placement of the VM is not carried over: where it may run and whether it may be moved is to be set on the target.",
        lambda vm: _matches(vm.get("placementPolicyAffinity"), r"\bmigratable\b"),
    ),
    _rule(
        "disk.scsi_reservation.enabled",
        WARNING,
        "Shared disk detected",
        "A disk is used with SCSI reservations, which are not carried over.",
        lambda vm: any(found is True for found in _all(vm, "diskAttachments", "scsiReservation")),
    ),
    _rule(
        "secure_boot.detected",
        WARNING,
        "UEFI secure boot detected",
        "The new VM boots with UEFI, but secure boot is only partly carried over.",
        lambda vm: vm.get("bios") == "q35_secure_boot",
    ),
    _rule(
        "disk.shared.detected",
        WARNING,
        "Shared disk detected",
        "A disk is shared by several VMs. Each gets a copy of its own.",
        lambda vm: any(found is True for found in _all(vm, "diskAttachments", "disk", "shared")),
    ),
    _rule(
        "storage.resume_behavior.unsupported",
        INFORMATION,
        "VM storage error resume behavior",
        "What the VM does after an error of its storage is not carried over: on the target it goes on by itself.",
        lambda vm: isinstance(vm.get("storageErrorResumeBehaviour"), str) and vm["storageErrorResumeBehaviour"] != "auto_resume",
    ),
    _rule(
        "tpm.required_by_os",
        WARNING,
        "TPM detected",
        "The guest needs a TPM. The new VM has an empty one: what the present one holds is not carried over.",
        lambda vm: _matches(vm.get("osType"), "windows_2022|windows_11"),
    ),
    _rule(
        "usb.enabled",
        WARNING,
        "USB support enabled",
        "Devices that are passed on by USB are not carried over.",
        lambda vm: vm.get("usbEnabled") is True,
    ),
    _rule(
        "os.unsupported",
        WARNING,
        "Unsupported operating system detected",
        "The guest is not supported on the target (RHEL 6).",
        lambda vm: _matches(vm.get("osType"), "rhel_6"),
    ),
    _rule(
        "vm.status_invalid",
        WARNING,
        "VM has an invalid status",
        "The VM is neither up nor down, so that its migration may fail.",
        lambda vm: isinstance(vm.get("status"), str) and not _matches(vm["status"], "up|down"),
    ),
    _rule(
        "watchdog.enabled",
        WARNING,
        "Watchdog detected",
        "Watchdog devices are not carried over to the new VM.",
        lambda vm: _list(vm, "watchDogs"),
    ),
)
