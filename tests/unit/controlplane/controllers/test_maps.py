"""NetworkMap and StorageMap: conditions, references, and when they are looked at again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import Conflict
from ansible_collections.vmshift.mtv.controlplane.controllers.maps import MapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler

OVA = {
    "networks": [{"id": "net-1", "name": "VM Network"}, {"id": "net-2", "name": "twin"}, {"id": "net-3", "name": "twin"}],
    "storages": [{"id": "disk-1", "name": "app1-disk1.vmdk"}],
}
RECONCILERS: dict[str, type[MapReconciler]] = {"NetworkMap": NetworkMapReconciler, "StorageMap": StorageMapReconciler}


@pytest.fixture
def providers(plane: Any, new_items: Any) -> dict[str, Any]:
    """The ends of a map, as `spec.provider` names them."""
    plane.create("StorageClass", "", "fast", provisioner="local.example")
    plane.host()
    plane.provider("mig", "src", "ova", new_items(OVA), url="server:/export")
    return {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}


def look(plane: Any, kind: str, name: str = "m") -> None:
    asyncio.run(RECONCILERS[kind](plane.context).reconcile("mig", name))


def made(plane: Any, kind: str, providers: dict[str, Any], *pairs: dict[str, Any]) -> dict[str, Any]:
    return plane.create(kind, "mig", "m", spec={"provider": providers, "map": list(pairs)})


def test_network_map_resolves_its_sources_and_lists_each_once(plane: Any, providers: dict[str, Any]) -> None:
    plane.create("NetworkAttachmentDefinition", "target", "vlan", spec={"config": "{}"})
    multus = {"type": "multus", "name": "vlan", "namespace": "target"}
    by_name, by_id = {"name": "VM Network"}, {"id": "net-1"}
    made(plane, "NetworkMap", providers, {"source": by_name, "destination": multus}, {"source": by_id, "destination": {"type": "ignored"}})
    look(plane, "NetworkMap")
    status = plane.api.get("NetworkMap", "mig", "m")["status"]
    assert status["references"] == [{"id": "net-1", "name": "VM Network"}]
    assert status["observedGeneration"] == 1
    assert plane.conditions("NetworkMap", "mig", "m") == [
        {"type": "Ready", "status": "True", "category": "Required", "message": "The network map is ready."}
    ]
    events = plane.api.list("Event", "mig")
    assert [(e["reason"], e["type"], e["source"]["component"]) for e in events] == [("Ready", "Normal", "networkMap")]


def test_a_second_look_writes_nothing(plane: Any, providers: dict[str, Any]) -> None:
    made(plane, "NetworkMap", providers, {"source": {"name": "nope"}, "destination": {"type": "pod"}})
    look(plane, "NetworkMap")
    before = plane.api.get("NetworkMap", "mig", "m")
    look(plane, "NetworkMap")
    assert plane.api.get("NetworkMap", "mig", "m") == before
    assert [e["count"] for e in plane.api.list("Event", "mig")] == [1, 1]


def test_pod_network_of_an_openshift_source_needs_no_name(plane: Any, providers: dict[str, Any], new_items: Any) -> None:
    plane.provider("mig", "remote", "openshift", new_items({"networkattachmentdefinitions": []}))
    providers = {**providers, "source": {"name": "remote", "namespace": "mig"}}
    made(plane, "NetworkMap", providers, {"source": {"type": "pod"}, "destination": {"type": "pod"}})
    look(plane, "NetworkMap")
    assert plane.api.get("NetworkMap", "mig", "m")["status"]["references"] == [{"type": "pod"}]
    assert plane.types("NetworkMap", "mig", "m") == ["Ready"]


def test_map_of_a_provider_that_is_gone_keeps_its_references(plane: Any, providers: dict[str, Any]) -> None:
    made(plane, "StorageMap", providers, {"source": {"name": "app1-disk1.vmdk"}, "destination": {"storageClass": "fast"}})
    look(plane, "StorageMap")
    plane.api.patch("Provider", "mig", "src", {"metadata": {"finalizers": None}})
    plane.api.delete("Provider", "mig", "src")
    look(plane, "StorageMap")
    status = plane.api.get("StorageMap", "mig", "m")["status"]
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("SourceProviderNotValid", "NotFound")]
    assert status["references"] == [{"id": "disk-1", "name": "app1-disk1.vmdk"}]


@pytest.mark.parametrize("role", ["Source", "Destination"])
def test_map_waits_for_ready_providers(plane: Any, providers: dict[str, Any], role: str) -> None:
    reference = providers[role.lower()]
    provider = plane.api.get("Provider", reference["namespace"], reference["name"])
    plane.api.update_status({**provider, "status": {"conditions": []}})
    made(plane, "StorageMap", providers)
    look(plane, "StorageMap")
    message = f"The {role.lower()} provider does not have the Ready condition."
    assert plane.conditions("StorageMap", "mig", "m") == [
        {"type": f"{role}ProviderNotReady", "status": "True", "category": "Critical", "message": message}
    ]


def test_nothing_is_said_while_the_inventory_of_a_ready_provider_is_loaded_anew(plane: Any, providers: dict[str, Any]) -> None:
    made(plane, "StorageMap", providers)
    plane.inventory.known.clear()
    with pytest.raises(Conflict, match="the inventory of the provider mig/src is not loaded yet"):
        look(plane, "StorageMap")
    assert "status" not in plane.api.get("StorageMap", "mig", "m")


@pytest.mark.parametrize(
    ("kind", "of_source", "of_destination"),
    [("NetworkMap", "networks", "networkattachmentdefinitions"), ("StorageMap", "storages", "storageclasses")],
)
def test_what_makes_a_map_be_looked_at(plane: Any, providers: dict[str, Any], kind: str, of_source: str, of_destination: str) -> None:
    made(plane, kind, providers)
    reconciler = RECONCILERS[kind](plane.context)
    source, host = plane.api.get("Provider", "mig", "src"), plane.host()
    assert plane.keys(reconciler, "Provider", source) == {("mig", "m")}
    assert plane.keys(reconciler, "Provider", host) == {("mig", "m")}
    looked_at: list[Any] = []
    reconciler.enqueue = looked_at.append  # type: ignore[method-assign]
    plane.inventory.changed("of nobody", of_source)
    plane.inventory.changed(source["metadata"]["uid"], "vms")
    plane.inventory.changed(host["metadata"]["uid"], "persistentvolumeclaims")
    assert looked_at == []
    plane.inventory.changed(source["metadata"]["uid"], of_source)
    plane.inventory.changed(host["metadata"]["uid"], of_destination)
    assert looked_at == [("mig", "m")] * 2


def test_new_storage_class_makes_a_storage_map_ready(plane: Any, providers: dict[str, Any]) -> None:
    made(plane, "StorageMap", providers, {"source": {"name": "app1-disk1.vmdk"}, "destination": {"storageClass": "new"}})
    look(plane, "StorageMap")
    assert [c["items"] for c in plane.conditions("StorageMap", "mig", "m")] == [["new"]]
    plane.create("StorageClass", "", "new", provisioner="local.example")
    look(plane, "StorageMap")
    assert plane.types("StorageMap", "mig", "m") == ["Ready"]


def test_every_recorded_map_gets_the_recorded_status(plane: Any, new_items: Any, recorded: Any) -> None:
    variants = recorded("maps/variants.json")
    for name in ("block-sc", "file-sc"):
        plane.create("StorageClass", "", name, provisioner="local.example")
    for name in ("vlan-1", "vlan-2"):
        plane.create("NetworkAttachmentDefinition", "tgt-maps", name, spec={"config": "{}"})
    plane.host()
    one = {
        "networks": [{"id": "dvportgroup-12", "name": "DC0_DVPG0", "path": "/DC0/network/DC0_DVPG0"}],
        "datastores": [{"id": "datastore-51", "name": "LocalDS_0"}],
    }
    two = {
        "networks": [{"id": f"network-{n}", "name": "VM Network", "path": f"/DC{d}/network/VM Network"} for n, d in ((7, 0), (44, 1))],
        "datastores": [{"id": f"datastore-{n}", "name": "LocalDS_0"} for n in (1, 2)],
    }
    plane.provider("konveyor-forklift", "vc", "vsphere", new_items(one))
    plane.provider("maps", "twodc", "vsphere", new_items(two))
    assert len(variants) > 25
    for variant in variants:
        kind, name = variant["kind"], variant["name"]
        plane.create(kind, "maps", name, spec=variant["spec"])
        asyncio.run(RECONCILERS[kind](plane.context).reconcile("maps", name))
        status = plane.api.get(kind, "maps", name)["status"]
        for condition in [*status["conditions"], *variant["status"]["conditions"]]:
            condition.pop("lastTransitionTime")
        assert status == variant["status"], name
