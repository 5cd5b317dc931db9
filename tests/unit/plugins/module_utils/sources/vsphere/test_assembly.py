"""Items and what they know of each other: paths, shared disks, networks of cards, tags; only what changes is new."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.assembly import Assembly
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import Change


def child(type: str, id: str, name: str, parent: tuple[str, str] = ("", ""), **values: Any) -> Change:
    return Change(type, id, {"name": name, "parent": {"kind": parent[0], "id": parent[1]}, **values})


def hardware(file: str = "", nic: list[str] | None = None) -> dict[str, Any]:
    disks = [{"key": 1, "unitNumber": 0, "controllerKey": 1000, "file": file, "datastore": {}, "capacity": 1, "rdm": False, "parent": ""}]
    nics = [{"network": nic, "mac": "", "deviceKey": 4000, "startConnected": True}] if nic else []
    return {"controllers": {}, "disks": disks if file else [], "nics": nics, "listed": [], "tpm": False}


def world(*more: Change) -> Assembly:
    assembly = Assembly()
    assembly.apply([
        child("VirtualMachine", "vm-1", "web", ("Folder", "group-2"), **{"config.hardware.device": hardware("[ds] a")}),
        child("Folder", "group-d1", "Datacenters"),
        child("Datacenter", "datacenter-1", "DC", ("Folder", "group-d1")),
        child("Folder", "group-1", "vm", ("Datacenter", "datacenter-1")),
        child("Folder", "group-2", "prod", ("Folder", "group-1")),
        *more,
    ])  # fmt: skip
    return assembly


def vms(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {vm["id"]: vm for vm in assembly.resources()["vms"]}


def test_paths_begin_below_the_root() -> None:
    paths = {item["id"]: item["path"] for items in world().resources().values() for item in items}
    assert paths == {
        "vm-1": "/DC/vm/prod/web",
        "group-d1": "/Datacenters",
        "datacenter-1": "/DC",
        "group-1": "/DC/vm",
        "group-2": "/DC/vm/prod",
    }


def test_a_renamed_folder_moves_all_below_it_and_nothing_else() -> None:
    assembly = world(child("VirtualMachine", "vm-2", "db", ("Folder", "group-1")))
    before = vms(assembly)
    assembly.apply([Change("Folder", "group-2", {"name": "production"})])
    after = vms(assembly)
    assert after["vm-1"]["path"] == "/DC/vm/production/web"
    assert after["vm-2"] is before["vm-2"]
    assert before["vm-1"]["path"] == "/DC/vm/prod/web", "who holds the old item still has it"


def test_nothing_new_is_the_very_same() -> None:
    assembly = world()
    first = assembly.resources()
    assembly.apply([])
    assembly.tag({})
    assert assembly.resources() is first


def test_a_disk_is_shared_when_two_vms_have_it() -> None:
    assembly = world()
    assert not vms(assembly)["vm-1"]["disks"][0]["shared"]
    assembly.apply([child("VirtualMachine", "vm-2", "db", **{"config.hardware.device": hardware("[ds] a")})])
    assert [vm["disks"][0]["shared"] for vm in vms(assembly).values()] == [True, True]
    assembly.apply([Change("VirtualMachine", "vm-2", None)])
    assert list(vms(assembly)) == ["vm-1"] and not vms(assembly)["vm-1"]["disks"][0]["shared"]


def test_cards_find_networks_by_key() -> None:
    assembly = world(
        child("DistributedVirtualPortgroup", "dvportgroup-9", "pg", key="key-9"),
        child("OpaqueNetwork", "network-o1", "nsx", summary="nsx-1"),
        *(
            child("VirtualMachine", f"vm-{number}", "x", **{"config.hardware.device": hardware(nic=nic)})
            for number, nic in enumerate((["key", "key-9"], ["opaque", "nsx-1"], ["id", "network-7"], ["key", "lost"], ["", ""]), 5)
        ),
    )
    assert [vms(assembly)[f"vm-{number}"]["nics"][0]["network"]["id"] for number in range(5, 10)] == [
        "dvportgroup-9", "network-o1", "network-7", "lost", ""
    ]  # fmt: skip


def test_unset_values_are_taken_back() -> None:
    assembly = world()
    assembly.apply([Change("VirtualMachine", "vm-1", {"snapshot": {"kind": "VirtualMachineSnapshot", "id": "snapshot-1"}})])
    assert vms(assembly)["vm-1"]["snapshot"]["id"] == "snapshot-1"
    assembly.apply([Change("VirtualMachine", "vm-1", {"snapshot": None})])
    assert vms(assembly)["vm-1"]["snapshot"] == {"kind": "", "id": ""}


def test_tags_come_and_go() -> None:
    assembly = world()
    assembly.tag({"vm-1": [{"id": "t", "name": "prod"}]})
    assert vms(assembly)["vm-1"]["tags"] == [{"id": "t", "name": "prod"}]
    assembly.tag({})
    assert vms(assembly)["vm-1"]["tags"] == []


def test_an_object_that_is_gone_before_it_was_seen() -> None:
    assembly = world(Change("VirtualMachine", "vm-9", None))
    assert list(vms(assembly)) == ["vm-1"]
