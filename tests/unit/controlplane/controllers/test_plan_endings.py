"""Runs that are ended from outside: canceled, deleted, archived, or left without what they need."""

from __future__ import annotations

import time

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.migration import execution, runner
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import CONTROLLERS, FORKLIFT, PLANS, TARGET, World, source_vm

STEPS = ["Initialize", "DiskAllocation", "ImageConversion", "DiskTransferV2v", "VirtualMachineCreation"]


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


def cancel(world, *names, run="run"):
    world.api.patch("Migration", PLANS, run, {"spec": {"cancel": [{"name": name} for name in names]}})


def test_one_vm_is_canceled_and_the_other_goes_on(pair):
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app1")["phase"] == "AllocateDisks")
    cancel(pair, "app1")
    pair.run(pair.ended)
    pair.settle(2)
    canceled = pair.vm("app1")
    assert [(c["type"], c["reason"], c["message"]) for c in canceled["conditions"]] == [
        ("Canceled", "UserRequested", "The migration has been canceled.")
    ]
    assert canceled["phase"] == "Completed"
    assert canceled["completed"]
    assert steps(canceled) == dict(
        zip(STEPS, ["Completed", steps(canceled)["DiskAllocation"], "Pending", "Pending", "Pending"], strict=True)
    )
    assert "completed" in next(s for s in canceled["pipeline"] if s["name"] == "DiskAllocation")
    assert [c["type"] for c in pair.vm("app2")["conditions"]] == ["Succeeded"]
    assert "Succeeded" in pair.conditions("Plan", "p")
    for kind in ("DataVolume", "PersistentVolumeClaim", "Pod", "Secret", "ConfigMap", "PersistentVolume"):
        assert pair.count(kind, vmID="id-app1") == 0, kind


def test_all_vms_canceled_end_the_run_canceled_and_the_next_migration_runs(pair):
    pair.held.add("Running")
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app2")["phase"] == "ConvertGuest")
    cancel(pair, "app1", "app2")
    pair.run(pair.ended)
    pair.settle(2)
    assert pair.conditions("Plan", "p")["Canceled"]["message"] == "The plan execution has been CANCELED."
    assert pair.conditions("Migration", "run")["Canceled"]["message"] == "The plan execution has been CANCELED."
    assert pair.count("Pod", TARGET) == pair.count("PersistentVolumeClaim", TARGET) == 0
    pair.held.clear()
    pair.migration("again")
    pair.run(lambda: "Succeeded" in pair.conditions("Plan", "p"))
    assert "Canceled" not in pair.conditions("Plan", "p")
    assert pair.count("VirtualMachine") == 2


def test_cancel_by_id_and_a_reference_that_means_nothing(pair):
    pair.plan()
    pair.migration(cancel=[{"id": "id-app1"}, {"name": "nobody"}])
    pair.run(pair.ended)
    pair.settle(2)
    assert [c["type"] for c in pair.vm("app1")["conditions"]] == ["Canceled"]
    found = pair.conditions("Migration", "run")
    assert "Succeeded" in found


def test_a_reference_to_no_vm_is_shown_while_the_run_goes_on(pair):
    pair.plan()
    pair.migration(cancel=[{"name": "nobody"}])
    pair.run(lambda: pair.vm("app1")["phase"] == "AllocateDisks")
    found = pair.conditions("Migration", "run")["VMNotFound"]
    assert (found["category"], found["reason"], found["items"]) == ("Warn", "NotFound", [" id: name:'nobody' "])


def test_a_deleted_migration_ends_the_run(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.delete("Migration", PLANS, "run")
    world.settle(3)
    assert set(world.conditions("Plan", "p")) == {"Ready"}
    [entry] = world.get("Plan", "p")["status"]["migration"]["history"]
    assert [(c["type"], c["reason"], c["message"]) for c in entry["conditions"]] == [
        ("Canceled", "Deleted", "The migration has been deleted.")
    ]
    vm = world.vm()
    assert [(c["type"], c["reason"]) for c in vm["conditions"]] == [("Canceled", "Modified")]
    assert vm["completed"]
    assert vm["phase"] == "AllocateDisks"
    assert world.count("DataVolume") == world.count("PersistentVolumeClaim") == world.count("Pod") == 0
    world.migration("again")
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_vm_that_had_just_failed_when_its_migration_was_deleted_comes_to_its_end(pair):
    pair.failing["app1"] = "broken"
    pair.plan()
    pair.migration()
    pair.run(lambda: "error" in pair.vm("app1"))
    assert "completed" not in pair.vm("app1")
    pair.api.delete("Migration", PLANS, "run")
    pair.settle(2)
    assert [c["type"] for c in pair.vm("app1")["conditions"]] == ["Failed"]
    assert [c["type"] for c in pair.vm("app2")["conditions"]] == ["Canceled"]
    assert pair.vm("app1")["completed"]
    assert pair.vm("app2")["completed"]


def test_a_migration_made_anew_under_its_old_name_is_another_one(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.delete("Migration", PLANS, "run")
    world.migration()
    world.run(world.ended)
    history = world.get("Plan", "p")["status"]["migration"]["history"]
    assert [[c["type"] for c in entry["conditions"]] for entry in history] == [["Canceled"], ["Succeeded"]]


def test_a_map_that_became_another_one_cancels_the_run(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    old = world.get("NetworkMap", "net")
    world.api.delete("NetworkMap", PLANS, "net")
    fresh = world.create(FORKLIFT, "NetworkMap", PLANS, "net", spec=old["spec"])
    world.api.update_status({**fresh, "status": old["status"]})
    world.run(world.ended)
    world.settle(2)
    found = world.conditions("Plan", "p")["Canceled"]
    assert (found["reason"], found["message"]) == ("Modified", "The migration has been canceled.")
    assert world.conditions("Migration", "run")["Canceled"]["reason"] == "Modified"
    assert world.count("DataVolume") == 0


def test_a_map_that_was_only_edited_does_not(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.patch("StorageMap", PLANS, "sto", {"metadata": {"labels": {"a": "b"}}})
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_vm_that_vanishes_from_its_source_is_canceled(pair):
    pair.plan()
    pair.migration()
    pair.run(lambda: pair.vm("app1")["phase"] == "AllocateDisks")
    del pair.vms[0]
    pair.run(pair.ended)
    [found] = pair.vm("app1")["conditions"]
    assert (found["type"], found["reason"], found["message"]) == ("Canceled", "NotFound", "VM was not found in inventory.")
    assert "Succeeded" in pair.conditions("Plan", "p")


def test_archiving_a_plan_that_succeeded_leaves_the_vm_only(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    world.api.patch("Plan", PLANS, "p", {"spec": {"archived": True}})
    world.settle(2)
    assert set(world.conditions("Plan", "p")) == {"Succeeded", "Archived"}
    assert world.conditions("Plan", "p")["Archived"]["reason"] == "UserRequested"
    assert world.get("Plan", "p")["status"]["observedGeneration"] == 2
    assert world.count("Conversion") == world.count("Pod") == world.count("PersistentVolume") == 0
    assert world.get("VirtualMachine", "app1", TARGET)
    assert world.count("PersistentVolumeClaim", TARGET) == 1


def test_archiving_a_plan_that_failed_takes_its_disks_away(world):
    world.failing["app1"] = "broken"
    world.plan()
    world.migration()
    world.run(world.ended)
    world.api.patch("Plan", PLANS, "p", {"spec": {"archived": True}})
    world.settle(2)
    assert set(world.conditions("Plan", "p")) == {"Failed", "Archived"}
    for kind in ("DataVolume", "PersistentVolumeClaim", "Pod", "Conversion", "PersistentVolume"):
        assert world.count(kind) == 0, kind


def test_archiving_a_plan_that_runs_cancels_the_run(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.patch("Plan", PLANS, "p", {"spec": {"archived": True}})
    world.settle(2)
    assert {"Archived", "Canceled"} <= set(world.conditions("Plan", "p"))
    assert "Executing" not in world.conditions("Plan", "p")
    assert "Canceled" in world.conditions("Migration", "run")
    assert world.count("DataVolume") == 0


def test_deleting_a_running_plan_leaves_nothing(world):
    world.held.add("Running")
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    world.gone("Plan", PLANS, "p")
    for kind in ("Migration", "DataVolume", "PersistentVolumeClaim", "Pod", "Conversion", "PersistentVolume", "ConfigMap"):
        assert world.count(kind) == 0, kind
    assert world.count("Secret", TARGET) == 0


def test_a_namespace_deleted_with_its_plan_is_not_made_again_by_the_pass_under_way(world, monkeypatch):
    def begin(run, original=execution._begin):
        run.api.delete("Namespace", None, PLANS)
        original(run)

    monkeypatch.setattr(execution, "_begin", begin)
    world.plan(targetNamespace=PLANS)
    world.migration()
    with pytest.raises(ApiError, match="not found"):
        world.run(world.ended)
    assert world.api.find("Namespace", None, PLANS) is None


def test_deleting_a_plan_that_succeeded_leaves_vm_and_disks(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    world.gone("Plan", PLANS, "p")
    assert world.count("Pod") == world.count("Conversion") == world.count("PersistentVolume") == 0
    machine = world.get("VirtualMachine", "app1", TARGET)
    [claim] = world.api.list("PersistentVolumeClaim", TARGET)
    assert claim["metadata"]["ownerReferences"][0]["uid"] == machine["metadata"]["uid"]


def test_a_new_plan_of_an_old_name_sweeps_up_before_it_begins(world):
    world.held.add("Running")
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    old = world.get("Plan", "p")["metadata"]["uid"]
    world.api.delete("Plan", PLANS, "p")  # and nobody looked before the next one was there
    world.held.clear()
    world.plan()
    world.migration()
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    for kind in ("DataVolume", "PersistentVolumeClaim", "Pod", "Conversion", "PersistentVolume"):
        assert world.count(kind, plan=old) == 0, kind


def test_events_tell_the_story_of_a_plan(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    about = [e for e in world.api.list("Event", PLANS) if e["involvedObject"]["kind"] == "Plan"]
    assert {e["reason"] for e in about} == {"Ready", "Executing", "Succeeded"}
    assert {e["type"] for e in about} == {"Normal"}
    assert {e["source"]["component"] for e in about} == {"plan"}


# Blockers


def lose_source(world):
    provider = world.get("Provider", "src")
    provider["status"]["conditions"][0]["status"] = "False"
    world.api.update_status(provider)


def test_a_run_stands_still_while_its_plan_is_blocked_and_goes_on_after_that(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    before = world.get("Provider", "src")
    lose_source(world)
    world.settle(10)
    assert world.vm()["phase"] == "AllocateDisks"
    assert {"Executing", "SourceProviderNotReady"} <= set(world.conditions("Plan", "p"))
    assert "Ready" not in world.conditions("Plan", "p")
    world.api.update_status({**world.get("Provider", "src"), "status": before["status"]})
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_run_that_stays_blocked_fails_when_the_grace_is_over(world, monkeypatch):
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"controller_blocker_grace_period_minutes": 2}})
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    lose_source(world)
    world.turn()
    real = time.time
    monkeypatch.setattr(runner.time, "time", lambda: real() + 110)
    world.settle(2)
    assert "Executing" in world.conditions("Plan", "p")
    monkeypatch.setattr(runner.time, "time", lambda: real() + 130)
    world.settle(2)
    expected = (
        "The migration has FAILED due to a validation blocker: SourceProviderNotReady: "
        "The source provider does not have the Ready condition."
    )
    assert world.conditions("Plan", "p")["Failed"]["message"] == expected
    assert world.vm()["error"]["reasons"] == [expected]
    assert world.vm()["completed"]
    assert "Failed" in world.conditions("Migration", "run")


def test_a_blocked_plan_does_not_begin(world):
    lose_source(world)
    world.plan()
    world.migration()
    world.settle()
    assert set(world.conditions("Plan", "p")) == {"SourceProviderNotReady"}
    assert set(world.conditions("Migration", "run")) == {"PlanNotReady"}
    assert "history" not in world.get("Plan", "p")["status"]["migration"]


# What leads to a plan


def test_what_concerns_a_plan_leads_to_it(world):
    world.plan()
    world.plan("q")
    routes = world.plans.triggers()
    both = [(PLANS, "p"), (PLANS, "q")]
    assert list(routes["Migration"](world.migration())) == [(PLANS, "p")]
    assert sorted(routes["Provider"](world.get("Provider", "src"))) == both
    assert sorted(routes["NetworkMap"](world.get("NetworkMap", "net"))) == both
    assert sorted(routes["StorageMap"](world.get("StorageMap", "sto"))) == both
    assert list(routes["Pod"]({"metadata": {"name": "stranger"}})) == []


def test_a_changed_inventory_leads_to_the_plans_of_its_provider(world):
    world.plan()
    seen = []
    world.plans.enqueue = seen.append
    [(uid, callback)] = [(world.get("Provider", "src")["metadata"]["uid"], c) for c in world.inventory.callbacks]
    callback(uid, "vms", None)
    callback("other", "vms", None)
    assert seen == [(PLANS, "p")]


def keys_of(world):
    """Secrets in the target namespace that say they are copies of LUKS keys."""
    return [secret for secret in world.api.list("Secret", TARGET) if secret["metadata"].get("labels", {}).get("isLUKS") == "true"]


@pytest.mark.parametrize("end", ["succeeds", "plan is deleted"])
def test_no_copy_of_keys_outlives_its_use(world, end):
    """One of the two copies is known by the uid of its plan only, as with Forklift."""
    world.create("v1", "Secret", PLANS, "keys", type="Opaque", data={"root": "a2V5"})
    world.create("v1", "Namespace", "", TARGET)
    world.create("v1", "Secret", TARGET, "mine", type="Opaque")
    mine = world.api.get("Secret", TARGET, "mine")
    mine["metadata"]["labels"] = {"isLUKS": "true"}  # of somebody else, who likes the label
    world.api.update(mine)
    world.plan()
    plan = world.get("Plan", "p")
    plan["spec"]["vms"][0]["luks"] = {"name": "keys", "namespace": PLANS}
    world.api.update(plan)
    world.held.add("Running")
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    names = sorted(secret["metadata"]["generateName"] for secret in keys_of(world) if secret["metadata"]["name"] != "mine")
    assert names == ["p-id-app1-", "p-id-app1-luks-"]
    if end == "succeeds":
        world.held.clear()
        world.run(world.ended)
    else:
        world.gone("Plan", PLANS, "p")
    assert [secret["metadata"]["name"] for secret in keys_of(world)] == ["mine"]
    assert world.api.get("Secret", PLANS, "keys")
