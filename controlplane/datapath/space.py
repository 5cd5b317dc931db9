"""Work that needs room on a disk, ended when there is none left."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CHECK_EVERY = 5.0  # seconds
NO_SPACE = os.strerror(errno.ENOSPC)
FULL = 1 << 20  # bytes; a file system may refuse a write while a little is left


class DiskFull(Exception):
    """The text says where, in one sentence."""


async def unless_full(work: Coroutine[Any, Any, T], folders: Iterable[Path], disks: Sequence[Path] = ()) -> T:
    """The result of `work`, which is cancelled when the file system of a folder is full at two looks in a row. Raises DiskFull.

    So does work that fails for want of room, whatever it says itself. `disks`: files that it fills, of which the error tells.

    QEMU pauses a guest whose disk cannot grow, and leaves it paused when there is room again: virt-v2v would wait until its deadline.
    """
    folders = list(folders)
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_full(folders))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DiskFull(lack(watching.result(), disks))
        try:
            return working.result()
        except Exception as error:
            full = [folder for folder in folders if free(folder) < FULL]
            if not full and NO_SPACE not in str(error):
                raise
            raise DiskFull(lack((full or folders)[0], disks)) from error
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _full(folders: list[Path]) -> Path:
    """Returns once a folder has been full at two looks in a row."""
    before: set[Path] = set()
    while True:
        now = {folder for folder in folders if free(folder) < FULL}
        if lasting := sorted(now & before):
            return lasting[0]
        before = now
        await asyncio.sleep(CHECK_EVERY)


def lack(folder: Path, disks: Sequence[Path]) -> str:
    """In one sentence what a full folder lacks; `disks`: sparse files, of which those that lie there are told."""
    needs = [
        f"disk {number} needs {stat.st_size - written} more bytes"
        for number, disk in enumerate(disks)
        if disk.parent == folder and (written := min((stat := disk.stat()).st_blocks * 512, stat.st_size)) < stat.st_size
    ]
    told = ", ".join([*needs, f"{free(folder)} bytes are free"])
    return f"no space left in {folder}: {told}; make room and run the migration again"


def free(folder: Path) -> int:
    """Bytes that this process may still write."""
    status = os.statvfs(folder)
    return (status.f_bavail if os.geteuid() else status.f_bfree) * status.f_frsize
