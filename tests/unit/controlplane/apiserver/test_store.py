"""The store: transactions, numbers, what survives."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import history
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.history import Expired
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import LONG, Store

WRITER = """
import json, sys
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import LONG, Store

api = Api(Store(sys.argv[1]), Registry())
if not api.find("Namespace", "", "n"):
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
for number in range(100000):
    name = f"c{number % 50}"
    if api.find("ConfigMap", "n", name) is None:
        meta = {"name": name, "namespace": "n"}
        obj = api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"i": f"{sys.argv[2]}-{number}"}})
    elif number % 7 == 0:
        api.delete("ConfigMap", "n", name)
        print(json.dumps([name, None, str(api.store.revision)]), flush=True)
        continue
    else:
        obj = api.patch("ConfigMap", "n", name, {"data": {"i": f"{sys.argv[2]}-{number}"}})
    print(json.dumps([name, obj["data"]["i"], obj["metadata"]["resourceVersion"]]), flush=True)
"""


def thing(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", **metadata}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.sqlite")


def test_a_killed_writer_loses_no_acknowledged_write(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    revision = 0
    for seconds in (0.3, 0.1, 0.5, 0.2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        assert writer.stdout
        acknowledged = [json.loads(writer.stdout.readline()) for _unused in range(10)]
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().splitlines(keepends=True)
        writer.wait()
        acknowledged += [json.loads(line) for line in lines if line.endswith("\n")]
        last = {name: value for name, value, _revision in acknowledged}
        store = Store(path)
        found = {record.name: record.object()["data"]["i"] for record in store.records("configmaps", "n")}
        # The very last write may have become durable without its acknowledgement getting out.
        differing = {name for name in last if found.get(name) != last[name]}
        assert len(differing) <= 1
        for name in differing:
            record = store.get("configmaps", "n", name)
            assert (record.revision if record else store.revision) > int(acknowledged[-1][2])
        assert store.revision >= int(acknowledged[-1][2]) > revision
        revision = store.revision
        store.close()


def test_reopening_finds_objects_and_goes_on_counting(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    with store.transaction():
        store.put("things", thing("a", labels={"x": "ü"}))
        gone = store.put("things", thing("b"))
    with store.transaction():
        store.remove(gone)
    before = store.revision
    store.close()
    again = Store(tmp_path / "s.sqlite")
    assert [record.name for record in again.records("things")] == ["a"]
    assert again.get("things", "n", "a").labels == {"x": "ü"}  # type: ignore[union-attr]
    assert again.revision == before  # also though the last change was a deletion
    with again.transaction():
        assert again.put("things", thing("c")).revision == before + 1


def test_a_long_object_is_compressed_and_found_again(store: Store, tmp_path: Path) -> None:
    """Also beside texts of a store that was written before they were."""
    long = {**thing("a"), "vms": ["ü" * 10] * (LONG // 10)}
    with store.transaction():
        stored = store.put("things", long).stored
        store.put("things", thing("b"))
    assert isinstance(stored, bytes) and len(stored) < LONG // 10
    store.close()
    again = Store(tmp_path / "s.sqlite")
    assert [record.object() for record in again.records("things")] == [
        {**long, "metadata": {**long["metadata"], "resourceVersion": "2"}},
        {**thing("b"), "metadata": {**thing("b")["metadata"], "resourceVersion": "3"}},
    ]
    assert again.get("things", "n", "a").stored == stored  # type: ignore[union-attr]


def test_the_database_is_private(store: Store, tmp_path: Path) -> None:
    assert (tmp_path / "s.sqlite").stat().st_mode & 0o077 == 0


def test_a_transaction_that_fails_leaves_no_trace(store: Store) -> None:
    with store.transaction():
        store.put("things", thing("a", labels={"v": "1"}, ownerReferences=[{"uid": "owner"}]))
    before, seen = store.revision, []
    store.subscribe(lambda event, _obj: seen.append(event))
    with pytest.raises(RuntimeError), store.transaction():
        store.put("things", thing("a", labels={"v": "2"}))
        store.put("things", thing("b"))
        store.remove(store.get("things", "n", "a"))  # type: ignore[arg-type]
        raise RuntimeError
    assert store.revision == before
    assert store.get("things", "n", "b") is None
    assert store.get("things", "n", "a").labels == {"v": "1"}  # type: ignore[union-attr]
    assert [record.name for record in store.dependents("owner")] == ["a"]
    assert store.by_uid("uid-a") and not store.by_uid("uid-b")
    assert not seen


def test_a_failure_inside_a_transaction_leaves_what_was_before_it(store: Store) -> None:
    with store.transaction():
        store.put("things", thing("a", labels={"v": "1"}))
        revision = store.revision
        with pytest.raises(RuntimeError), store.transaction():
            store.put("things", thing("a", labels={"v": "2"}))
            store.put("things", thing("b"))
            raise RuntimeError
        with store.transaction(keep=False):
            store.put("things", thing("c"))
        assert store.revision == revision
        store.put("things", thing("d"))
    assert [(record.name, record.labels) for record in store.records("things")] == [("a", {"v": "1"}), ("d", {})]
    assert [event.record.name for event in store.events_after("things", revision - 1)] == ["a", "d"]


def test_a_write_that_the_disk_refuses_is_refused_and_undone(store: Store) -> None:
    store._database.execute("PRAGMA query_only = 1")
    with pytest.raises(ApiError) as refused, store.transaction():
        store.put("things", thing("a"))
    assert refused.value.code == 500
    assert store.get("things", "n", "a") is None
    store._database.execute("PRAGMA query_only = 0")
    with store.transaction():
        store.put("things", thing("a"))
    assert store.get("things", "n", "a")


def test_a_write_that_cannot_be_encoded_is_undone(store: Store) -> None:
    with pytest.raises(UnicodeEncodeError), store.transaction():
        store.put("things", thing("a"))
        store.put("things", thing("b", labels={"half": "\ud800"}))
    assert store.records("things") == []
    with store.transaction():
        store.put("things", thing("c"))
    assert [record.name for record in store.records("things")] == ["c"]


def test_subscribers_hear_of_commits_only_and_in_order(store: Store) -> None:
    seen: list[tuple[str, str]] = []

    def listen(event: Any, obj: Any) -> None:
        seen.append((event.type, obj["metadata"]["name"]))
        if obj["metadata"]["name"] == "a" and event.type == "ADDED":
            with store.transaction():  # a subscriber that writes itself
                store.put("things", thing("c"))
                assert not any(name == "c" for _type, name in seen)

    def broken(_event: Any, _obj: Any) -> None:
        raise RuntimeError("a listener's own trouble")

    store.subscribe(broken)
    stop = store.subscribe(listen)
    with store.transaction():
        store.put("things", thing("a"))
        store.put("things", thing("b"))
        assert seen == []
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
    stop()
    with store.transaction():
        store.remove(store.get("things", "n", "a"))  # type: ignore[arg-type]
    assert len(seen) == 3


def test_history_gives_what_is_newer_and_knows_what_it_forgot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "EVENTS_KEPT", 10)
    start = store.revision
    for number in range(15):
        with store.transaction():
            store.put("things", thing(f"t{number}"))
    assert [event.record.name for event in store.events_after("things", start + 12)] == ["t12", "t13", "t14"]
    assert len(store.events_after("things", start)) == 15
    for number in range(10):
        with store.transaction():
            store.put("things", thing(f"u{number}"))
    with pytest.raises(Expired):
        store.events_after("things", start)
    assert len(store.events_after("things", store.revision - 5)) == 5
    assert store.events_after("others", start) == []


def test_versions_of_a_long_object_take_little_memory(store: Store) -> None:
    """As of a plan whose VMs get on one by one."""
    vms = [{"name": f"vm{number}", "phase": "Started", "message": "waits for its turn " * 40} for number in range(400)]

    def write(number: int) -> None:
        vms[number]["phase"] = "Completed"
        with store.transaction():
            store.put("things", {**thing("long"), "status": {"vms": vms}})

    write(0)
    tracemalloc.start()
    try:
        for number in range(1, 300):
            write(number)
        used, _highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    latest = store.get("things", "n", "long")
    assert latest is not None
    assert len(latest.text) > 300_000
    assert used < history.BYTES_KEPT + history.BYTES_KEPT // 2
    events = store.events_after("things", store.revision - 100)
    done = [sum(vm["phase"] == "Completed" for vm in event.record.object()["status"]["vms"]) for event in events]
    assert done == list(range(201, 301))
    assert all(new.previous is not None and new.previous.text == old.record.text for old, new in zip(events, events[1:], strict=False))
    assert events[-1].record is latest


def test_few_changes_are_known_however_long_they_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BYTES_KEPT", 1000)
    start = store.revision
    for number in range(40):
        with store.transaction():
            store.put("things", {**thing("a"), "data": {str(number): secrets.token_hex(2000)}})
    assert len(store.events_after("things", store.revision - history.FEWEST_KEPT)) == history.FEWEST_KEPT
    with pytest.raises(Expired):
        store.events_after("things", start)


def test_what_was_deleted_is_known_to_watches(store: Store) -> None:
    with store.transaction():
        store.put("things", {**thing("a"), "data": {"k": "ä" * 5000}})
    start = store.revision
    with store.transaction():
        store.remove(store.get("things", "n", "a"))  # type: ignore[arg-type]
    (event,) = store.events_after("things", start)
    assert event.previous is not None
    assert event.record.object()["data"] == event.previous.object()["data"] == {"k": "ä" * 5000}


def test_thousands_of_objects_are_there_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    with store.transaction():
        for number in range(5000):
            store.put("things", {**thing(f"t{number}"), "data": {"k": "v" * 1000}})
    store.close()
    again = Store(tmp_path / "s.sqlite")
    assert [record.name for record in again.records("things")] == sorted(f"t{number}" for number in range(5000))
