"""What an inspection of a guest's disks found, and what of it a conversion would meet. Purely out of what the tools say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

CRITICAL, WARNING = "Critical", "Warning"
MEGABYTE = 1 << 20
FIRST = "first"
_CONVERTED = ("linux", "windows")
#: Distributions that libguestfs tells from others and virt-v2v has never converted.
_NEVER_CONVERTED = frozenset(
    "alpinelinux archlinux artix buildroot cirros coreos frugalware gentoo mageia mandriva meego openmandriva pardus pldlinux"
    " slackware ttylinux voidlinux".split()
)
#: Those that virt-v2v knows.
_ALWAYS_CONVERTED = frozenset(
    "altlinux centos circle debian fedora kalilinux linuxmint opensuse oraclelinux redhat-based rhel rocky scientificlinux sles"
    " suse-based ubuntu windows".split()
)
_BY_PATH = "/dev/disk/by-path/"
_INODES = 100  # of each file system that has any
_AT, _MOUNTED = "at", "mounted"
_PLAIN_PATH = re.compile(r"/[\w.@:+/-]*", re.ASCII)
_PLAIN_DEVICE = re.compile(r"(?:btrfsvol:)?/dev/[\w.@:+/-]+", re.ASCII)
_FIGURE = re.compile(r"(\w+): (\d+)")

Object = dict[str, Any]


@dataclass(frozen=True)
class Concern:
    """`category`: CRITICAL for what a conversion fails at, or the guest afterwards; WARNING for what one should know."""

    id: str
    category: str
    label: str
    message: str


@dataclass(frozen=True)
class Root:
    """One operating system, named by its root file system. `mountpoints`: (device, path), `filesystems`: (device, type, UUID)."""

    device: str
    type: str
    distro: str
    product: str
    version: str
    arch: str
    mountpoints: tuple[tuple[str, str], ...] = ()
    filesystems: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Space:
    """Of a file system: bytes free; inodes in all, and free."""

    free: int
    inodes: int
    free_inodes: int


@dataclass(frozen=True)
class Contents:
    """What a look into the file systems of an operating system showed. `tried`: those that were to be mounted, as (device, path);
    `spaces`: those that could be, by their path.
    """

    tried: Sequence[tuple[str, str]] = ()
    spaces: Mapping[str, Space] = field(default_factory=dict)
    fstab: str = ""


# Reading


def roots(xml: str) -> list[Root]:
    """The operating systems that virt-inspector found, in its order."""
    return [_root(entry) for entry in fromstring(xml).iter("operatingsystem")]


def _root(entry: Element) -> Root:
    def text(name: str) -> str:
        return (entry.findtext(name) or "").strip()

    filesystems = [(found.get("dev", ""), found.findtext("type") or "", found.findtext("uuid") or "") for found in entry.iter("filesystem")]
    return Root(
        text("root"),
        text("name"),
        text("distro"),
        text("product_name"),
        text("major_version"),
        text("arch"),
        tuple((found.get("dev", ""), (found.text or "").strip()) for found in entry.iter("mountpoint")),
        tuple(filesystems),
    )


def commands(tried: Sequence[tuple[str, str]]) -> list[str]:
    """guestfish's, of which one may fail without the others: mount, tell the room, and at the end what is mounted."""
    found = ["run"]
    for device, path in tried:
        found += [f"-mount-ro {device} {path}", f"echo {_AT} {path}", f"-statvfs {path}"]
    return [*found, f"echo {_MOUNTED}", "-mountpoints"]


def spaces(output: str) -> dict[str, Space]:
    """What guestfish says to these commands. Of a path where nothing could be mounted it tells the room on what is above it."""
    told, _unused, table = output.partition(f"{_MOUNTED}\n")
    mounted = {line.rpartition(": ")[2] for line in table.splitlines()}
    found = {}
    for part in f"\n{told}".split(f"\n{_AT} ")[1:]:
        path, _unused, text = part.partition("\n")
        figures = {name: int(value) for name, value in _FIGURE.findall(text)}
        if path in mounted and {"bsize", "bfree", "files", "ffree"} <= figures.keys():
            found[path] = Space(figures["bsize"] * figures["bfree"], figures["files"], figures["ffree"])
    return found


def plain(root: Root) -> list[tuple[str, str]]:
    """The mountpoints of an operating system that can be looked at, parents first. The guest says what they are called: nothing but
    plain words goes into a script.
    """
    found = [(device, path) for device, path in root.mountpoints if _PLAIN_DEVICE.fullmatch(device) and _PLAIN_PATH.fullmatch(path)]
    return sorted(found, key=lambda mountpoint: mountpoint[1])


def chosen(found: Sequence[Root], wanted: str) -> Root | None:
    """The operating system that a conversion takes: the one whose root `wanted` names, else the first."""
    if wanted in ("", FIRST):
        return found[0] if found else None
    return next((root for root in found if root.device == wanted), None)


# Judging


def of_roots(found: Sequence[Root], wanted: str) -> list[Concern]:
    if not found:
        message = "No operating system was found on the disks of the VM; it cannot be converted."
        return [Concern("os-not-found", CRITICAL, "No operating system found", message)]
    root = chosen(found, wanted)
    names = ", ".join(root.device for root in found)
    if root is None:
        message = f"The root disk {wanted} of the plan holds no operating system; there is one on: {names}."
        return [Concern("root-disk-not-found", CRITICAL, "Root disk without operating system", message)]
    concerns = _of_system(root)
    if len(found) > 1 and not wanted:
        message = f"Operating systems were found on {names}. The first one is converted; rootDisk of the VM in the plan chooses another."
        concerns.insert(0, Concern("multiple-os", WARNING, "Several operating systems found", message))
    return concerns


def _of_system(root: Root) -> list[Concern]:
    told = f"{root.type}/{root.distro or 'unknown'}"
    if root.type not in _CONVERTED or root.distro in _NEVER_CONVERTED:
        message = f"virt-v2v does not convert guests of this type: {told} {root.product}".rstrip() + "."
        return [Concern("os-not-supported", CRITICAL, "Operating system not supported", message)]
    if root.distro not in _ALWAYS_CONVERTED:
        message = f"It is not known whether virt-v2v converts guests of this type: {told} {root.product}".rstrip() + "."
        return [Concern("os-not-known", WARNING, "Operating system not known", message)]
    return []


def encrypted(clevis: bool, keys: bool) -> Concern:
    """Disks that could not be opened. `clevis`: the plan has the conversion ask the network for keys, which inspections cannot."""
    if clevis:
        message = "The disks of the VM are encrypted and are opened by Clevis when they are converted; what is on them was not inspected."
        return Concern("disk-encrypted", WARNING, "Encrypted disks not inspected", message)
    why = "none of the keys of the plan opens them" if keys else "the plan has no keys for them"
    message = f"The disks of the VM are encrypted, and {why}; it cannot be converted."
    return Concern("disk-encrypted", CRITICAL, "Encrypted disks without key", message)


def of_contents(contents: Contents) -> list[Concern]:
    """What virt-v2v checks before it changes anything, and what keeps a migrated guest from its disks."""
    return [*_of_mounts(contents), *_of_space(contents), *_of_fstab(contents.fstab)]


def _of_mounts(contents: Contents) -> Iterator[Concern]:
    for device, path in contents.tried:
        if path not in contents.spaces:
            category = CRITICAL if path == "/" else WARNING
            message = f"The file system {device}, which the guest has at {path}, cannot be mounted: it may be damaged."
            yield Concern("filesystem-not-mountable", category, "File system cannot be mounted", message)


def _of_space(contents: Contents) -> Iterator[Concern]:
    for path, space in contents.spaces.items():
        needed = needed_megabytes(path) * MEGABYTE
        if space.free < needed:
            has = f"The file system at {path} has {space.free // MEGABYTE} MB free"
            message = f"{has}; virt-v2v needs {needed // MEGABYTE} MB to convert the guest."
            yield Concern("not-enough-space", CRITICAL, "Not enough free space", message)
        if space.inodes and space.free_inodes < _INODES:
            message = f"The file system at {path} has {space.free_inodes} inodes free; virt-v2v needs {_INODES} to convert the guest."
            yield Concern("not-enough-inodes", CRITICAL, "Not enough free inodes", message)


def needed_megabytes(path: str) -> int:
    """As virt-v2v's manual tells."""
    return {"/": 100, "/boot": 50}.get(path, 10)


def _of_fstab(fstab: str) -> Iterator[Concern]:
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0].startswith(_BY_PATH):
            found = f"Found device: {fields[0][:200]} mounted at: {fields[1][:200]}"
            message = f"Fstab contains {_BY_PATH} entries which are not migrateable. {found}"
            yield Concern("fstab-by-path", CRITICAL, "Non-migrateable fstab entries", message)


# Telling


def results(root: Root | None, found: Sequence[Concern]) -> Object:
    """As inspection pods tell (facts 1.8); the worst concern comes last."""
    told: Object = {
        "passed": not found,
        "all_concerns": [vars(concern) for concern in sorted(found, key=lambda concern: concern.category == CRITICAL)],
        "filesystems": [],
        "mountpoints": [],
    }
    if root is not None:
        told["os_info"] = {
            "name": root.type,
            "distro": root.distro,
            "major_version": root.version,
            "architecture": root.arch,
        }
        told["filesystems"] = [{"device": device, "type": type, "uuid": uuid} for device, type, uuid in root.filesystems]
        told["mountpoints"] = [{"device": device, "mount_point": path} for device, path in root.mountpoints]
    return told
