# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a VM as vSphere inventories describe it (facts 5.3): its disks in their order, its guest. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

POWERED_ON, POWERED_OFF = "poweredOn", "poweredOff"
MANUAL = "manual"  # origin of an address that somebody set

#: Disks are numbered bus after bus, and within a bus by their keys: so are DataVolumes, volumes of the target, disks of the guest.
BUS_ORDER = ("sata", "ide", "scsi", "nvme")

_SNAPSHOT_SUFFIX = re.compile(r"-\d{6}(?=\.vmdk$)")
_DATASTORE_PATH = re.compile(r"\[([^\]]*)\] ?(.*)")
_DEFAULT_ROUTES = ("0.0.0.0", "::")
_LEGACY_WINDOWS = (
    "windows xp",
    "winxppro",
    "server 2003",
    "winnetenterprise",
    "winnetstandard",
    "vista",
    "server 2008",
    "longhorn",
    "windows 7",
    "windows7",
)


def ordered_disks(vm: Mapping[str, Any]) -> list[Object]:
    """The disks in their order; those of a bus that is not known come last."""

    def place(disk: Object) -> tuple[int, int]:
        bus = disk.get("bus")
        return (BUS_ORDER.index(bus) if bus in BUS_ORDER else len(BUS_ORDER)), disk["key"]

    return sorted(vm.get("disks") or (), key=place)


def base_file(file: str) -> str:
    """The file that a disk had before its snapshots: "[ds] vm/vm-000002.vmdk" -> "[ds] vm/vm.vmdk"."""
    return _SNAPSHOT_SUFFIX.sub("", file)


def split_file(file: str) -> tuple[str, str]:
    """(datastore, path) of a file: "[ds] vm/vm.vmdk" -> ("ds", "vm/vm.vmdk"). Raises ValueError."""
    found = _DATASTORE_PATH.fullmatch(file)
    if not found or not found[2]:
        raise ValueError(f'"{file}" is no file of a datastore, expected "[datastore] path"')
    return found[1], found[2]


def file_name(file: str) -> str:
    """The last part of the path of a file; "" where it is no file of a datastore."""
    found = _DATASTORE_PATH.fullmatch(file)
    return (found[2] if found else file).rpartition("/")[2]


def is_powered_on(vm: Mapping[str, Any]) -> bool:
    return vm.get("powerState") == POWERED_ON


def is_windows(vm: Mapping[str, Any]) -> bool:
    """By what the VM is configured for, as MTV asks ("darwin" contains "win", and is none)."""
    return str(vm.get("guestId") or "").startswith("win") or "windows" in str(vm.get("guestName") or "").lower()


def is_legacy_windows(vm: Mapping[str, Any]) -> bool:
    """A Windows that does not take drivers signed with SHA-2."""
    names = str(vm.get("guestId") or "").lower(), str(vm.get("guestName") or "").lower()
    return any(legacy in name for legacy in _LEGACY_WINDOWS for name in names)


def static_ips(vm: Mapping[str, Any]) -> list[str]:
    """The addresses of the guest as virt-v2v's --mac takes them: "<mac>:ip:<ip>,<gateway>,<prefix>[,<dns>...]", IPv4 first (facts 3.9).

    Of a Windows guest only those that were set by hand. An address that is none is left out.
    """
    found = []
    for network in vm.get("guestNetworks") or ():
        address = _address(network.get("ip"))
        if address is None or address.is_link_local or (is_windows(vm) and network.get("origin") != MANUAL):
            continue
        fields = [network["ip"], _gateway(vm, network, address), str(network.get("prefix") or 0), *(network.get("dns") or ())]
        found.append((address.version, f"{network['mac']}:ip:{','.join(fields)}"))
    return [text for _version, text in sorted(found, key=lambda entry: entry[0])]


def _gateway(vm: Mapping[str, Any], network: Object, address: Any) -> str:
    """That of the last default route of the same device and address family."""
    gateway = ""
    for route in vm.get("guestIpStacks") or ():
        towards = _address(route.get("gateway"))
        default = route.get("network") in _DEFAULT_ROUTES
        if default and towards is not None and towards.version == address.version and route.get("device") == network.get("device"):
            gateway = route["gateway"]
    return gateway


def has_several_static_ips_per_nic(vm: Mapping[str, Any]) -> bool:
    """Of one NIC, more than one IPv4 address was set by hand."""
    macs = []
    for network in vm.get("guestNetworks") or ():
        address = _address(network.get("ip"))
        if network.get("origin") == MANUAL and address is not None and address.version == 4:
            macs.append(network["mac"])
    return len(macs) != len(set(macs))


def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        return None
