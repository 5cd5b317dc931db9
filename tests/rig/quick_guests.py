"""VMs that convert in a moment: OVA files with small disks of random bytes, and a virt-v2v that only copies (quick_v2v.py)."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import guests, ova

_MIB = 1 << 20
SIZES = (3 * _MIB, 2 * _MIB)  # bytes of the disks


def quick_path(**environment: str) -> dict[str, str]:
    """The environment of a control plane whose pods find the quick virt-v2v."""
    return {"PATH": f"{Path(__file__).parent / 'quick'}:{os.environ['PATH']}", **environment}


def export(folder: Path, name: str, sizes: Sequence[int] = SIZES, seed: int = 0) -> list[str]:
    """Write `name`.ova with disks of so many bytes; the SHA-256 of each disk. The same seed gives the same bytes."""
    folder.mkdir(exist_ok=True)
    dice = random.Random(f"{seed} {name}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        work = Path(scratch)
        disks = []
        for number, size in enumerate(sizes):
            disk = work / f"disk{number}.raw"
            disk.write_bytes(dice.randbytes(size))
            disks.append(disk)
        nics = (("VM Network", guests.mac_address(name)),)
        ova.export(ova.Guest(name, nics=nics, disks=tuple(disks)), folder / f"{name}.ova", work)
        return [hashlib.sha256(disk.read_bytes()).hexdigest() for disk in disks]


def disk_names(name: str, count: int = 2) -> list[str]:
    """As a storage map calls them."""
    return [f"{name}-disk{number}.vmdk" for number in range(1, count + 1)]
