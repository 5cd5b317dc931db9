"""The inventory of all providers, kept up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.context import CONTROLLER_NAMESPACE
from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import Collector, collector
from ansible_collections.vmshift.mtv.controlplane.inventory.items import PROBLEMS, Live, ProviderInventory, Snapshot
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError, openshift

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api

__all__ = ["Inventory", "ProviderInventory", "SourceError"]

log = logging.getLogger(__name__)

Object = dict[str, Any]
#: (provider uid, collection, changed VM or None)
Callback = Callable[[str, str, "Object | None"], None]

# What plans and maps refer to; claims and namespaces change too often to look at all plans each time.
_WATCHED_KINDS = {openshift.COLLECTIONS[name].kind: name for name in ("vms", "networkattachmentdefinitions", "storageclasses")}


class Inventory:
    """Inventories by provider UID. To be used on the event loop's thread."""

    tick = 1.0  # seconds between two looks at which sources are to be read again

    def __init__(self, api: Api, namespace: str = CONTROLLER_NAMESPACE) -> None:
        self._api = api
        self._namespace = namespace
        self._known: dict[str, ProviderInventory] = {}
        self._collectors: dict[str, tuple[Any, Collector]] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._due: dict[str, float] = {}
        self._callbacks: list[Callback] = []

    async def test(self, provider: Object, secret: Object | None) -> None:
        """Try to reach the source. Raises SourceError."""
        if not _is_host(provider):
            await self._collector(provider, secret).test()

    async def load(self, provider: Object, secret: Object | None) -> None:
        """Read the source, unless that was done for this spec and these secret data. Raises SourceError; then it is not loaded.

        `secret`: the Secret object, None for the host provider.
        """
        uid = provider["metadata"]["uid"]
        async with self._loading.setdefault(uid, asyncio.Lock()):
            known = self._begin(provider, secret)
            if isinstance(known, Snapshot) and not known.loaded:
                await self._read(known)

    def get(self, provider_uid: str) -> ProviderInventory | None:
        """The inventory of a provider, which may not be loaded yet; None before the first `load` and after `drop`."""
        return self._known.get(provider_uid)

    def drop(self, provider_uid: str) -> None:
        """Forget a provider; to be called when it is gone or its spec changed."""
        _made, collector = self._collectors.pop(provider_uid, (None, None))
        if collector is not None:
            collector.close()
        for table in (self._known, self._loading, self._due):
            table.pop(provider_uid, None)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call back with (provider uid, collection, changed VM or None for anything else), until the result is called."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def watch_sources(self) -> None:
        """Read the loaded sources again and again, until cancelled."""
        stop = self._api.subscribe(self._cluster_changed)
        try:
            async with asyncio.TaskGroup() as readings:
                while True:
                    await asyncio.sleep(self.tick)
                    for known in self._all_due():
                        readings.create_task(self._refresh(known))  # a slow source does not hold up the others
        finally:
            stop()

    def _all_due(self) -> list[Snapshot]:
        """Sources to be read again; each is due once until it has been read."""
        now = asyncio.get_running_loop().time()
        due = [uid for uid, at in self._due.items() if at <= now]
        for uid in due:
            del self._due[uid]
        return [known for uid in due if isinstance(known := self._known.get(uid), Snapshot)]

    def _begin(self, provider: Object, secret: Object | None) -> ProviderInventory:
        """The inventory for this spec and secret: the present one, or a new one that is still to be loaded."""
        uid, namespace = provider["metadata"]["uid"], provider["metadata"].get("namespace", "")
        known = self._known.get(uid)
        if _is_host(provider):
            if not isinstance(known, Live):
                known = Live(provider, self._api, "" if namespace == self._namespace else namespace)
        else:
            wanted = self._collector(provider, secret)
            if not isinstance(known, Snapshot) or known.collector is not wanted:
                known = Snapshot(provider, wanted)
        known.provider = provider
        self._known[uid] = known
        return known

    def _collector(self, provider: Object, secret: Object | None) -> Collector:
        """Kept as long as nothing that it was made of changes."""
        uid, version = provider["metadata"].get("uid", ""), (provider["spec"], (secret or {}).get("data"))
        made, kept = self._collectors.get(uid, (None, None))
        if kept is None or made != version:
            if kept is not None:
                kept.close()
            kept = collector(provider, secret)
            self._collectors[uid] = (version, kept)
        return kept

    async def _refresh(self, known: Snapshot) -> None:
        """A source that fails for a while keeps what was read of it; that is said once."""
        before = known.problems
        try:
            await self._read(known)
        except SourceError as error:
            known.problems = [error.message]
            if known.problems != before:
                log.warning("provider %s: %s", _name(known.provider), error.message)
        except Exception:  # one source must not end the reading of the others
            log.exception("provider %s", _name(known.provider))
        finally:
            self._schedule(known)

    async def _read(self, known: Snapshot) -> None:
        before, missing = set(known.problems), known.missing_privileges
        collected = await known.collector.collect()
        if self._known.get(known.uid) is not known:  # dropped or replaced meanwhile
            return
        changes = known.update(collected)
        known.ready.set()
        self._schedule(known)
        for problem in known.problems:
            if problem not in before:
                log.warning("provider %s: %s", _name(known.provider), problem)
        if set(known.problems) != before or known.missing_privileges != missing:
            self._tell(known.uid, PROBLEMS, None)
        for collection, vm in changes:
            self._tell(known.uid, collection, vm)

    def _schedule(self, known: Snapshot) -> None:
        if self._known.get(known.uid) is known:
            self._due[known.uid] = asyncio.get_running_loop().time() + known.collector.refresh_every

    def _tell(self, uid: str, collection: str, vm: Object | None) -> None:
        for callback in list(self._callbacks):
            callback(uid, collection, vm)

    def _cluster_changed(self, event: str, kind: str, obj: Object) -> None:
        if kind == "Provider" and event == "DELETED":
            self.drop(obj["metadata"]["uid"])
        elif kind in _WATCHED_KINDS:
            for known in list(self._known.values()):
                if isinstance(known, Live):
                    self._tell(known.uid, _WATCHED_KINDS[kind], None)


def _is_host(provider: Object) -> bool:
    """The provider that stands for this cluster itself."""
    return provider["spec"].get("type") == "openshift" and not provider["spec"].get("url")


def _name(provider: Object) -> str:
    return f"{provider['metadata'].get('namespace', '')}/{provider['metadata']['name']}"
