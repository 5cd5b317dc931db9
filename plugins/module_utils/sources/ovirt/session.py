# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with the API of an oVirt engine."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils import urls

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError

TIMEOUT = 60.0  # seconds for one request
_DETAIL = re.compile(r'Fault detail is "\[?(?P<detail>.*?)\]?"\.')
_TLS = re.compile(r"certificate|SSL|TLS", re.IGNORECASE)


@dataclass(frozen=True)
class Endpoint:
    """Where an engine is and who logs in. `ca`: PEM text, "" for the certificates that this machine trusts."""

    url: str
    user: str
    password: str = field(repr=False)
    ca: str = ""
    insecure: bool = False

    def address(self) -> str:
        """The URL of the API. Raises SourceError for what is no https URL."""
        try:
            parts = urlsplit(self.url)
            _unused = parts.port  # read to be checked
        except ValueError as error:
            raise SourceError(f"{self.url!r} is not a URL: {error}", DATA) from error
        if parts.scheme != "https" or not parts.hostname:
            raise SourceError(f"{self.url!r} is not the URL of an engine; it looks like https://engine.example.com/ovirt-engine/api", DATA)
        return self.url.rstrip("/") if parts.path.strip("/") else f"https://{parts.netloc}/ovirt-engine/api"


class Session:
    """A login, open until `close`. All methods block. What is asked of `system` is to be `explained`."""

    def __init__(self, endpoint: Endpoint, connection: Any, ca: CaFile) -> None:
        self.endpoint = endpoint
        self.system = connection.system_service()
        self.ca = ca
        self._connection = connection

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out; one that cannot be reached any more is left to expire."""
        with contextlib.suppress(Exception):
            self._connection.close()
        self.ca.close()


class CaFile:
    """The CA in a file, as the libraries want it. `path`: None when there is no CA."""

    def __init__(self, ca: str) -> None:
        self.path = None
        if ca:
            with tempfile.NamedTemporaryFile("w", prefix="engine-ca-", suffix=".pem", delete=False) as file:
                file.write(ca if ca.endswith("\n") else f"{ca}\n")
            self.path = file.name

    def close(self) -> None:
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


def connect(endpoint: Endpoint, timeout: float = TIMEOUT) -> Session:
    """Log in. Raises SourceError."""
    sdk = _sdk()
    url = endpoint.address()
    if endpoint.ca and not endpoint.insecure:
        _check_ca(endpoint)
    ca = CaFile("" if endpoint.insecure else endpoint.ca)
    try:
        with explained(endpoint):
            connection = sdk.Connection(
                url=url,
                username=endpoint.user,
                password=endpoint.password,
                ca_file=ca.path,
                insecure=endpoint.insecure,
                timeout=int(timeout),
            )
            connection.authenticate()
    except BaseException:
        ca.close()
        raise
    return Session(endpoint, connection, ca)


def try_connection(endpoint: Endpoint, timeout: float = TIMEOUT) -> None:
    """Log in, look and log out. Raises SourceError."""
    with connect(endpoint, timeout) as session, explained(endpoint):
        session.system.get()


def authorities(endpoint: Endpoint, timeout: float = TIMEOUT) -> str:
    """The CA of the endpoint, and that of the engine, which vouches for its hosts: they differ where the engine has a certificate of
    somebody else's. "" when nothing is verified. Raises SourceError.
    """
    if endpoint.insecure:
        return ""
    parts = urlsplit(endpoint.address())
    url = f"{parts.scheme}://{parts.netloc}/ovirt-engine/services/pki-resource?resource=ca-certificate&format=X509-PEM-CA"
    try:
        with contextlib.closing(CaFile(endpoint.ca)) as ca, urls.open_url(url, timeout=int(timeout), ca_path=ca.path) as answer:
            own = answer.read(1 << 20).decode("ascii", "replace")
    except (OSError, http.client.HTTPException, urls.ConnectionError) as error:
        raise SourceError(_unreachable(endpoint, str(getattr(error, "reason", error))), CONNECTION) from error
    found = [text.strip() for text in (endpoint.ca, own) if "BEGIN CERTIFICATE" in text]
    return "".join(f"{text}\n" for text in dict.fromkeys(found))


@contextlib.contextmanager
def explained(endpoint: Endpoint) -> Iterator[None]:
    """What the SDK raises, as a SourceError."""
    sdk = _sdk()
    try:
        yield
    except sdk.AuthError as error:
        raise SourceError(f"{endpoint.url} refuses the credentials of {endpoint.user}: {_plain(error)}", AUTH) from error
    except sdk.TimeoutError as error:
        raise SourceError(f"{endpoint.url} did not answer in time: {_plain(error)}", CONNECTION) from error
    except sdk.ConnectionError as error:
        raise SourceError(_unreachable(endpoint, _plain(error)), CONNECTION) from error
    except sdk.NotFoundError as error:
        raise SourceError(f"{endpoint.url} does not have it: {_plain(error)}", DATA) from error
    except sdk.Error as error:
        text = _plain(error)
        if error.code is not None:
            raise SourceError(f"{endpoint.url} refuses it: {text}", CONNECTION if error.code >= 500 else DATA) from error
        if "Error while sending HTTP request" in str(error) or "Error during SSO" in str(error):
            raise SourceError(_unreachable(endpoint, text), CONNECTION) from error
        raise SourceError(f"{endpoint.url} does not answer as an oVirt engine does: {text}", DATA) from error


def _unreachable(endpoint: Endpoint, text: str) -> str:
    if _TLS.search(text):
        return f"the certificate of {endpoint.url} cannot be verified: {text}"
    return f"{endpoint.url} cannot be reached: {text}"


def _plain(error: Exception) -> str:
    """What an error of the SDK says, without its frame."""
    text = str(error)
    found = _DETAIL.search(text)
    if found and found["detail"]:
        return found["detail"]
    curl = re.search(r"\(\d+, ['\"](.*)['\"]\)", text)
    return (curl[1] if curl else text).rstrip(".")


def _check_ca(endpoint: Endpoint) -> None:
    try:
        ssl.create_default_context().load_verify_locations(cadata=endpoint.ca)
    except (ssl.SSLError, ValueError) as error:
        raise SourceError(f"the CA certificate for {endpoint.url} is not in PEM format", DATA) from error


def _sdk() -> Any:
    try:
        import ovirtsdk4
    except ImportError as error:
        raise SourceError(
            "the Python package ovirt-engine-sdk-python is not installed, with which an oVirt engine is read", DATA
        ) from error
    return ovirtsdk4
