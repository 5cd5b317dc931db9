"""Field ownership and server-side apply."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.admission import Options
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.fieldsets import from_tree, text, to_tree
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]
NAMESPACE = "team"


def config(spec: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "try.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": NAMESPACE, **metadata},
        "spec": spec,
    }


def apply(api: Api, spec: Object, manager: str, *, force: bool = False, **metadata: Any) -> Object:
    return api.apply(config(spec, **metadata), force=force, options=Options(manager))[0]


def owners(obj: Object) -> dict[str, set[str]]:
    """manager/operation -> fields, as messages write them"""
    return {f"{e['manager']}/{e['operation']}": {text(p) for p in from_tree(e["fieldsV1"])} for e in obj["metadata"]["managedFields"]}


def test_fields_survive_the_way_to_fields_v1_and_back() -> None:
    paths = {("f:a",), ("f:a", "f:b"), ("f:l", 'k:{"name":"x"}'), ("f:l", 'k:{"name":"x"}', "f:v"), ("f:s", 'v:"y"')}
    tree = to_tree(paths)
    assert tree == {"f:a": {".": {}, "f:b": {}}, "f:l": {'k:{"name":"x"}': {".": {}, "f:v": {}}}, "f:s": {'v:"y"': {}}}
    assert set(from_tree(tree)) == paths


def test_apply_creates_and_owns_what_it_says_but_no_defaults(api: Api, widgets: Kind) -> None:
    obj, created = api.apply(config({"size": 1, "tags": ["t"]}, labels={"a": "b"}), options=Options("one"))
    assert created
    assert obj["spec"] == {"size": 1, "tags": ["t"], "color": "red"}
    assert owners(obj) == {"one/Apply": {".spec.size", ".spec.tags", ".metadata.labels.a"}}


def test_what_is_no_longer_applied_goes_unless_another_owns_it(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1, "tags": ["t"], "free": {"x": 1, "y": 2}}, "one", labels={"a": "b"})
    apply(api, {"size": 1, "free": {"y": 2}}, "two")
    obj = apply(api, {"size": 1}, "one")
    assert obj["spec"] == {"size": 1, "color": "red", "free": {"y": 2}}
    assert "labels" not in obj["metadata"]
    assert apply(api, {"size": 1}, "two")["spec"] == {"size": 1, "color": "red"}


def test_another_value_conflicts_until_forced(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1, "color": "blue"}, "one")
    with pytest.raises(ApiError) as refused:
        apply(api, {"size": 2, "color": "red"}, "two")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.color\n- .spec.size'
    assert refused.value.details["causes"][0] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "one"',
        "field": ".spec.color",
    }
    with pytest.raises(ApiError) as refused:
        apply(api, {"size": 2}, "two")
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    obj = apply(api, {"size": 2}, "two", force=True)
    assert obj["spec"]["size"] == 2
    assert owners(obj) == {"one/Apply": {".spec.color"}, "two/Apply": {".spec.size"}}


def test_the_same_value_is_owned_together(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1}, "one")
    obj = apply(api, {"size": 1}, "two")
    assert owners(obj) == {"one/Apply": {".spec.size"}, "two/Apply": {".spec.size"}}


def test_applying_the_same_again_writes_nothing(api: Api, widgets: Kind) -> None:
    first = apply(api, {"size": 1, "ports": [{"name": "a", "number": 1}]}, "one")
    assert apply(api, {"size": 1, "ports": [{"name": "a", "number": 1}]}, "one") == first


def test_an_update_takes_the_fields_it_changes(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1, "color": "blue"}, "one")
    obj = api.patch(widgets, NAMESPACE, "w", {"spec": {"size": 5}}, options=Options("kubectl-edit"))
    assert owners(obj) == {"one/Apply": {".spec.color"}, "kubectl-edit/Update": {".spec.size"}}
    with pytest.raises(ApiError, match=r'conflict with "kubectl-edit" using try.example.com/v1 at .*Z: .spec.size'):
        apply(api, {"size": 1, "color": "blue"}, "one")
    obj = api.patch(widgets, NAMESPACE, "w", {"spec": {"color": None}}, options=Options("kubectl-edit"))
    assert owners(obj)["kubectl-edit/Update"] == {".spec.size", ".spec.color"}  # it made the default appear


def test_items_of_keyed_lists_are_owned_one_by_one(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1, "ports": [{"name": "a", "number": 1}]}, "one")
    obj = apply(api, {"size": 1, "ports": [{"name": "b", "number": 2}]}, "two")
    assert obj["spec"]["ports"] == [{"name": "a", "number": 1}, {"name": "b", "number": 2}]
    assert '.spec.ports[name="b"].number' in owners(obj)["two/Apply"]
    with pytest.raises(ApiError, match=r'\.spec\.ports\[name="b"\]\.number'):
        apply(api, {"size": 1, "ports": [{"name": "a", "number": 1}, {"name": "b", "number": 3}]}, "one")
    obj = apply(api, {"size": 1}, "one")
    assert obj["spec"]["ports"] == [{"name": "b", "number": 2}]


def test_lists_without_keys_are_replaced_as_a_whole(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1, "tags": ["a"]}, "one")
    with pytest.raises(ApiError, match=r"\.spec\.tags$"):
        apply(api, {"size": 1, "tags": ["a", "b"]}, "two")
    assert apply(api, {"size": 1, "tags": ["c"]}, "one")["spec"]["tags"] == ["c"]


def test_finalizers_are_a_set(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1}, "one", finalizers=["x.example/a"])
    obj = apply(api, {"size": 1}, "two", finalizers=["x.example/b"])
    assert obj["metadata"]["finalizers"] == ["x.example/a", "x.example/b"]
    assert apply(api, {"size": 1}, "one")["metadata"]["finalizers"] == ["x.example/b"]


def test_status_is_applied_through_its_subresource_only(api: Api, widgets: Kind) -> None:
    apply(api, {"size": 1}, "one")
    whole = {**config({"size": 9}), "status": {"ok": True}}
    obj, _unused = api.apply(whole, subresource="status", options=Options("status-writer"))
    assert (obj["spec"]["size"], obj["status"]) == (1, {"ok": True})
    entry = next(e for e in obj["metadata"]["managedFields"] if e["manager"] == "status-writer")
    assert entry["subresource"] == "status"
    assert set(from_tree(entry["fieldsV1"])) == {("f:status", "f:ok")}
    obj, _unused = api.apply({**config({"size": 1}), "status": {"ok": False}}, options=Options("one"))
    assert obj["status"] == {"ok": True}


def test_a_stale_resource_version_conflicts(api: Api, widgets: Kind) -> None:
    stale = apply(api, {"size": 1}, "one")["metadata"]["resourceVersion"]
    apply(api, {"size": 2}, "one")
    with pytest.raises(ApiError) as refused:
        apply(api, {"size": 3}, "one", resourceVersion=stale)
    assert refused.value.code == 409


def test_clients_can_hand_ownership_over(api: Api, widgets: Kind) -> None:
    """kubectl does this when it changes from client-side to server-side apply."""
    obj = api.create(config({"size": 1}), options=Options("kubectl-client-side-apply"))
    entries = obj["metadata"]["managedFields"]
    entries[0] |= {"manager": "kubectl", "operation": "Apply"}
    patch = [{"op": "replace", "path": "/metadata/managedFields", "value": entries}]
    moved = api.patch(widgets, NAMESPACE, "w", patch, content_type="application/json-patch+json")
    assert owners(moved) == {"kubectl/Apply": {".spec.size", ".spec.color"}}
    emptied = api.patch(widgets, NAMESPACE, "w", {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in emptied["metadata"]


def test_a_dry_run_applies_nothing(api: Api, widgets: Kind) -> None:
    obj, created = api.apply(config({"size": 1}), options=Options("one", dry_run=True))
    assert created and obj["spec"]["size"] == 1
    assert api.find(widgets, NAMESPACE, "w") is None
