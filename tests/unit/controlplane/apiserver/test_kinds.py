"""The registry of kinds, and the way between kinds and CustomResourceDefinitions."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind, Registry, crd_object, kind_from_crd

WIDGET = Kind(
    "probe.example.com",
    "v1",
    "widgets",
    "widget",
    "Widget",
    schema={"type": "object", "properties": {"spec": {"type": "object"}}},
    status=True,
    short_names=("wg",),
    categories=("all",),
    columns=(Column("SIZE", "integer", ".spec.size", 1, "How big"),),
    custom=True,
    description="A thing",
)
FORKLIFT = """Conversion ForkliftController Hook Host HyperVProviderServer Migration NetworkMap OVAProviderServer OpenstackVolumePopulator
    OvirtVolumePopulator Plan Provider StorageMap VSphereXcopyVolumePopulator"""


@pytest.fixture
def registry():
    return Registry()


def test_a_built_in_kind_is_found_by_path_by_kind_and_by_name(registry):
    plan = registry.named("Plan")
    assert registry.by_path("forklift.konveyor.io", "v1beta1", "plans") is plan
    assert registry.by_kind("forklift.konveyor.io/v1beta1", "Plan") is plan
    assert (plan.api_version, plan.list_kind, plan.resource) == ("forklift.konveyor.io/v1beta1", "PlanList", "plans.forklift.konveyor.io")


def test_core_kinds_have_no_group_in_their_names(registry):
    pod = registry.by_kind("v1", "Pod")
    assert registry.by_path("", "v1", "pods") is pod
    assert (pod.api_version, pod.resource, pod.custom) == ("v1", "pods", False)


def test_unknown_kinds_are_none_and_unknown_names_an_error(registry):
    assert registry.by_path("", "v1", "nothings") is None
    assert registry.by_kind("v2", "Pod") is None
    with pytest.raises(KeyError):
        registry.named("Widget")


def test_all_kinds_of_forklift_are_served(registry):
    assert sorted(kind.kind for kind in registry.all() if kind.group == "forklift.konveyor.io") == sorted(FORKLIFT.split())


@pytest.mark.parametrize(
    ("name", "namespaced"),
    [("Namespace", False), ("PersistentVolume", False), ("StorageClass", False), ("StorageProfile", False), ("Node", False), ("Pod", True)],
)
def test_scope_of_built_in_kinds(registry, name, namespaced):
    assert registry.named(name).namespaced is namespaced


def test_only_kinds_of_kubernetes_itself_take_strategic_merge_patches(registry):
    assert {kind.kind for kind in registry.all() if (kind.merge_keys is None) != kind.custom} == set()
    assert registry.named("Pod").merge_keys["spec.containers.env"] == "name"


def test_populators_have_no_status_subresource_but_plans_have(registry):
    assert registry.named("Plan").status
    assert not registry.named("OvirtVolumePopulator").status


def test_users_kinds_come_and_go_but_built_in_ones_stay(registry):
    registry.add(WIDGET)
    assert registry.by_kind("probe.example.com/v1", "Widget") is WIDGET
    registry.remove(WIDGET)
    assert registry.by_path("probe.example.com", "v1", "widgets") is None
    assert registry.by_kind("probe.example.com/v1", "Widget") is None
    with pytest.raises(ValueError, match=r"plans\.forklift\.konveyor\.io is built in"):
        registry.remove(registry.named("Plan"))


def test_a_changed_definition_replaces_its_kind_and_removing_the_old_one_does_no_harm(registry):
    changed = dataclasses.replace(WIDGET, status=False)
    registry.add(WIDGET)
    registry.add(changed)
    registry.remove(WIDGET)
    assert registry.by_kind("probe.example.com/v1", "Widget") is changed
    assert [kind for kind in registry.all() if kind.kind == "Widget"] == [changed]


def test_a_users_definition_cannot_take_the_place_of_a_built_in_kind(registry):
    with pytest.raises(ValueError, match="built in"):
        registry.add(dataclasses.replace(registry.named("Plan"), status=False))


def test_two_built_in_kinds_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Widget"):
        Registry([WIDGET, dataclasses.replace(WIDGET, group="other.example.com")])


def test_a_kind_survives_the_way_through_its_definition():
    (back,) = kind_from_crd(crd_object(WIDGET))
    assert dataclasses.replace(back, schema=None) == dataclasses.replace(WIDGET, schema=None)
    assert back.schema["properties"]["spec"] == {"type": "object"}
    assert back.schema["properties"]["metadata"] == {"type": "object"}


@pytest.mark.parametrize("kind", [kind for kind in Registry().all() if kind.custom], ids=lambda kind: kind.kind)
def test_every_custom_kind_is_shown_as_a_definition_that_gives_the_same_kind(kind):
    crd = crd_object(kind)
    assert crd["metadata"]["name"] == f"{kind.plural}.{kind.group}"
    (back,) = kind_from_crd(crd)
    assert dataclasses.replace(back, schema=kind.schema) == kind


def test_a_definition_is_a_copy_that_may_be_changed(registry):
    plan = registry.named("Plan")
    crd = crd_object(plan)
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].clear()
    assert "vms" in plan.schema["properties"]["spec"]["properties"]


def test_only_served_versions_of_a_definition_become_kinds():
    crd = crd_object(WIDGET)
    (version,) = crd["spec"]["versions"]
    crd["spec"]["versions"] = [version, {**version, "name": "v2", "storage": False}, {**version, "name": "v0", "served": False}]
    assert [kind.version for kind in kind_from_crd(crd)] == ["v1", "v2"]


def test_a_definition_without_the_optional_parts_gets_their_defaults():
    crd = {
        "spec": {
            "group": "g.example.com",
            "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True}],
        }
    }
    (kind,) = kind_from_crd(crd)
    assert (kind.singular, kind.namespaced, kind.schema, kind.status, kind.columns) == ("thing", False, None, False, ())
