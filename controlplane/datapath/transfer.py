"""Bytes of a disk out of a source that answers range reads, into a volume: in parallel, checked, and after an interruption from
where it had come.

A disk is read in pieces. What was read of a piece is summed up, and the sum is written into a journal once the piece is in the
volume. A copy that begins again reads only those pieces anew of which the volume does not hold what the journal says: nothing has to
be believed of how the last attempt ended. At the end every piece is read back and compared with its sum.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

PIECE = 4 << 20  # bytes
GRAIN = 64 << 10  # bytes; a run of zeros of this size becomes a hole
THREADS = 4
ATTEMPTS = 6  # of one piece, with growing pauses: about half a minute until a source counts as gone
FIRST_PAUSE = 1.0  # seconds; doubled with each attempt
_ZEROS = bytes(GRAIN)
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_HAS_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class SourceGone(Exception):
    """The source does not answer (any more); the text says why in one sentence. Another attempt may succeed."""


class Damaged(Exception):
    """The volume does not hold what was written into it."""


class Reader(Protocol):
    """One connection to the source, for one thread."""

    def read(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`. Raises SourceGone; the reader is closed then."""

    def close(self) -> None: ...


@dataclass
class Totals:
    """Bytes `wanted`, `read` from the source this time, and `kept` from an earlier attempt."""

    wanted: int = 0
    read: int = 0
    kept: int = 0

    @property
    def done(self) -> int:
        return self.read + self.kept


class Journal:
    """Sums of pieces that are in the volume, in a file: a line that says what is copied, then a line for each piece.

    A journal about something else counts as none. `begin` makes it one about this.
    """

    def __init__(self, path: Path, about: object) -> None:
        self._path = path
        self._about = json.dumps(about, sort_keys=True)
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        earlier = self._load()
        self.resumed = earlier is not None
        self.sums = earlier or {}

    def begin(self) -> None:
        if not self.resumed:
            self._path.write_text(self._about + "\n")
        self._file = self._path.open("a")

    def _load(self) -> dict[tuple[int, int], str] | None:
        try:
            head, *lines = self._path.read_text().split("\n")
        except FileNotFoundError:
            return None
        if head != self._about:
            return None
        found = {}
        for line in lines[:-1]:  # the last one may have been cut off
            offset, length, digest = line.split(" ")
            found[int(offset), int(length)] = digest
        return found

    def add(self, offset: int, length: int, digest: str) -> None:
        with self._lock:
            self.sums[offset, length] = digest
            assert self._file is not None
            self._file.write(f"{offset} {length} {digest}\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def pieces(ranges: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what to read at once, for ranges of (offset, length) that come in order; nothing beyond `size`."""
    for offset, length in ranges:
        end = min(offset + length, size)
        while offset < end:
            # Cut at multiples of a piece, so that two lists of ranges have the same pieces where they overlap.
            upto = min(end, (offset // PIECE + 1) * PIECE)
            yield offset, upto - offset
            offset = upto


class Transfer:
    """One copy into one volume. `tell` is called now and then with how far it is."""

    def __init__(self, connect: Callable[[], Reader], volume: Path, journal: Journal, tell: Callable[[Totals], None]) -> None:
        self._connect = connect
        self._journal = journal
        self._tell = tell
        self._volume = volume
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self.totals = Totals()

    def copy(self, wanted: list[tuple[int, int]]) -> Totals:
        """Copy these pieces. Raises SourceGone, Damaged, OSError (of the volume)."""
        self.totals = Totals(sum(length for _offset, length in wanted))
        self._in_threads(self._copy_pieces, wanted)
        with self._volume.open("rb") as file:
            os.fsync(file.fileno())
        self._in_threads(self._check_pieces, wanted)
        return self.totals

    def _in_threads(self, work: Callable[[Iterator[tuple[int, int]]], None], wanted: list[tuple[int, int]]) -> None:
        queue = iter(wanted)

        def take() -> Iterator[tuple[int, int]]:
            while self._failure is None:
                with self._lock:
                    piece = next(queue, None)
                if piece is None:
                    return
                yield piece

        def run() -> None:
            try:
                work(take())
            except BaseException as error:
                with self._lock:
                    self._failure = self._failure or error

        threads = [threading.Thread(target=run, daemon=True) for _unused in range(min(THREADS, len(wanted)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure:
            raise self._failure

    def _copy_pieces(self, mine: Iterator[tuple[int, int]]) -> None:
        buffer = memoryview(bytearray(PIECE))
        with contextlib.ExitStack() as stack:
            volume = os.open(self._volume, os.O_RDWR)
            stack.callback(os.close, volume)
            connection = _Lasting(self._connect)
            stack.callback(connection.close)
            for offset, length in mine:
                view = buffer[:length]
                if self._is_there(volume, offset, view):
                    self._count(kept=length)
                    continue
                connection.read(offset, view)
                write(volume, offset, view)
                start_writing(volume, offset, length)
                self._journal.add(offset, length, _sum(view))
                self._count(read=length)

    def _is_there(self, volume: int, offset: int, view: memoryview) -> bool:
        digest = self._journal.sums.get((offset, len(view)))
        return digest is not None and _holds(volume, offset, view, digest)

    def _check_pieces(self, mine: Iterator[tuple[int, int]]) -> None:
        buffer = memoryview(bytearray(PIECE))
        volume = os.open(self._volume, os.O_RDONLY)
        try:
            for offset, length in mine:
                if not _holds(volume, offset, buffer[:length], self._journal.sums[offset, length]):
                    raise Damaged(f"the volume does not hold what was written into it at byte {offset}")
        finally:
            os.close(volume)

    def _count(self, *, read: int = 0, kept: int = 0) -> None:
        with self._lock:
            self.totals.read += read
            self.totals.kept += kept
            self._tell(self.totals)


class _Lasting:
    """A reader that is opened anew when its connection breaks. Raises SourceGone when that does not help either."""

    def __init__(self, connect: Callable[[], Reader]) -> None:
        self._connect = connect
        self._reader: Reader | None = None

    def read(self, offset: int, buffer: memoryview) -> None:
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._reader is None:
                    self._reader = self._connect()
                self._reader.read(offset, buffer)
                return
            except SourceGone:
                self.close()
                if attempt == ATTEMPTS:
                    raise
            time.sleep(pause)
            pause *= 2

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _sum(view: memoryview) -> str:
    return hashlib.sha256(view).hexdigest()


def _holds(volume: int, offset: int, view: memoryview, digest: str) -> bool:
    """The volume has what `digest` was made of. `view` is overwritten."""
    filled = 0
    while filled < len(view):
        count = os.preadv(volume, [view[filled:]], offset + filled)
        if not count:
            return False
        filled += count
    return _sum(view) == digest


def write(volume: int, offset: int, data: memoryview) -> None:
    """Write `data` at `offset` of a file, long runs of zeros as holes."""
    start = 0
    while start < len(data):
        zero = _is_zero(data[start : start + GRAIN])
        end = start + GRAIN
        while end < len(data) and _is_zero(data[end : end + GRAIN]) == zero:
            end += GRAIN
        end = min(end, len(data))
        if zero:
            clear(volume, offset + start, end - start)
        else:
            _write_all(volume, offset + start, data[start:end])
        start = end


def clear(volume: int, offset: int, length: int) -> None:
    """Make zeros of a part of a file; a hole, where the file system has those."""
    if _libc.fallocate(volume, _PUNCH, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0:
        return
    code = ctypes.get_errno()
    if code not in _HAS_NO_HOLES:
        raise OSError(code, os.strerror(code))
    end = offset + length
    while offset < end:
        count = min(GRAIN, end - offset)
        if os.pread(volume, count, offset) != _ZEROS[:count]:  # a file that has holes there keeps them
            _write_all(volume, offset, memoryview(_ZEROS)[:count])
        offset += count


def start_writing(volume: int, offset: int, length: int) -> None:
    """Let a part of a file be on its way to the disk: else all of a copy would still have to be written at its end.

    Where the kernel cannot, it will be.
    """
    _libc.sync_file_range(volume, ctypes.c_int64(offset), ctypes.c_int64(length), _START_WRITING)


def _is_zero(data: memoryview) -> bool:
    return data[0] == 0 and data.tobytes() == _ZEROS[: len(data)]


def _write_all(volume: int, offset: int, data: memoryview) -> None:
    while data:
        count = os.pwrite(volume, data, offset)
        data, offset = data[count:], offset + count


_libc = ctypes.CDLL(None, use_errno=True)
