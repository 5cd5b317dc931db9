"""What the simulated engine holds: VMs as different as those of a real one, the first of them with guests that boot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Disk:
    """`content`: "root" or "data" of the lab's guest, or "" for `size` bytes of zeros. `lun`: a direct LUN, which nobody can read."""

    content: str = ""
    size: int = 16 * MIB
    domain: str = "data-nfs"
    format: str = "cow"  # or "raw"
    sparse: bool = True
    interface: str = "virtio_scsi"
    bootable: bool = False
    shareable: bool = False
    status: str = "ok"
    lun: bool = False
    scsi_reservation: bool = False


@dataclass(frozen=True)
class Nic:
    """`profile`: a vNIC profile, "" for a card without one; `addresses`: what the guest reports."""

    profile: str = "ovirtmgmt"
    interface: str = "virtio"
    plugged: bool = True
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A VM. `agent`: its guest shuts down when it is asked to; `more`: attributes of ovirtsdk4.types.Vm."""

    name: str
    on: bool = False
    agent: bool = True
    sockets: int = 1
    cores: int = 1
    memory: int = 512 * MIB
    os: str = "debian_9"
    bios: str = "q35_sea_bios"
    cluster: str = "Default"
    disks: tuple[Disk, ...] = (Disk(bootable=True),)
    nics: tuple[Nic, ...] = (Nic(),)
    snapshots: tuple[str, ...] = ()
    watchdog: bool = False
    usb_device: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


#: One VM with a guest that boots, in a few seconds: what most tests need.
ONE = (
    Machine(
        "web-1",
        on=True,
        cores=2,
        disks=(
            Disk("root", bootable=True),
            Disk("data", domain="data-block", format="raw", sparse=False, interface="virtio"),
        ),
        nics=(Nic(addresses=("192.168.30.21", "fe80::1")), Nic("storage-net")),
        more={"description": "the shop's front end"},
    ),
)

MACHINES = (
    *ONE,
    Machine("web-2", disks=(Disk("root", bootable=True),)),
    Machine(
        "db-1",
        on=True,
        sockets=2,
        memory=GIB,
        disks=(Disk("root", bootable=True), Disk("data"), Disk("data", domain="data-block", format="raw")),
        nics=(Nic("storage-net"),),
        more={"high_availability": {"enabled": True}, "time_zone": {"name": "Etc/GMT"}},
    ),
    Machine("deaf", on=True, agent=False),
    Machine("snapshotted", disks=(Disk("data", bootable=True),), snapshots=("before the update", "after the update")),
    Machine("uefi", bios="q35_secure_boot", os="windows_2022"),
    Machine("old_Linux (32 bit)", os="rhel_6x64", bios="i440fx_sea_bios", disks=(Disk(interface="ide", bootable=True),)),
    Machine(
        "strange",
        os="other",
        watchdog=True,
        usb_device=True,
        nics=(Nic("mirror", "pci_passthrough"), Nic("", plugged=False)),
        disks=(Disk(bootable=True, shareable=True), Disk(lun=True, scsi_reservation=True)),
        more={
            "custom_cpu_model": "Skylake-Server",
            "cpu_shares": 512,
            "cpu_pinning_policy": "isolate_threads",
            "io": {"threads": 2},
            "display": {"type": "spice"},
            "usb": {"enabled": True},
        },
    ),
    Machine("broken", disks=(Disk(bootable=True, status="illegal"),)),
    Machine("diskless", disks=(), nics=()),
    Machine("twin"),
    Machine("twin", cluster="Edge"),
)


def to_json(machines: Sequence[Machine]) -> str:
    return json.dumps([asdict(machine) for machine in machines])


def from_json(text: str) -> list[Machine]:
    """What `to_json` has made."""
    return [
        Machine(
            **{
                **given,
                "disks": tuple(Disk(**disk) for disk in given["disks"]),
                "nics": tuple(Nic(**{**nic, "addresses": tuple(nic["addresses"])}) for nic in given["nics"]),
                "snapshots": tuple(given["snapshots"]),
            }
        )
        for given in json.loads(text)
    ]
