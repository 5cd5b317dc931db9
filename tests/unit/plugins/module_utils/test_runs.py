"""What to do about a plan, and how its runs are reported. Objects as the real controllers leave them (recorded scenarios)."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import runs

PLAN_REF = {"name": "app", "namespace": "mig"}


def conditions(*types, category="Advisory"):
    return [{"type": t, "status": "True", "category": category, "message": t + "."} for t in types]


def plan(*types, history=(), vms=(), **meta):
    entries = [{"migration": {"name": name, "uid": name + "-uid"}, "conditions": conditions(*ended)} for name, ended in history]
    status = {"conditions": conditions(*types), "migration": {"history": entries, "vms": list(vms)}, "observedGeneration": 1}
    return {"metadata": {**PLAN_REF, "generation": 1, **meta}, "spec": {}, "status": status}


def migration(name, *types, created="2026-01-01T00:00:00Z", of=None, vms=()):
    return {
        "metadata": {"name": name, "namespace": "mig", "uid": name + "-uid", "creationTimestamp": created},
        "spec": {"plan": of or PLAN_REF},
        "status": {"conditions": conditions(*types), "vms": list(vms)},
    }


def decision(plan, *migrations, retry=False):
    found = runs.decide(plan, migrations, retry)
    return found.action, found.migration and found.migration["metadata"]["name"], found.outcome


def test_a_new_plan_is_started():
    assert decision(plan("Ready")) == ("start", None, None)


def test_the_running_migration_is_followed():
    running = plan("Ready", "Executing", history=[("app-1", ["Executing"])])
    assert decision(running, migration("app-1", "Running")) == ("follow", "app-1", None)
    assert decision(running, migration("app-0", "Ready"), migration("app-1", "Running")) == ("follow", "app-1", None)


def test_a_waiting_migration_is_followed_oldest_first():
    waiting = [migration("b", "Ready", created="2026-01-01T00:00:01Z"), migration("a", "Ready", created="2026-01-01T00:00:02Z")]
    assert decision(plan("Ready"), *runs.of_plan(waiting, plan())) == ("follow", "b", None)


def test_nothing_after_success_even_if_another_migration_waits():
    done = plan("Ready", "Succeeded", history=[("app-1", ["Succeeded"])])
    assert decision(done, migration("app-1", "Succeeded"), migration("app-2", "Ready"), retry=True) == ("done", "app-1", "Succeeded")
    assert decision(done) == ("done", None, "Succeeded")


@pytest.mark.parametrize("outcome", ["Failed", "Canceled"])
def test_anew_only_with_retry(outcome):
    ended = plan("Ready", outcome, history=[("app-1", [outcome])])
    assert decision(ended, migration("app-1", outcome)) == ("refused", "app-1", outcome)
    assert decision(ended, migration("app-1", outcome), retry=True) == ("start", None, outcome)


def test_the_plan_knows_first_that_a_run_has_ended():
    behind = migration("app-1", "Running")
    assert decision(plan("Failed", history=[("app-1", ["Failed"])]), behind) == ("refused", "app-1", "Failed")


def test_a_deleted_migration_counts_as_canceled():
    assert decision(plan("Ready", history=[("app-1", ["Canceled"])])) == ("refused", None, "Canceled")


def test_migrations_of_other_plans_do_not_count():
    others = [migration("x", of={"name": "app", "namespace": "elsewhere"}), migration("y", of={"name": "db", "namespace": "mig"})]
    assert runs.of_plan(others, plan()) == []


def test_names_count_up_and_never_come_back():
    assert runs.next_name(plan(), []) == "app-1"
    assert runs.next_name(plan(history=[("app-1", []), ("by-hand", [])]), []) == "app-3"
    assert runs.next_name(plan(), [migration("app-7"), migration("app-x"), migration("db-9")]) == "app-8"
    long = runs.next_name(plan(name="p" * 80), [])
    assert long == "p" * 57 + "-1" and len(long) <= 63


COPIED = {"name": "DiskTransferV2v", "annotations": {"unit": "MB"}, "progress": {"completed": 0, "total": 10240}}
FAILED_VM = {
    "id": "vm-89",
    "name": "app 12",
    "newName": "app-12",
    "phase": "Completed",
    "started": "2026-11-22T23:15:10Z",
    "completed": "2026-11-22T23:15:39Z",
    "error": {"phase": "CopyDisksVirtV2V", "reasons": ["Guest conversion failed."]},
    "conditions": conditions("Failed"),
    "pipeline": [
        {"name": "Initialize", "phase": "Completed", "progress": {"completed": 0, "total": 1}},
        {"name": "DiskAllocation", "phase": "Completed", "annotations": {"unit": "MB"}, "progress": {"completed": 10240, "total": 10240}},
        {**COPIED, "phase": "Running", "error": {"phase": "Running", "reasons": ["Guest conversion failed."]}},
        {"name": "VirtualMachineCreation", "phase": "Pending", "progress": {"completed": 0, "total": 1}},
    ],
}
DONE_VM = {
    "id": "vm-92",
    "name": "app-13",
    "phase": "Completed",
    "started": "2026-11-22T23:15:10Z",
    "completed": "2026-11-23T00:16:12Z",
    "conditions": [*conditions("Succeeded"), *conditions("ConversionHasWarnings", category="Warning")],
    "pipeline": [{**COPIED, "phase": "Completed", "warning": {"phase": "x", "reasons": ["script failed"]}}],
}


def test_row_of_a_failed_vm():
    assert runs.row(FAILED_VM) == {
        "name": "app 12",
        "id": "vm-89",
        "outcome": "Failed",
        "phase": "Completed",
        "step": "DiskTransferV2v",
        "waiting_for": None,
        "target_name": "app-12",
        "made": False,
        "started": "2026-11-22T23:15:10Z",
        "completed": "2026-11-22T23:15:39Z",
        "duration": 29,
        "disk_mb": 10240,
        "error": {"step": "DiskTransferV2v", "phase": "CopyDisksVirtV2V", "reasons": ["Guest conversion failed."]},
        "warnings": [],
    }


def test_row_of_a_succeeded_vm_has_its_warnings():
    row = runs.row(DONE_VM)
    assert (row["outcome"], row["step"], row["error"], row["duration"]) == ("Succeeded", None, None, 3662)
    assert row["warnings"] == ["script failed", "ConversionHasWarnings."]


def test_rows_while_running_and_after_the_migration_was_deleted():
    vms = [
        {
            "name": "a",
            "id": "1",
            "phase": "AllocateDisks",
            "started": "2026-11-22T23:15:10Z",
            "pipeline": [{"name": "DiskAllocation", "phase": "Running"}],
        }
    ]
    vms.append({"name": "b", "id": "2", "phase": "Started", "pipeline": []})
    going = plan("Executing", history=[("app-1", ["Executing"])], vms=vms)
    assert [(r["outcome"], r["step"]) for r in runs.rows_of(going, migration("app-1", "Running"))] == [
        ("Running", "DiskAllocation"),
        ("Pending", None),
    ]
    deleted = plan(history=[("app-1", ["Canceled"])], vms=vms)
    assert [r["outcome"] for r in runs.rows_of(deleted, None)] == ["Canceled", "Canceled"]


def test_the_plan_speaks_for_its_last_run_the_migration_for_earlier_ones():
    twice = plan(history=[("app-1", ["Failed"]), ("app-2", [])], vms=[DONE_VM])
    assert runs.vms_of(twice, migration("app-2")) == [DONE_VM]
    assert runs.vms_of(twice, migration("app-1", vms=[FAILED_VM])) == [FAILED_VM]


def test_table_has_equal_columns():
    lines = runs.table([runs.row(DONE_VM), runs.row(FAILED_VM)])
    assert lines == [
        "VM      RESULT     TARGET  DISKS      TIME     NOTE",
        "app-13  Succeeded  app-13  10240 MiB  1:01:02  script failed; ConversionHasWarnings.",
        "app 12  Failed     -       10240 MiB  0:00:29  DiskTransferV2v: Guest conversion failed",
    ]


def test_failure_report_names_vm_step_reason_log_and_conditions():
    broken = plan("Failed", history=[("app-1", ["Failed"])])
    rows = [runs.row(FAILED_VM), runs.row(DONE_VM)]
    text = runs.failure_report(broken, migration("app-1", "Failed"), rows, {"vm-89": ["last lines of pod tgt/x:", "| no root"]})
    assert text.splitlines() == [
        "VM app 12 (vm-89) failed in step DiskTransferV2v: Guest conversion failed",
        "  last lines of pod tgt/x:",
        "  | no root",
        "Plan app: Failed=True: Failed.",
        "Migration app-1: Failed=True: Failed.",
    ]


def test_a_vm_whose_post_hook_failed_is_there_and_that_is_said():
    made = {"name": "VirtualMachineCreation", "phase": "Completed"}
    failed = {"name": "PostHook", "phase": "Running", "error": {"phase": "PostHook", "reasons": ["limit"]}}
    vm = {**FAILED_VM, "error": {"phase": "PostHook", "reasons": ["limit"]}, "pipeline": [made, failed]}
    row = runs.row(vm)
    assert row["made"] and "  app-12  " in runs.table([row])[1]
    said = runs.failure_report(plan(), None, [row], {}).splitlines()[0]
    assert said == "VM app 12 (vm-89) failed in step PostHook: limit. The VM app-12 that it has made stays on the target"


def test_failure_report_says_where_unfinished_vms_stand():
    vm = {"name": "a", "id": "1", "started": "2026-11-22T23:15:10Z", "pipeline": [{"name": "DiskAllocation", "phase": "Running"}]}
    assert runs.failure_report(plan(), None, [runs.row(vm)], {}).splitlines()[0] == "VM a (1): Running at step DiskAllocation"


def test_a_step_that_waits_is_told_with_its_reason():
    steps = [
        {"name": "Initialize", "phase": "Completed", "started": "2026-11-22T23:15:10Z", "completed": "2026-11-22T23:15:10Z"},
        {"name": "DiskAllocation", "phase": "Pending", "started": "2026-11-22T23:15:10Z", "reason": "ProvisioningFailed; no room"},
        {"name": "ImageConversion", "phase": "Pending"},
    ]
    row = runs.row({"name": "a", "id": "1", "started": "2026-11-22T23:15:10Z", "pipeline": steps})
    assert (row["step"], row["waiting_for"]) == ("DiskAllocation", "ProvisioningFailed; no room")
    said = runs.failure_report(plan(), None, [row], {}).splitlines()[0]
    assert said == "VM a (1): Running at step DiskAllocation: ProvisioningFailed; no room"
    assert runs.table([row])[1].endswith("DiskAllocation: ProvisioningFailed; no room")


MADE = {"name": "VirtualMachineCreation", "phase": "Completed"}


@pytest.mark.parametrize("ended", ["Failed", "Canceled"])
@pytest.mark.parametrize(
    ("vms", "action"),
    [
        ([FAILED_VM], "start"),
        ([FAILED_VM, DONE_VM], "continue"),
        ([{**FAILED_VM, "pipeline": [MADE, {"name": "PostHook", "phase": "Running", "error": {"reasons": ["x"]}}]}], "continue"),
    ],
)
def test_a_plan_that_has_made_vms_is_not_run_again_but_continued(ended, vms, action):
    partly = plan(ended, history=[("app-1", [ended])], vms=vms)
    assert decision(partly, migration("app-1", ended), retry=True) == (action, "app-1" if action == "continue" else None, ended)
    assert decision(partly, migration("app-1", ended)) == ("refused", "app-1", ended)


def test_a_migration_that_waits_for_a_plan_blocked_by_its_own_vms_is_not_followed():
    partly = plan("Failed", "MacConflicts", history=[("app-1", ["Failed"])], vms=[FAILED_VM, DONE_VM])
    waiting = [migration("app-1", "Failed"), migration("app-2", "PlanNotReady")]
    assert decision(partly, *waiting, retry=True)[0] == "continue"
    assert decision(partly, *waiting) == ("follow", "app-2", None)
    assert decision(plan("Failed", history=[("app-1", ["Failed"])], vms=[FAILED_VM]), *waiting, retry=True) == ("follow", "app-2", None)


def test_vms_canceled_in_a_run_that_succeeded_are_left_alone_unless_asked():
    canceled = {**FAILED_VM, "conditions": conditions("Canceled"), "error": None}
    partly = plan("Succeeded", history=[("app-1", ["Succeeded"])], vms=[canceled, DONE_VM])
    assert decision(partly, migration("app-1", "Succeeded")) == ("done", "app-1", "Succeeded")
    assert decision(partly, migration("app-1", "Succeeded"), retry=True) == ("continue", "app-1", "Succeeded")


def test_a_plan_blocked_by_the_vms_it_has_migrated_is_told_from_other_conflicts():
    def blocked(*types, vms):
        found = plan("Failed", history=[("app-1", ["Failed"])], vms=vms)
        found["status"]["conditions"] += conditions(*types, category="Critical")
        return found

    assert runs.blocked_by_itself(blocked("MacConflicts", vms=[FAILED_VM, DONE_VM]))
    assert not runs.blocked_by_itself(blocked("MacConflicts", "VMNotFound", vms=[FAILED_VM, DONE_VM]))
    assert not runs.blocked_by_itself(blocked("MacConflicts", vms=[FAILED_VM]))
    assert not runs.blocked_by_itself(blocked(vms=[FAILED_VM, DONE_VM]))


def test_blockers_about_references_pass_by_themselves():
    waiting = plan()
    waiting["status"]["conditions"] = conditions("StorageMapNotReady", category="Critical")
    assert runs.blocks_start(waiting) is None
    waiting["status"]["conditions"] += conditions("VMNotFound", category="Critical")
    assert runs.blocks_start(waiting) == "VMNotFound=True: VMNotFound."
