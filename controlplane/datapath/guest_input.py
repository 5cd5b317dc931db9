"""What virt-v2v is given: a guest in a form that it reads, whatever its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import disk_letters

EFI = "efi"


@dataclass(frozen=True)
class GuestInput:
    """`argv`: virt-v2v's options for it. `disks`: in the order of the pod's volumes, the capacity in bytes of each, and which one
    virt-v2v writes it as, from 0.
    """

    argv: list[str]
    disks: list[tuple[int, int]]


@dataclass(frozen=True)
class Hardware:
    """As much of a VM as virt-v2v asks for. `firmware` "" where nobody knows: virt-v2v finds out by the guest."""

    name: str
    memory: int = 1024  # MiB
    cpus: int = 1
    firmware: str = ""
    secure_boot: bool = False
    macs: tuple[str, ...] = ()


def libvirt_domain(path: Path, hardware: Hardware, disks: Sequence[Path], *, type: str = "vmware", format: str = "qcow2") -> GuestInput:
    """Describe a VM with these disk files to virt-v2v, in a file at `path`. The sizes of its disks are not told."""
    domain = Element("domain", type=type)
    SubElement(domain, "name").text = hardware.name
    SubElement(domain, "memory", unit="MiB").text = str(hardware.memory)
    SubElement(domain, "vcpu").text = str(hardware.cpus)
    # An attribute that is there says "efi" or "bios" for certain.
    os = SubElement(domain, "os", {"firmware": hardware.firmware} if hardware.firmware else {})
    SubElement(os, "type", arch="x86_64").text = "hvm"
    if hardware.firmware == EFI and hardware.secure_boot:
        SubElement(os, "loader", secure="yes")
    devices = SubElement(domain, "devices")
    for number, disk in enumerate(disks):
        entry = SubElement(devices, "disk", type="file", device="disk")
        SubElement(entry, "driver", name="qemu", type=format)
        SubElement(entry, "source", file=str(disk))
        SubElement(entry, "target", dev=f"sd{disk_letters(number)}", bus="scsi")
    for mac in hardware.macs:
        entry = SubElement(devices, "interface", type="bridge")
        SubElement(entry, "mac", address=mac)
        SubElement(entry, "source", bridge="source")
        SubElement(entry, "model", type="vmxnet3")
    path.write_bytes(tostring(domain))
    return GuestInput(["-i", "libvirtxml", str(path)], [(0, number) for number in range(len(disks))])
