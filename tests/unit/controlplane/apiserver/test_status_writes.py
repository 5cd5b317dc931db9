"""Controllers write long statuses of which little is new: cheaper than clients do, with the same outcome."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.apiserver import store
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.patching import copy_sharing
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

Object = dict[str, Any]

LEAVES = st.none() | st.text(max_size=2) | st.integers(0, 3)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3))


def containers(value: Any) -> list[int]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [id(value)] if isinstance(value, (dict, list)) else []
    return own + [found for item in below for found in containers(item)]


@given(value=JSON, known=JSON)
def test_a_sharing_copy_is_equal_and_holds_nothing_of_the_original(value: Any, known: Any) -> None:
    before = copy.deepcopy((value, known))
    result = copy_sharing(value, known)
    assert result == value
    assert not set(containers(result)) & set(containers(value))
    assert (value, known) == before


def test_a_sharing_copy_takes_what_is_equal_from_what_is_known() -> None:
    known = {"vms": [{"a": [1]}, {"b": [2]}], "rest": {"c": {}}}
    value = {"vms": [{"a": [1]}, {"b": [3]}, {"d": 4}], "rest": {"c": {}}}
    result = copy_sharing(value, known)
    assert result == value
    assert result["rest"] is known["rest"]
    assert result["vms"][0] is known["vms"][0]
    assert result["vms"][1] is not known["vms"][1]


def test_tuples_become_lists() -> None:
    known = {"modes": ["a", "b"]}
    assert copy_sharing({"modes": ("a", "b"), "other": ((1,),)}, known) == {"modes": ["a", "b"], "other": [[1]]}


# What is in a Plan's status, and now and then what is not: unknown fields, a wrong type, a null.
WRONG = st.sampled_from([0] * 9 + [None, "1"])
PROGRESS = st.fixed_dictionaries({"total": WRONG, "completed": st.integers(0, 2)}, optional={"unknown": JSON})
STEP = st.fixed_dictionaries({"name": st.sampled_from(["x", "y"]), "progress": PROGRESS}, optional={"unknown": JSON, "reason": st.none()})
VM = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]), "phase": st.sampled_from(["Started", "Completed"]), "pipeline": st.lists(STEP, max_size=2)},
    optional={"luks": st.none(), "unknown": JSON},
)
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "migration": st.none() | st.fixed_dictionaries({}, optional={"vms": st.none() | st.lists(VM, max_size=3), "unknown": JSON}),
        "observedGeneration": st.integers(0, 3),
        "conditions": st.lists(st.fixed_dictionaries({"type": st.sampled_from(["R", "S"]), "status": st.just("True")}), max_size=2),
    },
)


def plan_api() -> Api:
    api = Api(Store(":memory:"), Registry())
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    pair = {side: {"name": "p", "namespace": "n"} for side in ("source", "destination")}
    maps = {what: {"name": "m", "namespace": "n"} for what in ("network", "storage")}
    spec = {"provider": pair, "map": maps, "targetNamespace": "t", "vms": [{"id": "vm-1"}]}
    meta = {"name": "plan", "namespace": "n"}
    api.create({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": meta, "spec": spec})
    return api


def outcome(api: Api, status: Any, *, as_client: bool) -> Any:
    """(status stored then, whether anything was written), or the refusal."""
    obj = {**api.get("Plan", "n", "plan"), "status": copy.deepcopy(status)}
    before = api.store.revision
    try:
        written = api.update(obj, subresource="status") if as_client else api.update_status(obj)
    except ApiError as error:
        return error.code, error.message
    assert written == api.get("Plan", "n", "plan")
    return written.get("status"), api.store.revision - before, written["metadata"]["generation"]


@pytest.mark.parametrize("long", [0, store.LONG])
@given(statuses=st.lists(STATUS, min_size=1, max_size=4))
def test_controllers_and_clients_get_the_same(long: int, statuses: list[Any]) -> None:
    one, other = plan_api(), plan_api()
    for status in statuses:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "LONG", long)
            found = outcome(one, status, as_client=False)
            assert one.view("Plan", "n", "plan") == one.get("Plan", "n", "plan")
        assert found == outcome(other, status, as_client=True)
        event(f"refused: {found[0] == 422}")


def test_a_controllers_object_is_not_kept() -> None:
    api = plan_api()
    obj = api.get("Plan", "n", "plan")
    obj["status"] = {"migration": {"vms": [{"name": "a", "phase": "Started", "pipeline": []}]}}
    written = api.update_status(obj)
    obj["status"]["migration"]["vms"].clear()
    written["status"]["migration"]["vms"].clear()
    assert [vm["name"] for vm in api.get("Plan", "n", "plan")["status"]["migration"]["vms"]] == ["a"]


def test_a_stale_status_is_refused() -> None:
    api = plan_api()
    stale = api.get("Plan", "n", "plan")
    api.update_status({**stale, "status": {"observedGeneration": 1}})
    with pytest.raises(ApiError) as refused:
        api.update_status({**stale, "status": {"observedGeneration": 2}})
    assert refused.value.code == 409
    assert api.get("Plan", "n", "plan")["status"]["observedGeneration"] == 1


def test_a_view_is_of_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LONG", 0)
    api = plan_api()

    def shown(generation: int) -> None:
        assert api.view("Plan", "n", "plan")["status"]["observedGeneration"] == generation  # type: ignore[index]
        assert api.view("Plan", "n", "plan") == api.get("Plan", "n", "plan")

    def write(generation: int) -> None:
        api.update_status({**api.get("Plan", "n", "plan"), "status": {"observedGeneration": generation}})

    write(1)
    shown(1)
    with pytest.raises(RuntimeError), api.store.transaction():
        write(2)
        shown(2)
        raise RuntimeError
    shown(1)
    write(3)  # with the revision that was given back
    shown(3)
    api.patch("Plan", "n", "plan", {"status": {"observedGeneration": 4}}, subresource="status")
    shown(4)
    api.get("Plan", "n", "plan")["status"].clear()
    api.update_status({**api.get("Plan", "n", "plan")})["status"].clear()
    shown(4)
    api.delete("Plan", "n", "plan")
    assert api.view("Plan", "n", "plan") is None


def test_views_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LONG", 0)
    api = plan_api()
    for number in range(3 * store.VIEWS):
        api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": "n"}})
        assert api.view("ConfigMap", "n", f"c{number // 2}") is api.view("ConfigMap", "n", f"c{number // 2}")
    assert len(api.store._views) == store.VIEWS
