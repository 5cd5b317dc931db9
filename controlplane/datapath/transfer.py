"""Bytes of a disk out of a source that answers range reads, into a volume: in parallel, checked, and after an interruption from
where it had come.

A disk is read in pieces. What was written of a piece is read back from the volume and compared, and its sum goes into a journal
then. A copy that begins again reads only those pieces anew of which the volume does not hold what the journal says: nothing has to be
believed of how the last attempt ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from ansible_collections.vmshift.mtv.controlplane.datapath import volume as volumes

PIECE = 4 << 20  # bytes
THREADS = 4
ATTEMPTS = 6  # of one piece, with growing pauses: about half a minute until a source counts as gone
FIRST_PAUSE = 1.0  # seconds; doubled with each attempt


class SourceGone(Exception):
    """The source does not answer (any more); the text says why in one sentence. Another attempt may succeed."""


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
        """Copy these pieces. Raises SourceGone, volume.Damaged, OSError (of the volume)."""
        self.totals = Totals(sum(length for _offset, length in wanted))
        self._in_threads(self._copy_pieces, wanted)
        with self._volume.open("rb") as file:
            os.fsync(file.fileno())
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
            writer = volumes.Writer(volume, PIECE)
            connection = stack.enter_context(contextlib.closing(_Lasting(self._connect)))
            for offset, length in mine:
                piece = buffer[:length]
                if self._is_there(volume, offset, piece):
                    self._count(kept=length)
                    continue
                connection.read(offset, piece)
                writer.put(offset, piece)
                self._journal.add(offset, length, _sum(piece))
                self._count(read=length)

    def _is_there(self, volume: int, offset: int, piece: memoryview) -> bool:
        """An earlier attempt has copied this piece, and the volume has it. `piece` is overwritten."""
        known = self._journal.sums.get((offset, len(piece)))
        return known is not None and volumes.read(volume, offset, piece) and _sum(piece) == known

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
