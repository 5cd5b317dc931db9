"""Work that has to wait for other machines (a hypervisor, another cluster): in a thread of its own, while the event loop serves.

Such work reads and writes objects through a `Bridge`, which does each verb on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

T = TypeVar("T")
Object = dict[str, Any]


class Objects(Protocol):
    """The verbs that migrations use, of this cluster and of another one alike. They are those of `Api`, and raise ApiErrors."""

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None: ...

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> builtins.list[Object]: ...

    def create(self, obj: Object) -> Object: ...

    def patch(self, kind: str, namespace: str | None, name: str, patch: Any) -> Object:
        """By a merge patch."""

    def delete(
        self, kind: str, namespace: str | None, name: str, *, propagation: str | None = "Background", uid: str | None = None
    ) -> Object | None: ...

    def delete_all(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> int: ...

    def events_about(self, obj: Object) -> builtins.list[Object]: ...


class OwnObjects(Objects, Protocol):
    """The verbs that only this cluster has."""

    def view(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """As find, but shared: read only."""

    def referring(self, kind: str, field: str, value: str, namespace: str | None = None) -> builtins.list[Record]: ...


class Bridge:
    """The Api for other threads. Once it is closed, it refuses: a thread that nobody waits for any more changes nothing."""

    def __init__(self, api: OwnObjects) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs on the event loop."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except RuntimeError:  # the loop has ended
            work.close()
            raise _ended() from None

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return self._on_loop(lambda: self._api.find(kind, namespace, name))

    def view(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return self._on_loop(lambda: self._api.view(kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> builtins.list[Object]:
        return self._on_loop(lambda: self._api.list(kind, namespace, labels))

    def create(self, obj: Object) -> Object:
        return self._on_loop(lambda: self._api.create(obj))

    def patch(self, kind: str, namespace: str | None, name: str, patch: Any) -> Object:
        return self._on_loop(lambda: self._api.patch(kind, namespace, name, patch))

    def delete(
        self, kind: str, namespace: str | None, name: str, *, propagation: str | None = "Background", uid: str | None = None
    ) -> Object | None:
        return self._on_loop(lambda: self._api.delete(kind, namespace, name, propagation=propagation, uid=uid))

    def delete_all(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> int:
        return self._on_loop(lambda: self._api.delete_all(kind, namespace, labels))

    def events_about(self, obj: Object) -> builtins.list[Object]:
        return self._on_loop(lambda: self._api.events_about(obj))

    def referring(self, kind: str, field: str, value: str, namespace: str | None = None) -> builtins.list[Record]:
        return self._on_loop(lambda: self._api.referring(kind, field, value, namespace))

    def _on_loop(self, verb: Callable[[], T]) -> T:
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            try:
                if self._closed:
                    raise _ended()
                answer.set_result(verb())
            except BaseException as error:
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop has ended
            raise _ended() from None
        return answer.result()


def _ended() -> ApiError:
    return ApiError(503, "ServiceUnavailable", "the control plane ends")


async def in_thread(api: OwnObjects, work: Callable[[Bridge], T]) -> T:
    """The result of `work(bridge to api)`, done in a thread. Cancelled, it leaves the thread behind, whose bridge is closed then.

    What the thread was at is found again by whoever comes next.
    """
    bridge = Bridge(api)
    try:
        return await apart(lambda: work(bridge))
    finally:
        bridge.close()


async def apart(work: Callable[[], T]) -> T:
    """The result of `work()`, done in a thread of its own, which does not keep the process alive when nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(set: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (done.set_result, work())
        except BaseException as error:
            outcome = (done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, daemon=True, name="blocking").start()
    return await done
