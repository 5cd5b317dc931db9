"""A control plane that dies in the middle of a run: the next one goes on, and makes nothing twice."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import pytest

from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import CONTROLLERS, PLANS, TARGET, World, source_vm

PHASES = (
    "StorePowerState",
    "PowerOffSource",
    "WaitForPowerOff",
    "CreateDataVolumes",
    "AllocateDisks",
    "CreateGuestConversionPod",
    "ConvertGuest",
    "CopyDisksVirtV2V",
    "CreateVM",
)


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


class Killed(BaseException):
    """What no code may catch: the process is gone."""


@contextmanager
def killed_after(world, writes):
    """The process dies right after its `writes`-th committed write from now on; yields how many there were."""
    count = [0]
    original = world.store.transaction

    @contextmanager
    def transaction(*, keep=True):
        outermost = world.store._changes is None
        before = world.store.revision
        with original(keep=keep):
            yield
        if outermost and world.store.revision != before:
            count[0] += 1
            if count[0] == writes:
                raise Killed

    world.store.transaction = transaction
    try:
        yield count
    except Killed:
        pass
    finally:
        world.store.transaction = original


def births(world):
    """How many objects of each kind were ever made in the target namespace, by whichever process; filled as time goes on."""
    made = Counter()
    seen = set()

    def count(event, obj):
        if event.type == "ADDED" and obj["metadata"].get("namespace") == TARGET and obj["metadata"]["uid"] not in seen:
            seen.add(obj["metadata"]["uid"])
            made[obj["kind"]] += 1

    world.store.subscribe(count)
    return made


MADE = {"Secret": 2, "ConfigMap": 1, "DataVolume": 2, "PersistentVolumeClaim": 3, "Pod": 2, "VirtualMachine": 1}


def assert_migrated_once(world, disks=2):
    """One VirtualMachine on all its disks, and nothing left of the way there."""
    [machine] = world.api.list("VirtualMachine")
    claims = [c for c in world.api.list("PersistentVolumeClaim") if c["metadata"]["labels"].get("resource") == "vm-config"]
    assert len(claims) == disks
    assert {c["metadata"]["ownerReferences"][0]["uid"] for c in claims} == {machine["metadata"]["uid"]}
    used = [v["persistentVolumeClaim"]["claimName"] for v in machine["spec"]["template"]["spec"]["volumes"]]
    assert sorted(used) == sorted(c["metadata"]["name"] for c in claims)
    assert world.count("Conversion") == world.count("Pod", **{"forklift.app": "virt-v2v"}) == 1
    assert world.count("Pod", **{"forklift.app": "consumer"}) == 0
    assert world.count("Secret", TARGET) == world.count("ConfigMap") == world.count("DataVolume") == 0
    assert world.count("PersistentVolume") == world.count("PersistentVolumeClaim", ova="nfs-pvc") == 1
    assert len(world.get("Plan", "p")["status"]["migration"]["history"]) == 1


@pytest.mark.parametrize("phase", PHASES)
def test_a_new_control_plane_goes_on_in_any_phase(tmp_path, phase):
    world = World(tmp_path, [source_vm("app1", disks=2)])
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == phase)
    world.restart()
    assert world.vm()["phase"] == phase
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    assert_migrated_once(world)


def writes_of_a_run(tmp_path):
    world = World(tmp_path, [source_vm("app1", disks=2)])
    world.plan()
    world.migration()
    with killed_after(world, -1) as count:
        world.run(world.ended)
        world.settle(6)
    return count[0]


def test_killed_after_any_write_the_run_still_ends_well(tmp_path):
    """Every single write of a run, of controllers and cluster alike, is once the last one of its process."""
    total = writes_of_a_run(tmp_path / "whole")
    assert total > 50
    for writes in range(1, total + 1):
        world = World(tmp_path / str(writes), [source_vm("app1", disks=2)])
        made = births(world)
        world.plan()
        world.migration()
        with killed_after(world, writes):
            world.run(world.ended)
            world.settle(6)
        world.restart()
        world.run(world.ended)
        world.settle(6)
        assert made == MADE, writes
        assert "Succeeded" in world.conditions("Plan", "p"), writes
        assert "Succeeded" in world.conditions("Migration", "run"), writes
        assert_migrated_once(world)


def test_killed_after_any_write_of_a_cancel_nothing_is_left(tmp_path):
    for writes in range(1, 40):
        world = World(tmp_path / str(writes), [source_vm("app1", disks=2)])
        world.held.add("Running")
        world.plan()
        world.migration()
        world.run(lambda world=world: world.vm()["phase"] == "ConvertGuest")
        world.api.patch("Migration", PLANS, "run", {"spec": {"cancel": [{"name": "app1"}]}})
        with killed_after(world, writes) as count:
            world.run(world.ended)
            world.settle(4)
        world.restart()
        world.run(world.ended)
        world.settle(4)
        assert "Canceled" in world.conditions("Migration", "run"), writes
        for kind in ("DataVolume", "PersistentVolumeClaim", "Pod", "Conversion", "PersistentVolume", "ConfigMap", "VirtualMachine"):
            assert world.count(kind) == 0, (kind, writes)
        if count[0] < writes:
            return  # the whole cancel went by without being killed
    raise AssertionError("a cancel has more writes than were tried")


def test_killed_while_failed_disks_are_swept_up_the_next_attempt_still_succeeds(tmp_path):
    for writes in range(1, 40):
        world = World(tmp_path / str(writes), [source_vm("app1", disks=2)])
        world.failing["app1"] = "broken"
        world.plan()
        world.migration()
        world.run(world.ended)
        world.failing.clear()
        world.migration("again")
        with killed_after(world, writes) as count:
            world.run(lambda world=world: world.vm()["phase"] == "PowerOffSource")
        world.restart()
        world.run(lambda world=world: "Succeeded" in world.conditions("Plan", "p"))
        claims = world.count("PersistentVolumeClaim", TARGET, resource="vm-config")
        assert (claims, world.count("VirtualMachine")) == (2, 1), writes
        if count[0] < writes:
            return
    raise AssertionError("sweeping up has more writes than were tried")


def test_a_waiting_vm_is_still_waiting_after_a_restart(tmp_path):
    world = World(tmp_path, [source_vm("app1"), source_vm("app2")])
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"controller_max_vm_inflight": 1}})
    world.held.add("Running")
    world.plan()
    world.migration()
    world.run(lambda: world.vm("app1")["phase"] == "ConvertGuest")
    world.restart()
    world.settle(2)
    assert "started" not in world.vm("app2")
    world.held.clear()
    world.run(world.ended)
    assert world.count("VirtualMachine") == 2


def test_a_plan_whose_migration_was_deleted_meanwhile_ends(tmp_path):
    world = World(tmp_path)
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.delete("Migration", PLANS, "run")
    world.restart()
    world.settle(3)
    assert "Executing" not in world.conditions("Plan", "p")
    assert world.count("DataVolume") == 0


def test_children_of_a_plan_that_is_gone_lead_to_it(tmp_path):
    """Killed between the deletion of a plan and the look at it: at the next start its children still name it."""
    world = World(tmp_path)
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.api.delete("Plan", PLANS, "p")
    world.restart()
    routes = world.plans.triggers()
    for kind in ("DataVolume", "Secret", "ConfigMap"):
        for child in world.api.list(kind, TARGET):
            assert list(routes[kind](child)) == [(PLANS, "p")]
