"""Work that needs room on a disk, ended when there is none left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CHECK_EVERY = 5.0  # seconds
FULL = 1 << 20  # bytes; a file system may refuse a write while a little is left


class DiskFull(Exception):
    """The text says where, in one sentence."""


async def unless_full(work: Coroutine[Any, Any, T], folders: Iterable[Path]) -> T:
    """The result of `work`, which is cancelled when the file system of a folder is full at two looks in a row. Raises DiskFull.

    QEMU pauses a guest whose disk cannot grow, and leaves it paused when there is room again: virt-v2v would wait until its deadline.
    """
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_full(list(folders)))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DiskFull(f"no space left in {watching.result()}: make room and run the migration again")
        return working.result()
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


def free(folder: Path) -> int:
    """Bytes that this process may still write."""
    status = os.statvfs(folder)
    return (status.f_bavail if os.geteuid() else status.f_bfree) * status.f_frsize
