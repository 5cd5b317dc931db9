# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of OVA archives and OVF files, as MTV's inventory shows it.

Shapes as MTV emits them: items in lower camel case, but what is nested in a VM (disks, networks, nics, devices) with capitals.
An archive is looked for in the folder and one level below it, an .ovf file one level deeper: the depths that MTV looks at.
Paths in items begin with /ova, where the export is mounted in the pods that read it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, Collected, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.archive import check_descriptor, check_disk_files, read_ova, read_ovf
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovf import Disk, Envelope, Network, OvfError, System, unit_bytes

MOUNT = "/ova"
COLLECTIONS = ("vms", "networks", "disks", "storages")

_DEPTHS = {".ova": 2, ".ovf": 3}


@dataclass(frozen=True)
class Appliance:
    """An archive or descriptor file. `stamp` changes with its content: (mtime in ns, size, inode)."""

    path: Path
    relative: str
    stamp: tuple[int, int, int]

    @property
    def is_archive(self) -> bool:
        return self.path.suffix.lower() == ".ova"


@dataclass(frozen=True)
class Read:
    """What a file said when it was read: an envelope or a problem."""

    stamp: tuple[int, int, int]
    envelope: Envelope | None
    problem: str = ""


def collect(folder: Path, cache: dict[str, Read] | None = None) -> Collected:
    """Everything in `folder`. Files whose stamp is in `cache` are not read again; the cache is brought up to date.

    A file that cannot be used is left out and becomes a problem, one sentence beginning with its path. Raises SourceError when the
    folder itself cannot be read.
    """
    cache = {} if cache is None else cache
    appliances, problems = find_appliances(folder)
    inventory = _Inventory()
    for appliance in appliances:
        read = cache.get(appliance.relative)
        if read is None or read.stamp != appliance.stamp:
            read = cache[appliance.relative] = _read(appliance)
        problem = read.problem
        if read.envelope is not None:
            problem = _mismatch(appliance, read.envelope) or inventory.add(appliance, read.envelope)
        if problem:
            problems.append(f"{appliance.relative} {problem}")
    for gone in cache.keys() - {appliance.relative for appliance in appliances}:
        del cache[gone]
    if not appliances and not problems:
        problems.append(f"{folder} holds no .ova or .ovf file")
    return Collected(inventory.resources(), problems)


def find_appliances(folder: Path) -> tuple[list[Appliance], list[str]]:
    """The .ova and .ovf files of a folder, archives first, and a sentence for each that cannot be looked at."""
    problems: list[str] = []
    try:
        entries = list(_walk(folder, "", problems))
    except OSError as error:
        raise SourceError(f"the folder {folder} cannot be read: {_reason(error)}", CONNECTION) from None
    found = [appliance for appliance in (_appliance(entry, relative, problems) for relative, entry in entries) if appliance]
    return sorted(found, key=lambda appliance: not appliance.is_archive), problems


def capacity_bytes(disk: dict[str, Any]) -> int:
    """Size in bytes of a disk of an inventory VM. Raises ValueError for an allocation unit that is not understood."""
    return disk["Capacity"] * unit_bytes(disk["CapacityAllocationUnits"])


def memory_bytes(vm: dict[str, Any]) -> int:
    """Memory in bytes of an inventory VM: OVF means MiB when it names no unit. Raises ValueError."""
    return vm["memoryMB"] * unit_bytes(vm["memoryUnits"] or "byte * 2^20")


# --- files -----------------------------------------------------------------------------------------------------------


def _walk(folder: Path, relative: str, problems: list[str], depth: int = 1) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files at most as deep as any kind is looked for, in the order of their names; links to folders are not followed."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        path = relative + entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield path, entry
        elif depth < max(_DEPTHS.values()):
            try:
                yield from _walk(Path(entry.path), path + "/", problems, depth + 1)
            except OSError as error:
                problems.append(f"{_shown(path)} cannot be read: {_reason(error)}")


def _appliance(entry: os.DirEntry[str], relative: str, problems: list[str]) -> Appliance | None:
    depth = _DEPTHS.get(os.path.splitext(entry.name)[1].lower())
    if depth is None:
        return None
    shown = _shown(relative)
    if shown != relative:
        problems.append(f"{shown} has a name that is not UTF-8: rename it")
        return None
    if relative.count("/") >= depth:
        problems.append(f"{relative} lies too deep: archives are looked for in the folder itself and one level below it")
        return None
    try:
        status = entry.stat()
    except OSError as error:
        problems.append(f"{relative} cannot be read: {_reason(error)}")
        return None
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        problems.append(f"{relative} is not a regular file")
        return None
    return Appliance(Path(entry.path), relative, (status.st_mtime_ns, status.st_size, status.st_ino))


def _read(appliance: Appliance) -> Read:
    try:
        envelope = read_ova(appliance.path) if appliance.is_archive else read_ovf(appliance.path)
    except OvfError as error:
        return Read(appliance.stamp, None, str(error))
    except OSError as error:
        return Read(appliance.stamp, None, f"cannot be read: {_reason(error)}")
    return Read(appliance.stamp, envelope)


def _mismatch(appliance: Appliance, envelope: Envelope) -> str:
    """Looked at anew each time: disks and manifest of an .ovf file come and go without the descriptor changing."""
    if not appliance.is_archive:
        try:
            check_disk_files(appliance.path, envelope)
            check_descriptor(appliance.path)
        except OvfError as error:
            return str(error)
        except OSError as error:
            return f"has a manifest that cannot be read: {_reason(error)}"
    return ""


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# --- items -----------------------------------------------------------------------------------------------------------


class _Inventory:
    """The items of a folder, each id once."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, dict[str, Any]]] = {collection: {} for collection in COLLECTIONS}

    def add(self, appliance: Appliance, envelope: Envelope) -> str:
        """Add what a descriptor describes; a problem ("" for none) keeps all of it out."""
        path = f"{MOUNT}/{appliance.relative}"
        disks = [_disk(disk, path) for disk in envelope.disks]
        networks = [_network(network) for network in envelope.networks]
        vms = [_vm(system, number, path, envelope.exporter, disks, networks) for number, system in enumerate(envelope.systems)]
        for vm in vms:
            other = self._items["vms"].get(vm["id"])
            if other:
                return f"describes a machine with the same UUID as {other['ovfPath'][len(MOUNT) + 1 :]}: {vm['id']}"
        self._put("vms", vms)
        self._put("networks", [_item(network, ("Description",), path=True) for network in networks])
        # MTV's /disks shows no units, only the disks nested in VMs do.
        own = ("FilePath", "Capacity", "CapacityAllocationUnits", "DiskId", "FileRef", "Format", "PopulatedSize")
        self._put("disks", [{**_item(disk, own), "CapacityAllocationUnits": ""} for disk in disks])
        self._put("storages", [_item(disk, (), path=True) for disk in disks])
        return ""

    def resources(self) -> dict[str, list[dict[str, Any]]]:
        return {collection: list(items.values()) for collection, items in self._items.items()}

    def _put(self, collection: str, items: list[dict[str, Any]]) -> None:
        for item in items:
            self._items[collection].setdefault(item["id"], item)


def _vm(
    system: System, number: int, path: str, exporter: str, disks: list[dict[str, Any]], networks: list[dict[str, Any]]
) -> dict[str, Any]:
    identity = system.id if _is_uuid(system.id) else _identity("vm", path, str(number))
    return {
        "id": identity,
        "name": system.name or os.path.splitext(os.path.basename(path))[0],
        "path": identity,
        "revisionValidated": 0,
        "policyVersion": 0,
        "concerns": [],
        "ovfPath": path,
        "exportSource": exporter,
        "osType": system.os_type,
        "uuid": identity,
        "firmware": system.firmware,
        "secureBoot": system.secure_boot,
        "cpuAffinity": [],
        "cpuHotAddEnabled": system.enabled("cpuHotAddEnabled"),
        "cpuHotRemoveEnabled": system.enabled("cpuHotRemoveEnabled"),
        "memoryHotAddEnabled": system.enabled("memoryHotAddEnabled"),
        "faultToleranceEnabled": False,
        "cpuCount": system.cpus,
        "coresPerSocket": system.cores_per_socket,
        "memoryMB": system.memory,
        "memoryUnits": system.memory_units,
        "cpuUnits": system.cpu_units,
        "balloonedMemory": 0,
        "ipAddress": "",
        "numaNodeAffinity": [],
        "storageUsed": 0,
        "changeTrackingEnabled": False,
        "devices": [{"Kind": kind} for kind in system.devices],
        "nics": [{"Name": nic.name, "MAC": nic.mac, "Network": nic.network, "Config": None} for nic in system.nics],
        "disks": disks,
        "networks": networks,
    }


def _disk(disk: Disk, path: str) -> dict[str, Any]:
    name = disk.href or disk.id
    return {
        "ID": _identity("disk", path, disk.id, name),
        "Variant": "",
        "Name": name,
        "Revision": 0,
        # virt-v2v reads an archive itself, but the folder of a bare descriptor.
        "FilePath": path if path.lower().endswith(".ova") else os.path.dirname(path) + "/",
        "Capacity": disk.capacity,
        "CapacityAllocationUnits": disk.units,
        "DiskId": disk.id,
        "FileRef": disk.file_ref,
        "Format": disk.format,
        "PopulatedSize": disk.populated_size,
    }


def _network(network: Network) -> dict[str, Any]:
    return {"ID": network_id(network.name), "Variant": "", "Name": network.name, "Revision": 0, "Description": network.description}


def _item(nested: dict[str, Any], keys: tuple[str, ...], path: bool = False) -> dict[str, Any]:
    """The collection's item for something nested in a VM."""
    base = {"id": nested["ID"], "name": nested["Name"], **({"path": nested["ID"]} if path else {})}
    return {**base, **{key: nested[key] for key in keys}}


# --- identities ------------------------------------------------------------------------------------------------------


def network_id(name: str) -> str:
    """The id that MTV gives to a network of that name: the same with every provider, so maps by id can be carried over.

    It is the beginning of the SHA-256 of the name in Go's gob encoding.
    """
    text = name.encode()
    value = b"\x0c\x00" + _gob_unsigned(len(text)) + text  # type id of strings, no struct field, the string
    return hashlib.sha256(_gob_unsigned(len(value)) + value).hexdigest()[:36]


def _gob_unsigned(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - len(digits)]) + digits


def _identity(*parts: str) -> str:
    """36 hexadecimal digits, like MTV's; by place, not by content, so that a changed appliance stays the same VM."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:36]


def _is_uuid(text: str) -> bool:
    try:
        return len(text) in (32, 36) and bool(uuid.UUID(text))
    except ValueError:
        return False
