"""A disk of an oVirt engine into a volume: over ovirt-imageio from a host that has it, only what is no zeros."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.controlplane.datapath import patience, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath import volume as volumes
from ansible_collections.vmshift.mtv.controlplane.datapath.patience import patiently
from ansible_collections.vmshift.mtv.controlplane.datapath.ranges import RangeReader
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Journal, SourceGone, Totals
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import session as engine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import CaFile, Endpoint, Session
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import GOING_ON, INACTIVITY, Image, Transfer

JOURNAL_FILE = "journal"
EXTEND_EVERY = INACTIVITY / 3
GAP = volumes.GRAIN  # zeros between two areas that are read with them: a request of its own costs more
Areas = list[tuple[int, int]]


def copy(
    endpoint: Endpoint, image: Image, take: Callable[[int], Path], folder: Path, tell: Callable[[Totals], None], say: Callable[[str], None]
) -> tuple[int, Totals]:
    """Copy an image; its size in bytes, and what was copied. `take`: makes the volume ready for that size, zeros all over.

    Where the transfer is lost in the middle, a new one goes on where it was. No transfer is left at the engine at the end, however that
    comes; only where the process is killed its successor ends it, or the engine itself. Raises SourceError, transfer.SourceGone,
    transfer.Damaged, OSError.
    """
    authorities = CaFile(engine.authorities(endpoint))
    try:
        with _opened(endpoint) as session, Download(session, image, authorities, say) as download:
            size, areas = download.extents()
            volume = take(size)
            wanted = list(transfer.pieces(joined(areas), size))
            say(f"{sum(length for _offset, length in wanted)} of {size} bytes are to be copied, in {len(wanted)} pieces")
            journal = Journal(folder / JOURNAL_FILE, {"disk": image.disk, "snapshot": image.snapshot, "size": size, "at": time.time()})
            journal.begin()
            try:
                totals = transfer.Transfer(download.reader, volume, journal, tell).copy(wanted)
            finally:
                journal.close()
            download.finish()
            return size, totals
    finally:
        authorities.close()


def joined(areas: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(offset, length) of areas that come in order, those with next to nothing between them as one."""
    begin = end = -1
    for offset, length in areas:
        if begin >= 0 and offset - end <= GAP:
            end = offset + length
            continue
        if begin >= 0:
            yield begin, end - begin
        begin, end = offset, offset + length
    if begin >= 0:
        yield begin, end - begin


@contextlib.contextmanager
def _opened(endpoint: Endpoint) -> Iterator[Session]:
    session = engine.connect(endpoint)
    try:
        yield session
    finally:
        session.close()


class Download:
    """An image transfer for as long as it is needed: extended, begun anew when it is lost, ended at the end."""

    def __init__(self, session: Session, image: Image, authorities: CaFile, say: Callable[[str], None]) -> None:
        self._session, self._image, self._say = session, image, say
        self._ca = authorities.path
        self._context = _context(session.endpoint, authorities)
        self._lock = threading.Lock()  # the SDK is for one thread at a time
        self._over = threading.Event()
        self._transfer: Transfer | None = None
        self._keeper = threading.Thread(target=self._keep, daemon=True, name="extend the image transfer")

    def __enter__(self) -> Download:
        with self._lock:
            self._transfer = self._begin()
        self._keeper.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._over.set()
        # A thread may hang in the middle of a question to the engine. It has a deadline of its own.
        with self._lock:
            if self._transfer is not None:
                self._transfer.cancel()
                self._transfer = None

    def finish(self) -> None:
        """All was read."""
        with self._lock:
            assert self._transfer is not None
            for attempt in range(1, patience.ATTEMPTS + 1):
                try:
                    self._transfer.finalize()
                    break
                except SourceError:
                    if attempt == patience.ATTEMPTS:
                        raise
                time.sleep(patience.PAUSE)
            self._transfer = None

    def extents(self) -> tuple[int, Areas]:
        """The size of the image, and (offset, length) of what is in it that is no zeros; of a shallow one, of what was written into it."""
        from ovirt_imageio.client import ImageioClient

        pause = transfer.FIRST_PAUSE
        for attempt in range(1, transfer.ATTEMPTS + 1):
            try:
                with ImageioClient(self._url(), cafile=self._ca, secure=not self._session.endpoint.insecure) as client:
                    found = list(client.extents())
                    kept = [(extent.start, extent.length) for extent in found if not (extent.hole if self._image.shallow else extent.zero)]
                    return client.size(), kept
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                if attempt == transfer.ATTEMPTS:
                    raise SourceGone(f"{self._host()} does not tell what is in the disk: {error}") from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError

    def reader(self) -> Reader:
        """A connection of its own to where the image is now. Raises SourceGone."""
        return Reader(self._url(), self._context)

    def _url(self) -> str:
        """Where the image is read. A transfer that is over is begun anew. Raises SourceGone."""
        with self._lock:
            if self._over.is_set():  # threads may still read when the copy is ended from outside
                raise SourceGone("the copy is over")
            try:
                if self._transfer is None or self._transfer.phase() != GOING_ON:
                    self._say("the image transfer was lost; a new one is begun")
                    self._transfer = Transfer.begin(self._session, self._image, self._say)
            except SourceError as error:
                if error.kind == DATA:
                    raise
                # The engine may be away for a moment, and the host still serves.
                if self._transfer is None or not self._transfer.urls:
                    raise SourceGone(error.message) from error
            urls = self._transfer.urls
        return next((url for url in urls if _answers(url)), urls[0])

    def _host(self) -> str:
        return urlsplit(self._transfer.urls[0]).netloc if self._transfer and self._transfer.urls else "the host"

    def _begin(self) -> Transfer:
        return patiently(
            lambda: Transfer.begin(self._session, self._image, self._say, succeeds=True),
            lambda why: self._say(f"the image transfer could not be begun, which is tried again: {why}"),
        )

    def _keep(self) -> None:
        """The engine is to know that somebody reads, also while a slow volume is written."""
        while not self._over.wait(EXTEND_EVERY):
            with self._lock, contextlib.suppress(SourceError):
                if self._transfer is not None and not self._over.is_set():
                    self._transfer.extend()


class Reader(RangeReader):
    """What a host refuses is a ticket that it does not have (any more): with a new one it serves again."""

    def read(self, offset: int, buffer: memoryview) -> None:
        try:
            super().read(offset, buffer)
        except SourceError as error:
            raise SourceGone(error.message) from error

    @property
    def name(self) -> str:
        """Without the path: whoever knows the ticket may read."""
        return f"{self._url.scheme}://{self._url.netloc}"


def _context(endpoint: Endpoint, authorities: CaFile) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authorities.path)
    if endpoint.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _answers(url: str) -> bool:
    """Its host can be reached from here; where it cannot, the engine's proxy may."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10).close()
    except OSError:
        return False
    return True
