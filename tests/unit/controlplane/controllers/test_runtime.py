"""Reconciles: what they write between two waits becomes durable together, and a long one is followed by a rest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Queue, Reconciler, Stretches


class Counted(Store):
    """Counts commits, and refuses them on demand."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits = 0
        self.full = False

    def _persist(self, changes: Any) -> None:
        if self.full:
            raise ApiError(500, "InternalError", "no space left")
        self.commits += 1
        super()._persist(changes)


@pytest.fixture
def store(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "store.sqlite")


@pytest.fixture
def api(store: Counted) -> Api:
    api = Api(store, Registry())
    make(api, "Namespace", "n")
    store.commits = 0
    return api


def make(api: Api, kind: str, name: str, **content: Any) -> None:
    meta = {"name": name, **({} if kind == "Namespace" else {"namespace": "n"})}
    api.create({"apiVersion": "v1", "kind": kind, "metadata": meta, **content})


def names(store: Store) -> list[str]:
    return [record.name for record in store.records("configmaps", "n")]


async def test_writes_between_two_waits_are_one_commit(api: Api, store: Counted) -> None:
    seen: list[tuple[str, int]] = []
    api.subscribe(lambda event, _kind, obj: seen.append((event, obj["data"]["number"])))

    async def reconcile() -> str:
        make(api, "ConfigMap", "a", data={"number": "1"})
        api.patch("ConfigMap", "n", "a", {"data": {"number": "2"}})
        assert api.get("ConfigMap", "n", "a")["data"] == {"number": "2"}  # its own writes it sees at once
        assert not seen
        await asyncio.sleep(0)
        assert store.commits == 1
        assert seen == [("ADDED", "1"), ("MODIFIED", "2")]  # nobody misses what was between
        await asyncio.sleep(0)
        assert store.commits == 1  # where nothing is written nothing is committed
        make(api, "ConfigMap", "b", data={"number": "3"})
        return "result"

    assert await Stretches(store, reconcile()) == "result"
    assert store.commits == 2
    assert seen[2:] == [("ADDED", "3")]


async def test_what_was_written_before_a_failure_stays(api: Api, store: Counted, tmp_path: Path) -> None:
    async def reconcile() -> None:
        make(api, "ConfigMap", "a")
        make(api, "ConfigMap", "a")  # is there already

    with pytest.raises(ApiError) as raised:
        await Stretches(store, reconcile())
    assert raised.value.code == 409
    assert names(store) == names(Store(tmp_path / "store.sqlite")) == ["a"]


async def test_a_refusal_that_a_reconcile_handles_changes_nothing_else(api: Api, store: Counted, tmp_path: Path) -> None:
    async def reconcile() -> None:
        make(api, "ConfigMap", "a")
        with pytest.raises(RuntimeError), store.transaction():
            make(api, "ConfigMap", "half")
            raise RuntimeError
        with pytest.raises(ApiError):
            api.delete("ConfigMap", "n", "unknown")
        api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry", "namespace": "n"}}, dry_run=True)
        make(api, "ConfigMap", "b")

    await Stretches(store, reconcile())
    assert store.commits == 1
    assert names(store) == names(Store(tmp_path / "store.sqlite")) == ["a", "b"]


async def test_what_cannot_be_committed_fails_the_reconcile(api: Api, store: Counted) -> None:
    closed = []

    async def reconcile() -> None:
        try:
            make(api, "ConfigMap", "a")
            store.full = True
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(ApiError, match="no space left"):
        await Stretches(store, reconcile())
    assert names(store) == []
    assert closed


async def test_cancelling_reaches_the_reconcile(api: Api, store: Counted) -> None:
    begun = asyncio.Event()

    async def reconcile() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            make(api, "ConfigMap", "tidied")
            raise

    async def work() -> None:
        await Stretches(store, reconcile())

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(store) == ["tidied"]


async def test_an_exception_of_what_is_waited_for_can_be_handled(store: Counted) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("trouble")

    async def reconcile() -> str:
        try:
            await asyncio.create_task(fails())
        except ValueError as error:
            return str(error)
        return ""

    assert await Stretches(store, reconcile()) == "trouble"


class Slow(Reconciler):
    kind = "ConfigMap"
    rest = 1.0

    def __init__(self) -> None:
        self.looks: list[tuple[float, float]] = []
        self.keys: list[str] = []
        self.version = self.seen = 0

    async def reconcile(self, namespace: str, name: str) -> float | None:
        begun = asyncio.get_running_loop().time()
        seen = self.version
        self.keys.append(name)
        await asyncio.sleep(0.05)
        self.seen = seen
        self.looks.append((begun, asyncio.get_running_loop().time()))
        return None


async def test_after_a_long_look_at_an_object_comes_a_rest_and_no_change_is_lost(store: Store) -> None:
    reconciler = Slow()
    queue = Queue(reconciler, store)
    key: Key = ("n", "a")
    workers = [asyncio.create_task(queue.work()) for _unused in range(2)]
    try:
        for _unused in range(200):
            reconciler.version += 1
            queue.add(key)
            await asyncio.sleep(0.002)
        while reconciler.seen != reconciler.version:
            await asyncio.sleep(0.01)
    finally:
        for worker in workers:
            worker.cancel()
    assert len(reconciler.looks) > 1
    for (begun, ended), (next_begun, _next_ended) in zip(reconciler.looks, reconciler.looks[1:], strict=False):
        assert next_begun - ended >= 0.9 * (ended - begun)


async def test_one_objects_rest_does_not_hold_up_another(store: Store) -> None:
    reconciler = Slow()
    queue = Queue(reconciler, store)
    worker = asyncio.create_task(queue.work())
    try:
        queue.add(("n", "a"))
        while len(reconciler.looks) < 1:
            await asyncio.sleep(0.005)
        queue.add(("n", "a"))
        queue.add(("n", "b"))
        while len(reconciler.looks) < 3:
            await asyncio.sleep(0.005)
    finally:
        worker.cancel()
    assert reconciler.keys == ["a", "b", "a"]
