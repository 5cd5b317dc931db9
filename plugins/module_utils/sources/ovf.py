# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF descriptors (DMTF DSP0243 1.x and 2.x, and the older forms that oVirt writes), as plain data. No file access.

Elements and attributes are found by their local names: exporters disagree about namespaces, not about names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

try:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse
except ImportError:
    HAS_DEFUSEDXML = False  # said when a descriptor is to be read
else:
    HAS_DEFUSEDXML = True

#: CIM resource types of hardware items.
PROCESSOR, MEMORY, ETHERNET = 3, 4, 10

# The first one declared on the envelope tells who wrote it; VMware's own is also declared by others, so it comes last.
_EXPORTERS = {
    "http://schemas.citrix.com/ovf/envelope/1": "Xen",
    "http://www.citrix.com/xenclient/ovf/1": "Xen",
    "http://www.virtualbox.org/ovf/machine": "VirtualBox",
    "http://www.ovirt.org/ovf": "oVirt",
}
_VMWARE = "http://www.vmware.com/schema/ovf"

# oVirt's BiosType: 3 is OVMF on Q35, 4 the same with secure boot.
_OVIRT_UEFI = {"3": False, "4": True}

_NAMED_UNITS = {
    "": 1,
    "kilobytes": 2**10,
    "kb": 2**10,
    "megabytes": 2**20,
    "mb": 2**20,
    "gigabytes": 2**30,
    "gb": 2**30,
    "terabytes": 2**40,
    "tb": 2**40,
}
_UNIT = re.compile(r"bytes?((?:\s*\*\s*\d{1,4}(?:\s*\^\s*\d{1,2})?)*)")
_FACTOR = re.compile(r"\*\s*(\d+)(?:\s*\^\s*(\d+))?")
_LARGEST = 2**63 - 1

Element = Any


class OvfError(Exception):
    """A descriptor or archive that cannot be used. Reads on after the file's name: "app.ova is not a tar archive"."""


@dataclass(frozen=True)
class Disk:
    """`capacity` in `units`; `href`: its file, "" for a blank disk; `chunked`: the file is stored in numbered pieces."""

    id: str
    file_ref: str
    href: str
    capacity: int
    units: str
    format: str
    populated_size: int
    chunked: bool = False


@dataclass(frozen=True)
class Nic:
    name: str
    mac: str
    network: str


@dataclass(frozen=True)
class Network:
    name: str
    description: str


@dataclass(frozen=True)
class System:
    """One virtual machine. `memory` in `memory_units`; `firmware` is "efi", "bios" or "" when the descriptor does not say."""

    id: str
    name: str
    os_type: str
    firmware: str
    secure_boot: bool
    cpus: int
    cores_per_socket: int
    cpu_units: str
    memory: int
    memory_units: str
    nics: tuple[Nic, ...]
    devices: tuple[str, ...]
    settings: dict[str, str]

    def enabled(self, setting: str) -> bool:
        """A VMware setting (`vmw:Config`, `vmw:ExtraConfig`) is on."""
        return _true(self.settings.get(setting, ""))


@dataclass(frozen=True)
class Envelope:
    """One descriptor. `exporter`: VMware, VirtualBox, oVirt, Xen or Unknown."""

    exporter: str
    disks: tuple[Disk, ...]
    networks: tuple[Network, ...]
    systems: tuple[System, ...]


def parse(text: bytes) -> Envelope:
    """Read a descriptor. Raises OvfError; nothing in `text` makes it read or fetch anything else."""
    root, namespaces = _tree(text)
    if _local(root.tag) != "Envelope":
        raise OvfError(f"has a descriptor that is not OVF: its root element is {_local(root.tag)!r}, not 'Envelope'")
    systems = _sections(root, "VirtualSystem")
    if not systems:
        if _sections(root, "VirtualSystemCollection"):
            raise OvfError("holds a vApp (several machines in one package), which cannot be converted: export each machine by itself")
        raise OvfError("has a descriptor without a virtual machine")
    configuration = _default_configuration(root)
    return Envelope(
        exporter=_exporter(namespaces),
        disks=tuple(_disks(root)),
        networks=tuple(
            Network(_attribute(network, "name"), _text(network, "Description"))
            for section in _sections(root, "NetworkSection")
            for network in _children(section, "Network")
        ),
        systems=tuple(_system(system, configuration) for system in systems),
    )


def unit_bytes(units: str) -> int:
    """Bytes in one programmatic unit (DMTF DSP0004): "byte * 2^30", "byte*10^9", "MegaBytes", "" (bytes). Raises ValueError."""
    text = units.strip().lower()
    if text in _NAMED_UNITS:
        return _NAMED_UNITS[text]
    match = _UNIT.fullmatch(text)
    if not match:
        raise ValueError(f"allocation unit {units!r} is not understood: expected something like 'byte * 2^30'")
    size = 1
    for base, exponent in _FACTOR.findall(match.group(1)):
        size *= int(base) ** int(exponent or 1)
    return size


# --- sections --------------------------------------------------------------------------------------------------------


def _disks(root: Element) -> Iterator[Disk]:
    files = {_attribute(file, "id"): file for section in _sections(root, "References") for file in _children(section, "File")}
    for section in _sections(root, "DiskSection"):
        for disk in _children(section, "Disk"):
            identity, reference = _attribute(disk, "diskId"), _attribute(disk, "fileRef")
            file = files.get(reference)
            if reference and file is None:
                raise OvfError(f"has a descriptor whose disk {identity!r} refers to the file {reference!r}, which it does not list")
            yield Disk(
                id=identity,
                file_ref=reference,
                href=_attribute(file, "href") if file is not None else "",
                capacity=_number(_attribute(disk, "capacity"), f"capacity of disk {identity!r}"),
                units=_attribute(disk, "capacityAllocationUnits"),
                format=_attribute(disk, "format"),
                populated_size=_number(_attribute(disk, "populatedSize"), f"populatedSize of disk {identity!r}"),
                chunked=file is not None and bool(_attribute(file, "chunkSize")),
            )


def _system(element: Element, configuration: str) -> System:
    hardware = _sections(element, "VirtualHardwareSection")
    items = [_Item(item) for section in hardware for item in _children(section, "Item", "StorageItem", "EthernetPortItem")]
    items = [item for item in items if item.belongs_to(configuration)]
    cpu = next((item for item in reversed(items) if item.type == PROCESSOR), None)
    memory = next((item for item in reversed(items) if item.type == MEMORY), None)
    settings = {
        _attribute(setting, "key"): _attribute(setting, "value")
        for tag in ("Config", "ExtraConfig")
        for section in hardware
        for setting in _children(section, tag)
    }
    firmware, secure_boot = _firmware(element, settings)
    identity = _attribute(element, "id")
    identifiers = [_text(system, "VirtualSystemIdentifier") for section in hardware for system in _children(section, "System")]
    return System(
        id=identity,
        name=_text(element, "Name") or next(filter(None, identifiers), "") or identity,
        os_type=_os_type(element),
        firmware=firmware,
        secure_boot=secure_boot,
        cpus=cpu.cpus() if cpu else 0,
        cores_per_socket=cpu.cores_per_socket() if cpu else 0,
        cpu_units=cpu["AllocationUnits"] if cpu else "",
        memory=memory.number("VirtualQuantity") if memory else 0,
        memory_units=memory["AllocationUnits"] if memory else "",
        nics=tuple(
            Nic(i["ElementName"] or i["Name"], i["Address"] or i["MACAddress"], i["Connection"]) for i in items if i.type == ETHERNET
        ),
        devices=tuple(item.device() for item in items if item.type not in (PROCESSOR, MEMORY, ETHERNET)),
        settings=settings,
    )


class _Item:
    """One hardware item: its child elements by local name."""

    def __init__(self, element: Element) -> None:
        self._values = {_local(child.tag): (child.text or "").strip() for child in element}
        self._configurations = _attribute(element, "configuration").split()
        self.type = self.number("ResourceType")

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    def number(self, name: str) -> int:
        return _number(self[name], name)

    def belongs_to(self, configuration: str) -> bool:
        """Items of other deployment options than the default one are not part of the machine."""
        return not self._configurations or configuration in self._configurations

    def cpus(self) -> int:
        if self["VirtualQuantity"]:
            return self.number("VirtualQuantity")
        return max(self.number("num_of_sockets"), 1) * max(self.number("cpu_per_socket"), 1) * max(self.number("threads_per_cpu"), 1)

    def cores_per_socket(self) -> int:
        return _number(self["CoresPerSocket"] or self["cpu_per_socket"], "CoresPerSocket")

    def nic(self) -> Nic:
        return Nic(self["ElementName"] or self["Name"], self["Address"] or self["MACAddress"], self["Connection"])

    def device(self) -> str:
        """What kind of device: "Hard disk" for "Hard disk 1"."""
        return re.sub(r"[\d\s]+$", "", self["ElementName"]) or self["Description"] or "Unknown"


def _firmware(element: Element, settings: dict[str, str]) -> tuple[str, bool]:
    """(firmware, secure boot) as VMware, oVirt or VirtualBox say it."""
    secure = any(_true(settings.get(key, "")) for key in ("bootOptions.efiSecureBootEnabled", "uefi.secureBoot.enabled"))
    if settings.get("firmware"):
        return settings["firmware"].lower(), secure
    bios_type = _text(element, "BiosType")
    if bios_type in _OVIRT_UEFI:
        return "efi", _OVIRT_UEFI[bios_type]
    for machine in _children(element, "Machine"):
        for hardware in _children(machine, "Hardware"):
            if any(_attribute(firmware, "type").upper().startswith("EFI") for firmware in _children(hardware, "Firmware")):
                return "efi", secure
    return "", secure


def _os_type(element: Element) -> str:
    """VMware's guest id where it is given, else what other exporters write as the description ("Debian_64")."""
    sections = _sections(element, "OperatingSystemSection")
    return next(filter(None, (_attribute(section, "osType") for section in sections)), "") or next(
        filter(None, (_text(section, "Description") for section in sections)), ""
    )


def _default_configuration(root: Element) -> str:
    options = [option for section in _sections(root, "DeploymentOptionSection") for option in _children(section, "Configuration")]
    chosen = next((option for option in options if _true(_attribute(option, "default"))), options[0] if options else None)
    return _attribute(chosen, "id") if chosen is not None else ""


def _exporter(namespaces: list[str]) -> str:
    known = [_EXPORTERS[uri] for uri in namespaces if uri in _EXPORTERS]
    if known:
        return known[0]
    return "VMware" if any(_VMWARE in uri for uri in namespaces) else "Unknown"


# --- XML -------------------------------------------------------------------------------------------------------------


def _tree(text: bytes) -> tuple[Element, list[str]]:
    """The root element and the namespaces declared on it, in order."""
    if not HAS_DEFUSEDXML:
        raise OvfError("cannot be read: the Python package 'defusedxml' is missing")
    namespaces: list[str] = []
    root: Element | None = None
    try:
        for event, value in iterparse(io.BytesIO(text), events=("start-ns", "start")):
            if event == "start" and root is None:
                root = value
            elif event == "start-ns" and root is None:
                namespaces.append(value[1])
    except ParseError as error:
        line, column = error.position
        raise OvfError(f"has a descriptor that is not well-formed XML (line {line}, column {column + 1})") from None
    except DefusedXmlException:
        raise OvfError("has a descriptor that declares XML entities or external references, which is refused") from None
    except (ValueError, LookupError):  # an encoding that expat or Python does not know
        raise OvfError("has a descriptor in a character encoding that is not understood: use UTF-8") from None
    return root, namespaces


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _children(element: Element, *names: str) -> list[Element]:
    return [child for child in element if _local(child.tag) in names]


def _sections(element: Element, name: str) -> list[Element]:
    """Sections by element name, or in the older form <Section xsi:type="ovf:NAME_Type">."""
    old_form = name + "_Type"
    return [
        child
        for child in element
        if _local(child.tag) == name
        or (_local(child.tag) in ("Section", "Content") and _attribute(child, "type").rpartition(":")[2] == old_form)
    ]


def _attribute(element: Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if _local(key) == name), "")


def _text(element: Element, name: str) -> str:
    return next(((child.text or "").strip() for child in _children(element, name)), "")


def _number(text: str, what: str) -> int:
    """A whole number, 0 when absent."""
    try:
        number = int(text) if len(text) < 20 else _LARGEST + 1
    except ValueError:
        number = _LARGEST + 1 if text else 0
    if abs(number) > _LARGEST:
        raise OvfError(f"has a descriptor whose {what} is {text[:40]!r}, not a whole number")
    return number


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "t", "true")
