"""Plans that run: from the first look to their end, by one Migration or by several."""

from __future__ import annotations

import pytest

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


def test_a_plan_becomes_ready(world):
    world.plan()
    world.settle(2)
    assert world.conditions("Plan", "p")["Ready"]["message"] == "The migration plan is ready."
    assert world.get("Plan", "p")["status"]["observedGeneration"] == 1
    assert [e["reason"] for e in world.api.list("Event", PLANS)] == ["Ready"]


def test_a_migration_runs_its_plan_to_the_end(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    world.settle(3)
    assert set(world.conditions("Plan", "p")) == {"Ready", "Succeeded"}
    assert set(world.conditions("Migration", "run")) == {"Ready", "Succeeded"}
    vm = world.vm()
    assert vm["phase"] == "Completed"
    assert steps(vm) == dict.fromkeys(STEPS, "Completed")
    assert vm["firmware"] == "bios"
    assert vm["operatingSystem"] == "debian12"
    assert [c["type"] for c in vm["conditions"]] == ["Succeeded"]
    for name in ("DiskAllocation", "DiskTransferV2v"):
        step = next(s for s in vm["pipeline"] if s["name"] == name)
        assert step["progress"] == {"completed": 2048, "total": 2048}


def test_the_migration_shows_what_the_plan_shows(world):
    world.plan()
    world.migration()
    world.run(lambda: world.vm()["phase"] == "ConvertGuest")
    world.reconcile()
    migration, plan = world.get("Migration", "run"), world.get("Plan", "p")
    assert migration["status"]["vms"] == plan["status"]["migration"]["vms"]
    assert set(world.conditions("Migration", "run")) == {"Ready", "Running"}
    assert migration["metadata"]["ownerReferences"] == [
        {"apiVersion": FORKLIFT, "kind": "Plan", "name": "p", "uid": plan["metadata"]["uid"]}
    ]
    world.run(world.ended)
    world.settle(2)
    status = world.get("Migration", "run")["status"]
    assert status["vms"] == world.get("Plan", "p")["status"]["migration"]["vms"]
    assert status["started"] <= status["completed"]
    assert status["observedGeneration"] == 1


def test_the_disks_are_handed_over_to_the_virtual_machine(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    machine = world.get("VirtualMachine", "app1", TARGET)
    [claim] = [c for c in world.api.list("PersistentVolumeClaim", TARGET) if c["spec"]["storageClassName"]]
    assert claim["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachine",
            "name": "app1",
            "uid": machine["metadata"]["uid"],
            "blockOwnerDeletion": True,
            "controller": False,
        }
    ]
    assert machine["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert world.count("DataVolume") == 0
    assert world.count("Secret", TARGET) == world.count("ConfigMap", TARGET) == 0
    assert world.count("Pod", TARGET, **{"forklift.app": "virt-v2v"}) == 1  # for its log
    assert world.count("Pod", TARGET, **{"forklift.app": "consumer"}) == 0


def test_the_conversion_pod_goes_where_the_plan_says_so(world):
    world.plan(deleteGuestConversionPod=True)
    world.migration()
    world.run(world.ended)
    assert world.count("Pod", TARGET) == world.count("Conversion") == 0


def test_disks_keep_the_order_of_the_source(tmp_path):
    world = World(tmp_path, [source_vm("app2", disks=3)])
    world.plan()
    world.migration()
    world.run(lambda: world.api.list("Conversion"))
    [conversion] = world.api.list("Conversion")
    world.run(world.ended)
    volumes = world.get("VirtualMachine", "app2", TARGET)["spec"]["template"]["spec"]["volumes"]
    names = [v["persistentVolumeClaim"]["claimName"] for v in volumes]
    assert [d["name"] for d in conversion["spec"]["disks"]] == names
    assert [d["mountPath"] for d in conversion["spec"]["disks"]] == ["/mnt/disks/disk0", "/mnt/disks/disk1", "/mnt/disks/disk2"]
    sources = [world.get("PersistentVolumeClaim", n, TARGET)["metadata"]["annotations"]["forklift.konveyor.io/disk-source"] for n in names]
    assert sources == [f"/ova/app2.ova::app2-disk{n}.vmdk" for n in (1, 2, 3)]


def test_a_class_that_binds_at_once_needs_no_consumer(world):
    storage_map = world.get("StorageMap", "sto")
    storage_map["spec"]["map"][0]["destination"]["storageClass"] = "eager"
    world.api.update(storage_map)
    world.plan()
    world.migration()
    seen = set()
    world.api.subscribe(lambda _event, kind, obj: seen.add(obj["metadata"]["name"]) if kind == "Pod" else None)
    world.run(world.ended)
    assert len(seen) == 1
    assert not any("pvcinit" in name for name in seen)


def test_one_consumer_binds_all_disks_of_a_vm(pair):
    pair.plan(vms=["app2"])
    pair.migration()
    seen = {}
    pair.api.subscribe(lambda _event, kind, obj: seen.setdefault(obj["metadata"]["name"], obj) if kind == "Pod" else None)
    pair.run(lambda: pair.vm("app2")["phase"] == "CreateGuestConversionPod")
    [(name, pod)] = list(seen.items())
    assert name.startswith("p-id-app2-pvcinit-")
    assert pod["metadata"]["labels"]["forklift.app"] == "consumer"
    assert len(pod["spec"]["volumes"]) == 2


def test_several_vms_run_side_by_side(pair):
    pair.plan()
    pair.migration()
    pair.run(pair.ended)
    assert [vm["phase"] for vm in pair.get("Plan", "p")["status"]["migration"]["vms"]] == ["Completed", "Completed"]
    assert pair.count("VirtualMachine", TARGET) == 2
    assert "Succeeded" in pair.conditions("Plan", "p")


def test_the_target_namespace_is_made_when_a_run_begins(world):
    world.plan()
    world.settle(2)
    assert world.api.find("Namespace", None, TARGET) is None
    world.migration()
    world.run(world.ended)
    assert world.api.find("Namespace", None, TARGET)


@pytest.mark.parametrize(("plan", "own", "strategy"), [(None, None, "Halted"), ("on", None, "Always"), ("on", "off", "Halted")])
def test_power_state_of_the_target(world, plan, own, strategy):
    world.plan(**({"targetPowerState": plan} if plan else {}))
    if own:
        world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "targetPowerState": own}]}})
    world.migration()
    world.run(world.ended)
    assert world.get("VirtualMachine", "app1", TARGET)["spec"]["runStrategy"] == strategy
    assert "restorePowerState" not in world.vm()


def test_history_tells_what_a_run_ran_with(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    [entry] = world.get("Plan", "p")["status"]["migration"]["history"]
    assert [c["type"] for c in entry["conditions"]] == ["Succeeded"]
    for part, kind, name, namespace in (
        (entry["migration"], "Migration", "run", PLANS),
        (entry["provider"]["destination"], "Provider", "host", CONTROLLERS),
        (entry["map"]["storage"], "StorageMap", "sto", PLANS),
    ):
        assert part["uid"] == world.get(kind, name, namespace)["metadata"]["uid"]


def test_one_migration_at_a_time(world):
    world.plan()
    world.migration("run")
    world.run(lambda: world.vm()["phase"] == "AllocateDisks")
    world.migration("run2")
    world.run(world.ended)
    world.settle()
    assert len(world.get("Plan", "p")["status"]["migration"]["history"]) == 1
    assert set(world.conditions("Migration", "run2")) == {"Ready"}
    assert "vms" not in world.get("Migration", "run2")["status"]


def test_a_plan_that_succeeded_is_frozen(world):
    world.plan()
    world.migration()
    world.run(world.ended)
    world.migration("run2")
    world.api.patch("Plan", PLANS, "p", {"spec": {"description": "edited"}})
    world.settle()
    plan = world.get("Plan", "p")
    assert (plan["metadata"]["generation"], plan["status"]["observedGeneration"]) == (2, 1)
    assert set(world.conditions("Migration", "run2")) == {"Ready"}


def test_a_migration_of_another_namespace_runs_the_plan_but_is_not_owned_by_it(world):
    world.plan()
    world.create(FORKLIFT, "Migration", CONTROLLERS, "far", spec={"plan": {"name": "p", "namespace": PLANS}})
    world.run(world.ended)
    world.settle(2)
    far = world.get("Migration", "far", CONTROLLERS)
    assert "ownerReferences" not in far["metadata"]
    assert any(c["type"] == "Succeeded" for c in far["status"]["conditions"])
