"""OVAs made on the spot: descriptors as exporters write them, packed with tarfile."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

OVF = "http://schemas.dmtf.org/ovf/envelope/1"
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"

VMWARE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="{ovf}" xmlns:ovf="{ovf}" xmlns:rasd="{rasd}" xmlns:vmw="http://www.vmware.com/schema/ovf">
<References>{files}</References>
<DiskSection><Info>d</Info>{disks}</DiskSection>
<NetworkSection><Info>n</Info><Network ovf:name="VM Network"><Description>n</Description></Network></NetworkSection>
<VirtualSystem ovf:id="{id}"><Info>vm</Info><Name>{name}</Name>
<OperatingSystemSection ovf:id="80" vmw:osType="rhel9_64Guest"><Info>os</Info></OperatingSystemSection>
<VirtualHardwareSection><Info>hw</Info>
<Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:Description>Number of Virtual CPUs</rasd:Description>
<rasd:ElementName>2 virtual CPU(s)</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
<rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>2048MB</rasd:ElementName>
<rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
<Item><rasd:ElementName>SCSI Controller 0</rasd:ElementName><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:ElementName>Hard Disk 1</rasd:ElementName><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:Connection>VM Network</rasd:Connection><rasd:ElementName>Network adapter 1</rasd:ElementName>
<rasd:ResourceType>10</rasd:ResourceType></Item>
{extra}</VirtualHardwareSection></VirtualSystem></Envelope>
"""


def vmware_ovf(name: str = "web", id: str = "web", disks: Mapping[str, str] | None = None, extra: str = "") -> bytes:
    """A descriptor as vSphere exports it. `disks`: file -> capacity in GiB (text, to allow bad ones)."""
    disks = {f"{name}-disk1.vmdk": "2"} if disks is None else disks
    return VMWARE.format(
        ovf=OVF,
        rasd=RASD,
        name=name,
        id=id,
        extra=extra,
        files="".join(f'<File ovf:href="{file}" ovf:id="file{n}"/>' for n, file in enumerate(disks, 1)),
        disks="".join(
            f'<Disk ovf:capacity="{size}" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk{n}" ovf:fileRef="file{n}" '
            f'ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="65536"/>'
            for n, size in enumerate(disks.values(), 1)
        ),
    ).encode()


def write_ova(path: Path, members: Mapping[str, bytes] | list[tarfile.TarInfo | tuple[str, bytes]]) -> Path:
    """An archive with `members`: name -> content, or ready TarInfos."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member in members.items() if isinstance(members, Mapping) else members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def write_vm(path: Path, name: str = "web", **descriptor: object) -> Path:
    """A complete archive of one VM with one small disk."""
    return write_ova(path, {f"{name}.ovf": vmware_ovf(name, **descriptor), f"{name}-disk1.vmdk": b"KDMV" * 256})  # type: ignore[arg-type]


@pytest.fixture
def ovf_text() -> Callable[..., bytes]:
    return vmware_ovf


@pytest.fixture
def pack() -> Callable[..., Path]:
    return write_ova


@pytest.fixture
def vm_archive() -> Callable[..., Path]:
    return write_vm


@pytest.fixture
def golden() -> Path:
    """Recorded answers of the real service, where they lie beside the checkout."""
    for parent in Path(__file__).resolve().parents:
        folder = parent.parent / "shared" / "golden" / "inventory"
        if folder.is_dir():
            return folder
    pytest.skip("no recorded answers beside this checkout")
