"""How many VMs are under way at a time, and what their targets are called."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import CONTROLLERS, PLANS, TARGET, World, source_vm


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def pair(tmp_path):
    """A world with two VMs."""
    return World(tmp_path, [source_vm("app1"), source_vm("app2", disks=2)])


def limit(world, count):
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"controller_max_vm_inflight": count}})


def cancel(world, *names, run="run"):
    world.api.patch("Migration", PLANS, run, {"spec": {"cancel": [{"name": name} for name in names]}})


def test_no_more_vms_than_the_limit_are_under_way(pair):
    limit(pair, 1)
    pair.held.add("Running")
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app1")["phase"] == "ConvertGuest")
    waiting = pair.vm("app2")
    assert "started" not in waiting
    assert [(c["type"], c["message"]) for c in waiting["conditions"]] == [
        ("Pending", "Waiting to start migration: in-flight limit reached (max 1).")
    ]
    assert pair.conditions("Plan", "p")["Ready"]["message"] == "1 VM(s) waiting to start migration (in-flight limit: 1)."
    pair.held.clear()
    pair.run(lambda: pair.vm("app2")["phase"] == "AllocateDisks")
    assert "conditions" not in pair.vm("app2")
    assert pair.conditions("Plan", "p")["Ready"]["message"] == "The migration plan is ready."
    pair.run(pair.ended)
    assert "Succeeded" in pair.conditions("Plan", "p")


def test_a_waiting_vm_can_be_canceled(pair):
    limit(pair, 1)
    pair.held.add("Running")
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app1")["phase"] == "ConvertGuest")
    cancel(pair, "app2")
    pair.settle(3)
    assert [c["type"] for c in pair.vm("app2")["conditions"]] == ["Canceled"]
    assert pair.vm("app2")["completed"]
    pair.held.clear()
    pair.run(pair.ended)
    assert "Succeeded" in pair.conditions("Plan", "p")


def test_plans_of_one_source_share_the_limit(pair):
    limit(pair, 1)
    pair.held.add("Running")
    pair.plan("p", ["app1"])
    pair.plan("q", ["app2"])
    pair.migration("run-p", "p")
    pair.run(lambda: pair.vm("app1")["phase"] == "ConvertGuest")
    pair.migration("run-q", "q")
    pair.settle()
    assert "Executing" in pair.conditions("Plan", "q")
    assert "started" not in pair.vm("app2", "q")
    pair.held.clear()
    pair.run(lambda: pair.ended("p") and pair.ended("q"))
    assert "Succeeded" in pair.conditions("Plan", "q")


def test_a_name_no_virtual_machine_can_have_is_changed_and_remembered(tmp_path):
    world = World(tmp_path, [source_vm("My App_1")])
    world.plan()
    world.migration()
    world.run(world.ended)
    assert world.vm("My App_1")["newName"] == "my-app-1"
    machine = world.get("VirtualMachine", "my-app-1", TARGET)
    assert machine["metadata"]["annotations"]["openshift.io/display-name"] == "My App_1"
    [claim] = [c for c in world.api.list("PersistentVolumeClaim", TARGET) if c["spec"]["storageClassName"]]
    assert claim["metadata"]["name"].startswith("p-my-app-1-disk-0-")


def test_a_target_name_is_taken_as_it_is(world):
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "targetName": "crm-db"}]}})
    world.migration()
    world.run(lambda: world.api.list("Conversion"))
    [conversion] = world.api.list("Conversion")
    world.run(world.ended)
    assert world.vm()["newName"] == "crm-db"
    assert conversion["spec"]["settings"] == {
        "V2V_source": "ova",
        "V2V_diskPath": "/ova/app1.ova",
        "V2V_vmName": "app1",
        "V2V_NewName": "crm-db",
    }
    assert world.get("VirtualMachine", "crm-db", TARGET)


def test_a_target_name_that_is_taken_fails_the_vm(world):
    world.create("v1", "Namespace", "", TARGET)
    world.create(
        "kubevirt.io/v1",
        "VirtualMachine",
        TARGET,
        "crm-db",
        spec={"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}},
    )
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "targetName": "crm-db"}]}})
    world.migration()
    world.run(lambda: world.ended() or world.conditions("Plan", "p").get("Ready") is None)
    if "Failed" in world.conditions("Plan", "p"):
        assert world.vm()["error"]["reasons"] == ['The targetName "crm-db" is taken by another VirtualMachine in namespace tgt.']
    assert world.count("PersistentVolumeClaim") == 0


def test_pvc_names_follow_the_template(world):
    world.plan(pvcNameTemplate="{{.VmName}}-d{{.DiskIndex}}", pvcNameTemplateUseGenerateName=False)
    world.migration()
    world.run(world.ended)
    assert world.api.find("PersistentVolumeClaim", TARGET, "app1-d0")


def test_an_exact_pvc_name_that_is_taken_fails_the_vm_and_spares_the_other_pvc(world):
    world.create("v1", "Namespace", "", TARGET)
    fresh = {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "spec": {"source": {"blank": {}}, "storage": {}}}
    world.api.create({**fresh, "metadata": {"name": "mine", "namespace": TARGET, "labels": {}, "annotations": {}}})
    world.plan(pvcNameTemplate="mine", pvcNameTemplateUseGenerateName=False)
    world.migration()
    for _ in range(20):
        world.reconcile()
    assert world.vm()["error"]["reasons"] == ["DataVolume tgt/mine already exists and does not belong to this migration."]
    assert world.api.find("DataVolume", TARGET, "mine")
