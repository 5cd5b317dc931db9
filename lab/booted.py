"""Disks of guests as they are after a migration: they boot on VirtIO at once. Built once into the cache, to be copied from there."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import commands, debian, disk, guests, tiny
from ansible_collections.vmshift.mtv.lab.commands import run

KEY = "id_ed25519"


@dataclass(frozen=True)
class Booted:
    """A root disk, and the private key that lets root in over SSH (None: it has no SSH)."""

    disk: Path
    key: Path | None = None

    def copied_to(self, target: Path) -> None:
        """Fill the file behind a volume, holes left out, and keep its size."""
        run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-S", "4k", self.disk, target])


def tiny_guest() -> Booted:
    """The tiny guest: a marker and a shell on its serial console."""
    folder = _cached("tiny", (tiny.__file__, disk.__file__, commands.__file__), _build_tiny)
    return Booted(folder / "root.img")


def debian_guest(*, agent: bool) -> Booted:
    """The full Debian guest, with its guest agent running or without one. Needs root when it is not in the cache."""
    folder = _cached("debian", (debian.__file__, disk.__file__, commands.__file__), _build_debian)
    return Booted(folder / ("agent.img" if agent else "root.img"), folder / KEY)


def _cached(kind: str, recipe: tuple[str, ...], build: Callable[[Path, Path], None]) -> Path:
    """The folder that `build` fills; made anew when anything of its recipe changed."""
    digest = hashlib.sha256(tiny.kernel_version().encode() if kind == "tiny" else b"")
    overlay = sorted(path for path in tiny.OVERLAY.rglob("*") if path.is_file()) if kind == "tiny" else []
    for source in (*(Path(module) for module in (__file__, *recipe)), *overlay):
        digest.update(source.read_bytes())
    cached = guests.cache_folder() / "booted" / f"{kind}-{digest.hexdigest()[:16]}"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as folder:
            work, result = Path(folder) / "work", Path(folder) / "result"
            work.mkdir()
            result.mkdir()
            build(result, work)
            try:
                result.rename(cached)
            except OSError:  # another build was quicker
                if not cached.exists():
                    raise
    return cached


def _build_tiny(result: Path, work: Path) -> None:
    tiny.build(result / "root.img", work, hostname="lab-booted", hardware="virtio")


def _build_debian(result: Path, work: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vmshift-lab", "-f", result / KEY])
    public = (result / f"{KEY}.pub").read_text().strip()
    debian.build_migrated(result / "agent.img", result / "root.img", work, public)
    shutil.rmtree(work)
