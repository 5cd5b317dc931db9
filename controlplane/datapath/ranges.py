"""Parts of a file that an HTTP server has, over one connection that is kept open."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError

TIMEOUT = 60.0  # seconds without a byte
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")


@dataclass(frozen=True)
class Extent:
    """A file that holds all bytes of a disk. `stamp`: what the server says of its version, "" for nothing."""

    url: str
    size: int
    stamp: str


class RangeReader:
    """One connection to one file. `tls`: for https."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self._url = urlsplit(url)
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    def headers(self) -> Mapping[str, str]:
        """What tells the server who asks; looked at for each request."""
        return {}

    def log_in_again(self, refused: Mapping[str, str]) -> bool:
        """The server does not take the headers `refused` (any more). True when there are others by now."""
        return False

    def read(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`. Raises SourceGone; SourceError for what trying again does not help against."""
        answer = self.ask(offset, len(buffer))
        try:
            filled = 0
            while filled < len(buffer):
                count = answer.readinto(buffer[filled:])
                if not count:
                    raise SourceGone(f"{self.name} broke off at byte {offset + filled}")
                filled += count
            answer.read()  # nothing; the connection can be used again
        except (OSError, http.client.HTTPException) as error:
            raise SourceGone(f"{self.name} broke off: {reason(error)}") from error

    def look(self) -> Extent:
        """The file as it is now. Raises SourceGone, SourceError."""
        answer = self.ask(0, 1)
        answer.read()
        match = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
        if not match:
            raise SourceError(f"{self._url.geturl()} does not tell its size", DATA)
        stamp = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        return Extent(self._url.geturl(), int(match[1]), stamp)

    def ask(self, offset: int, length: int, *, again: bool = True) -> http.client.HTTPResponse:
        """The answer to a request for a range, with that range or, where the file is shorter, its rest."""
        given = self.headers()
        answer = self.get({**given, "Range": f"bytes={offset}-{offset + length - 1}"})
        if answer.status == 206:
            return answer
        self.close()
        if answer.status == 401 and again and self.log_in_again(given):
            return self.ask(offset, length, again=False)
        told = f"{self.name} cannot be read: the server answers {answer.status} {answer.reason} to a request for a part of it"
        if answer.status < 500:
            raise SourceError(told, DATA)
        raise SourceGone(told)

    def get(self, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The answer, whatever it is. Raises SourceGone."""
        target = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        try:
            self._connection = self._connection or self._connect()
            self._connection.request("GET", target, headers={**headers, "Accept-Encoding": "identity"})
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SourceGone(f"{self.name} cannot be read: {reason(error)}") from error

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, self._url.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(host, self._url.port, timeout=TIMEOUT, context=self._tls)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def name(self) -> str:
        """For messages: without a query, which may hold a secret."""
        return f"{self._url.scheme}://{self._url.netloc}{self._url.path}"


def tls(url: str, authority: str) -> ssl.SSLContext | None:
    """For an https server that `authority` (PEM) vouches for, or those that this machine knows. Raises SourceError."""
    if not url.startswith("https:"):
        return None
    if not authority.strip():
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError):
        raise SourceError(f"the certificates that are to vouch for {url.partition('?')[0]} are not in PEM format", DATA) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate does, too
    return context


def fetched(url: str, headers: Mapping[str, str], authority: str) -> bytes:
    """A small file as a whole. Raises SourceGone, SourceError."""
    reader = RangeReader(url, tls(url, authority))
    try:
        answer = reader.get(headers)
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise SourceGone(f"{reader.name} broke off: {reason(error)}") from error
    finally:
        reader.close()
    if answer.status == 200:
        return content
    told = f"{reader.name} cannot be read: the server answers {answer.status} {answer.reason}"
    raise SourceGone(told) if answer.status >= 500 else SourceError(told, DATA)


def reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "verify_message", "") or getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
