"""OVA files as VMware exports them: OVF descriptor, manifest, stream-optimised disks."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape
from xml.sax.saxutils import quoteattr as q

from ansible_collections.vmshift.mtv.lab.commands import run

NAMESPACES = {
    "": "http://schemas.dmtf.org/ovf/envelope/1",
    "ovf": "http://schemas.dmtf.org/ovf/envelope/1",
    "rasd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    "vssd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    "vmw": "http://www.vmware.com/schema/ovf",
}
STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"


@dataclass(frozen=True)
class Guest:
    """What the descriptor says of a VM. `memory` in MiB; `nics` are (network, MAC)."""

    name: str
    cpus: int = 1
    memory: int = 512
    os_type: str = "debian11_64Guest"
    nics: tuple[tuple[str, str], ...] = (("VM Network", "00:50:56:8a:00:01"),)
    firmware: str = "bios"
    disks: tuple[Path, ...] = field(default=())


def export(guest: Guest, ova: Path, work: Path) -> None:
    """Write the guest's raw disks and its descriptor into one OVA file."""
    vmdks = []
    for number, disk in enumerate(guest.disks, 1):
        vmdk = work / f"{guest.name}-disk{number}.vmdk"
        run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, vmdk], timeout=1800)
        vmdks.append(vmdk)
    ovf = work / f"{guest.name}.ovf"
    ovf.write_text(descriptor(guest, vmdks))
    manifest = work / f"{guest.name}.mf"
    manifest.write_text("".join(f"SHA256({f.name})= {sha256(f)}\n" for f in (ovf, *vmdks)))
    partial = ova.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member in (ovf, manifest, *vmdks):
            archive.add(member, arcname=member.name)
    partial.rename(ova)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def descriptor(guest: Guest, vmdks: list[Path]) -> str:
    """The OVF envelope."""
    spaces = " ".join(f"xmlns{':' + k if k else ''}={q(v)}" for k, v in NAMESPACES.items())
    files = "".join(f'<File ovf:href={q(f.name)} ovf:id="file{n}" ovf:size="{f.stat().st_size}"/>' for n, f in enumerate(vmdks, 1))
    disks = "".join(
        f'<Disk ovf:capacity="{d.stat().st_size}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk{n}" '
        f'ovf:fileRef="file{n}" ovf:format="{STREAM_OPTIMIZED}"/>'
        for n, d in enumerate(guest.disks, 1)
    )
    networks = "".join(
        f"<Network ovf:name={q(n)}><Description>{escape(n)}</Description></Network>" for n in dict.fromkeys(n for n, _unused in guest.nics)
    )
    items = "".join(hardware(guest))
    firmware = '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>' if guest.firmware == "efi" else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-1" {spaces}>
<References>{files}</References>
<DiskSection><Info>Virtual disks</Info>{disks}</DiskSection>
<NetworkSection><Info>Networks</Info>{networks}</NetworkSection>
<VirtualSystem ovf:id={q(guest.name)}><Info>A virtual machine</Info><Name>{escape(guest.name)}</Name>
<OperatingSystemSection ovf:id="96" vmw:osType={q(guest.os_type)}><Info>Guest operating system</Info></OperatingSystemSection>
<VirtualHardwareSection><Info>Virtual hardware</Info>
<System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
<vssd:VirtualSystemIdentifier>{escape(guest.name)}</vssd:VirtualSystemIdentifier><vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
{items}{firmware}</VirtualHardwareSection></VirtualSystem></Envelope>
"""


def hardware(guest: Guest) -> list[str]:
    """The hardware items: CPU, memory, one pvscsi controller with the disks, NICs."""
    items = [
        {
            "AllocationUnits": "hertz * 10^6",
            "ElementName": f"{guest.cpus} CPU",
            "InstanceID": 1,
            "ResourceType": 3,
            "VirtualQuantity": guest.cpus,
        },
        {
            "AllocationUnits": "byte * 2^20",
            "ElementName": f"{guest.memory} MB",
            "InstanceID": 2,
            "ResourceType": 4,
            "VirtualQuantity": guest.memory,
        },
        {"Address": 0, "ElementName": "SCSI Controller 0", "InstanceID": 3, "ResourceSubType": "VirtualSCSI", "ResourceType": 6},
    ]
    for number in range(len(guest.disks)):
        items.append({
            "AddressOnParent": number, "ElementName": f"Hard disk {number + 1}", "HostResource": f"ovf:/disk/vmdisk{number + 1}",
            "InstanceID": 10 + number, "Parent": 3, "ResourceType": 17,
        })  # fmt: skip
    for number, (network, mac) in enumerate(guest.nics):
        items.append({
            "Address": mac, "AddressOnParent": 7 + number, "AutomaticAllocation": "true", "Connection": network,
            "ElementName": f"Network adapter {number + 1}", "InstanceID": 40 + number, "ResourceSubType": "VmxNet3", "ResourceType": 10,
        })  # fmt: skip
    return ["<Item>" + "".join(f"<rasd:{k}>{escape(str(v))}</rasd:{k}>" for k, v in item.items()) + "</Item>\n" for item in items]
