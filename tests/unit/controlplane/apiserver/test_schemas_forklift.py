"""Forklift's kinds: against the official definitions where they lie beside the checkout, and by what they accept and refuse."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry, crd_object
from ansible_collections.vmshift.mtv.controlplane.apiserver.structural import apply_defaults, prune, validate

SHARED = Path(__file__).resolve().parents[5] / "shared"
OFFICIAL = SHARED / "crds"
RECORDED = SHARED / "golden" / "scenarios"
FORKLIFT = [kind for kind in Registry().all() if kind.group == "forklift.konveyor.io"]
COMPARED = ("type", "format", "default", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def fields(schema, path="", required=False):
    """{path: what is said about the field} of a schema and everything below it."""
    said = {word: schema[word] for word in COMPARED if word in schema}
    enums = [part["enum"] for part in (schema, *schema.get("allOf", ())) if "enum" in part]
    if enums:
        said["enum"] = sorted(set(enums[0]).intersection(*enums))
    if required:
        said["required"] = True
    found = {path: said} if path else {}
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if path or name in ("spec", "status"):
            found.update(fields(field, f"{path}.{name}" if path else name, name in needed))
    if "items" in schema:
        found.update(fields(schema["items"], f"{path}[]"))
    if isinstance(schema.get("additionalProperties"), dict):
        found.update(fields(schema["additionalProperties"], f"{path}{{}}"))
    return found


def official(kind):
    """The official CustomResourceDefinition of `kind`; skips the test where there is none."""
    for file in sorted(OFFICIAL.rglob("*.y*ml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document and document.get("kind") == "CustomResourceDefinition" and document["metadata"]["name"] == kind.resource:
                return document
    pytest.skip(f"no definition of {kind.kind} in {OFFICIAL}")


def version_of(crd):
    return next(version for version in crd["spec"]["versions"] if version["name"] == "v1beta1")


@pytest.mark.parametrize("kind", FORKLIFT, ids=lambda kind: kind.kind)
def test_fields_types_enums_defaults_and_required_lists_are_the_official_ones(kind):
    theirs = fields(version_of(official(kind))["schema"]["openAPIV3Schema"])
    ours = fields(kind.schema)
    assert sorted(theirs.keys() - ours.keys()) == [], "fields that are missing here"
    assert sorted(ours.keys() - theirs.keys()) == [], "fields that are not official"
    different = [path for path in ours if ours[path] != theirs[path]]
    assert {path: ours[path] for path in different} == {path: theirs[path] for path in different}


@pytest.mark.parametrize("kind", FORKLIFT, ids=lambda kind: kind.kind)
def test_names_columns_and_subresources_are_the_official_ones(kind):
    theirs, ours = official(kind), crd_object(kind)
    assert {**ours["spec"]["names"], "categories": None} == {**theirs["spec"]["names"], "categories": None}
    assert ours["spec"]["scope"] == theirs["spec"]["scope"]
    assert columns_of(ours) == columns_of(theirs)
    assert version_of(ours).get("subresources") == version_of(theirs).get("subresources")


def columns_of(crd):
    return [(c["name"], c["type"], c["jsonPath"]) for c in version_of(crd).get("additionalPrinterColumns", ())]


def test_the_comparison_sees_every_kind_of_difference():
    """Guards the two tests above, which do nothing where the official definitions are absent."""
    plan = version_of(crd_object(Registry().named("Plan")))["schema"]["openAPIV3Schema"]
    seen = fields(plan)
    assert seen["spec.targetPowerState"] == {"type": "string", "enum": ["auto", "off", "on"]}
    assert seen["spec.preserveStaticIPs"] == {"type": "boolean", "default": True}
    assert seen["spec.vms"] == {"type": "array", "required": True}
    assert seen["spec.serviceAccount"] == {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 253}
    assert seen["spec.vms[].hooks[].hook.name"] == {"type": "string"}
    assert seen["spec.targetLabels{}"] == {"type": "string"}
    assert seen["status.migration.vms[].pipeline[].progress.total"] == {"type": "integer", "format": "int64", "required": True}
    both = {"type": "string", "allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "a"]}]}
    assert fields({"properties": {"spec": both}}) == {"spec": {"type": "string", "enum": ["a", "b"]}}


# What the kinds accept and refuse

REF = {"name": "a", "namespace": "b"}
PAIR = {"source": REF, "destination": REF}
PLAN = {"provider": PAIR, "map": {"network": REF, "storage": REF}, "targetNamespace": "t", "vms": [{"name": "v"}]}


def admitted(name, spec):
    """(unknown fields, causes, spec after defaulting) of an object of kind `name`."""
    schema = Registry().named(name).schema
    obj = {"metadata": {"name": "x"}, "spec": copy.deepcopy(spec)}
    unknown = prune(schema, obj)
    apply_defaults(schema, obj)
    return unknown, [f"{cause.field}: {cause.message}" for cause in validate(schema, obj)], obj["spec"]


def test_a_small_plan_gets_the_defaults_of_a_cluster():
    unknown, causes, spec = admitted("Plan", PLAN)
    assert (unknown, causes) == ([], [])
    assert {key: value for key, value in spec.items() if key not in PLAN} == {
        "deleteVmOnFailMigration": True,
        "migrateSharedDisks": True,
        "preserveStaticIPs": True,
        "runPreflightInspection": True,
        "skipGuestConversion": False,
        "useCompatibilityMode": True,
        "xfsCompatibility": False,
    }


def test_false_is_kept_where_true_is_the_default():
    _unused, _unused, spec = admitted("Plan", {**PLAN, "preserveStaticIPs": False, "deleteVmOnFailMigration": False})
    assert (spec["preserveStaticIPs"], spec["deleteVmOnFailMigration"]) == (False, False)


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("Plan", {"provider": PAIR, "vms": []}, ["spec.map: Required value", "spec.targetNamespace: Required value"]),
        (
            "Plan",
            {**PLAN, "targetPowerState": "maybe"},
            ['spec.targetPowerState: Unsupported value: "maybe": supported values: "on", "off", "auto"'],
        ),
        (
            "NetworkMap",
            {"provider": PAIR, "map": [{"source": {}, "destination": {"type": "bridge"}}]},
            ['spec.map[0].destination.type: Unsupported value: "bridge": supported values: "pod", "multus", "ignored"'],
        ),
        (
            "StorageMap",
            {"provider": PAIR, "map": [{"source": {}, "destination": {}}]},
            ["spec.map[0].destination.storageClass: Required value"],
        ),
        ("Provider", {"secret": REF}, ["spec.type: Required value"]),
        (
            "Migration",
            {"plan": REF, "cutover": "tomorrow"},
            ['spec.cutover: Invalid value: "tomorrow": spec.cutover in body must be of type date-time: "tomorrow"'],
        ),
        ("Migration", {}, ["spec.plan: Required value"]),
        (
            "Host",
            {"id": "host-1"},
            ["spec.ipAddress: Required value", "spec.provider: Required value", "spec.secret: Required value"],
        ),
    ],
)
def test_refusals_are_those_recorded_from_a_cluster(kind, spec, told):
    assert admitted(kind, spec)[1] == told


def test_misspelt_fields_are_found():
    spec = {**PLAN, "preserveClusterCPUModel": True, "vms": [{"name": "v", "target_name": "w", "disks": []}]}
    assert admitted("Plan", spec)[0] == ["spec.preserveClusterCPUModel", "spec.vms[0].disks", "spec.vms[0].target_name"]


def test_the_provider_of_a_provider_server_cannot_be_changed():
    schema = Registry().named("OVAProviderServer").schema
    old, new = {"spec": {"provider": REF}}, {"spec": {"provider": {"name": "other", "namespace": "b"}}}
    assert [cause.message for cause in validate(schema, new, old)] == ['Invalid value: "object": spec.provider is immutable']
    assert validate(schema, new, {"spec": {"provider": {}}}) == []
    assert validate(schema, old, old) == []


def test_settings_of_other_operator_versions_are_kept():
    unknown, causes, spec = admitted("ForkliftController", {"controller_dv_status_check_retries": 5, "feature_ui_plugin": "false"})
    assert (unknown, causes) == ([], [])
    assert (spec["controller_dv_status_check_retries"], spec["feature_ui_plugin"], spec["controller_max_vm_inflight"]) == (5, "false", 20)


# Recorded objects


def apply(obj, operations):
    """`obj` after a recorded JSON patch (add, remove and replace only)."""
    for operation in operations:
        *above, last = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
        target = obj
        for step in above:
            target = target[int(step)] if isinstance(target, list) else target[step]
        if isinstance(target, list):
            place = int(last)
            target[place : place + (operation["op"] != "add")] = [operation["value"]] if "value" in operation else []
        elif operation["op"] == "remove":
            del target[last]
        else:
            target[last] = operation["value"]
    return obj


def recorded(trace):
    """Every state of every object in a recorded scenario."""
    known = {}
    for line in trace.read_text().splitlines():
        entry = json.loads(line)
        key = tuple(entry.get(word) for word in ("kind", "namespace", "name"))
        if entry["event"] == "ADDED":
            known[key] = entry["object"]
        elif entry["event"] != "MODIFIED" or key not in known or not entry.get("patch"):
            continue
        else:
            apply(known[key], entry["patch"])
        if "apiVersion" in known[key]:  # events are recorded in a shorter form
            yield known[key]


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recordings in {RECORDED}")
def test_every_object_recorded_from_a_cluster_is_valid_and_complete():
    registry, seen = Registry(), set()
    for trace in sorted(RECORDED.glob("*/trace.jsonl")):
        for obj in recorded(trace):
            kind = registry.by_kind(obj["apiVersion"], obj["kind"])
            if kind is None or kind.kind == "Secret":  # recorded without their values
                continue
            now = copy.deepcopy(obj)
            assert prune(kind.schema, now) == [], f"{trace.parent.name}: {kind.kind} {obj['metadata']['name']}"
            apply_defaults(kind.schema, now)
            assert now == obj
            assert validate(kind.schema, now) == []
            seen.add(kind.kind)
    assert seen >= {"Plan", "Migration", "Provider", "NetworkMap", "StorageMap", "Pod", "Job", "DataVolume", "VirtualMachine"}
