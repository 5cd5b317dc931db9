"""A disk copied from an oVirt engine over ovirt-imageio, beside `ovirt-img download-disk` of it; and one that is nearly empty."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import Measure, median, taken

ROUNDS = 3
DISK = 1 << 30
SMOKE = {"ROUNDS": 1, "DISK": 8 << 20}

#: The copy as the populator makes it: endpoint as JSON, disk, volume, folder for its journal.
OURS = """
import json, os, sys
from pathlib import Path
from ansible_collections.vmshift.mtv.controlplane.datapath import ovirt_disk, ovirt_populator
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import Image
given, disk, volume, folder = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
def take(size):
    volume.write_bytes(b"")
    os.truncate(volume, size)
    return volume
endpoint = ovirt_populator.endpoint(given["url"], given)
print(ovirt_disk.copy(endpoint, Image(disk), take, folder, lambda _totals: None, lambda _line: None)[1].read)
"""


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.ovirt.machines import Disk, Machine
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

    disks = (Disk(size=DISK, format="raw", bootable=True), Disk(size=DISK, format="raw"))
    lab = OVirt.start(work / "engine", (Machine("big", disks=disks),), while_process=os.getpid())
    try:
        full, sparse = (disk["id"] for disk in lab.vm("big")["disks"])
        write(lab.chain(full)[0][0], DISK)
        write(lab.chain(sparse)[0][0], DISK >> 6)
        yield from copies(work, lab, full)
        wall, _cpu, said = taken(ours(work, lab, sparse), work / "ours.raw")
        yield Measure(f"{DISK >> 20} MiB, {DISK >> 26} MiB of them used", wall, "s")
        yield Measure("bytes read, used bytes = 1", int(said) / (DISK >> 6), "", most=1.05)
    finally:
        lab.stop()


def copies(work: Path, lab: Any, disk: str) -> Iterator[Measure]:
    own, other = [], []
    for _unused in range(ROUNDS):
        own.append(taken(ours(work, lab, disk), work / "ours.raw")[:2])
        other.append(taken(theirs(work, lab, disk), work / "theirs.raw")[:2])
        if (work / "ours.raw").read_bytes() != (work / "theirs.raw").read_bytes():
            raise RuntimeError("the two copies differ")
    for what, figures in (("the populator, with sums", own), ("ovirt-img download-disk", other)):
        yield Measure(f"{DISK >> 20} MiB, {what}", DISK / median(wall for wall, _cpu in figures) / 2**20, "MiB/s")
        yield Measure(f"{DISK >> 20} MiB, {what}", median(cpu for _wall, cpu in figures), "CPU s")
    speed = median(theirs[0] / ours[0] for ours, theirs in zip(own, other, strict=True))
    yield Measure("speed, ovirt-img download-disk = 1", speed, "", least=0.9)


def write(file: str, length: int) -> None:
    """New bytes at the begin of a disk."""
    with open(file, "r+b") as disk:
        for _unused in range(length >> 16):
            disk.write(secrets.token_bytes(1 << 16))


def ours(work: Path, lab: Any, disk: str) -> list[str]:
    (work / "journal").unlink(missing_ok=True)
    given = {"url": lab.url, "user": lab.user, "password": lab.password, "cacert": lab.ca}
    return [sys.executable, "-c", OURS, json.dumps(given), disk, str(work / "ours.raw"), str(work)]


def theirs(work: Path, lab: Any, disk: str) -> list[str]:
    (work / "theirs.raw").unlink(missing_ok=True)
    (work / "password").write_text(lab.password)
    options = [
        f"--engine-url={lab.url.removesuffix('/ovirt-engine/api')}",
        f"--username={lab.user}",
        f"--password-file={work / 'password'}",
    ]
    program = str(Path(sys.executable).with_name("ovirt-img"))
    return [program, "download-disk", *options, f"--cafile={lab.folder / 'ca.crt'}", "--format=raw", disk, str(work / "theirs.raw")]
