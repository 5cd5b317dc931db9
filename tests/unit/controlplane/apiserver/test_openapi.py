"""OpenAPI documents: what kubectl looks up in them must be there and hang together."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import openapi
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry

FORKLIFT = ("forklift.konveyor.io", "v1beta1")
WIDGET = Kind("probe.example.com", "v1", "widgets", "widget", "Widget", custom=True)


@pytest.fixture
def registry():
    return Registry()


def schema_of(document, **gvk):
    """(name, schema) of a kind, found as kubectl does."""
    found = [
        (name, schema)
        for name, schema in document["components"]["schemas"].items()
        if gvk in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert len(found) == 1
    return found[0]


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_index_leads_to_every_group_version(registry):
    paths = openapi.index(registry)["paths"]
    assert set(paths) == {f"apis/{kind.group}/{kind.version}" if kind.group else "api/v1" for kind in registry.all()}
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")


def test_the_hash_moves_with_the_content_only(registry):
    def url(path):
        return openapi.index(registry)["paths"][path]["serverRelativeURL"]

    registry.add(WIDGET)
    first, core = url("apis/probe.example.com/v1"), url("api/v1")
    assert url("apis/probe.example.com/v1") == first
    registry.add(dataclasses.replace(WIDGET, schema={"type": "object", "properties": {"spec": {"type": "object"}}}))
    assert url("apis/probe.example.com/v1") != first
    assert url("api/v1") == core
    registry.remove(registry.by_kind("probe.example.com/v1", "Widget"))
    assert "apis/probe.example.com/v1" not in openapi.index(registry)["paths"]


@pytest.mark.parametrize("group_version", sorted({(kind.group, kind.version) for kind in Registry().all()}), ids="/".join)
def test_every_reference_of_a_document_leads_to_a_schema(registry, group_version):
    document = openapi.document(registry, *group_version)
    assert document["openapi"].startswith("3.")
    json.dumps(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_a_kind_is_described_with_its_fields_and_the_common_ones(registry):
    document = openapi.document(registry, *FORKLIFT)
    name, plan = schema_of(document, group=FORKLIFT[0], version=FORKLIFT[1], kind="Plan")
    assert name == "io.konveyor.forklift.v1beta1.Plan"
    assert plan["properties"]["spec"]["properties"]["targetPowerState"]["enum"] == ["on", "off", "auto"]
    assert plan["properties"]["metadata"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
    assert plan["properties"]["apiVersion"]["type"] == "string"
    _unused, plans = schema_of(document, group=FORKLIFT[0], version=FORKLIFT[1], kind="PlanList")
    assert plans["properties"]["items"]["items"] == {"$ref": f"#/components/schemas/{name}"}


def test_a_kind_without_schema_is_an_open_object(registry):
    registry.add(WIDGET)
    _unused, widget = schema_of(
        openapi.document(registry, "probe.example.com", "v1"), group="probe.example.com", version="v1", kind="Widget"
    )
    assert widget["x-kubernetes-preserve-unknown-fields"] is True


@pytest.mark.parametrize(
    ("group_version", "path"),
    [
        (FORKLIFT, "/apis/forklift.konveyor.io/v1beta1/namespaces/{namespace}/plans/{name}"),
        (("", "v1"), "/api/v1/namespaces/{namespace}/pods/{name}"),
        (("", "v1"), "/api/v1/persistentvolumes/{name}"),
    ],
)
def test_patches_tell_that_the_server_validates_fields_and_runs_dry(registry, group_version, path):
    """kubectl reads this before it leaves validation and dry runs to the server."""
    operation = openapi.document(registry, *group_version)["paths"][path]["patch"]
    assert {"fieldValidation", "dryRun"} <= {parameter["name"] for parameter in operation["parameters"]}
    assert operation["x-kubernetes-action"] == "patch"
    assert operation["x-kubernetes-group-version-kind"]["version"] == group_version[1]


def test_status_and_all_namespaces_have_paths_of_their_own(registry):
    paths = openapi.document(registry, *FORKLIFT)["paths"]
    assert set(paths["/apis/forklift.konveyor.io/v1beta1/plans"]) == {"get"}
    assert "delete" not in paths["/apis/forklift.konveyor.io/v1beta1/namespaces/{namespace}/plans/{name}/status"]
    assert "/apis/forklift.konveyor.io/v1beta1/namespaces/{namespace}/ovirtvolumepopulators/{name}/status" not in paths


def test_access_reviews_can_only_be_created(registry):
    paths = openapi.document(registry, "authorization.k8s.io", "v1")["paths"]
    assert set(paths["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"]) == {"post"}


def test_version_2_describes_nothing_in_the_form_that_is_asked_for():
    body, content_type = openapi.version_2("application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert (body, content_type) == (b"", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
    body, content_type = openapi.version_2("application/json")
    assert (json.loads(body)["swagger"], content_type) == ("2.0", "application/json")
