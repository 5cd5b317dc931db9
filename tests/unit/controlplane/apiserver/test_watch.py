"""Watches: what they replay, how selections are entered and left, when they end."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import history
from ansible_collections.vmshift.mtv.controlplane.apiserver import watch as watching
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]
MAPS = "/api/v1/namespaces/team/configmaps"


def configmap(name: str, namespace: str = "team", **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def told(events: list[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def watch_while(client: Any, path: str, change: Any) -> list[Object]:
    """The events of a watch during which `change()` is called."""
    opened = asyncio.Event()
    watching = asyncio.create_task(client.watch(path, opened=opened))
    await opened.wait()
    change()
    return await watching


async def test_only_newer_events_in_order(client: Any, served: Any) -> None:
    api = served.api
    api.create(configmap("old"))

    def change() -> None:
        api.create(configmap("new"))
        api.patch("ConfigMap", "team", "new", {"data": {"k": "v"}})
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
        api.create(configmap("elsewhere", "other"))
        api.delete("ConfigMap", "team", "new")

    events = await watch_while(client, f"{MAPS}?resourceVersion={api.store.revision}", change)
    assert told(events) == [("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "new")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    # The same from history, without waiting for anything.
    assert told(await client.watch(f"{MAPS}?resourceVersion={versions[0]}")) == [("MODIFIED", "new"), ("DELETED", "new")]


async def test_without_a_version_what_exists_comes_first(client: Any, served: Any) -> None:
    served.api.create(configmap("a"))
    for query in ("", "?resourceVersion=0"):
        events = await watch_while(client, MAPS + query, lambda: served.api.patch("ConfigMap", "team", "a", {"data": {"x": "1"}}))
        assert told(events)[0] == ("ADDED", "a")
    assert told(events) == [("ADDED", "a")]  # the second time, nothing changed any more


async def test_one_object_is_watched_by_its_path(client: Any, served: Any) -> None:
    served.api.create(configmap("a"))
    served.api.create(configmap("b"))
    assert told(await client.watch(f"{MAPS}/b")) == [("ADDED", "b")]


async def test_selections_are_entered_and_left(client: Any, served: Any) -> None:
    api = served.api
    for name in ("a", "b"):
        api.create(configmap(name))

    def change() -> None:
        for labels in ({"pick": "yes"}, {"pick": "yes", "more": "1"}, {"pick": "no"}):
            api.patch("ConfigMap", "team", "a", {"metadata": {"labels": labels}})
        api.patch("ConfigMap", "team", "b", {"metadata": {"labels": {"z": "1"}}})
        api.create(configmap("c", labels={"pick": "yes"}))
        api.delete("ConfigMap", "team", "c")
        api.delete("ConfigMap", "team", "b")

    path = f"{MAPS}?resourceVersion={api.store.revision}&labelSelector=pick%3Dyes"
    events = await watch_while(client, path, change)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "c"), ("DELETED", "c")]
    assert events[2]["object"]["metadata"]["labels"]["pick"] == "yes"  # as it was while selected


async def test_field_selectors_follow_the_object(client: Any, served: Any) -> None:
    api = served.api
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"}}
    api.create({**pod, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    path = f"/api/v1/pods?resourceVersion={api.store.revision}&fieldSelector=status.phase%3DRunning"

    def change() -> None:
        for phase in ("Running", "Succeeded"):
            api.patch("Pod", "team", "p", {"status": {"phase": phase}}, subresource="status")

    assert told(await watch_while(client, path, change)) == [("ADDED", "p"), ("DELETED", "p")]


async def test_initial_events_end_with_a_bookmark(client: Any, served: Any) -> None:
    served.api.create(configmap("a"))
    query = "?allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    events = await client.watch(MAPS + query)
    assert told(events)[:2] == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert events[-1]["type"] == "BOOKMARK"  # and one at the end of the time, to resume from


async def test_bookmarks_carry_the_version_on(client: Any, served: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.2)
    before = served.api.store.revision
    path = f"/api/v1/secrets?allowWatchBookmarks=true&resourceVersion={before}"
    events = await watch_while(client, path, lambda: served.api.create(configmap("another-resource")))
    assert {event["type"] for event in events} == {"BOOKMARK"} and len(events) > 2
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) == before + 1


async def test_a_forgotten_version_is_gone(client: Any, served: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(history, "EVENTS_KEPT", 2)
    start = served.api.store.revision
    for number in range(6):
        served.api.create(configmap(f"c{number}"))
    events = await client.watch(f"{MAPS}?resourceVersion={start}")
    assert (events[0]["type"], events[0]["object"]["code"], events[0]["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert len(events) == 1


async def test_tables_are_watched_too(client: Any, served: Any, widgets: Kind) -> None:
    served.api.create(configmap("a"))
    served.api.create(configmap("b"))
    async with client.session.get(
        f"{client.url}{MAPS}?watch=1&timeoutSeconds=1",
        headers={"Authorization": f"Bearer {client.token}", "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
    ) as answer:
        lines = [await answer.content.readline(), await answer.content.readline()]
    import json

    first, second = (json.loads(line)["object"] for line in lines)
    assert first["kind"] == "Table" and first["columnDefinitions"] and not second["columnDefinitions"]
    assert second["rows"][0]["cells"][0] == "b"


async def test_a_watch_ends_when_its_kind_is_no_longer_served(client: Any, served: Any, widgets: Kind) -> None:
    served.api.create(
        {"apiVersion": "try.example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "team"}, "spec": {"size": 1}}
    )
    opened = asyncio.Event()
    watching = asyncio.create_task(client.watch("/apis/try.example.com/v1/widgets", seconds=30, opened=opened))
    await opened.wait()
    served.api.delete("CustomResourceDefinition", None, "widgets.try.example.com")
    assert told(await asyncio.wait_for(watching, 5)) == [("ADDED", "a"), ("DELETED", "a")]


async def test_changes_while_sending_are_not_missed(client: Any, served: Any) -> None:
    """Many changes between the reads of a slow client."""
    start = served.api.store.revision
    watching = asyncio.create_task(client.watch(f"{MAPS}?resourceVersion={start}", seconds=2))
    for number in range(200):
        served.api.create(configmap(f"c{number:03}", annotations={"fill": "x" * 2000}))
        if number % 10 == 0:
            await asyncio.sleep(0)
    assert [name for _type, name in told(await watching)] == [f"c{number:03}" for number in range(200)]


async def test_a_client_that_goes_while_it_is_written_to_is_no_error(
    client: Any, served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(_response: Any, _lines: list[str]) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(watching, "_send", gone)
    with pytest.raises(aiohttp.ClientError):
        await client.watch(MAPS)
    assert caplog.messages == []
    monkeypatch.undo()
    assert told(await client.watch(MAPS)) == []  # the server goes on
