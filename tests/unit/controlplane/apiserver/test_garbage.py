"""Finalizers, owners, namespaces: what goes with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

Object = dict[str, Any]
NAMESPACE = "team"
HOLD = "x.example/hold"


@pytest.fixture
def make(api: Api) -> Callable[..., Object]:
    def _make(name: str, *owners: Object, namespace: str = NAMESPACE, blocking: bool = False, **metadata: Any) -> Object:
        meta = {"name": name, "namespace": namespace, **metadata}
        if owners:
            meta["ownerReferences"] = [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    **({"blockOwnerDeletion": True} if blocking else {}),
                }
                for owner in owners
            ]
        return api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

    return _make


def there(api: Api) -> set[str]:
    return {obj["metadata"]["name"] for obj in api.list("ConfigMap", NAMESPACE)}


def release(api: Api, name: str) -> None:
    api.patch("ConfigMap", NAMESPACE, name, {"metadata": {"finalizers": None}})


def test_an_object_goes_at_once_when_nothing_holds_it(api: Api, make: Any) -> None:
    make("a")
    assert api.delete("ConfigMap", NAMESPACE, "a") is None
    assert there(api) == set()


def test_finalizers_hold_until_the_last_is_removed(api: Api, make: Any) -> None:
    make("a", finalizers=[HOLD, "x.example/two"])
    held = api.delete("ConfigMap", NAMESPACE, "a")
    assert held and held["metadata"]["deletionTimestamp"].endswith("Z")
    again = api.delete("ConfigMap", NAMESPACE, "a")
    assert again == held
    api.patch("ConfigMap", NAMESPACE, "a", {"metadata": {"finalizers": [HOLD]}})
    with pytest.raises(ApiError) as refused:
        api.patch("ConfigMap", NAMESPACE, "a", {"metadata": {"finalizers": [HOLD, "x.example/new"]}})
    assert refused.value.code == 422
    assert there(api) == {"a"}
    release(api, "a")
    assert there(api) == set()


def test_preconditions(api: Api, make: Any) -> None:
    made = make("a")
    for wrong in ({"uid": "other"}, {"resource_version": "1"}):
        with pytest.raises(ApiError) as refused:
            api.delete("ConfigMap", NAMESPACE, "a", **wrong)
        assert refused.value.code == 409
    api.delete("ConfigMap", NAMESPACE, "a", uid=made["metadata"]["uid"], resource_version=made["metadata"]["resourceVersion"])


def test_dependents_go_in_the_background_to_any_depth(api: Api, make: Any) -> None:
    owner = make("owner")
    child = make("child", owner)
    make("grandchild", child)
    make("stranger")
    events: list[tuple[str, str]] = []
    api.subscribe(lambda event, _kind, obj: events.append((event, obj["metadata"]["name"])))
    api.delete("ConfigMap", NAMESPACE, "owner")
    assert there(api) == {"stranger"}
    assert events == [("DELETED", "owner"), ("DELETED", "child"), ("DELETED", "grandchild")]


def test_a_second_owner_keeps_a_dependent(api: Api, make: Any) -> None:
    one, two = make("one"), make("two")
    make("child", one, two)
    api.delete("ConfigMap", NAMESPACE, "one")
    child = api.get("ConfigMap", NAMESPACE, "child")
    assert [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["two"]
    api.delete("ConfigMap", NAMESPACE, "two")
    assert there(api) == set()


def test_orphans_stay_and_forget_their_owner(api: Api, make: Any) -> None:
    make("child", make("owner"))
    api.delete("ConfigMap", NAMESPACE, "owner", propagation="Orphan")
    assert there(api) == {"child"}
    assert "ownerReferences" not in api.get("ConfigMap", NAMESPACE, "child")["metadata"]


def test_foreground_deletion_waits_for_blocking_dependents(api: Api, make: Any) -> None:
    owner = make("owner")
    make("blocking", owner, blocking=True, finalizers=[HOLD])
    make("other", owner, finalizers=[HOLD])
    left = api.delete("ConfigMap", NAMESPACE, "owner", propagation="Foreground")
    assert left and left["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in api.get("ConfigMap", NAMESPACE, "blocking")["metadata"]
    release(api, "blocking")
    assert there(api) == {"other"}  # did not block
    release(api, "other")
    assert there(api) == set()


def test_foreground_deletion_without_dependents_is_done_at_once(api: Api, make: Any) -> None:
    make("a")
    assert api.delete("ConfigMap", NAMESPACE, "a", propagation="Foreground") is None


def test_an_owner_that_never_was_takes_its_dependent_along(api: Api, make: Any) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "gone"}}
    make("child", ghost)
    assert there(api) == set()
    foreign = {"apiVersion": "elsewhere.example/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "not ours to know"}}
    make("kept", foreign)
    assert there(api) == {"kept"}


def test_an_owner_in_another_namespace_is_none(api: Api, make: Any) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "another"}})
    owner = make("owner", namespace="another")
    sibling = make("sibling")
    make("child", owner, sibling)
    api.delete("ConfigMap", NAMESPACE, "sibling")
    assert there(api) == set()


def test_a_namespace_ends_with_its_contents(api: Api, make: Any) -> None:
    owner = make("owner")
    make("child", owner, blocking=True)
    assert api.delete("Namespace", None, NAMESPACE) is None
    assert api.find("Namespace", None, NAMESPACE) is None
    assert there(api) == set()


def test_a_namespace_waits_for_what_finalizers_hold(api: Api, make: Any) -> None:
    make("held", finalizers=[HOLD])
    make("free")
    left = api.delete("Namespace", None, NAMESPACE)
    assert left and left["status"]["phase"] == "Terminating"
    assert there(api) == {"held"}
    release(api, "held")
    assert api.find("Namespace", None, NAMESPACE) is None


def test_a_deletion_and_all_it_leads_to_is_one_transaction(api: Api, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make("child", make("owner"))
    persisted: list[int] = []
    persist = api.store._persist
    monkeypatch.setattr(api.store, "_persist", lambda changes: (persisted.append(len(changes)), persist(changes)))
    api.delete("ConfigMap", NAMESPACE, "owner")
    assert persisted == [2]


def test_delete_all_counts(api: Api, make: Any) -> None:
    owner = make("a", labels={"x": "1"})
    make("b", owner, labels={"x": "1"})  # goes with a
    make("c", labels={"x": "2"})
    assert api.delete_all("ConfigMap", NAMESPACE, {"x": "1"}) == 2
    assert there(api) == {"c"}
