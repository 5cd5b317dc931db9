# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concerns about servers of OpenStack (facts 6.4).

The rules about disk and network card models also speak up when the image does not say what it has, as the real ones do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import CRITICAL, WARNING, concern

RULES_VERSION = 6
MOST_DISKS = 165

_NAME = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9.]*)?[A-Za-z0-9])?")
_DISK_BUSES = re.compile(r"sata|scsi|virtio")
_CARD_MODELS = re.compile(r"e1000|e1000e|rtl8139|virtio|ne2k_pci|pcnet")
#: What is supported: distribution and version, each found anywhere in what the image says.
_SYSTEMS = (
    (re.compile("rhel|centos"), re.compile("^9|^8|^7")),
    (re.compile("windows"), re.compile("2008|2012|2016|2019|2022|2k8|2k12|2k16|2k19|2k22|^7|^8|^10|^11")),
    (re.compile("fedora"), re.compile("^3[678]$")),
)

Workload = Mapping[str, Any]
Concerns = Iterator["dict[str, str]"]


def _mapping(holder: Workload, *path: str) -> Mapping[str, Any]:
    """What lies at a path; empty when it is missing, null or something else."""
    found: Any = holder
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _properties(workload: Workload) -> Mapping[str, Any]:
    return _mapping(workload, "image", "properties")


def _specs(workload: Workload) -> Mapping[str, Any]:
    return _mapping(workload, "flavor", "extraSpecs")


def _volumes(workload: Workload) -> list[Mapping[str, Any]]:
    found = workload.get("volumes")
    return [volume for volume in found if isinstance(volume, Mapping)] if isinstance(found, list) else []


def _says(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and bool(pattern.search(value))


def boot_menu(workload: Workload) -> Concerns:
    if _properties(workload).get("hw_boot_menu") == "true":
        yield concern(
            "openstack.bios.boot_menu.enabled",
            WARNING,
            "VM has BIOS boot menu enabled",
            "The boot menu of the firmware is not carried over.",
        )


def cpu_shares(workload: Workload) -> Concerns:
    if "quota:cpu_shares" in _specs(workload):
        yield concern(
            "openstack.cpu.shares.defined",
            WARNING,
            "VM has CPU Shares Defined",
            "The CPU shares of the flavor are not carried over; on the target, requests and limits do what they did.",
        )


def disk_count(workload: Workload) -> Concerns:
    disks = workload.get("volumes")
    if isinstance(disks, list) and len(disks) > MOST_DISKS:
        yield concern(
            "openstack.disk.count.exceeds.limit",
            WARNING,
            f"VM has {len(disks)} disks, which exceeds the limit of {MOST_DISKS}",
            f"A VM on the target can have up to {MOST_DISKS} disks. With {len(disks)} disks it cannot be migrated.",
        )


def disk_interface(workload: Workload) -> Concerns:
    if not _says(_DISK_BUSES, _properties(workload).get("hw_disk_bus")):
        yield concern(
            "openstack.disk.unsupported_interface",
            WARNING,
            "Unsupported disk interface type detected",
            "The image names no disk bus that the target has (sata, scsi, virtio). The migrated VM gets virtio disks.",
        )


def disk_capacity(workload: Workload) -> Concerns:
    for volume in _volumes(workload):
        size = volume.get("size")
        if isinstance(size, (int, float)) and not isinstance(size, bool) and size <= 0:
            yield concern(
                "openstack.disk.capacity.invalid",
                CRITICAL,
                f"Volume '{volume.get('name')}' has an invalid size of {size} GB",
                f"Volume '{volume.get('name')}' is said to have {size} GB. Only volumes with a size above zero can be migrated.",
            )


def disk_status(workload: Workload) -> Concerns:
    supported = re.compile("available|in-use")
    if any(not _says(supported, volume.get("status")) for volume in _volumes(workload)):
        yield concern(
            "openstack.disk.status.unsupported",
            CRITICAL,
            "VM has one or more disks with an unsupported status",
            "A volume of the VM is neither available nor in use. It can probably not be copied.",
        )


def floating_addresses(workload: Workload) -> Concerns:
    addresses = [address for of_network in _mapping(workload, "addresses").values() for address in of_network or ()]
    if any(isinstance(address, Mapping) and address.get("OS-EXT-IPS:type") == "floating" for address in addresses):
        yield concern(
            "openstack.network.floating_ips.detected",
            WARNING,
            "Floating IPs detected",
            "Floating IP addresses are not carried over. A Service or a route can take their place on the target.",
        )


def host_devices(workload: Workload) -> Concerns:
    if "pci_passthrough:alias" in _specs(workload):
        yield concern(
            "openstack.host_devices.mapped",
            WARNING,
            "VM has mapped host devices",
            "Devices of the host that the flavor gives to the VM are not carried over; the migrated VM has none of them.",
        )


def name(workload: Workload) -> Concerns:
    given = workload.get("name")
    if isinstance(given, str) and not (_NAME.fullmatch(given) and len(given) < 64):
        yield concern(
            "openstack.vm.name.invalid",
            WARNING,
            "Invalid VM Name",
            "The name cannot be kept, because it is no DNS subdomain name (RFC 1123: up to 63 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends). Give the VM a target name, or a valid one is made from it.",
        )


def numa_tuning(workload: Workload) -> Concerns:
    specs = _specs(workload)
    if any(specs.get(key) for key in ("hw:pci_numa_affinity_policy", "hw:numa_nodes")):
        yield concern(
            "openstack.numa_tuning.detected",
            WARNING,
            "NUMA tuning detected",
            "The NUMA settings of the flavor are not carried over.",
        )


def secure_boot(workload: Workload) -> Concerns:
    if "required" in (_properties(workload).get("os_secure_boot"), _specs(workload).get("os:secure_boot")):
        yield concern(
            "openstack.secure_boot.detected",
            WARNING,
            "UEFI secure boot detected",
            "Secure boot is off in the migrated VM, because its NVRAM does not come along. It can be turned on there later.",
        )


def shared_disk(workload: Workload) -> Concerns:
    if any(isinstance(volume.get("attachments"), list) and len(volume["attachments"]) > 1 for volume in _volumes(workload)):
        yield concern(
            "openstack.disk.shared.detected",
            WARNING,
            "Shared disk detected",
            "A volume is attached to several VMs. Each of them that is migrated gets a copy of its own.",
        )


def card_model(workload: Workload) -> Concerns:
    if not _says(_CARD_MODELS, _properties(workload).get("hw_vif_model")):
        yield concern(
            "openstack.network.vif_model.unsupported",
            WARNING,
            "Unsupported VIF model detected",
            "The image names no network card that the target has (e1000, e1000e, rtl8139, ne2k_pci, pcnet, virtio). "
            "The migrated VM gets virtio cards.",
        )


def operating_system(workload: Workload) -> Concerns:
    properties = _properties(workload)
    if not {"os_distro", "os_version"} <= properties.keys():
        return
    system, version = properties["os_distro"], properties["os_version"]
    if not any(_says(one, system) and _says(other, version) for one, other in _SYSTEMS):
        yield concern(
            "openstack.os.unsupported",
            WARNING,
            "Unsupported operative system detected",
            f"The image says that the guest is {system} {version}, which OpenShift Virtualization is not certified for.",
        )


def status(workload: Workload) -> Concerns:
    given = workload.get("status")
    if isinstance(given, str) and not _says(re.compile("ACTIVE|SHUTOFF"), given):
        yield concern(
            "openstack.vm.status.invalid",
            WARNING,
            "VM has a status condition that may prevent successful migration",
            f"The VM is {given}. Only VMs that are ACTIVE or SHUTOFF can be expected to migrate.",
        )


def watchdog(workload: Workload) -> Concerns:
    if _specs(workload).get("hw:watchdog_action") or _properties(workload).get("hw_watchdog_action"):
        yield concern(
            "openstack.watchdog.detected",
            WARNING,
            "Watchdog detected",
            "The watchdog device is not carried over.",
        )


RULES = (
    boot_menu,
    cpu_shares,
    disk_count,
    disk_interface,
    disk_capacity,
    disk_status,
    floating_addresses,
    host_devices,
    name,
    numa_tuning,
    secure_boot,
    shared_disk,
    card_model,
    operating_system,
    status,
    watchdog,
)
