"""Follow-up plans, from plans made up and from plans as the real controllers have left them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import follow_ups, runs

GOLDEN = next((p for p in (parent / "shared/golden/scenarios" for parent in Path(__file__).resolve().parents) if p.is_dir()), None)


def plan(name="app", vms=(), spec=None, **meta):
    entries = [{"id": vm["id"], "name": vm["name"]} for vm in vms]
    history = [{"migration": {"name": f"{name}-1", "uid": "u"}, "conditions": [{"type": "Failed", "status": "True"}]}]
    return {
        "metadata": {"name": name, "namespace": "mig", "uid": f"{name}-uid", **meta},
        "spec": {"targetNamespace": "apps", "vms": entries, "archived": True, **(spec or {})},
        "status": {"migration": {"vms": list(vms), "history": history}},
    }


def vm(name, outcome, **more):
    return {"id": f"id-{name}", "name": name, "conditions": [{"type": outcome, "status": "True"}], "pipeline": [], **more}


def test_entries_that_are_left_keep_their_options():
    entries = [
        {"id": "id-a", "name": "a", "hooks": [{"step": "PreHook"}]},
        {"name": "b"},
        {"id": "id-c", "targetName": "x"},
        {"id": "id-d"},
    ]
    partly = plan(vms=[vm("a", "Failed"), vm("b", "Succeeded"), vm("c", "Canceled")], spec={"vms": entries})
    # d was added to the plan after its run.
    assert follow_ups.left_of(partly) == [entries[0], entries[2], entries[3]]


def test_a_follow_up_is_the_same_plan_of_fewer_vms():
    meta = {
        "labels": {"wave": "1", "vmshift.io/continues": "first"},
        "annotations": {
            "owner": "me",
            "populatorLabels": "True",
            "vmshift.io/continued-by": "x",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
    }
    partly = plan("first-retry-1", [vm("a", "Failed"), vm("b", "Succeeded")], {"warm": False, "map": {"network": {"name": "n"}}}, **meta)
    assert follow_ups.manifest(partly, "first-retry-2") == {
        "kind": "Plan",
        "metadata": {
            "name": "first-retry-2",
            "namespace": "mig",
            "labels": {"wave": "1", "vmshift.io/continues": "first"},
            "annotations": {"owner": "me"},
        },
        "spec": {"targetNamespace": "apps", "warm": False, "map": {"network": {"name": "n"}}, "vms": [{"id": "id-a", "name": "a"}]},
    }


@pytest.mark.parametrize(
    ("of_plan", "of_vm", "was", "becomes"),
    [
        (None, None, "On", "on"),
        ("auto", None, "On", "on"),
        (None, "auto", "On", "on"),
        (None, None, "Off", None),
        ("off", None, "On", None),
        (None, "off", "On", "off"),
        ("off", "auto", "On", "auto"),
    ],
)
def test_a_vm_that_ran_runs_again_unless_it_is_said_otherwise(of_plan, of_vm, was, becomes):
    entry = {"id": "id-a", "name": "a", **({"targetPowerState": of_vm} if of_vm else {})}
    spec = {"vms": [entry], **({"targetPowerState": of_plan} if of_plan else {})}
    found = follow_ups.manifest(plan(vms=[vm("a", "Failed", restorePowerState=was)], spec=spec), "x")
    assert found["spec"]["vms"][0].get("targetPowerState") == becomes


def test_names_stay_short_enough_for_their_migrations():
    assert follow_ups.name_of_follow_up("app", 1) == "app-retry-1"
    first, other = (follow_ups.name_of_follow_up("p" * 62, number) for number in (1, 12))
    assert first == "p" * 49 + "-retry-1" and other == "p" * 48 + "-retry-12"
    named = [runs.next_name({"metadata": {"name": name}}, []) for name in (first, other)]
    assert named == [first + "-1", other + "-1"] and max(map(len, named)) <= 63


def test_plans_are_put_together_with_their_follow_ups():
    def named(name, later=None, of=None):
        return plan(
            name, annotations={"vmshift.io/continued-by": later} if later else {}, labels={"vmshift.io/continues": of} if of else {}
        )

    found = [
        named("b"),
        named("a-retry-2", of="a"),
        named("a-retry-1", "a-retry-2", "a"),
        named("a", "a-retry-1"),
        named("c-retry-1", of="c"),
    ]
    groups = [[p["metadata"]["name"] for p in group] for group in follow_ups.grouped(found)]
    assert sorted(groups) == [["a", "a-retry-1", "a-retry-2"], ["b"], ["c-retry-1"]]
    circle = [named("a", "b"), named("b", "a")]
    assert len(follow_ups.grouped(circle)) == 1


# --- as the real controllers leave them -----------------------------------------------------------------------------


def changed(obj, operations):
    """A JSON patch as the recordings have it."""
    for operation in operations:
        *head, key = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target = obj
        for part in head:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if isinstance(target, list):
            if operation["op"] == "add":
                target.insert(int(key), operation["value"])
            elif operation["op"] == "remove":
                target.pop(int(key))
            else:
                target[int(key)] = operation["value"]
        elif operation["op"] == "remove":
            target.pop(key)
        else:
            target[key] = operation["value"]
    return obj


def recorded(scenario, until):
    """The plan and its migrations as they were so many seconds after the start of a recording."""
    found = {}
    with (GOLDEN / scenario / "trace.jsonl").open() as lines:
        for line in map(json.loads, lines):
            key = line.get("kind"), line.get("name")
            if line.get("t", 0) > until or key[0] not in ("Plan", "Migration"):
                continue
            if line["event"] == "DELETED":
                found.pop(key, None)
            elif "object" in line:
                found[key] = line["object"]
            elif "patch" in line and key in found:
                changed(found[key], line["patch"])
    plans = [obj for (kind, _name), obj in found.items() if kind == "Plan"]
    return plans[0], [obj for (kind, _name), obj in found.items() if kind == "Migration"]


@pytest.mark.skipif(GOLDEN is None, reason="the recordings are not here")
@pytest.mark.parametrize(
    ("scenario", "until", "retry", "action", "left"),
    [
        ("fail-then-retry", 38.2, True, "continue", ["app-12"]),  # the conflict has not been noticed yet
        ("fail-then-retry", 42, True, "continue", ["app-12"]),
        ("fail-then-retry", 99, True, "continue", ["app-12"]),  # with a second Migration that never ran
        ("fail-then-retry", 42, False, "refused", ["app-12"]),
        ("fail-then-retry-single", 39, True, "start", ["app-42"]),
        ("cancel-one-vm", 99, True, "continue", ["app-10"]),
        ("cancel-one-vm", 99, False, "done", ["app-10"]),
        ("second-migration-after-cancel", 25, True, "start", ["app-10", "app-11"]),
        ("second-migration-after-success", 60, True, "done", []),
        ("second-migration-while-running", 20, True, "follow", ["app-14", "app-15"]),
        ("delete-running-migration", 30, False, "refused", ["app-12"]),
        ("delete-running-migration", 30, True, "start", ["app-12"]),
    ],
)
def test_what_is_to_do_about_recorded_plans(scenario, until, retry, action, left):
    plan, migrations = recorded(scenario, until)
    decision = runs.decide(plan, runs.of_plan(migrations, plan), retry)
    assert decision.action == action
    names = {vm["id"]: vm["name"] for vm in runs.vms_of(plan, None)}
    assert [entry.get("name") or names[entry["id"]] for entry in follow_ups.left_of(plan)] == left
