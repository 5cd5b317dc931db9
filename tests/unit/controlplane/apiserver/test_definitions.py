"""CustomResourceDefinitions: served at once, ended with their instances, and there for the built-in kinds too."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

Object = dict[str, Any]
NAME = "widgets.try.example.com"
CRD = "CustomResourceDefinition"


def widget(name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "try.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "team", **metadata},
        "spec": {"size": 1},
    }


def test_a_definition_is_established_and_completed(api: Api, widgets: Kind) -> None:
    crd = api.get(CRD, None, NAME)
    assert {c["type"]: c["status"] for c in crd["status"]["conditions"]} == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["storedVersions"] == ["v1"]
    assert (crd["spec"]["names"]["singular"], crd["spec"]["names"]["listKind"]) == ("widget", "WidgetList")
    assert crd["metadata"]["generation"] == 1


def test_a_definition_ends_with_its_instances(api: Api, widgets: Kind) -> None:
    api.create(widget("a"))
    api.create(widget("held", finalizers=["x.example/hold"]))
    assert api.delete(CRD, None, NAME)  # still there
    assert [obj["metadata"]["name"] for obj in api.list(widgets)] == ["held"]
    api.patch(widgets, "team", "held", {"metadata": {"finalizers": None}})
    assert api.find(CRD, None, NAME) is None
    assert api.registry.by_kind("try.example.com/v1", "Widget") is None
    with pytest.raises(ApiError):
        api.create(widget("b"))


def test_a_changed_schema_holds_at_once(api: Api, widgets: Kind) -> None:
    crd = api.get(CRD, None, NAME)
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["weight"] = {
        "type": "number",
        "default": 1.5,
    }
    api.update(crd)
    assert api.create(widget("a"))["spec"]["weight"] == 1.5


def test_definitions_are_served_again_after_a_restart(tmp_path: Path, api: Api, widgets: Kind) -> None:
    api.create(widget("a"))
    api.store.close()
    again = Api(Store(tmp_path / "store.sqlite"), Registry())
    kind = again.registry.by_kind("try.example.com/v1", "Widget")
    assert kind
    assert again.get(kind, "team", "a")["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"name": "other.try.example.com"}}, "metadata.name"),
        ({"spec": {"versions": []}}, "spec.versions"),
        ({"spec": {"group": ""}}, "spec.group"),
        ({"spec": {"names": {"plural": "widgets"}}}, "spec.names.kind"),
    ],
)
def test_definitions_that_do_not_fit_are_refused(api: Api, widgets: Kind, change: Object, field: str) -> None:
    crd = api.get(CRD, None, NAME)
    api.delete(CRD, None, NAME)
    crd = {half: {**crd[half], **change.get(half, {})} for half in ("metadata", "spec")} | {"apiVersion": crd["apiVersion"], "kind": CRD}
    with pytest.raises(ApiError) as refused:
        api.create(crd)
    assert refused.value.code == 422
    assert field in {cause["field"] for cause in refused.value.details["causes"]}


def test_a_kind_is_defined_once_in_its_group(api: Api, widgets: Kind) -> None:
    second = copy.deepcopy(api.get(CRD, None, NAME))
    second["metadata"] = {"name": "gadgets.try.example.com"}
    second["spec"]["names"]["plural"] = "gadgets"
    with pytest.raises(ApiError) as refused:
        api.create(second)
    assert refused.value.code == 422


def test_built_in_custom_kinds_have_definitions_that_cannot_be_changed(api: Api) -> None:
    plans = api.get(CRD, None, "plans.forklift.konveyor.io")
    schema = plans["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert "warm" in schema["properties"]["spec"]["properties"]
    assert any(c["type"] == "Established" for c in plans["status"]["conditions"])
    plans["spec"]["names"]["shortNames"] = ["p"]
    for attempt in (lambda: api.update(plans), lambda: api.delete(CRD, None, "plans.forklift.konveyor.io")):
        with pytest.raises(ApiError) as refused:
            attempt()
        assert refused.value.code == 403


def test_definitions_of_built_in_kinds_follow_their_schemas(tmp_path: Path, api: Api) -> None:
    name = "plans.forklift.konveyor.io"
    record = api.store.get("customresourcedefinitions.apiextensions.k8s.io", "", name)
    assert record
    old = record.object()
    old["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object"}}
    with api.store.transaction():
        api.store.put(record.resource, old)
    api.store.close()
    again = Api(Store(tmp_path / "store.sqlite"), Registry())
    renewed = again.get(CRD, None, name)
    assert "properties" in renewed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert renewed["metadata"]["uid"] == old["metadata"]["uid"]
    revision = again.store.revision
    again.store.close()
    assert Api(Store(tmp_path / "store.sqlite"), Registry()).store.revision == revision  # nothing to renew: nothing written
