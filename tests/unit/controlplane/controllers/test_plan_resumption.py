"""Migrations that only convert again what an earlier one has copied (`resumeConversion`)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import labels, resumption
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ADAPTERS
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import PLANS, TARGET, World, source_vm

FAILURE = "virt-v2v-in-place: no operating system was found"


class CopiedApart(ADAPTERS["ova"]):
    """A source whose disks are copied before they are converted, as those of vSphere are, in a warm migration for one."""

    def traits(self, work):
        return replace(super().traits(work), virt_v2v_copies=False)

    def disks(self, work):
        return [replace(disk, labels={labels.VM_UUID: work.source_vm["uuid"]}) for disk in super().disks(work)]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])
    monkeypatch.setitem(ADAPTERS, "ova", CopiedApart)
    return World(tmp_path, [source_vm("app1"), source_vm("app2", disks=2)])


def failed(world, *vms, **spec):
    world.failing.update(dict.fromkeys(vms, FAILURE))
    world.plan(**spec)
    world.migration()
    world.run(world.ended)
    world.settle(2)
    assert "Failed" in world.conditions("Plan", "p")
    world.failing.clear()


def claims(world, vm):
    return world.api.list("PersistentVolumeClaim", TARGET, {"vmID": f"id-{vm}", "vmUUID": f"uuid-{vm}"})


def uids(objects):
    return {obj["metadata"]["uid"] for obj in objects}


def conversion_pods(world):
    return uids(world.api.list("Pod", TARGET, {"forklift.app": "virt-v2v"}))


def resume(world):
    world.migration("again", resumeConversion=True)
    world.run(lambda: "Succeeded" in world.conditions("Migration", "again") or "Failed" in world.conditions("Migration", "again"))
    world.settle(2)


def test_what_was_copied_is_converted_and_nothing_is_copied_again(world):
    failed(world, "app1", "app2")
    assert world.conditions("Plan", "p")["ConversionResumable"]["category"] == "Advisory"
    before = {vm: uids(claims(world, vm)) for vm in ("app1", "app2")}
    pods = conversion_pods(world)
    assert world.count("DataVolume", TARGET) == 3
    resume(world)
    assert set(world.conditions("Plan", "p")) == {"Ready", "Succeeded"}
    assert world.count("DataVolume", TARGET) == 0
    for name in ("app1", "app2"):
        vm = world.vm(name)
        assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "ImageConversion", "VirtualMachineCreation"]
        assert vm["disksCopied"] is True and "error" not in vm
        machine = world.get("VirtualMachine", name, TARGET)
        assert uids(claims(world, name)) == before[name]
        assert {owner["uid"] for claim in claims(world, name) for owner in claim["metadata"]["ownerReferences"]} == uids([machine])
    assert len(conversion_pods(world)) == 2 and not conversion_pods(world) & pods


def test_what_the_first_run_knew_is_kept(world):
    """Its source is off, so that nobody could tell any more that it ran; its new name stays."""
    failed(world, "app1", vms=["app1"])
    plan = world.get("Plan", "p")
    plan["status"]["migration"]["vms"][0] |= {"restorePowerState": "On", "newName": "app-1"}
    world.api.update_status(plan)
    resume(world)
    assert world.vm()["restorePowerState"] == "On"
    assert world.get("VirtualMachine", "app-1", TARGET)["spec"]["runStrategy"] == "Always"


def test_disks_that_were_being_written_when_it_failed_are_copied_again(world, monkeypatch):
    """They hold half of what the conversion has changed."""
    progress = {"stage": "Writing what was changed", "disks": {}}
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.cluster.pods.conversion_progress", lambda state, uid: progress)
    failed(world, "app1", "app2")
    assert "ConversionResumable" not in world.conditions("Plan", "p")
    assert "disksCopied" not in world.vm("app1")


def forget_copies(world, *vms):
    """As if they had failed before their disks were there."""
    plan = world.get("Plan", "p")
    for vm in plan["status"]["migration"]["vms"]:
        if vm["name"] in vms:
            del vm["disksCopied"]
    world.api.update_status(plan)


def test_a_vm_whose_disks_were_not_copied_stays_as_it_ended(world):
    failed(world, "app1", "app2")
    forget_copies(world, "app2")
    before = world.vm("app2")
    resume(world)
    assert "Failed" in world.conditions("Migration", "again")
    assert [c["type"] for c in world.vm("app1")["conditions"]] == ["Succeeded"]
    assert world.vm("app2") == before and world.api.find("VirtualMachine", TARGET, "app2") is None
    assert "ConversionResumable" not in world.conditions("Plan", "p")


def test_a_resumption_of_nothing_is_refused_and_touches_nothing(world):
    failed(world, "app1", "app2")
    forget_copies(world, "app1", "app2")
    kept = [uids(claims(world, vm)) for vm in ("app1", "app2")]
    vms = [world.vm(vm) for vm in ("app1", "app2")]
    resume(world)
    [_first, refused] = world.get("Plan", "p")["status"]["migration"]["history"]
    said = "The conversion cannot be resumed: no VM of the plan failed after all its disks were copied."
    assert [(c["type"], c["category"], c["message"]) for c in refused["conditions"]] == [("Failed", "Critical", said)]
    assert world.conditions("Plan", "p")["Failed"]["message"] == said
    assert [world.vm(vm) for vm in ("app1", "app2")] == vms
    assert [uids(claims(world, vm)) for vm in ("app1", "app2")] == kept


def test_a_disk_that_is_gone_fails_its_vm_with_a_sentence(world):
    failed(world, "app1", vms=["app1"])
    [claim] = claims(world, "app1")
    world.api.delete("DataVolume", TARGET, claim["metadata"]["name"])  # and its claim with it
    pods = conversion_pods(world)
    resume(world)
    [why] = world.vm()["error"]["reasons"]
    assert why.startswith(
        "Disk /ova/app1.ova::app1-disk1.vmdk needs one PersistentVolumeClaim in namespace tgt with the labels vmID=id-app1,"
    )
    assert conversion_pods(world) == pods, "no other one was begun"


def test_any_other_retry_copies_anew(world):
    failed(world, "app1", vms=["app1"])
    before = uids(claims(world, "app1"))
    world.migration("again")
    world.run(lambda: "Executing" in world.conditions("Plan", "p"))
    assert "ConversionResumable" not in world.conditions("Plan", "p") and "disksCopied" not in world.vm()
    world.run(lambda: "Succeeded" in world.conditions("Plan", "p"))
    assert claims(world, "app1") and not uids(claims(world, "app1")) & before


def test_an_archived_plan_offers_nothing(world):
    failed(world, "app1", vms=["app1"])
    world.api.patch("Plan", PLANS, "p", {"spec": {"archived": True}})
    world.settle(3)
    assert "ConversionResumable" not in world.conditions("Plan", "p") and claims(world, "app1") == []


def test_no_vm_is_resumed_whose_target_was_made(world):
    """Its disks are those of a VM by now, which may run."""
    failed(world, "app1", vms=["app1"])
    vm = world.vm()
    assert resumption.resumable(vm)
    made = [{**step, "phase": "Completed"} for step in vm["pipeline"]]
    assert not resumption.resumable({**vm, "pipeline": made})
