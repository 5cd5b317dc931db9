"""How the source of a provider is read: one collector per provider type."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import aiohttp

from ansible_collections.vmshift.mtv.controlplane.blocking import apart
from ansible_collections.vmshift.mtv.controlplane.cluster_client import ClusterClient, is_insecure, secret_text
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, Collected, SourceError, openshift, ova
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.exports import local_folder
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.inventory import OpenStackInventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Credentials
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import try_connection as try_openstack
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import session as ovirt
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.inventory import OVirtInventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.inventory import VSphereInventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, try_connection

Object = dict[str, Any]
T = TypeVar("T")


class Collector(Protocol):
    """Reads one source. `refresh_every`: seconds between two readings. Both verbs raise SourceError."""

    refresh_every: float

    async def test(self) -> None: ...

    async def collect(self) -> Collected: ...

    def close(self) -> None:
        """Let go of what is kept open; the collector is not used any more."""


def collector(provider: Object, secret: Object | None) -> Collector:
    """The collector for a provider and its Secret. Raises SourceError for types that cannot be read here."""
    kind = provider["spec"].get("type", "")
    if kind not in _COLLECTORS:
        raise SourceError(f"providers of type {kind!r} cannot be read by this control plane, only {', '.join(sorted(_COLLECTORS))}", DATA)
    return _COLLECTORS[kind](provider["spec"].get("url", ""), secret or {})


class ThreadedCollector:
    """Looks at its source in threads, for sources that take their time. `deadline`: seconds for one look."""

    deadline = 60.0

    def __init__(self, url: str) -> None:
        self._url = url
        self._pending: asyncio.Task[Any] | None = None

    async def in_thread(self, look: Callable[[], T]) -> T:
        """One look at a time: behind one that hangs, no more threads are started. Raises SourceError."""
        if self._pending is not None:
            await self._ended(self._pending)
        self._pending = task = asyncio.create_task(apart(look))
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # of one given up nobody else asks the outcome
        await self._ended(task)
        return task.result()

    async def _ended(self, task: asyncio.Task[Any]) -> None:
        done, _unused = await asyncio.wait({task}, timeout=self.deadline)
        if not done:
            raise SourceError(f"{self._url} did not answer within {self.deadline:.0f} s", CONNECTION)

    def close(self) -> None:
        """Nothing is kept open."""


class OvaCollector(ThreadedCollector):
    """A folder of appliances."""

    refresh_every = 10.0

    def __init__(self, url: str, _secret: Object) -> None:
        super().__init__(url)
        self._cache: dict[str, ova.Read] = {}

    async def test(self) -> None:
        await self.in_thread(lambda: ova.find_appliances(local_folder(self._url)))

    async def collect(self) -> Collected:
        return await self.in_thread(lambda: ova.collect(local_folder(self._url), self._cache))


class VSphereCollector(ThreadedCollector):
    """A vCenter or an ESXi host, whose session stays open: after the first look only changes are read."""

    refresh_every = 2.0
    deadline = 1800.0  # for many thousand VMs; each single request ends much earlier

    def __init__(self, url: str, secret: Object) -> None:
        super().__init__(url)
        self._endpoint = vsphere_endpoint(url, secret)
        self._inventory = VSphereInventory(self._endpoint)

    async def test(self) -> None:
        await apart(lambda: try_connection(self._endpoint))

    async def collect(self) -> Collected:
        return await self.in_thread(self._inventory.collect)

    def close(self) -> None:
        """Log out, in a thread: it may take as long as a request, and comes after a look that is still going on."""
        threading.Thread(target=self._inventory.close, daemon=True, name="log out").start()


def vsphere_endpoint(url: str, secret: Object) -> Endpoint:
    """Where a provider of type vsphere is, and who logs in there, from its url and Secret."""
    return Endpoint(
        url,
        secret_text(secret, "user"),
        secret_text(secret, "password"),
        ca=secret_text(secret, "ca.crt") or secret_text(secret, "cacert"),
        insecure=is_insecure(secret),
    )


class OpenStackCollector(ThreadedCollector):
    """A project of an OpenStack cloud, whose session stays open."""

    refresh_every = 10.0
    deadline = 1800.0  # for many thousand servers; each single request ends much earlier

    def __init__(self, url: str, secret: Object) -> None:
        super().__init__(url)
        self._credentials = openstack_credentials(url, secret)
        self._inventory = OpenStackInventory(self._credentials)

    async def test(self) -> None:
        await apart(lambda: try_openstack(self._credentials))

    async def collect(self) -> Collected:
        return await self.in_thread(self._inventory.collect)

    def close(self) -> None:
        """In a thread: it comes after a look that is still going on."""
        threading.Thread(target=self._inventory.close, daemon=True, name="close session").start()


def openstack_credentials(url: str, secret: Object) -> Credentials:
    """Where a provider of type openstack is, and who logs in there, from its url and Secret."""
    return Credentials(url, {key: secret_text(secret, key) for key in secret.get("data") or {}})


class OVirtCollector(ThreadedCollector):
    """An oVirt engine, whose session stays open: after the first look all is read again when its log tells of changes."""

    refresh_every = 2.0
    deadline = 1800.0

    def __init__(self, url: str, secret: Object) -> None:
        super().__init__(url)
        self._endpoint = ovirt_endpoint(url, secret)
        self._inventory = OVirtInventory(self._endpoint)

    async def test(self) -> None:
        await apart(lambda: ovirt.try_connection(self._endpoint))

    async def collect(self) -> Collected:
        return await self.in_thread(self._inventory.collect)

    def close(self) -> None:
        """Log out, in a thread, as with vSphere."""
        threading.Thread(target=self._inventory.close, daemon=True, name="log out").start()


def ovirt_endpoint(url: str, secret: Object) -> ovirt.Endpoint:
    """Where a provider of type ovirt is, and who logs in there, from its url and Secret."""
    return ovirt.Endpoint(
        url,
        secret_text(secret, "user"),
        secret_text(secret, "password"),
        ca=secret_text(secret, "ca.crt") or secret_text(secret, "cacert"),
        insecure=is_insecure(secret),
    )


class ClusterCollector:
    """Another cluster, by URL and token."""

    refresh_every = 30.0
    page = 500

    def __init__(self, url: str, secret: Object) -> None:
        self._client = ClusterClient(url, secret)
        self._url = self._client.url

    def close(self) -> None:
        """Nothing is kept open."""

    async def test(self) -> None:
        async with self._client.session() as session:
            await self._get(session, openshift.COLLECTIONS["namespaces"].path, {"limit": "1"})

    async def collect(self) -> Collected:
        async with self._client.session() as session:
            instances = await self._list(session, openshift.INSTANCES)
            return Collected({
                name: openshift.items(collection, await self._list(session, collection), instances if name == "vms" else ())
                for name, collection in openshift.COLLECTIONS.items()
            })  # fmt: skip

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
        reply = await self._client.exchange(session, "GET", path, query=query)
        if reply.status == 404:
            return None
        what = path.rpartition("/")[2]
        if reply.status == 403:
            raise SourceError(f"the token of the provider's Secret may not list {what} on {self._url}", AUTH)
        if reply.status != 200:
            raise SourceError(f"{self._url} answers {reply.status} {reply.phrase} to a list of {what}", CONNECTION)
        try:
            answer = json.loads(reply.text)
        except ValueError:
            raise SourceError(f"{self._url} is not an API server of Kubernetes: its answer is not JSON", DATA) from None
        if not isinstance(answer, dict):
            raise SourceError(f"{self._url} is not an API server of Kubernetes: its answer is not an object", DATA)
        return answer


_COLLECTORS: dict[str, Any] = {
    "ova": OvaCollector,
    "openshift": ClusterCollector,
    "openstack": OpenStackCollector,
    "ovirt": OVirtCollector,
    "vsphere": VSphereCollector,
}
