"""A volume that a program fills as a whole, with nobody else at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import clear

HOLD_SECONDS = 60.0  # until a volume is given up that another process still writes to: one of a pod that was deleted may


class Unfit(Exception):
    """The disk cannot be put into the volume; the text says why in one sentence."""


@dataclass(frozen=True)
class Target:
    """The volume of the pod, which nobody else writes to: a file with room for so many bytes. `block`: the pod has it as a device."""

    path: Path
    room: int
    block: bool

    def take(self, size: int) -> None:
        """Make it zeros all over, as large as a disk of `size` bytes, before anything is written: an earlier pod may have left something.

        A device stays as large as it is; the image in a file system is as large as its disk. Raises Unfit.
        """
        if size > self.room:
            raise Unfit(f"the disk has {size} bytes, and its volume only {self.room}")
        with self.path.open("r+b") as file:
            if self.block:
                clear(file.fileno(), 0, self.room)
            else:
                file.truncate(0)
                file.truncate(size)

    def make_lasting(self) -> None:
        """Until it is on stable storage."""
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def held(mounts: Mounts, path: str, size: int = 0) -> Iterator[Target]:
    """The volume that the pod has at `path`, once no other process has it. `size`: bytes that were asked for. Raises Unfit, NotMounted."""
    place, block = mounts.host_path(path), mounts.is_block(path)
    file = os.open(place, os.O_RDWR)
    try:
        until = time.monotonic() + HOLD_SECONDS
        while not _locked(file):
            if time.monotonic() > until:
                raise Unfit(f"another process still writes to {place}")
            time.sleep(0.1)
        there = os.fstat(file).st_size
        # An image that an earlier pod made as small as its disk tells no more how large it may be.
        yield Target(place, there if block else max(there, size), block)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
