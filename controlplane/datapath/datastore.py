"""Disk files of a vSphere datastore, over HTTPS: the extent of a disk, and its bytes by ranges."""

from __future__ import annotations

import http.client
import re
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect

TIMEOUT = 60.0  # seconds without a byte
_LARGEST_DESCRIPTOR = 64 << 10
_EXTENT = re.compile(r'^RW\s+(\d+)\s+(\w+)(?:\s+"([^"]+)")?', re.MULTILINE)
_FLAT = ("FLAT", "VMFS")
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")


@dataclass(frozen=True)
class Extent:
    """The file that holds all bytes of a disk. `stamp`: what the server says of its version, "" for nothing."""

    url: str
    size: int
    stamp: str


class Datastores:
    """The files that a session may read; `datacenter` is the path of the one they are in. A session that has run out is opened anew."""

    def __init__(self, endpoint: Endpoint, session: Session, datacenter: str) -> None:
        self._endpoint = endpoint
        self._session = session
        self._datacenter = datacenter
        self._tls = endpoint.tls()
        self._lock = threading.Lock()

    def extent(self, disk: str) -> Extent:
        """The extent of the disk "[datastore] folder/name.vmdk". Raises SourceError for one that is not in one flat file."""
        descriptor = self._text(self._session.file_url(disk, self._datacenter))
        extents = _EXTENT.findall(descriptor)
        if len(extents) != 1 or extents[0][1] not in _FLAT or not extents[0][2]:
            kinds = ", ".join(sorted({kind for _size, kind, _name in extents})) or "no extent"
            raise SourceError(
                f"{disk} is not in one flat file ({kinds}): it cannot be read from its datastore. Remove snapshots that the VM had before",
                DATA,
            )
        url = self._session.file_url(f"{disk.rpartition('/')[0]}/{extents[0][2]}", self._datacenter)
        return self.look(url)

    def look(self, url: str) -> Extent:
        """A file as it is now. Raises SourceGone, SourceError."""
        reader = RangeReader(self, url)
        try:
            answer = reader.ask(0, 1)
            answer.read()
            match = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
            if not match:
                raise SourceError(f"{url} does not tell its size", DATA)
            stamp = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            return Extent(url, int(match[1]), stamp)
        finally:
            reader.close()

    def _text(self, url: str) -> str:
        reader = RangeReader(self, url)
        try:
            return reader.ask(0, _LARGEST_DESCRIPTOR).read(_LARGEST_DESCRIPTOR).decode("utf-8", "replace")
        finally:
            reader.close()

    @property
    def tls(self) -> ssl.SSLContext:
        return self._tls

    @property
    def cookie(self) -> str:
        return self._session.cookie

    def log_in_again(self, refused: str) -> None:
        """The cookie `refused` is worth nothing any more. Raises SourceError."""
        with self._lock:
            if self._session.cookie == refused:
                self._session = connect(self._endpoint)

    def close(self) -> None:
        self._session.close()


class RangeReader:
    """One connection to one file."""

    def __init__(self, datastores: Datastores, url: str) -> None:
        self._datastores = datastores
        self._url = urlsplit(url)
        self._connection: http.client.HTTPSConnection | None = None

    def read(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`. Raises SourceGone; SourceError for what trying again does not help against."""
        answer = self.ask(offset, len(buffer))
        try:
            filled = 0
            while filled < len(buffer):
                count = answer.readinto(buffer[filled:])
                if not count:
                    raise SourceGone(f"{self._name} broke off at byte {offset + filled}")
                filled += count
            answer.read()  # nothing; the connection can be used again
        except (OSError, http.client.HTTPException) as error:
            raise SourceGone(f"{self._name} broke off: {_reason(error)}") from error

    def ask(self, offset: int, length: int, *, again: bool = True) -> http.client.HTTPResponse:
        """The answer to a request for a range, with that range or, where the file is shorter, its rest."""
        cookie = self._datastores.cookie
        target = f"{self._url.path}?{self._url.query}"
        headers = {"Cookie": cookie, "Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        if self._connection is None:
            host = self._url.hostname or ""
            self._connection = http.client.HTTPSConnection(host, self._url.port, timeout=TIMEOUT, context=self._datastores.tls)
        try:
            self._connection.request("GET", target, headers=headers)
            answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SourceGone(f"{self._name} cannot be read: {_reason(error)}") from error
        if answer.status == 206:
            return answer
        self.close()
        if answer.status == 401 and again:
            self._datastores.log_in_again(cookie)
            return self.ask(offset, length, again=False)
        told = f"{self._name} cannot be read: the server answers {answer.status} {answer.reason} to a request for a part of it"
        if answer.status < 500:
            raise SourceError(told, DATA)
        raise SourceGone(told)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _name(self) -> str:
        return f"https://{self._url.netloc}{self._url.path}"


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
