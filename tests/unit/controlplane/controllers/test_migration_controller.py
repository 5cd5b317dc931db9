"""Migrations and the plans they mean."""

from __future__ import annotations

import asyncio

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import store
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import FORKLIFT, PLANS, World


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def look(world, name="run"):
    asyncio.run(world.migrations.reconcile(PLANS, name))
    return world.conditions("Migration", name)


def test_a_plan_that_is_not_there(world):
    world.migration()
    found = look(world)
    assert set(found) == {"PlanNotValid"}
    assert (found["PlanNotValid"]["category"], found["PlanNotValid"]["reason"]) == ("Critical", "NotFound")


@pytest.mark.parametrize("reference", [{}, {"name": "p"}, {"namespace": PLANS}])
def test_a_reference_with_a_half_missing_is_not_set(world, reference):
    world.create(FORKLIFT, "Migration", PLANS, "run", spec={"plan": reference})
    assert look(world)["PlanNotValid"]["reason"] == "NotSet"


def test_a_plan_that_is_not_ready(world):
    world.plan()
    world.migration()
    found = look(world)
    assert set(found) == {"PlanNotReady"}
    assert found["PlanNotReady"]["message"] == "The `plan` does not have Ready condition."
    assert found["PlanNotReady"]["reason"] == "NotFound"
    asyncio.run(world.plans.reconcile(PLANS, "p"))
    assert "Ready" in look(world)


def test_changes_of_a_plan_concern_its_migrations_only(world):
    plan = world.plan()
    world.plan("q")
    world.migration("run")
    world.migration("other", plan="q")
    assert list(world.migrations.triggers()["Plan"](plan)) == [(PLANS, "run")]


def test_a_migration_that_has_ended_is_left_alone(world):
    world.plan()
    world.migration()
    world.run(lambda: "Succeeded" in world.conditions("Migration", "run"))
    before = world.get("Migration", "run")
    world.api.patch("Migration", PLANS, "run", {"spec": {"cancel": [{"name": "app1"}]}})
    look(world)
    after = world.get("Migration", "run")
    assert after["status"] == before["status"]
    assert after["metadata"]["generation"] == 2


def test_a_reference_to_cancel_that_means_two_vms(world):
    world.vms.append({**world.vms[0], "id": "id-other"})
    world.plan(vms=["app1"])
    plan = world.get("Plan", "p")
    plan["status"] = {"migration": {"vms": [{"id": i, "name": "app1", "phase": "Started", "pipeline": []} for i in ("1", "2")]}}
    world.api.update_status(plan)
    world.migration(cancel=[{"name": "app1"}])
    found = look(world)["VMNotUnique"]
    assert (found["category"], found["items"]) == ("Warn", [" id: name:'app1' "])


def test_events_of_a_migration(world):
    world.plan()
    world.migration()
    world.run(lambda: "Succeeded" in world.conditions("Migration", "run"))
    about = [e for e in world.api.list("Event", PLANS) if e["involvedObject"]["kind"] == "Migration"]
    assert {"Running", "Succeeded"} <= {e["reason"] for e in about}
    assert {e["source"]["component"] for e in about} == {"migration"}


def test_a_long_migration_shares_the_vms_of_its_plan(world, monkeypatch):
    """So they are in memory once, and one look tells that nothing is new."""
    monkeypatch.setattr(store, "LONG", 0)
    world.plan()
    world.migration()
    world.run(world.ended)
    world.settle(2)
    mirrored = world.api.view("Migration", PLANS, "run")["status"]["vms"]
    assert mirrored is world.api.view("Plan", PLANS, "p")["status"]["migration"]["vms"]
    assert mirrored == world.get("Plan", "p")["status"]["migration"]["vms"] == world.get("Migration", "run")["status"]["vms"]


def test_a_plan_and_its_migration_may_say_the_same_of_vms():
    """What is shared was pruned by the schema of the plan: that of the Migration must find nothing more to take away."""
    status = {kind: Registry().named(kind).schema["properties"]["status"]["properties"] for kind in ("Plan", "Migration")}
    assert status["Plan"]["migration"]["properties"]["vms"] == status["Migration"]["vms"]
