"""What a conversion must know about an appliance beforehand: its disks, and in which order virt-v2v takes them.

Inventories list disks as the DiskSection does; virt-v2v numbers them as the VirtualHardwareSection attaches them. The two
orders differ in appliances of some exporters, and a disk must not end up in the volume of another one.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from defusedxml.ElementTree import fromstring

from ansible_collections.vmshift.mtv.controlplane.datapath.guest_input import GuestInput
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import archive, ovf

_OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
_RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
_CHECKSUM = re.compile(r"checksum of \w+ (?P<file>.+) does not match manifest \(actual = (?:\w+\()?(?P<actual>[0-9a-f]{32,})")
_DISK_DRIVE = "17"  # CIM resource type


def guest_input(environment: Mapping[str, str], mounts: Mounts) -> GuestInput:
    """The appliance that the environment of a pod names. Raises UnreadableAppliance, NotMounted, ConversionFailed."""
    if not environment.get("V2V_diskPath"):
        raise ConversionFailed("the environment of the pod lacks V2V_diskPath")
    appliance = mounts.host_path(environment["V2V_diskPath"])
    return GuestInput(["-i", "ova", str(appliance)], [(disk.capacity, disk.number) for disk in disks(appliance)])


def checksum_told(environment: Mapping[str, str], mounts: Mounts, error: str) -> str | None:
    """virt-v2v's complaint about a checksum, with both of them; None when `error` is another one.

    virt-v2v 2.2 names the algorithm in place of what it expected.
    """
    found = _CHECKSUM.search(error)
    if not found:
        return None
    appliance = mounts.host_path(environment["V2V_diskPath"])
    algorithm, expected = _manifest(appliance).get(found["file"], ("", "another one"))
    return (
        f"the file {found['file']} of the appliance {appliance.name} has the checksum {found['actual']}, but the manifest says "
        f"{algorithm} {expected}: it was damaged or changed after the export; export or copy it anew"
    )


def _manifest(appliance: Path) -> dict[str, tuple[str, str]]:
    """Name of a file -> (algorithm, checksum), as far as it can be read."""
    try:
        if appliance.is_dir():
            texts = [path.read_bytes()[: archive.LARGEST_MANIFEST] for path in sorted(appliance.glob("*.mf"))]
        else:
            with tarfile.open(appliance, mode="r:") as members:
                found = [members.extractfile(m) for m in members if m.isfile() and m.name.lower().endswith(".mf")]
                texts = [file.read(archive.LARGEST_MANIFEST) for file in found if file]
    except (OSError, tarfile.TarError):
        return {}
    return archive.checksums(b"\n".join(texts))


class UnreadableAppliance(Exception):
    """The appliance is no OVA and no folder with one OVF; the text says why in one sentence."""


@dataclass(frozen=True)
class ApplianceDisk:
    """One disk of the appliance: `capacity` in bytes, and which one virt-v2v writes it as, from 0."""

    capacity: int
    number: int


def disks(appliance: Path) -> list[ApplianceDisk]:
    """The disks of an OVA file or of a folder with one OVF file, in the order of the DiskSection. Raises UnreadableAppliance."""
    try:
        path = _descriptor_in(appliance) if appliance.is_dir() else appliance
        envelope = archive.read_ovf(path) if appliance.is_dir() else archive.read_ova(path)
        if appliance.is_dir():
            archive.check_disk_files(path, envelope)
        capacities = [disk.capacity * ovf.unit_bytes(disk.units) for disk in envelope.disks]
        attached = _attached(path)
    except ovf.OvfError as error:
        raise UnreadableAppliance(f"the appliance {appliance.name} {error}") from None
    except OSError as error:
        raise UnreadableAppliance(f"cannot read the appliance {appliance.name}: {error.strerror or error}") from None
    except ValueError as error:
        raise UnreadableAppliance(f"the descriptor of the appliance {appliance.name} is unusable: {error}") from None
    for disk in envelope.disks:
        if not disk.href:
            raise UnreadableAppliance(f"the disk {disk.id} of the appliance {appliance.name} is blank, and virt-v2v takes no blank disks")
        if disk.id not in attached:
            raise UnreadableAppliance(f"the disk {disk.id} of the appliance {appliance.name} is attached to no virtual machine")
    return [ApplianceDisk(capacity, attached.index(disk.id)) for disk, capacity in zip(envelope.disks, capacities, strict=True)]


def _descriptor_in(folder: Path) -> Path:
    descriptors = sorted(folder.glob("*.ovf"))
    if len(descriptors) != 1:
        raise ovf.OvfError(f"has {len(descriptors)} OVF descriptors in its folder; virt-v2v needs one")
    return descriptors[0]


def _attached(path: Path) -> list[str]:
    """Disk ids in the order of the disk drives; only what virt-v2v understands counts."""
    drives = [item for item in fromstring(_text(path)).iter(f"{_OVF}Item") if item.findtext(f"{_RASD}ResourceType") == _DISK_DRIVE]
    resources = [drive.findtext(f"{_RASD}HostResource") or "" for drive in drives]
    return [resource.rpartition("/disk/")[2] for resource in resources if "/disk/" in resource]


def _text(path: Path) -> bytes:
    """The descriptor, out of an archive that has been read without complaint before."""
    if path.suffix.lower() == ".ovf":
        return path.read_bytes()
    with tarfile.open(path, mode="r:") as members:
        descriptor = next(member for member in members if member.isfile() and member.name.lower().endswith(".ovf"))
        content = members.extractfile(descriptor)
        return content.read() if content else b""
