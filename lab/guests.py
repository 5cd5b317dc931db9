"""The lab's guests as OVA files, built once into a cache outside the checkout."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import commands, debian, disk, encrypted, ova, tiny
from ansible_collections.vmshift.mtv.lab.disk import MIB

DATA_DISK_SIZE = 64 * MIB
DATA_DISK_CONTENT = 3 * MIB  # the rest is a hole, so that sparseness is part of the test

#: "virtio" is the tiny guest with the drivers that a conversion would give it: what runs on KVM already.
BUILDERS: dict[str, Callable[..., str]] = {
    "tiny": tiny.build,
    "virtio": functools.partial(tiny.build, hardware="virtio"),
    "encrypted": encrypted.build,
    "debian": debian.build,
}
#: The modules that say what becomes of a guest, besides what all guests share.
RECIPES = {"tiny": (tiny,), "virtio": (tiny,), "encrypted": (encrypted, tiny), "debian": (debian,)}


@dataclass(frozen=True)
class Facts:
    """What is known of a guest before it is migrated."""

    name: str
    ova: str
    payload: str
    mac: str
    data_disk_sha256: str
    data_disk_bytes: int


def cache_folder() -> Path:
    """VMSHIFT_CACHE, or the user's cache folder."""
    chosen = os.environ.get("VMSHIFT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmshift-mtv"


def recipe_key(kind: str) -> str:
    """Changes when anything does that a guest is built from."""
    digest = hashlib.sha256(tiny.kernel_version().encode())
    for module in (*RECIPES[kind], commands, disk, ova, sys.modules[__name__]):
        digest.update(inspect.getsource(module).encode())
    for source in sorted(tiny.OVERLAY.rglob("*")):
        if source.is_file():
            digest.update(source.read_bytes())
    return f"{kind}-{digest.hexdigest()[:16]}"


def guest_ova(folder: Path, kind: str = "tiny", name: str = "lab-guest") -> Facts:
    """Put the OVA of a guest into `folder`, building it if the cache does not hold it. Returns its facts."""
    cached = built(kind, name)
    folder.mkdir(parents=True, exist_ok=True)
    place(cached / f"{name}.ova", folder / f"{name}.ova")
    known = json.loads((cached / "facts.json").read_text())
    return Facts(**{**known, "ova": str(folder / f"{name}.ova")})


def guest_disks(kind: str = "tiny", name: str = "lab-guest") -> tuple[Path, Path, Facts]:
    """Raw root disk and data disk of a guest, in the cache: to be copied, never to be changed. And its facts."""
    cached = built(kind, name)
    return cached / "root.img", cached / "data.img", Facts(**json.loads((cached / "facts.json").read_text()))


def built(kind: str, name: str) -> Path:
    """The folder of a guest in the cache."""
    cached = cache_folder() / "guests" / f"{recipe_key(kind)}-{name}"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        build(cached, kind, name)
    return cached


def place(source: Path, target: Path) -> None:
    """A copy, which may be broken in a rehearsal without harm to the cache; never half-written."""
    if target.exists() and target.stat().st_size == source.stat().st_size and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
        return
    partial = target.with_suffix(".partial")
    shutil.copy2(source, partial)
    partial.rename(target)


def build(cached: Path, kind: str, name: str) -> None:
    """Build a guest with a root disk and a data-only disk, and export it."""
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as folder:
        work, result = Path(folder), Path(folder) / "result"
        root, data = result / "root.img", result / "data.img"
        result.mkdir()
        payload = BUILDERS[kind](root, work, hostname=name)
        write_data_disk(data)
        mac = mac_address(name)
        ova.export(ova.Guest(name=name, nics=(("VM Network", mac),), disks=(root, data)), result / f"{name}.ova", work)
        facts = Facts(name, f"{name}.ova", payload, mac, ova.sha256(data), data.stat().st_size)
        (result / "facts.json").write_text(json.dumps(asdict(facts), indent=2) + "\n")
        try:
            result.rename(cached)
        except OSError:  # another build was quicker
            if not cached.exists():
                raise


def mac_address(name: str) -> str:
    """An address in VMware's range, of the guest's own: two VMs with one address would conflict on the target."""
    digest = hashlib.sha256(name.encode()).digest()
    return f"00:50:56:8a:{digest[0]:02x}:{digest[1]:02x}"


def write_data_disk(disk: Path) -> None:
    """Random bytes at the start, in the middle and at the very end; holes between."""
    with disk.open("wb") as file:
        for offset in (0, DATA_DISK_SIZE // 2, DATA_DISK_SIZE - DATA_DISK_CONTENT // 3):
            file.seek(offset)
            file.write(secrets.token_bytes(DATA_DISK_CONTENT // 3))
