"""What the simulated vCenter holds: VMs as different as those of a real one, the first of them with guests that boot."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass(frozen=True)
class Disk:
    """`content`: "root" or "data" of the lab's guest, "encrypted" (the root of one with LUKS), "debian" (that of a full one, which boots on
    VirtIO and has no agent), or "" for `size` bytes of zeros. `file`: "[datastore] folder/name.vmdk", a disk of an earlier machine that
    this one shares.
    """

    content: str = ""
    size: int = 16 * MIB
    datastore: str = "LocalDS_0"
    mode: str = "persistent"
    controller: str = "pvscsi"
    sharing: str = ""
    file: str = ""


@dataclass(frozen=True)
class Nic:
    """`address`: static IPv4 or IPv6 addresses as VMware Tools report them, "IP/prefix"."""

    network: str = "VM Network"
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A VM. `folder`: path below the datacenter's VM folder; `tags`: "category:tag"; `snapshots`: names, oldest first."""

    name: str
    folder: str = ""
    host: int = 0
    on: bool = True
    tools: bool = True
    cpus: int = 1
    memory: int = 512  # MiB
    guest_id: str = "debian10_64Guest"
    firmware: str = "bios"
    secure_boot: bool = False
    disks: tuple[Disk, ...] = (Disk(),)
    nics: tuple[Nic, ...] = (Nic(),)
    tracked: bool = False  # changed-block tracking
    template: bool = False
    annotation: str = ""
    tags: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    devices: tuple[str, ...] = field(default=())  # "usb", "vtpm", "cdrom"

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}".lstrip("/")


#: One VM with a guest that boots, in a few seconds: what most tests need.
ONE = (
    Machine(
        "web-1",
        folder="web",
        disks=(Disk("root"), Disk("data", datastore="LocalDS_1")),
        nics=(Nic(addresses=("192.168.10.21/24",), gateway="192.168.10.1", dns=("192.168.10.1",)), Nic("DC0_DVPG0")),
        tracked=True,
        tags=("environment:production",),
        annotation="the shop's front end",
    ),
)

MACHINES = (
    *ONE,
    Machine("web-2", folder="web", host=1, on=False, disks=(Disk("root"),), tags=("environment:staging",)),
    Machine(
        "db-1",
        folder="db",
        host=1,
        cpus=2,
        disks=(Disk("root"), Disk("data"), Disk("data", datastore="LocalDS_1")),
        nics=(Nic("DC0_DVPG1", addresses=("192.168.20.31/24", "fd00:20::31/64"), gateway="192.168.20.1"),),
        tracked=True,
        tags=("environment:production", "tier:database"),
    ),
    Machine("no-tools", tools=False),
    Machine("untracked", folder="misc", snapshots=("before the update", "after the update")),
    Machine("independent", folder="misc", on=False, disks=(Disk(), Disk(mode="independent_persistent"))),
    Machine("cluster-node", folder="misc", on=False, disks=(Disk(), Disk(sharing="sharingMultiWriter"))),
    Machine("uefi", folder="misc", on=False, firmware="efi", secure_boot=True, devices=("vtpm",)),
    Machine("with-usb", folder="misc", on=False, devices=("usb", "cdrom"), disks=(Disk(controller="ide"),)),
    Machine("Win Server_2019 (old)", folder="windows", on=False, guest_id="windows9Server64Guest", cpus=2),
    Machine("diskless", folder="misc", on=False, disks=(), nics=()),
    Machine("twin", folder="a", on=False),
    Machine("twin", folder="b", on=False),
    Machine("golden-image", on=False, template=True),
)
