"""VMs that go to another cluster: managed here, made there, over its API and nothing else."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.abroad import Abroad
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import PLANS, TARGET, World

THERE = ("Secret", "ConfigMap", "DataVolume", "PersistentVolumeClaim", "Pod", "VirtualMachine")


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "here")
    made.create("v1", "Namespace", "", "kube-system")
    return made


@pytest.fixture
def abroad(tmp_path):
    made = Abroad(tmp_path / "there")
    yield made
    made.close()


def plan(world, abroad, **spec):
    """A plan from the OVA source to the other cluster, with a Migration."""
    destination = abroad.provider(world)
    world.start()
    pair = {"source": {"name": "src", "namespace": PLANS}, "destination": destination}
    for kind, name in (("NetworkMap", "net"), ("StorageMap", "sto")):
        world.api.patch(kind, PLANS, name, {"spec": {"provider": pair}})
    made = world.plan(provider=pair, **spec)
    world.migration()
    return made


def run(world, abroad, until, rounds=100):
    for _unused in range(rounds):
        if until():
            return
        world.reconcile()
        abroad.turn()
    raise AssertionError(world.get("Plan", "p")["status"])


def counts(world):
    """Objects of the target namespace, by kind."""
    return {kind: found for kind in THERE if (found := world.count(kind, TARGET))}


def test_a_migration_runs_to_its_end_on_the_other_cluster(world, abroad):
    plan(world, abroad)
    seen = set()
    abroad.do(lambda there: there.api.subscribe(lambda _event, kind, obj: seen.add(kind)))
    run(world, abroad, world.ended)
    assert set(world.conditions("Plan", "p")) == {"Ready", "Succeeded"}
    assert seen >= {"Namespace", *THERE}
    assert abroad.do(counts) == {"PersistentVolumeClaim": 2, "Pod": 1, "VirtualMachine": 1}  # the claims: of the disk and of the OVA store
    assert counts(world) == {}
    assert world.api.find("Namespace", None, TARGET) is None
    [conversion] = world.api.list("Conversion", PLANS)
    assert (conversion["spec"]["localMigration"], abroad.do(lambda there: there.count("Conversion"))) == (False, 0)


def test_what_the_conversion_tells_comes_over_the_api(world, abroad):
    plan(world, abroad)
    run(world, abroad, lambda: abroad.do(lambda there: list(there.state.pods.glob("*/progress.json"))))
    abroad.do(lambda there: there.held.add("Running"))  # when it has told of 50 %
    run(world, abroad, lambda: world.vm()["phase"] == "CopyDisksVirtV2V")
    world.reconcile()
    [step] = [step for step in world.vm()["pipeline"] if step["name"] == "DiskTransferV2v"]
    assert step["tasks"][0]["progress"] == {"completed": 1024, "total": 2048}
    abroad.do(lambda there: there.held.clear())
    run(world, abroad, world.ended)
    assert (world.vm()["firmware"], world.vm()["operatingSystem"]) == ("bios", "debian12")


def test_an_error_of_the_conversion_comes_over_the_api(world, abroad):
    plan(world, abroad)
    abroad.do(lambda there: there.failing.update(app1="the guest has no disk"))
    run(world, abroad, world.ended)
    assert "Guest conversion failed. See pod logs for details." in world.vm()["error"]["reasons"]


def test_volumes_are_bound_without_a_consumer(world, abroad):
    """The consumer pod of a WaitForFirstConsumer class would be made on the wrong cluster by Forklift; CDI is asked to bind at once."""
    plan(world, abroad)
    run(world, abroad, lambda: abroad.do(lambda there: there.count("DataVolume", TARGET)))
    [volume] = abroad.do(lambda there: there.api.list("DataVolume", TARGET))
    assert volume["metadata"]["annotations"]["cdi.kubevirt.io/storage.bind.immediate.requested"] == "true"


def test_a_cluster_that_does_not_answer_is_waited_for(world, abroad):
    plan(world, abroad)
    run(world, abroad, lambda: world.vm()["phase"] == "AllocateDisks")
    abroad.hang_up()
    for _unused in range(3):
        world.reconcile()
    assert world.vm()["phase"] == "AllocateDisks"
    assert "error" not in world.vm()
    abroad.pick_up()
    run(world, abroad, world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_cluster_that_does_not_answer_at_the_begin_is_waited_for(world, abroad):
    plan(world, abroad)
    abroad.hang_up()
    world.reconcile()
    world.reconcile()
    assert "history" not in world.get("Plan", "p")["status"]["migration"]
    abroad.pick_up()
    run(world, abroad, world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_token_that_may_not_makes_the_vm_fail(world, abroad):
    made = plan(world, abroad)
    account = abroad.do(lambda there: there.create("v1", "ServiceAccount", PLANS, "weak"))
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "create", "patch"]}]
    no_machines = [rule | {"apiGroups": ["", "cdi.kubevirt.io", "storage.k8s.io"]} for rule in rules]
    reading = {"apiGroups": ["kubevirt.io"], "resources": ["*"], "verbs": ["get", "list"]}
    abroad.do(lambda there: there.create("rbac.authorization.k8s.io/v1", "ClusterRole", "", "weak", rules=[*no_machines, reading]))
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "weak"},
        "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": PLANS}],
    }
    abroad.do(lambda there: there.create("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "weak", **binding))
    token = abroad.do(lambda there: abroad.tokens.issue(account))
    world.api.patch("Secret", PLANS, "abroad", {"stringData": {"token": token}})
    run(world, abroad, world.ended)
    assert "Failed" in world.conditions("Plan", made["metadata"]["name"])
    [reason] = world.vm()["error"]["reasons"]
    assert 'cannot create resource "virtualmachines"' in reason


def test_a_canceled_migration_leaves_nothing_there(world, abroad):
    plan(world, abroad)
    abroad.do(lambda there: there.held.add("Running"))
    run(world, abroad, lambda: world.vm()["phase"] == "ConvertGuest")
    world.api.patch("Migration", PLANS, "run", {"spec": {"cancel": [{"name": "app1"}]}})
    run(world, abroad, world.ended)
    assert "Canceled" in world.conditions("Plan", "p")
    assert abroad.do(counts) == {}


def test_a_deleted_plan_takes_along_what_it_has_there_but_not_what_plans_of_that_cluster_have(world, abroad):
    plan(world, abroad)
    run(world, abroad, lambda: world.vm()["phase"] == "ConvertGuest")
    meta = {"plan-name": "p", "plan-namespace": PLANS, "plan": "of-the-same-name-over-there"}
    twin = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "twin", "namespace": TARGET, "labels": meta}}
    abroad.do(lambda there: there.api.create(twin))
    world.gone("Plan", PLANS, "p")
    assert abroad.do(counts) == {"ConfigMap": 1}


def test_controllers_there_leave_alone_what_they_did_not_make(world, abroad):
    """A control plane there finds pods of a plan and a Conversion that it does not know: they are not leftovers of its own."""
    plan(world, abroad)
    run(world, abroad, lambda: world.vm()["phase"] == "ConvertGuest")
    before = abroad.do(counts)
    assert before["Pod"] == 1
    [pod] = abroad.do(lambda there: there.api.list("Pod", TARGET))
    abroad._await(abroad.world.plans.reconcile(PLANS, "p"))
    abroad._await(abroad.world.conversions.reconcile("", pod["metadata"]["labels"]["conversion"]))
    assert abroad.do(counts) == before
