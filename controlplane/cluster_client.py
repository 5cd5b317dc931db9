"""Requests to another cluster's API server, with the URL and the Secret of its Provider."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError

Object = dict[str, Any]


def secret_text(secret: Object, key: str) -> str:
    """One value of a Secret, "" when it is absent or not text."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def is_insecure(secret: Object) -> bool:
    """The Secret says that certificates are not to be verified."""
    return secret_text(secret, "insecureSkipVerify").lower() in ("true", "1", "t")


class Answer(NamedTuple):
    """Of an API server: status with its phrase, and the body."""

    status: int
    phrase: str
    text: str


class ClusterClient:
    """One API server. `deadline`: seconds for one request."""

    deadline = 30.0

    def __init__(self, url: str, secret: Object) -> None:
        self.url = url.rstrip("/")
        self._secret = secret

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Connections that are kept open between requests. Raises SourceError for a CA certificate that is none."""
        headers = {"Authorization": f"Bearer {secret_text(self._secret, 'token')}", "Accept": "application/json, */*"}
        connector = aiohttp.TCPConnector(ssl=self._tls())
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(self.deadline)) as session:
            yield session

    def _tls(self) -> ssl.SSLContext | bool:
        if is_insecure(self._secret):
            return False
        authority = secret_text(self._secret, "ca.crt") or secret_text(self._secret, "cacert")
        if not authority:
            return True
        try:
            context = ssl.create_default_context(cadata=authority)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as MTV, which takes the server's own certificate, too
            return context
        except (ssl.SSLError, ValueError):
            raise SourceError(f"the CA certificate for {self.url} in the provider's Secret is not a PEM certificate", DATA) from None

    async def exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Raises SourceError when there is no answer, and when the token is not accepted."""
        headers = {"Content-Type": content_type} if body is not None else None
        try:
            async with session.request(method, self.url + path, params=query, json=body, headers=headers) as reply:
                if reply.status == 401:
                    raise SourceError(f"{self.url} does not accept the token of the provider's Secret", AUTH)
                return Answer(reply.status, reply.reason or "", await reply.text())
        except TimeoutError:
            raise SourceError(f"{self.url} did not answer within {self.deadline:.0f} s", CONNECTION) from None
        except aiohttp.InvalidURL:
            raise SourceError(f"{self.url!r} is not a URL of an API server, like https://api.example.com:6443", DATA) from None
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "certificate not trusted"
            raise SourceError(f"the certificate of {self.url} cannot be verified: {reason}", CONNECTION) from None
        except aiohttp.ClientError as error:
            raise SourceError(f"{self.url} cannot be reached: {error}", CONNECTION) from None
        except UnicodeDecodeError:
            raise SourceError(f"{self.url} is not an API server of Kubernetes: its answer is not text", DATA) from None
