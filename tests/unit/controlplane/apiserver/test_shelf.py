"""Finding records by namespace, label and reference: always what a look at all of them would find."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import exactly, parse_labels
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import REFERENCES, place, reference
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

NAMESPACES, NAMES = ("a", "a-b", "b"), ("one", "two", "three")
LABELS = st.dictionaries(st.sampled_from(("x", "y")), st.sampled_from(("1", "2")))
CHANGE = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES), st.none() | LABELS)  # None removes the object
TRANSACTIONS = st.lists(st.tuples(st.lists(CHANGE, max_size=4), st.booleans()), max_size=8)  # (changes, whether they are kept)
TERMS = st.lists(st.tuples(st.sampled_from(("x", "y", "z")), st.sampled_from(("1", "2"))), max_size=3)


class Undone(Exception):
    pass


def apply(store: Store, model: dict[tuple[str, str], dict[str, str]], changes: list[Any]) -> None:
    for namespace, name, labels in changes:
        there = store.get("things", namespace, name)
        if labels is not None:
            meta = {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}", "labels": labels}
            store.put("things", {"apiVersion": "v1", "kind": "Thing", "metadata": meta})
            model[namespace, name] = labels
        elif there:
            store.remove(there)
            del model[namespace, name]


@given(transactions=TRANSACTIONS, terms=TERMS, namespace=st.sampled_from(("", "nowhere", *NAMESPACES)))
def test_the_index_finds_what_a_scan_finds(transactions: Any, terms: Any, namespace: str) -> None:
    store = Store(":memory:")
    model: dict[tuple[str, str], dict[str, str]] = {}
    for changes, kept in transactions:
        tried = dict(model)
        with contextlib.suppress(Undone), store.transaction():
            apply(store, tried, changes)
            if not kept:
                raise Undone
            model = tried
    scanned = [p for p, labels in sorted(model.items()) if namespace in ("", p[0]) and set(terms) <= set(labels.items())]
    assert [record.place for record in store.records("things", namespace, terms)] == scanned
    assert [record.place for record in store.records("things")] == sorted(model)
    assert sorted(record.place for record in store.in_namespace("a")) == sorted(p for p in model if p[0] == "a")
    store.close()


@pytest.mark.parametrize(
    ("selector", "terms"),
    [
        ("a=1,b==2,c in (3)", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("a,!b,c!=1,d in (1,2),e notin (1),f>1", []),
        ("a=", [("a", "")]),
    ],
)
def test_what_all_that_a_selector_chooses_has(selector: str, terms: list[tuple[str, str]]) -> None:
    assert list(parse_labels(selector).terms) == terms


def test_what_labels_choose() -> None:
    assert exactly({"a": "1", "b": "2"}).terms == (("a", "1"), ("b", "2"))


REFERRING: dict[tuple[str, str], tuple[dict[str, Any], str]] = {
    ("pods", "claim"): ({"spec": {"volumes": [{"name": "w"}, {"name": "v", "persistentVolumeClaim": {"claimName": "pvc"}}]}}, "pvc"),
    ("persistentvolumeclaims", "volume"): ({"spec": {"volumeName": "pv"}}, "pv"),
    ("persistentvolumeclaims", "content"): ({"spec": {"dataSourceRef": {"apiGroup": "g", "kind": "K", "name": "p"}}}, "K/p"),
    ("persistentvolumes", "claim"): ({"spec": {"claimRef": {"namespace": "n", "name": "pvc", "uid": "u-2"}}}, "u-2"),
    ("events", "uid"): ({"involvedObject": {"uid": "u-1"}}, "u-1"),
    ("plans.forklift.konveyor.io", "provider"): (
        {"spec": {"provider": {"source": {"namespace": "n", "name": "src"}, "destination": {"namespace": "n", "name": "dst"}}}},
        "n/dst",
    ),
    ("plans.forklift.konveyor.io", "map"): ({"spec": {"map": {"storage": {"namespace": "n", "name": "m"}, "network": {}}}}, "n/m"),
    ("plans.forklift.konveyor.io", "hook"): (
        {"spec": {"vms": [{}, {"hooks": [{"hook": {"namespace": "n", "name": "h"}, "step": "PreHook"}]}]}},
        "n/h",
    ),
    ("networkmaps.forklift.konveyor.io", "provider"): ({"spec": {"provider": {"source": {"namespace": "n", "name": "p"}}}}, "n/p"),
    ("storagemaps.forklift.konveyor.io", "provider"): ({"spec": {"provider": {"source": {"namespace": "n", "name": "p"}}}}, "n/p"),
    ("conversions.forklift.konveyor.io", "name"): ({}, "refers"),
    ("migrations.forklift.konveyor.io", "plan"): ({"spec": {"plan": {"namespace": "n", "name": "p"}}}, "n/p"),
}


def test_all_references_are_tested() -> None:
    assert set(REFERRING) == {(resource, field) for resource, fields in REFERENCES.items() for field in fields}


@pytest.mark.parametrize(("resource", "field"), REFERRING)
def test_what_refers_to_something_is_found_also_after_a_restart(tmp_path: Path, resource: str, field: str) -> None:
    content, value = REFERRING[resource, field]
    store = Store(tmp_path / "store.sqlite")
    with store.transaction():
        for name, body in (("refers", content), ("does-not", {}), ("empty", {"spec": {}})):
            meta = {"namespace": "n", "name": name, "uid": name, "labels": {field: value}}
            store.put(resource, {"apiVersion": "v1", "kind": "Some", "metadata": meta, **body})
    store.close()
    again = Store(tmp_path / "store.sqlite")
    assert [record.name for record in again.records(resource, "n", (reference(field, value),))] == ["refers"]
    assert again.records(resource, "", (reference(field, "other"),)) == []
    assert again.records(resource, "", (reference(field, ""),)) == []


def test_an_object_without_a_namespace_is_no_object_of_a_namespace() -> None:
    assert len({place("", "a"), place(None, "b"), place("n", "a"), place("", "n/a")}) == 4
