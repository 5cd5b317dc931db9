"""A disk image from an HTTP server into a volume, as CDI's source `http`: the exports of VMs of another cluster, above all.

MTV names the compressed form of an exported disk. Its raw form lies beside it, and where the server gives parts of that, it is read
in parallel, checked with sums, and from where an earlier attempt had come; an export server of ours also tells which parts hold data.
Anything else is one stream, decompressed and written as it comes, which begins anew when it was interrupted.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ansible_collections.vmshift.mtv.controlplane.datapath import transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import DISK_IMAGE
from ansible_collections.vmshift.mtv.controlplane.datapath.ranges import Extent, RangeReader, reason, tls
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Journal, SourceGone, Totals, Transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import Writer
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError

JOURNAL_FILE = "journal"
#: Beside the raw form of a disk, on our export servers: {"data": [[offset, length], …]}, the parts that are no holes.
MAP_SUFFIX = ".map"
_GZIP, _QCOW2 = b"\x1f\x8b", b"QFI\xfb"
_CHUNK = 1 << 20
_CHECKSUMS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}

Tell = Callable[[Totals], None]
Say = Callable[[str], None]
Pieces = list[tuple[int, int]]


@dataclass(frozen=True)
class Request:
    """`headers` may hold secrets; `authority`: PEM of those that vouch for the server, "" for the machine's own; `checksum`: "sha256:…"
    of what the server sends, "" for none.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str = ""
    checksum: str = ""


def copy(request: Request, volume: Path, folder: Path, tell: Tell, say: Say) -> Totals:
    """Copy the image into `volume`. `folder` keeps what another attempt may go on from.

    Raises SourceGone, SourceError, Damaged, OSError.
    """
    source = _Source(request)
    extent = None if request.checksum else source.parts()
    if extent is None:
        say(f"{source.reader(request.url).name} is read as one stream: the server gives no parts of it, or a checksum is to be compared")
        return _stream(source, volume, tell)
    return _parts(source, extent, volume, folder, tell, say)


class _Reader(RangeReader):
    def __init__(self, source: _Source, url: str) -> None:
        super().__init__(url, source.tls)
        self._given = source.request.headers

    def headers(self) -> Mapping[str, str]:
        return self._given


class _Source:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.tls = tls(request.url, request.authority)

    def reader(self, url: str) -> _Reader:
        return _Reader(self, url)

    def parts(self) -> Extent | None:
        """The raw form of the disk, when the server gives parts of it."""
        url = self.request.url
        raw = url.removesuffix(".gz") if url.endswith(f"{DISK_IMAGE}.gz") else url
        reader = self.reader(raw)
        try:
            answer = reader.get({**reader.headers(), "Range": "bytes=0-3"})
            if answer.status in (401, 403):
                raise SourceError(f"{reader.name} cannot be read: the server answers {answer.status} {answer.reason}", DATA)
            if answer.status >= 500:
                raise SourceGone(f"{reader.name} cannot be read: the server answers {answer.status} {answer.reason}")
            begin = answer.read(4) if answer.status == 206 else b""
        finally:
            reader.close()
        if not begin or begin.startswith(_GZIP):
            return None
        _refuse_format(reader.name, begin)
        return self.look(raw)

    def look(self, url: str) -> Extent:
        reader = self.reader(url)
        try:
            return reader.look()
        finally:
            reader.close()

    def data(self, extent: Extent) -> Pieces | None:
        """(offset, length) of the parts that are no holes; None when the server does not tell."""
        reader = self.reader(extent.url + MAP_SUFFIX)
        try:
            answer = reader.get(reader.headers())
            text = answer.read()
            found: Any = json.loads(text) if answer.status == 200 else {}
        except ValueError:
            return None
        finally:
            reader.close()
        if not isinstance(found, dict) or found.get("size") != extent.size:
            return None
        return [tuple(part) for part in found["data"]]


def _refuse_format(name: str, begin: bytes) -> None:
    if begin.startswith(_QCOW2):
        raise SourceError(f"{name} is a qcow2 image; this control plane imports raw disks over HTTP, plain or compressed with gzip", DATA)


def _refuse_size(name: str, size: int, volume: Path) -> None:
    room = volume.stat().st_size
    if size > room:
        raise SourceError(f"{name} has {size} bytes, but its volume holds only {room}", DATA)


# In parts


def _parts(source: _Source, extent: Extent, volume: Path, folder: Path, tell: Tell, say: Say) -> Totals:
    name = source.reader(extent.url).name
    _refuse_size(name, extent.size, volume)
    data = source.data(extent)
    wanted = list(transfer.pieces([(0, extent.size)] if data is None else data, extent.size))
    journal = Journal(folder / JOURNAL_FILE, {"disk": name, "stamp": extent.stamp, "size": extent.size})
    say(f"{name}: {sum(length for _offset, length in wanted)} of {extent.size} bytes are to be copied, in {len(wanted)} pieces")
    if journal.resumed:
        say(f"an earlier attempt has copied {sum(length for _offset, length in journal.sums)} bytes; what of it is in the volume is kept")
    else:
        _empty(volume)
    journal.begin()
    try:
        totals = Transfer(lambda: source.reader(extent.url), volume, journal, tell).copy(wanted)
    finally:
        journal.close()
    now = source.look(extent.url)
    if (now.stamp, now.size) != (extent.stamp, extent.size):
        raise SourceError(f"{name} was written to while it was copied", DATA)
    return totals


def _empty(volume: Path) -> None:
    """What is not copied must be zeros."""
    size = volume.stat().st_size
    os.truncate(volume, 0)
    os.truncate(volume, size)


# As one stream


def _stream(source: _Source, volume: Path, tell: Tell) -> Totals:
    request, reader = source.request, source.reader(source.request.url)
    try:
        answer = reader.get(reader.headers())
        if answer.status != 200:
            told = f"{reader.name} cannot be read: the server answers {answer.status} {answer.reason}"
            raise SourceGone(told) if answer.status >= 500 else SourceError(told, DATA)
        received = _Received(reader.name, answer, request.checksum)
        _empty(volume)
        totals = Totals(volume.stat().st_size)
        _write(_disk_image(request.url, received), reader.name, volume, totals, tell)
        received.finish()
    finally:
        reader.close()
    totals.wanted = totals.read
    tell(totals)
    return totals


class _Received:
    """What the server sends, as a file; its end is only believed when it is the end."""

    def __init__(self, name: str, answer: http.client.HTTPResponse, checksum: str) -> None:
        self._name, self._answer = name, answer
        self._length = answer.length
        self._count = 0
        self._digest = _digest(checksum) if checksum else None
        self._checksum = checksum

    def read(self, size: int = _CHUNK) -> bytes:
        try:
            data = self._answer.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise SourceGone(f"{self._name} broke off: {reason(error)}") from error
        self._count += len(data)
        if not data and self._length is not None and self._count < self._length:
            raise SourceGone(f"{self._name} broke off after {self._count} of {self._length} bytes")
        if self._digest is not None:
            self._digest.update(data)
        return data

    def finish(self) -> None:
        """Read what is left, and compare the sum."""
        while self.read():
            pass
        if self._digest is not None and self._digest.hexdigest() != self._checksum.partition(":")[2].lower():
            raise SourceError(f"{self._name} does not have the checksum that is asked for", DATA)


def _digest(checksum: str) -> Any:
    kind, _colon, digest = checksum.partition(":")
    if len(digest) != _CHECKSUMS.get(kind.lower()):
        raise SourceError(f"checksum {checksum!r} is not understood; give KIND:DIGITS, with a kind of {', '.join(_CHECKSUMS)}", DATA)
    return hashlib.new(kind.lower(), usedforsecurity=False)


def _disk_image(url: str, received: _Received) -> Iterator[bytes]:
    """The bytes of the disk, out of what is received: plain, compressed, or the one image in an archive."""
    path = url.partition("?")[0]
    try:
        if path.endswith((".tar", ".tar.gz")):
            with tarfile.open(fileobj=cast("Any", received), mode="r|*", bufsize=_CHUNK) as archive:
                for member in archive:
                    if member.isreg() and member.name.rpartition("/")[2] == DISK_IMAGE:
                        yield from _content(archive, member)
                        return
            raise SourceError(f"{path} has no {DISK_IMAGE} in it", DATA)
        first = received.read()
        yield from _decompressed(path, first, received) if first.startswith(_GZIP) else _plain(first, received)
    except (zlib.error, tarfile.TarError) as error:
        raise SourceGone(f"{path} is damaged, or broke off: {error}") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = archive.extractfile(member)
    assert content is not None  # of a regular file
    while data := content.read(_CHUNK):
        yield data


def _plain(first: bytes, received: _Received) -> Iterator[bytes]:
    yield first
    yield from iter(received.read, b"")


def _decompressed(path: str, first: bytes, received: _Received) -> Iterator[bytes]:
    """Of a file of several members, all. gzip's own sums are compared by zlib."""
    machine, data = zlib.decompressobj(31), first
    while data:
        while data:
            if machine.eof:
                machine = zlib.decompressobj(31)
            yield machine.decompress(data, _CHUNK)
            data = machine.unused_data if machine.eof else machine.unconsumed_tail
        data = received.read()
    if not machine.eof:
        raise SourceGone(f"{path} broke off in the middle of compressed data")


def _write(chunks: Iterator[bytes], name: str, volume: Path, totals: Totals, tell: Tell) -> None:
    """Raises SourceError, Damaged, OSError."""
    buffer, offset, room = bytearray(), 0, volume.stat().st_size
    with volume.open("r+b") as file:
        writer = Writer(file.fileno(), transfer.PIECE)

        def flush() -> None:
            nonlocal offset
            piece = memoryview(buffer[: transfer.PIECE])
            if offset == 0:
                _refuse_format(name, bytes(piece[:4]))
            if offset + len(piece) > room:
                raise SourceError(f"{name} has more than the {room} bytes that its volume holds", DATA)
            writer.put(offset, piece)
            del buffer[: transfer.PIECE]
            offset += len(piece)
            totals.read = offset
            tell(totals)

        for chunk in chunks:
            buffer += chunk
            while len(buffer) >= transfer.PIECE:
                flush()
        if buffer:
            flush()
        os.fsync(file.fileno())
