"""Runs in which something goes wrong, and the next attempt."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.sources import ADAPTERS
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


def steps(vm):
    return {step["name"]: step["phase"] for step in vm["pipeline"]}


def test_a_failed_conversion_fails_its_vm_with_the_reason(world):
    world.failing["app1"] = "virt-v2v: no operating system was found"
    world.plan()
    world.migration()
    world.run(world.ended)
    world.settle(2)
    vm = world.vm()
    reasons = ["Guest conversion failed. See pod logs for details.", "virt-v2v: no operating system was found"]
    assert vm["error"] == {"phase": "CopyDisksVirtV2V", "reasons": reasons}
    assert vm["phase"] == "Completed"
    assert steps(vm)["DiskTransferV2v"] == "Running"
    assert next(s for s in vm["pipeline"] if s["name"] == "DiskTransferV2v")["error"] == {"phase": "Running", "reasons": reasons}
    assert [c["type"] for c in vm["conditions"]] == ["Failed"]
    assert "Failed" in world.conditions("Plan", "p")
    assert world.conditions("Migration", "run")["Failed"]["message"] == "The migration has FAILED."
    assert world.count("VirtualMachine") == 0
    assert world.count("Pod", TARGET, **{"forklift.app": "virt-v2v"}) == 1  # to look at


def test_a_second_migration_tries_again_from_a_clean_slate(world):
    world.failing["app1"] = "broken"
    world.plan()
    world.migration()
    world.run(world.ended)
    [old] = world.api.list("DataVolume", TARGET)
    world.failing.clear()
    world.migration("again")
    world.run(lambda: "Executing" in world.conditions("Plan", "p"))
    assert set(world.conditions("Plan", "p")) == {"Ready", "Executing"}
    assert "error" not in world.vm()
    assert "completed" not in world.get("Plan", "p")["status"]["migration"]
    world.run(lambda: "Succeeded" in world.conditions("Plan", "p"))
    world.settle(2)
    claims = [c["metadata"]["name"] for c in world.api.list("PersistentVolumeClaim", TARGET) if c["spec"]["storageClassName"]]
    assert len(claims) == 1
    assert old["metadata"]["name"] not in claims
    history = world.get("Plan", "p")["status"]["migration"]["history"]
    assert [[c["type"] for c in entry["conditions"]] for entry in history] == [["Failed"], ["Succeeded"]]
    assert "Failed" in world.conditions("Migration", "run")
    assert "Succeeded" in world.conditions("Migration", "again")


def test_vms_that_succeeded_are_left_alone_by_the_next_run(pair):
    pair.failing["app1"] = "broken"
    pair.plan()
    pair.migration()
    pair.run(pair.ended)
    assert "Failed" in pair.conditions("Plan", "p")
    kept, machine = pair.vm("app2"), pair.get("VirtualMachine", "app2", TARGET)
    pair.failing.clear()
    pair.migration("again")
    pair.run(lambda: "Succeeded" in pair.conditions("Plan", "p"))
    assert pair.vm("app2") == kept
    assert pair.get("VirtualMachine", "app2", TARGET)["metadata"]["uid"] == machine["metadata"]["uid"]
    assert pair.get("VirtualMachine", "app1", TARGET)
    assert pair.count("PersistentVolumeClaim", TARGET, vmID="id-app2", resource="vm-config") == 2


def test_leftovers_stay_for_who_wants_them(world):
    world.failing["app1"] = "broken"
    world.plan(deleteVmOnFailMigration=False)
    world.migration()
    world.run(world.ended)
    [old] = world.api.list("DataVolume", TARGET)
    world.failing.clear()
    world.migration("again")
    world.run(lambda: "Succeeded" in world.conditions("Plan", "p"))
    assert world.api.find("PersistentVolumeClaim", TARGET, old["metadata"]["name"])


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_a_conversion_that_somebody_deletes_fails_its_vm(world, phase):
    world.held.add(phase)
    world.plan()
    world.migration()
    world.run(lambda: any(p["status"].get("phase") == phase for p in world.api.list("Pod", TARGET, {"forklift.app": "virt-v2v"})))
    [conversion] = world.api.list("Conversion")
    world.gone("Conversion", PLANS, conversion["metadata"]["name"])
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ["The Conversion of this VM is gone."]
    assert world.count("Pod", TARGET, **{"forklift.app": "virt-v2v"}) == 0
    assert world.count("VirtualMachine") == 0


def test_a_conversion_pod_that_somebody_deletes_fails_its_vm(world):
    world.held.add("Running")
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    [pod] = world.api.list("Pod", TARGET, {"forklift.app": "virt-v2v"})
    world.api.delete("Pod", TARGET, pod["metadata"]["name"])
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ["The conversion has failed: conversion pod not found"]


def test_another_target_namespace_meanwhile_ends_the_run_and_the_next_one_leaves_nothing_behind(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    plan = world.get("Plan", "p")
    world.api.update({**plan, "spec": {**plan["spec"], "targetNamespace": "elsewhere"}})
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ["The conversion pod is not in namespace elsewhere (any more); the disks may not be complete."]
    assert world.count("VirtualMachine") == 0
    world.migration("again")
    world.run(lambda: "Succeeded" in world.conditions("Plan", "p"))
    assert world.count("VirtualMachine", "elsewhere") == 1
    assert [world.count(kind, TARGET) for kind in ("Pod", "DataVolume", "PersistentVolumeClaim", "Secret", "ConfigMap")] == [0] * 5


def test_a_data_volume_that_fails_is_noticed(world):
    world.refusing = True
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.settle(2)
    [volume] = world.api.list("DataVolume", TARGET)
    volume["status"] = {"phase": "Failed", "conditions": [{"type": "Running", "status": "False", "reason": "Error", "message": "no space"}]}
    world.api.update_status(volume)
    world.reconcile()
    assert world.vm()["error"]["reasons"] == ["The DataVolume of disk /ova/app1.ova::app1-disk1.vmdk failed: Error; no space"]


def test_while_a_disk_waits_its_step_says_why(world):
    world.refusing = True
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.settle(3)
    step = next(s for s in world.vm()["pipeline"] if s["name"] == "DiskAllocation")
    assert step["phase"] == step["tasks"][0]["phase"] == "Pending"
    assert step["reason"] == step["tasks"][0]["reason"]
    assert step["reason"].startswith("Pending; PVC ")
    [claim] = world.api.list("PersistentVolumeClaim", TARGET)
    world.api.record_event(claim, "Warning", "ProvisioningFailed", "no room for 2Gi", "provisioner")
    world.turn()
    step = next(s for s in world.vm()["pipeline"] if s["name"] == "DiskAllocation")
    assert step["reason"] == "ProvisioningFailed; no room for 2Gi"
    world.refusing = False
    world.run(world.ended)
    step = next(s for s in world.vm()["pipeline"] if s["name"] == "DiskAllocation")
    assert "reason" not in step
    assert step["tasks"][0]["reason"] == "Transfer completed."


def test_ova_disks_are_never_left_unconverted_and_empty(world):
    world.plan(skipGuestConversion=True)
    world.migration()
    world.run(world.ended)
    assert "skipGuestConversion is not possible" in world.vm()["error"]["reasons"][0]
    assert world.count("VirtualMachine") == 0


def test_no_virtual_machine_on_a_partial_disk(world):
    """Whatever led to CreateVM: a pod that has not succeeded means no VirtualMachine."""
    world.held.add("Running")
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    plan = world.get("Plan", "p")
    plan["status"]["migration"]["vms"][0]["phase"] = "CreateVM"
    world.api.update_status(plan)
    world.reconcile()
    assert world.count("VirtualMachine") == 0
    assert world.vm()["error"]["reasons"] == ["The conversion pod has not succeeded; the disks may not be complete."]


def test_an_unexpected_error_fails_the_vm_and_not_the_others(pair):
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app1")["phase"] == "CopyDisksVirtV2V")
    del pair.vms[0]["memoryMB"]
    pair.run(pair.ended)
    assert pair.vm("app1")["error"]["reasons"] == ["Unexpected error in phase CreateVM: KeyError: 'memoryMB'"]
    assert [c["type"] for c in pair.vm("app2")["conditions"]] == ["Succeeded"]
    assert "Failed" in pair.conditions("Plan", "p")


# What only a real cluster can do


def pair_maps(world, source, destination):
    """Empty maps between two providers, and the plan's fields that name them."""
    pair = {"source": source, "destination": destination}
    world.ready("NetworkMap", PLANS, "net2", {"provider": pair, "map": []}, references=[])
    world.ready("StorageMap", PLANS, "sto2", {"provider": pair, "map": []}, references=[])
    maps = {"network": {"name": "net2", "namespace": PLANS}, "storage": {"name": "sto2", "namespace": PLANS}}
    return {"provider": pair, "map": maps}


HOST = {"name": "host", "namespace": CONTROLLERS}


def test_a_source_that_cannot_be_migrated_from_here_is_refused(world, monkeypatch):
    monkeypatch.delitem(ADAPTERS, "openshift")
    world.create("v1", "Namespace", "", "guests")
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}
    world.create("kubevirt.io/v1", "VirtualMachine", "guests", "g", spec=spec)
    world.plan(**pair_maps(world, HOST, HOST))
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"namespace": "guests", "name": "g"}]}})
    world.settle(2)
    found = world.conditions("Plan", "p")["MigrationTypeNotValid"]
    assert found["message"] == "Migrations from source providers of type `openshift` are not available here."
    assert "Ready" not in world.conditions("Plan", "p")
