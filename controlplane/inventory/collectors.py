"""How the source of a provider is read: one collector per provider type."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import aiohttp

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, Collected, SourceError, openshift, ova
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.exports import local_folder

Object = dict[str, Any]
T = TypeVar("T")


class Collector(Protocol):
    """Reads one source. `refresh_every`: seconds between two readings. Both verbs raise SourceError."""

    refresh_every: float

    async def test(self) -> None: ...

    async def collect(self) -> Collected: ...


def collector(provider: Object, secret: Object | None) -> Collector:
    """The collector for a provider and its Secret. Raises SourceError for types that cannot be read here."""
    kind = provider["spec"].get("type", "")
    if kind not in _COLLECTORS:
        raise SourceError(f"providers of type {kind!r} cannot be read by this control plane, only {', '.join(sorted(_COLLECTORS))}", DATA)
    return _COLLECTORS[kind](provider["spec"].get("url", ""), secret or {})


def secret_text(secret: Object, key: str) -> str:
    """One value of a Secret, "" when it is absent or not text."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""


class OvaCollector:
    """A folder of appliances. It is looked at in a thread: a file server may take its time."""

    refresh_every = 10.0
    deadline = 60.0  # seconds

    def __init__(self, url: str, _secret: Object) -> None:
        self._url = url
        self._cache: dict[str, ova.Read] = {}
        self._pending: asyncio.Task[Any] | None = None

    async def test(self) -> None:
        await self._in_thread(lambda: ova.find_appliances(local_folder(self._url)))

    async def collect(self) -> Collected:
        return await self._in_thread(lambda: ova.collect(local_folder(self._url), self._cache))

    async def _in_thread(self, look: Callable[[], T]) -> T:
        """One look at a time: behind one that hangs, no more threads are started."""
        if self._pending is not None:
            await self._ended(self._pending)
        self._pending = task = asyncio.create_task(asyncio.to_thread(look))
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # of one given up nobody else asks the outcome
        await self._ended(task)
        return task.result()

    async def _ended(self, task: asyncio.Task[Any]) -> None:
        done, _unused = await asyncio.wait({task}, timeout=self.deadline)
        if not done:
            raise SourceError(f"{self._url} did not answer within {self.deadline:.0f} s", CONNECTION)


class ClusterCollector:
    """Another cluster, by URL and token."""

    refresh_every = 30.0
    deadline = 30.0  # seconds for one request
    page = 500

    def __init__(self, url: str, secret: Object) -> None:
        self._url = url.rstrip("/")
        self._secret = secret

    async def test(self) -> None:
        async with self._session() as session:
            await self._get(session, openshift.COLLECTIONS["namespaces"].path, {"limit": "1"})

    async def collect(self) -> Collected:
        async with self._session() as session:
            instances = await self._list(session, openshift.INSTANCES)
            return Collected({
                name: openshift.items(collection, await self._list(session, collection), instances if name == "vms" else ())
                for name, collection in openshift.COLLECTIONS.items()
            })  # fmt: skip

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {secret_text(self._secret, 'token')}", "Accept": "application/json"}
        connector = aiohttp.TCPConnector(ssl=self._tls())
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(self.deadline)) as session:
            yield session

    def _tls(self) -> ssl.SSLContext | bool:
        if secret_text(self._secret, "insecureSkipVerify").lower() in ("true", "1", "t"):
            return False
        authority = secret_text(self._secret, "ca.crt") or secret_text(self._secret, "cacert")
        if not authority:
            return True
        try:
            context = ssl.create_default_context(cadata=authority)
            context.verify_flags |= (
                ssl.VERIFY_X509_PARTIAL_CHAIN
            )  # as MTV, which trusts the server's own certificate, too, when it is given
            return context
        except (ssl.SSLError, ValueError):
            raise SourceError(f"the CA certificate for {self._url} in the provider's Secret is not a PEM certificate", DATA) from None

    async def _list(self, session: aiohttp.ClientSession, collection: openshift.Collection) -> list[Object]:
        """All objects; none when the cluster does not have the kind."""
        found: list[Object] = []
        query = {"limit": str(self.page)}
        while True:
            reply = await self._get(session, collection.path, query)
            if reply is None:
                return []
            found += reply.get("items") or []
            token = (reply.get("metadata") or {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    async def _get(self, session: aiohttp.ClientSession, path: str, query: dict[str, str]) -> Object | None:
        try:
            async with session.get(self._url + path, params=query) as reply:
                if reply.status == 404:
                    return None
                if reply.status == 401:
                    raise SourceError(f"{self._url} does not accept the token of the provider's Secret", AUTH)
                if reply.status == 403:
                    raise SourceError(f"the token of the provider's Secret may not list {path.rpartition('/')[2]} on {self._url}", AUTH)
                if reply.status != 200:
                    raise SourceError(
                        f"{self._url} answers {reply.status} {reply.reason} to a list of {path.rpartition('/')[2]}", CONNECTION
                    )
                answer = await reply.json(content_type=None)
        except TimeoutError:
            raise SourceError(f"{self._url} did not answer within {self.deadline:.0f} s", CONNECTION) from None
        except aiohttp.InvalidURL:
            raise SourceError(f"{self._url!r} is not a URL of an API server, like https://api.example.com:6443", DATA) from None
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "certificate not trusted"
            raise SourceError(f"the certificate of {self._url} cannot be verified: {reason}", CONNECTION) from None
        except aiohttp.ClientError as error:
            raise SourceError(f"{self._url} cannot be reached: {error}", CONNECTION) from None
        except ValueError:
            raise SourceError(f"{self._url} is not an API server of Kubernetes: its answer is not JSON", DATA) from None
        if not isinstance(answer, dict):
            raise SourceError(f"{self._url} is not an API server of Kubernetes: its answer is not an object", DATA)
        return answer


_COLLECTORS: dict[str, Any] = {"ova": OvaCollector, "openshift": ClusterCollector}
