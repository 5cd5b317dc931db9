"""Level-triggered reconciling: a queue of keys per kind, fed by changes of any kind that concerns them.

A reconciler never learns what changed, only which object to look at, so a lost or repeated event does no harm and a
restarted control plane continues from what the store says.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
Key = tuple[str, str]  # (namespace, name); namespace is "" for cluster-scoped kinds

RETRY_FIRST = 0.5  # seconds; doubled for each failure in a row
RETRY_LAST = 30.0
LONGEST_REST = 1.0  # seconds


class Reconciler:
    """Brings what is there to what the object of `kind` asks for."""

    kind: ClassVar[str]
    #: Rest between two looks at one object, in terms of how long the last one took: where a look takes long, because the object is
    #: large, changes come faster than they can be looked at one by one. What happens meanwhile is seen by one look.
    rest: ClassVar[float] = 0.0

    def rest_after(self, key: Key) -> float:
        """`rest` for this object; more of one that is so long that those who follow it have as much work with it."""
        return self.rest

    def enqueue(self, key: Key) -> None:
        """Look at `key` soon, because of a change that is none of an object (of an inventory, say). Its Queue fills this in."""

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        """Other kinds whose changes concern objects of `kind`: kind -> keys to look at."""
        return {}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Look at one object (which may be gone). Returns seconds until the next look, or None to wait for a change."""
        raise NotImplementedError


class Stretches(Generic[T]):
    """Awaits a coroutine on the loop of `store`. What it writes from one wait to the next is one transaction, durable with the wait.

    A reconcile writes many objects, and to make a write durable takes longer than all the rest of it. An exception undoes nothing that
    was written before it; it may also be one that the coroutine handles.
    """

    def __init__(self, store: Store, coroutine: Coroutine[Any, Any, T]) -> None:
        self._store = store
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        go_on = functools.partial(self._coroutine.send, None)
        try:
            while True:
                failure: BaseException | None = None
                with self._store.transaction():
                    try:
                        waited_for = go_on()
                    except StopIteration as end:
                        return end.value
                    except BaseException as error:
                        failure = error
                if failure is not None:
                    raise failure
                try:
                    go_on = functools.partial(self._coroutine.send, (yield waited_for))
                except BaseException as error:
                    go_on = functools.partial(self._coroutine.throw, error)
        finally:
            self._coroutine.close()


class Queue:
    """Keys to reconcile: a key is in it once, and never runs twice at the same time."""

    def __init__(self, reconciler: Reconciler, store: Store) -> None:
        self.reconciler = reconciler
        self._store = store
        reconciler.enqueue = self.add  # type: ignore[method-assign]
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._rested: dict[Key, float] = {}  # the loop's time from which on a key may be looked at again
        self._failures: dict[Key, int] = {}

    def add(self, key: Key) -> None:
        rest = self._rest_left(key)
        if key in self._running:
            self._again.add(key)
        elif rest > 0:
            self.add_later(key, rest)
            return
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()

    def add_later(self, key: Key, seconds: float) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(max(seconds, self._rest_left(key)), self._due, key)

    def _rest_left(self, key: Key) -> float:
        until = self._rested.get(key)
        left = until - asyncio.get_running_loop().time() if until else 0.0
        if until and left <= 0:
            del self._rested[key]
        return left

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._running.add(key)
            begun = asyncio.get_running_loop().time()
            delay = await self._attempt(key)
            self._running.discard(key)
            if rest := self.reconciler.rest_after(key):
                ended = asyncio.get_running_loop().time()
                self._rested[key] = ended + min(rest * (ended - begun), LONGEST_REST)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif delay is not None:
                self.add_later(key, delay)

    async def _attempt(self, key: Key) -> float | None:
        try:
            delay = await Stretches(self._store, self.reconciler.reconcile(*key))
        except ApiError as error:
            # A lost race for an object is ordinary; anything else is worth a line.
            if error.code != 409:
                log.warning("%s %s/%s: %s", self.reconciler.kind, *key, error.message)
        except Exception:
            log.exception("%s %s/%s", self.reconciler.kind, *key)
        else:
            self._failures.pop(key, None)
            return delay
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(RETRY_FIRST * 2 ** (failures - 1), RETRY_LAST)


class Manager:
    """Runs reconcilers over an Api until cancelled."""

    def __init__(self, api: Api, reconcilers: Iterable[Reconciler], workers: int = 4) -> None:
        self.api = api
        self.workers = workers
        self.queues = [Queue(reconciler, api.store) for reconciler in reconcilers]
        self._routes: dict[str, list[Callable[[Object], None]]] = {}
        for queue in self.queues:
            self._routes.setdefault(queue.reconciler.kind, []).append(lambda obj, q=queue: q.add(key_of(obj)))  # type: ignore[misc]
            for kind, keys in queue.reconciler.triggers().items():
                self._routes.setdefault(kind, []).append(lambda obj, q=queue, k=keys: [q.add(key) for key in k(obj)])  # type: ignore[misc, arg-type]

    async def run(self) -> None:
        stop = self.api.subscribe(self._changed)
        try:
            for kind in self._routes:
                for obj in self.api.list(kind):
                    self._changed("ADDED", kind, obj)
            async with asyncio.TaskGroup() as tasks:
                for queue in self.queues:
                    for _unused in range(self.workers):
                        tasks.create_task(queue.work())
        finally:
            stop()

    def _changed(self, _event: str, kind: str, obj: Object) -> None:
        for route in self._routes.get(kind, ()):
            route(obj)


def key_of(obj: Object) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
