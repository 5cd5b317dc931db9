"""How many VMs are under way at a time, and what their targets are called."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import store
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
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


def test_a_target_name_that_somebody_took_meanwhile_fails_the_vm(world):
    world.failing["app1"] = "broken"
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "targetName": "crm-db"}]}})
    world.migration()
    world.run(world.ended)
    machine = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}
    world.create("kubevirt.io/v1", "VirtualMachine", TARGET, "crm-db", spec=machine)
    world.failing.clear()
    world.migration("again")
    world.run(lambda: "Failed" in world.conditions("Migration", "again"))
    assert world.vm()["error"]["reasons"] == ['The targetName "crm-db" is taken by another VirtualMachine in namespace tgt.']
    assert world.get("VirtualMachine", "crm-db", TARGET)["spec"] == machine


def test_two_vms_of_one_plan_do_not_get_one_name(tmp_path):
    world = World(tmp_path, [source_vm("App 1"), source_vm("App-1", id="id-other")])
    world.plan()
    world.migration()
    world.run(world.ended)
    names = sorted(vm["metadata"]["name"] for vm in world.api.list("VirtualMachine"))
    assert len(names) == 2
    assert names[0] == "app-1"
    assert names[1].startswith("app-1-")


def test_of_two_vms_of_one_name_the_first_keeps_it(tmp_path):
    world = World(tmp_path, [source_vm("app1"), source_vm("app1", id="id-other")])
    world.vms[1]["disks"] = [{**world.vms[1]["disks"][0], "ID": "d2", "FilePath": "/ova/other.ova"}]
    storage_map = world.get("StorageMap", "sto")
    storage_map["spec"]["map"] = [{"source": {"id": i}, "destination": {"storageClass": "lazy"}} for i in ("app1-disk1", "d2")]
    storage_map = world.api.update(storage_map)
    world.api.update_status({**storage_map, "status": {**storage_map["status"], "references": [{"id": "app1-disk1"}, {"id": "d2"}]}})
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"id": "id-app1"}, {"id": "id-other"}]}})
    world.migration()
    world.run(world.ended)
    machines = {vm["metadata"]["labels"]["vmID"]: vm["metadata"]["name"] for vm in world.api.list("VirtualMachine")}
    assert machines["id-app1"] == "app1"
    assert machines["id-other"].startswith("app1-")


def test_an_instance_type_is_refused_before_anything_is_copied(world):
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "instanceType": "u1.large"}]}})
    world.migration()
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ['The instance type "u1.large" was not found, neither in namespace tgt nor in the cluster.']
    assert world.count("DataVolume") == 0


@pytest.mark.parametrize(("kind", "namespace"), [("VirtualMachineInstancetype", TARGET), ("VirtualMachineClusterInstancetype", "")])
def test_an_instance_type_takes_the_place_of_cpu_and_memory(world, kind, namespace):
    world.create("v1", "Namespace", "", TARGET)
    spec = {"cpu": {"guest": 2}, "memory": {"guest": "4Gi"}}
    world.create("instancetype.kubevirt.io/v1beta1", kind, namespace, "u1.large", spec=spec)
    world.plan()
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "instanceType": "u1.large"}]}})
    world.migration()
    world.run(world.ended)
    [machine] = world.api.list("VirtualMachine")
    assert machine["spec"]["instancetype"] == {"kind": kind, "name": "u1.large"}
    assert not {"cpu", "memory"} & set(machine["spec"]["template"]["spec"]["domain"])


def test_the_controllers_template_names_pvcs_that_nobody_else_names(world):
    template = r"\{\{.PlanName\}\}-x-\{\{.DiskIndex\}\}"
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"controller_pvc_name_template": template}})
    world.plan()
    world.migration()
    world.run(lambda: world.api.list("DataVolume"))
    assert world.api.list("DataVolume")[0]["metadata"]["generateName"] == "p-x-0-"


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
    for _unused in range(20):
        world.reconcile()
    assert world.vm()["error"]["reasons"] == ["DataVolume tgt/mine already exists and does not belong to this migration."]
    assert world.api.find("DataVolume", TARGET, "mine")


@pytest.mark.parametrize("long", [0, store.LONG])
def test_what_others_look_at_is_never_changed_while_a_plan_runs(tmp_path, monkeypatch, long):
    """A pass shares with them what does not change: of VMs that have ended, that are under way and that wait."""
    monkeypatch.setattr(store, "LONG", long)
    looked_at = []
    real = Store.view

    def view(self, record):
        obj = real(self, record)
        looked_at.append((obj, json.dumps(obj)))
        return obj

    monkeypatch.setattr(Store, "view", view)
    three = World(tmp_path, [source_vm(name) for name in ("app1", "app2", "app3")])
    limit(three, 1)
    three.plan(vms=["app1", "app2", "app3"])
    three.migration()
    three.run(lambda: three.vm("app1")["phase"] == "ConvertGuest")
    cancel(three, "app2")
    three.run(three.ended)
    three.settle(2)
    assert any('"Pending"' in text and '"Succeeded"' in text for _obj, text in looked_at)
    assert all(json.dumps(obj) == text for obj, text in looked_at)


def test_a_long_plan_and_its_migration_rest_longer_between_two_looks(world, monkeypatch):
    short = world.plans.rest, world.migrations.rest
    assert (world.plans.rest_after((PLANS, "p")), world.migrations.rest_after((PLANS, "run"))) == short  # not there
    world.plan("short")
    assert world.plans.rest_after((PLANS, "short")) == world.plans.rest
    monkeypatch.setattr(store, "LONG", 0)
    world.plan()
    world.migration()
    assert world.plans.rest_after((PLANS, "p")) > world.plans.rest
    assert world.migrations.rest_after((PLANS, "run")) > world.migrations.rest
