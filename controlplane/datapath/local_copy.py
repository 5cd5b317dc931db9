"""A disk of this machine into a volume of this machine: the kernel copies, and only what is no hole.

Nothing is kept of a copy that was interrupted: the next one begins anew, whatever the volume holds then.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import volume as volumes
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Totals

CHUNK = 16 << 20  # bytes the kernel is asked to copy at once
THREADS = min(4, os.cpu_count() or 1)
_BUFFER = 4 << 20
#: Between two file systems, or on ones that cannot, the bytes come through this process.
_NOT_BY_THE_KERNEL = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY)


class TooLarge(Exception):
    """The disk does not fit into the volume."""


def copy(source: Path, volume: Path, tell: Callable[[Totals], None]) -> Totals:
    """Make `volume` begin with all that `source` holds and be zeros after it; durable at the end. Totals count bytes of content.

    Raises TooLarge, OSError.
    """
    reading, writing = os.open(source, os.O_RDONLY), -1
    try:
        writing = os.open(volume, os.O_RDWR)
        size, room = (os.lseek(file, 0, os.SEEK_END) for file in (reading, writing))
        if size > room:
            raise TooLarge(f"the disk has {size} bytes, and its volume only {room}")
        extents = list(_content(reading, size))
        _clear_between(writing, extents, room)
        totals = Totals(sum(end - begin for begin, end in extents))
        tell(totals)
        lock = threading.Lock()

        def copy_chunk(chunk: tuple[int, int]) -> None:
            for count in _copied(reading, writing, *chunk):
                with lock:
                    totals.read += count
                    tell(totals)

        with ThreadPoolExecutor(THREADS) as threads:
            for done in threads.map(copy_chunk, _chunks(extents)):
                assert done is None
        os.fsync(writing)
        return totals
    finally:
        for file in (reading, writing):
            if file >= 0:
                os.close(file)


def _clear_between(volume: int, extents: list[tuple[int, int]], room: int) -> None:
    upto = 0
    for begin, end in [*extents, (room, room)]:
        volumes.clear(volume, upto, begin - upto)
        upto = end


def _chunks(extents: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for begin, end in extents:
        yield from ((start, min(start + CHUNK, end)) for start in range(begin, end, CHUNK))


def _content(file: int, size: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of the parts that are no holes."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        end = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, end


def _copied(source: int, target: int, begin: int, end: int) -> Iterator[int]:
    """Copy a part; how many bytes, each time some were. They are on their way to the disk then."""
    while begin < end:
        try:
            count = os.copy_file_range(source, target, end - begin, begin, begin)
        except OSError as error:
            if error.errno not in _NOT_BY_THE_KERNEL:
                raise
            count = _through_this_process(source, target, begin, min(_BUFFER, end - begin))
        if not count:
            raise OSError(errno.EIO, "the disk became shorter while it was copied")
        volumes.start_writing(target, begin, count)
        begin += count
        yield count


def _through_this_process(source: int, target: int, offset: int, length: int) -> int:
    data = os.pread(source, length, offset)
    volumes.write(target, offset, memoryview(data))
    return len(data)
