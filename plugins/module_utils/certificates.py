# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of authorities: from text, from a file, or from the server itself when the user vouches for one with its fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

CONNECT_SECONDS = 10.0
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_LARGEST = 1024 * 1024  # bytes of a certificate that a server sends as a file


class Fingerprint(NamedTuple):
    """`algorithm`: sha1 or sha256; `digest`: hexadecimal, lower case."""

    algorithm: str
    digest: str

    def fits(self, certificate: bytes) -> bool:
        return hashlib.new(self.algorithm, certificate).hexdigest() == self.digest

    def of(self, certificate: bytes) -> str:
        """The fingerprint of another certificate, as people compare it: `AB:CD:…`."""
        return shown(certificate, self.algorithm)


def shown(certificate: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, certificate).hexdigest().upper()
    return ":".join(re.findall("..", digest))


def fingerprint(text: str, option: str) -> Fingerprint:
    """What a task gives as a fingerprint: SHA-256, or SHA-1 as vSphere shows it, with or without colons. Raises TalkError."""
    digest = re.sub(r"[\s:]", "", text).lower()
    algorithm = {64: "sha256", 40: "sha1"}.get(len(digest))
    if algorithm is None or re.fullmatch("[0-9a-f]+", digest) is None:
        raise TalkError(
            f"{option}: {text!r} is no fingerprint; give 64 hexadecimal digits of SHA-256 or 40 of SHA-1, with or without colons."
        )
    return Fingerprint(algorithm, digest)


def checked(text: str, option: str) -> str:
    """PEM text that holds certificates. Raises TalkError naming `option`."""
    try:
        if not certificates_in(text):
            raise ssl.SSLError
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(_PEM.findall(text)))
    except (ssl.SSLError, ValueError):
        raise TalkError(f"{option}: this is no certificate in PEM (-----BEGIN CERTIFICATE-----).") from None
    return text


def read_file(path: str, option: str) -> str:
    """The certificates in a file of this host. Raises TalkError."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
    except OSError as error:
        raise TalkError(f"{option}: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise TalkError(f"{option}: {path} holds no certificate in PEM; convert it, for instance with openssl x509 -inform der.") from None
    return checked(text, f"{option}: {path}")


def certificates_in(text: str) -> list[bytes]:
    """The certificates of a PEM text, in DER."""
    return [ssl.PEM_cert_to_DER_cert(part) for part in _PEM.findall(text)]


def trusted(url: str, wanted: Fingerprint, option: str, *, more: Iterable[str] = ()) -> str:
    """The certificate with this fingerprint, in PEM, out of those that the server at `url` shows. Raises TalkError.

    Nothing the server says is believed but what the fingerprint vouches for. `more`: paths where it offers certificates for download.
    """
    host, port = _address(url, option)
    context = _unverified()
    seen = _presented(host, port, context, option)
    for certificate in [*seen, *_offered(f"https://{_bracketed(host)}:{port}", more, context)]:
        if wanted.fits(certificate):
            return ssl.DER_cert_to_PEM_cert(certificate)
    name = {"sha1": "SHA-1", "sha256": "SHA-256"}[wanted.algorithm]
    raise TalkError(
        f"{option}: {host}:{port} shows another certificate, with the {name} fingerprint {wanted.of(seen[0])}; is it the right server?"
    )


def _address(url: str, option: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme != "https":
        raise TalkError(f"{option}: a certificate can only be fetched from an https URL; the url is {url!r}.")
    return host, port or 443


def _unverified() -> ssl.SSLContext:
    """Only to look at certificates: what comes over this connection is compared with a fingerprint, nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _presented(host: str, port: int, context: ssl.SSLContext, option: str) -> list[bytes]:
    """The server's certificate, then those of authorities that it sends along."""
    try:
        plain = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=host) as tls:
            own, chain = tls.getpeercert(binary_form=True), _chain(tls)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
        raise TalkError(f"{option}: no certificate could be fetched from {host}:{port}: {reason}.") from error
    return chain or ([own] if own else [])


def _chain(tls: ssl.SSLSocket) -> list[bytes]:
    """All certificates that were sent; [] where Python cannot tell (before 3.10)."""
    # A method of the socket since 3.13; what lies below it is the same since 3.10.
    reader: Any = getattr(tls, "get_unverified_chain", None) or getattr(tls._sslobj, "get_unverified_chain", list)  # type: ignore[attr-defined]
    return [c if isinstance(c, bytes) else ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in reader() or []]


def _offered(origin: str, paths: Iterable[str], context: ssl.SSLContext) -> list[bytes]:
    """Certificates that the server offers as PEM files; a file that is not there is none."""
    from urllib.request import HTTPSHandler, build_opener

    opener = build_opener(HTTPSHandler(context=context))
    found: list[bytes] = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError), opener.open(origin + path, timeout=CONNECT_SECONDS) as reply:
            found += certificates_in(reply.read(_LARGEST).decode("ascii", "replace"))
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
