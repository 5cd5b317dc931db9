"""Work in threads: it sees the same objects, does not hold up the event loop, and changes nothing once nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, NotFound
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.blocking import in_thread


@pytest.fixture
def api():
    return Api(Store(":memory:"), Registry())


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "team", "labels": {"of": "test"}}}


async def test_all_verbs_cross_the_bridge(api):
    def work(bridge):
        bridge.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
        made = [bridge.create(config_map(name)) for name in ("a", "b", "c")]
        bridge.patch("ConfigMap", "team", "a", {"data": {"key": "value"}})
        bridge.delete("ConfigMap", "team", "b", uid=made[1]["metadata"]["uid"])
        found = bridge.find("ConfigMap", "team", "a"), bridge.find("ConfigMap", "team", "b"), len(bridge.list("ConfigMap", None))
        return *found, bridge.delete_all("ConfigMap", None, {"of": "test"})

    kept, gone, count, deleted = await in_thread(api, work)
    assert (kept["data"], gone, count, deleted) == ({"key": "value"}, None, 2, 2)
    assert api.list("ConfigMap") == []


async def test_refusals_cross_it_too(api):
    with pytest.raises(NotFound, match='configmaps "none" not found'):
        await in_thread(api, lambda bridge: bridge.delete("ConfigMap", "team", "none"))


async def test_the_event_loop_goes_on_meanwhile(api):
    released = threading.Event()
    waiting = asyncio.create_task(in_thread(api, lambda _bridge: released.wait(10)))
    await asyncio.sleep(0.05)  # would never return if the loop waited
    assert not waiting.done()
    released.set()
    assert await waiting


async def test_a_coroutine_is_run_on_the_event_loop(api):
    async def where():
        await asyncio.sleep(0)
        return threading.get_ident()

    assert await in_thread(api, lambda bridge: bridge.wait(where())) == threading.get_ident()


async def test_a_thread_that_was_given_up_changes_nothing(api):
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    begun, released, outcomes = threading.Event(), threading.Event(), []

    def work(bridge):
        begun.set()
        released.wait(10)
        try:
            bridge.create(config_map("late"))
        except ApiError as error:
            outcomes.append(error.code)

    task = asyncio.create_task(in_thread(api, work))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()
    while not outcomes:
        await asyncio.sleep(0.01)
    assert outcomes == [503]
    assert api.list("ConfigMap") == []


def test_a_thread_whose_loop_has_ended_is_told_so(api):
    outcomes, released = [], threading.Event()

    def work(bridge):
        released.wait(10)
        for verb in (lambda: bridge.list("ConfigMap"), lambda: bridge.wait(asyncio.sleep(0))):
            try:
                verb()
            except ApiError as error:
                outcomes.append(error.message)

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(api, work), 0.05)

    asyncio.run(give_up())
    released.set()
    until = time.monotonic() + 10
    while len(outcomes) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert outcomes == ["the control plane ends"] * 2
