"""What a conversion must know about an appliance beforehand: its disks, and in which order virt-v2v takes them.

Inventories list disks as the DiskSection does; virt-v2v numbers them as the VirtualHardwareSection attaches them. The two
orders differ in appliances of some exporters, and a disk must not end up in the volume of another one.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from defusedxml.ElementTree import fromstring

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import ovf

_OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
_RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
_DISK_DRIVE = "17"  # CIM resource type
_LARGEST_OVF = 16 * 1024 * 1024  # bytes; a descriptor has some kilobytes


class UnreadableAppliance(Exception):
    """The appliance is no OVA and no folder with one OVF; the text says why in one sentence."""


@dataclass(frozen=True)
class ApplianceDisk:
    """One disk of the appliance: `capacity` in bytes, and which one virt-v2v writes it as, from 0."""

    capacity: int
    number: int


def disks(appliance: Path) -> list[ApplianceDisk]:
    """The disks of an OVA file (plain or compressed tar) or of an OVF folder, in the order of the DiskSection."""
    descriptor = _descriptor(appliance)
    try:
        listed = ovf.parse(descriptor).disks
        capacities = [disk.capacity * ovf.unit_bytes(disk.units) for disk in listed]
    except ovf.OvfError as error:
        raise UnreadableAppliance(f"the appliance {appliance.name} {error}") from error
    except ValueError as error:
        raise UnreadableAppliance(f"the descriptor of the appliance {appliance.name} is unusable: {error}") from error
    attached = _attached(descriptor)
    for disk in listed:
        if not disk.href:
            raise UnreadableAppliance(f"the disk {disk.id} of the appliance {appliance.name} is blank, and virt-v2v takes no blank disks")
        if disk.id not in attached:
            raise UnreadableAppliance(f"the disk {disk.id} of the appliance {appliance.name} is attached to no virtual machine")
    return [ApplianceDisk(capacity, attached.index(disk.id)) for disk, capacity in zip(listed, capacities, strict=True)]


def _attached(descriptor: bytes) -> list[str]:
    """Disk ids in the order of the disk drives; only what virt-v2v understands counts."""
    drives = [item for item in fromstring(descriptor).iter(f"{_OVF}Item") if item.findtext(f"{_RASD}ResourceType") == _DISK_DRIVE]
    resources = [drive.findtext(f"{_RASD}HostResource") or "" for drive in drives]
    return [resource.rpartition("/disk/")[2] for resource in resources if "/disk/" in resource]


def _descriptor(appliance: Path) -> bytes:
    try:
        return _read_descriptor(appliance)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UnreadableAppliance(f"the appliance {appliance.name} is no OVA file (a tar archive), or a damaged one") from error
    except OSError as error:
        raise UnreadableAppliance(f"cannot read the appliance {appliance.name}: {error.strerror or error}") from error


def _read_descriptor(appliance: Path) -> bytes:
    if appliance.is_dir():
        descriptors = sorted(appliance.glob("*.ovf"))
        if len(descriptors) != 1:
            raise UnreadableAppliance(f"the folder {appliance.name} has {len(descriptors)} OVF descriptors; one is needed")
        return descriptors[0].read_bytes()[:_LARGEST_OVF]
    with tarfile.open(appliance) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith(".ovf"):
                content = archive.extractfile(member)
                assert content is not None
                return content.read(_LARGEST_OVF)
    raise UnreadableAppliance(f"the appliance {appliance.name} contains no OVF descriptor")
