"""Merge, JSON and strategic merge patches."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.patching import json_patch, merge, strategic_merge

KEYS = {"spec.containers": "name", "spec.containers.env": "name", "spec.volumes": "name", "metadata.finalizers": ""}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": False}, {"a": 0}, {"a": 0}),
    ],
)
def test_merge_patches_follow_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


def test_json_patch_applies_all_or_refuses() -> None:
    obj = {"spec": {"a/b": 1, "l": [1, 3]}}
    patch = [
        {"op": "test", "path": "/spec/a~1b", "value": 1},
        {"op": "add", "path": "/spec/l/1", "value": 2},
        {"op": "move", "from": "/spec/a~1b", "path": "/spec/c"},
    ]
    assert json_patch(obj, patch) == {"spec": {"l": [1, 2, 3], "c": 1}}


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([{"op": "test", "path": "/spec/a", "value": 2}], 422),
        ([{"op": "remove", "path": "/spec/none"}], 422),
        ([{"op": "replace", "path": "/spec/none/below", "value": 1}], 422),
        ([{"op": "fly", "path": "/spec"}], 400),
        ([{"op": "remove", "path": "spec"}], 400),
        ({"not": "a list"}, 400),
        ([1], 400),
        ([{"op": "replace", "path": "", "value": 1}], 400),
    ],
)
def test_json_patches_that_do_not_fit_are_refused(patch: Any, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch({"spec": {"a": 1}}, patch)
    assert refused.value.code == code


def test_strategic_merge_merges_named_lists_by_key_and_replaces_others() -> None:
    live = {"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "env": [{"name": "E", "value": "1"}]}]}}
    patch = {
        "spec": {
            "containers": [
                {"name": "b", "env": [{"name": "F", "value": "2"}, {"name": "E", "value": None}]},
                {"name": "a", "args": ["y"]},
                {"name": "c"},
            ]
        }
    }
    assert strategic_merge(live, patch, KEYS) == {
        "spec": {
            "containers": [
                {"name": "a", "image": "1", "args": ["y"]},
                {"name": "b", "env": [{"name": "E"}, {"name": "F", "value": "2"}]},
                {"name": "c"},
            ]
        }
    }


def test_strategic_merge_directives() -> None:
    live = {
        "metadata": {"finalizers": ["x", "y"], "labels": {"a": "1", "b": "2"}},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], "strategy": {"type": "R", "rolling": {}}, "volumes": [{"name": "v"}]},
    }
    patch = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "finalizers": ["z"], "labels": {"$patch": "replace", "c": "3"}},
        "spec": {
            "containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}],
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "volumes": [{"name": "w"}, {"$patch": "replace"}],
        },
    }
    assert strategic_merge(live, patch, KEYS) == {
        "metadata": {"finalizers": ["y", "z"], "labels": {"c": "3"}},
        "spec": {"containers": [{"name": "b"}, {"name": "c"}], "strategy": {"type": "Recreate"}, "volumes": [{"name": "w"}]},
    }


def test_strategic_merge_keeps_the_order_that_the_client_sets() -> None:
    live = {"spec": {"containers": [{"name": "a"}, {"name": "server-side"}, {"name": "b"}]}}
    patch = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}}
    names = [item["name"] for item in strategic_merge(live, patch, KEYS)["spec"]["containers"]]
    assert names == ["b", "c", "a", "server-side"]


def test_strategic_merge_refuses_items_without_their_key() -> None:
    with pytest.raises(ApiError) as refused:
        strategic_merge({}, {"spec": {"containers": [{"image": "x"}]}}, KEYS)
    assert refused.value.code == 400
