"""Appliances made on the spot, and a virt-v2v that says and writes what a test wants."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References>{files}</References>
 <DiskSection><Info>disks</Info>{disks}</DiskSection>
 <VirtualSystem ovf:id="vm"><Info>vm</Info><VirtualHardwareSection><Info>hw</Info>{drives}</VirtualHardwareSection></VirtualSystem>
</Envelope>"""


def _descriptor(listed: Sequence[str], attached: Sequence[str], blank: Sequence[str] = (), mebibytes: int = 1) -> bytes:
    files = "".join(f'<File ovf:id="file-{disk}" ovf:href="{disk}.vmdk"/>' for disk in listed)
    disks = "".join(
        f'<Disk ovf:diskId="{disk}" ovf:capacity="{mebibytes}" ovf:capacityAllocationUnits="byte * 2^20" '
        + ("/>" if disk in blank else f'ovf:fileRef="file-{disk}"/>')
        for disk in listed
    )
    drives = "".join(
        f"<Item><rasd:HostResource>ovf:/disk/{disk}</rasd:HostResource><rasd:InstanceID>{number}</rasd:InstanceID>"
        f"<rasd:ResourceType>17</rasd:ResourceType></Item>"
        for number, disk in enumerate(attached)
    )
    return OVF.format(files=files, disks=disks, drives=drives).encode()


def _write_ova(path: Path, ovf: bytes) -> Path:
    disks = re.findall(r'href="([^"]+)"', ovf.decode())
    with tarfile.open(path, "w") as archive:
        for name, content in (("vm.ovf", ovf), *((disk, b"disk") for disk in disks)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def descriptor() -> Callable[..., bytes]:
    """descriptor(listed, attached, blank=(), mebibytes=1): an OVF that lists and attaches disks in the orders given."""
    return _descriptor


@pytest.fixture
def write_ova() -> Callable[..., Path]:
    """write_ova(path, ovf): an archive of that descriptor and its disk files; returns its path."""
    return _write_ova


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """tool(name, script): put a program into PATH, a real process that runs the shell script given.

    In the script, `say TYPE TEXT` is a message as virt-v2v's tools write them, and $out virt-v2v's output folder.
    """
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(name: str, script: str) -> None:
        head = r"""#!/bin/sh
for a in "$@"; do case $a in --machine-readable=fd:*) fd=${a#*fd:};; esac; [ "$previous" = -os ] && out=$a; previous=$a; done
say() { printf '{ "message": "%s", "type": "%s" }\n' "$2" "$1" > /proc/self/fd/$fd; }
"""
        program = folder / name
        program.write_text(head + script)
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return install


@pytest.fixture
def virt_v2v(tool: Callable[[str, str], None]) -> Callable[[str], None]:
    """virt_v2v(script): `tool` for this one."""
    return lambda script: tool("virt-v2v", script)
