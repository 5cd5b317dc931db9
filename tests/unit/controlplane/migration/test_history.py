"""Entries of runs, and which Migration is next."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import history


def obj(name, uid, generation=1, namespace="ns", **rest):
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid, "generation": generation}, **rest}


def migration(name, created="2026-01-01T00:00:00Z", *, namespace="ns", plan="p", conditions=(), uid=""):
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid or f"uid-{namespace}-{name}",
            "creationTimestamp": created,
            "generation": 1,
        },
        "spec": {"plan": {"namespace": "ns", "name": plan}},
        "status": {"conditions": [{"type": t, "status": "True"} for t in conditions]},
    }


@pytest.fixture
def entry():
    parts = [obj(name, f"uid-{name}") for name in ("p", "m", "src", "dst", "net", "sto")]
    return history.entry(*parts)


@pytest.fixture
def plan():
    return obj("p", "uid-p", status={"migration": {}})


def test_an_entry_names_all_objects_with_uid_and_generation(entry):
    assert entry["provider"]["source"] == {"namespace": "ns", "name": "src", "uid": "uid-src", "generation": 1}
    assert entry["map"]["storage"]["uid"] == "uid-sto"
    assert set(entry) == {"plan", "migration", "provider", "map"}


@pytest.mark.parametrize("place", [("plan",), ("provider", "source"), ("provider", "destination"), ("map", "network"), ("map", "storage")])
def test_another_uid_is_another_object(entry, place):
    edited = history.entry(*[obj(name, f"uid-{name}", generation=7) for name in ("p", "m", "src", "dst", "net", "sto")])
    assert history.same_objects(entry, edited)  # only edited
    target = edited
    for key in place:
        target = target[key]
    target["uid"] = "other"
    assert not history.same_objects(entry, edited)


def test_a_run_is_active_until_it_ends(plan, entry):
    assert history.active(plan) is None
    plan["status"]["migration"]["history"] = [entry]
    assert history.active(plan) is entry
    history.turn(entry, history.EXECUTING, "The plan is EXECUTING.")
    assert history.active(plan) is entry
    history.turn(entry, history.FAILED, "The plan execution has FAILED.")
    assert history.active(plan) is None
    assert [c["type"] for c in entry["conditions"]] == ["Failed"]
    assert entry["conditions"][0]["durable"] is True


def test_only_the_newest_entry_can_be_active(plan, entry):
    ended = {**entry, "conditions": [{"type": "Canceled", "status": "True"}]}
    plan["status"]["migration"]["history"] = [entry, ended]
    assert history.active(plan) is None


def test_a_turn_keeps_other_durable_conditions():
    vm = {
        "conditions": [
            {"type": "ConversionHasWarnings", "status": "True", "durable": True, "category": "Warning", "lastTransitionTime": "t"}
        ]
    }
    history.turn(vm, history.SUCCEEDED, "The VM migration has SUCCEEDED.")
    assert [c["type"] for c in vm["conditions"]] == ["ConversionHasWarnings", "Succeeded"]


def test_dropping_the_last_condition_drops_the_list():
    vm = {"conditions": [{"type": "Pending", "status": "True"}]}
    history.drop(vm, "Pending")
    assert vm == {}


def test_the_oldest_waiting_migration_is_next(plan):
    migrations = [
        migration("b", "2026-01-01T00:00:02Z"),
        migration("c", "2026-01-01T00:00:01Z"),
        migration("a", "2026-01-01T00:00:01Z"),
        migration("other", "2025-01-01T00:00:00Z", plan="q"),
        migration("done", "2025-01-01T00:00:00Z", conditions=["Succeeded"]),
        migration("failed", "2025-01-01T00:00:00Z", conditions=["Failed"]),
        migration("canceled", "2025-01-01T00:00:00Z", conditions=["Canceled"]),
    ]
    assert history.pending(migrations, plan)["metadata"]["name"] == "a"
    assert history.pending(migrations[3:], plan) is None


def test_a_migration_of_another_namespace_may_mean_the_plan(plan):
    assert history.pending([migration("m", namespace="elsewhere")], plan) is not None


def test_a_migration_that_has_an_entry_is_not_started_again(plan, entry):
    """Its own status may lag behind: the plan knows first how the run ended."""
    plan["status"]["migration"]["history"] = [{**entry, "migration": {**entry["migration"], "uid": "run-1"}}]
    assert history.pending([migration("m", uid="run-1")], plan) is None
    assert history.of_migration(plan, migration("m", uid="run-1")) is plan["status"]["migration"]["history"][0]
    assert history.of_migration(plan, migration("m", uid="run-2")) is None


def test_a_migration_being_deleted_is_not_started(plan):
    leaving = migration("m")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert history.pending([leaving], plan) is None
