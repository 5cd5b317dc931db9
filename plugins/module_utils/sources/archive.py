# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVA archives and OVF files on disk: the descriptor, whether the disks it names are there, and whether its manifest knows it.

Of an archive only the tar headers, the descriptor and the manifest are read, so that its size does not matter. The checksums of disks
are left to virt-v2v, which reads them.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import tarfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovf import Envelope, OvfError, parse

#: Real descriptors have some ten KiB.
LARGEST_DESCRIPTOR = 8 * 2**20
LARGEST_MANIFEST = 2**20
MOST_MEMBERS = 10_000

_CHECKSUM = re.compile(r"(?P<algorithm>SHA-?\d+|MD5) ?\((?P<file>.+)\) ?= ?(?P<sum>[0-9a-fA-F]+)", re.IGNORECASE)


def read_ova(path: Path) -> Envelope:
    """The descriptor of an archive that is complete. Raises OvfError, OSError."""
    with open(path, "rb") as file:
        try:
            with tarfile.open(fileobj=_Bounded(file), mode="r:") as archive:  # "r:" = not compressed: members are skipped by seeking
                return _read(archive, os.fstat(file.fileno()).st_size)
        except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, RecursionError):
            # Beside its own errors tarfile lets through what forged headers break: numbers, encodings, chains of long names.
            raise OvfError("is not an uncompressed tar archive, as an OVA must be, or is damaged") from None


def read_ovf(path: Path) -> Envelope:
    """A descriptor that lies in a folder beside its disks. Raises OvfError, OSError."""
    with open(path, "rb") as file:
        text = file.read(LARGEST_DESCRIPTOR + 1)
    _check_size(len(text))
    return parse(text)


def check_disk_files(path: Path, envelope: Envelope) -> None:
    """The disks of the descriptor `path` lie beside it. Raises OvfError."""
    for disk in envelope.disks:
        href = disk.href
        if posixpath.isabs(href) or ".." in href.split("/") or "://" in href:
            raise OvfError(f"names a disk file outside its own folder: {href!r}")
        if href and not disk.chunked and not any((path.parent / name).is_file() for name in (href, unquote(href))):
            raise OvfError(f"names the disk file {href!r}, which does not lie beside it")


def check_descriptor(path: Path) -> None:
    """The manifest that lies beside the descriptor `path`, if any, has its checksum. Raises OvfError, OSError."""
    for name in (path.stem + ".mf", path.stem + ".MF"):
        manifest = path.with_name(name)
        if manifest.is_file():
            with open(manifest, "rb") as file, open(path, "rb") as descriptor:
                _check_sum(path.name, descriptor.read(LARGEST_DESCRIPTOR), file.read(LARGEST_MANIFEST))


def checksums(manifest: bytes) -> dict[str, tuple[str, str]]:
    """Name of a file -> (algorithm, checksum in lower case), of the lines of a manifest that can be read."""
    lines = (line.strip() for line in manifest.decode(errors="replace").splitlines())
    return {m["file"]: (m["algorithm"].upper().replace("-", ""), m["sum"].lower()) for line in lines if (m := _CHECKSUM.fullmatch(line))}


def _check_sum(name: str, descriptor: bytes, manifest: bytes) -> None:
    algorithm, expected = checksums(manifest).get(name, ("", ""))
    try:
        actual = hashlib.new(algorithm.lower(), descriptor, usedforsecurity=False).hexdigest()
    except ValueError:  # not in the manifest, or by an algorithm that is not known here
        return
    if actual != expected:
        raise OvfError(
            f"has the descriptor {name!r} with the checksum {actual}, but its manifest says {algorithm} {expected}: "
            "it was damaged or changed after the export; export or copy it anew, or remove the manifest"
        )


def _read(archive: tarfile.TarFile, size: int) -> Envelope:
    members: dict[str, tarfile.TarInfo] = {}
    descriptor = ""
    for number, member in enumerate(archive):
        if number >= MOST_MEMBERS:
            raise OvfError(f"holds more than {MOST_MEMBERS} files, which no OVA does")
        name = posixpath.normpath(member.name)
        if name.startswith(("/", "../")) or name == "..":
            raise OvfError(f"holds a file that leads out of the archive: {_shown(member.name)}")
        if not (member.isfile() or member.isdir()):
            raise OvfError(f"holds something that is neither a file nor a folder: {_shown(member.name)}")
        end = member.offset_data + member.size
        if member.size < 0:
            raise OvfError(f"holds a file of negative size: {_shown(member.name)}")
        if end > size:
            raise OvfError(f"is not complete: it ends after {size} of at least {end} bytes (still being copied?)")
        members[name] = member
        if not descriptor and name.lower().endswith(".ovf") and member.isfile():
            descriptor = name
    if not descriptor:
        raise OvfError("holds no .ovf descriptor")
    _check_size(members[descriptor].size)
    text, folder = _content(archive, members[descriptor]), posixpath.dirname(descriptor)
    for name, member in members.items():
        if name.lower().endswith(".mf") and posixpath.dirname(name) == folder and member.isfile():
            _check_sum(posixpath.basename(descriptor), text, _content(archive, member))
    envelope = parse(text)
    for disk in envelope.disks:
        names = {posixpath.normpath(posixpath.join(folder, href)) for href in (disk.href, unquote(disk.href))}
        if disk.href and not disk.chunked and not names & members.keys():
            raise OvfError(f"names the disk file {disk.href!r}, which it does not hold")
    return envelope


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read(LARGEST_DESCRIPTOR) if stream else b""


def _check_size(size: int) -> None:
    if size > LARGEST_DESCRIPTOR:
        raise OvfError(f"has a descriptor of {size} bytes; up to {LARGEST_DESCRIPTOR} are read")
    if size == 0:
        raise OvfError("has an empty descriptor")


def _shown(name: str) -> str:
    return repr(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


class _Bounded:
    """A file that is only ever read in small pieces: a forged header could claim to be as long as the disk itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_DESCRIPTOR:
            raise tarfile.ReadError("header too long")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
