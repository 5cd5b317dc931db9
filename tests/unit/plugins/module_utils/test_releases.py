"""The table of releases against the definitions that MTV 2.8.0 had, which are written out here."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.plugins.module_utils.releases import (
    GAPS,
    KINDS,
    OLDEST,
    newer_than_oldest,
    number,
    option_of,
    requirement,
    since,
)

#: Kind -> paths of the fields of spec in MTV 2.8.0; what lies in an ObjectReference is left out.
IN_2_8_0 = {
    "Provider": "secret settings type url",
    "Host": "id ipAddress name namespace provider secret type",
    "NetworkMap": """map map[].destination map[].destination.name map[].destination.namespace map[].destination.type map[].source
        map[].source.id map[].source.name map[].source.namespace map[].source.type provider provider.destination provider.source""",
    "StorageMap": """map map[].destination map[].destination.accessMode map[].destination.storageClass map[].destination.volumeMode
        map[].source map[].source.id map[].source.name map[].source.namespace map[].source.type provider provider.destination
        provider.source""",
    "Hook": "deadline image playbook serviceAccount",
    "Migration": "cancel cancel[].id cancel[].name cancel[].namespace cancel[].type cutover plan",
    "Plan": """archived description diskBus map map.network map.storage migrateSharedDisks networkNameTemplate preserveClusterCpuModel
        preserveStaticIPs provider provider.destination provider.source pvcNameTemplate targetNamespace transferNetwork vms vms[].hooks
        vms[].hooks[].hook vms[].hooks[].step vms[].id vms[].instanceType vms[].luks vms[].name vms[].namespace
        vms[].networkNameTemplate vms[].pvcNameTemplate vms[].rootDisk vms[].type vms[].volumeNameTemplate volumeNameTemplate warm""",
}


def paths(schema, path=""):
    """Every field below a schema. References and what Kubernetes itself defines (affinity) are one field each."""
    for name, field in (schema.get("properties") or {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner
        if not (set(field.get("properties") or {}) >= {"apiVersion", "fieldPath"} or name.endswith("Affinity")):
            yield from paths(field, inner)
            yield from paths(field.get("items") or {}, inner + "[]")


def newer(kind):
    """Fields that the table says are newer than 2.8, and what is below them."""
    return tuple(path for path in since(kind) if "=" not in path)


@pytest.mark.parametrize("kind", IN_2_8_0)
def test_what_is_not_in_the_table_is_what_2_8_0_had(kind):
    served = set(paths(Registry().named(kind).schema["properties"]["spec"]))
    old = {path for path in served if not any(path == new or path.startswith((new + ".", new + "[")) for new in newer(kind))}
    assert old == set(IN_2_8_0[kind].split())
    assert set(newer(kind)) <= served, "the table names fields that no release has"


def test_releases_can_be_compared():
    assert number("2.9.3") < number("2.10") < number("2.10.4") < number("2.11.0") < number("5.0")
    assert all(number(release) > number(OLDEST) for kind in KINDS for release in since(kind).values())
    assert all(path in since(kind) for kind, path in GAPS)


def test_what_a_spec_uses_is_found_wherever_it_lies():
    spec = {"type": "live", "targetLabels": None, "vms": [{"name": "a"}, {"name": "b", "targetName": "c", "rdmAsLun": False}]}
    assert newer_than_oldest("Plan", spec) == {
        "type": "2.9.3",
        "type=live": "2.10",
        "vms[].rdmAsLun": "2.11.3",
        "vms[].targetName": "2.9.0",
    }
    assert newer_than_oldest("Plan", {"type": "cold", "warm": True}) == {"type": "2.9.3"}
    pair = {"source": {"id": "n"}, "destination": {"type": "ignored"}}
    assert newer_than_oldest("NetworkMap", {"map": [pair]}) == {"map[].destination.type=ignored": "2.8.5"}
    assert newer_than_oldest("Provider", {"type": "ova"}) == {}


def test_fields_are_named_as_tasks_write_them():
    assert option_of("vms[].targetName") == "vms[].target_name"
    assert option_of("virtV2vImage") == "virt_v2v_image"
    assert option_of("type=live") == "type"


def test_a_release_without_the_field_in_between_is_told():
    assert requirement("Plan", "virtV2vImage", "2.10.6") == "MTV 2.10.6 and newer (not 2.11.0)"
    assert requirement("Plan", "targetLabels", "2.10") == "MTV 2.10 and newer"
