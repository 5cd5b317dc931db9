"""The migration module against the embedded API server; `Runner` writes what MTV's controllers would."""

from __future__ import annotations

import threading
import time

import pytest

GIVEN = {"plan": "demo", "namespace": "mig", "wait_timeout": 20}
TIME = "2026-01-01T00:00:00Z"


def condition(type, category="Advisory", **fields):
    return {"type": type, "status": "True", "category": category, "lastTransitionTime": TIME, **fields}


class Runner:
    """Takes up each new Migration of the plan `mig/demo`; the test says how and when it goes on."""

    def __init__(self, plane):
        self.plane = plane
        self.started = threading.Event()
        self.threads = []
        self.mirrors = True
        plane.provider("host", "openshift", "konveyor-forklift")
        ref = {"name": "demo", "namespace": "mig"}
        provider = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
        vms = [{"id": "id-app", "name": "app"}, {"id": "id-db", "name": "db"}]
        spec = {"provider": provider, "map": {"network": ref, "storage": ref}, "targetNamespace": "apps", "vms": vms}
        plane.make("Plan", "demo", spec=spec)
        self.write("Plan", "demo", conditions=[condition("Ready", "Required")])

        def changed(event, kind, obj):
            if kind == "Migration" and event == "ADDED":
                self.later(self.take_up, obj["metadata"]["name"])

        self.stop = plane.do("subscribe", changed)

    def write(self, kind, name, **status):
        obj = self.plane.do("get", kind, "mig", name)
        generation = {"observedGeneration": obj["metadata"]["generation"]}
        self.plane.do("update_status", {**obj, "status": {**obj.get("status", {}), **generation, **status}})

    def take_up(self, name):
        migration = self.plane.do("get", "Migration", "mig", name)
        some = {"name": "x", "namespace": "mig", "uid": "x", "generation": 1}
        entry = {"plan": some, "provider": {"source": some, "destination": some}, "map": {"network": some, "storage": some}}
        named = {"name": name, "namespace": "mig", "uid": migration["metadata"]["uid"], "generation": 1}
        status = self.plane.do("get", "Plan", "mig", "demo")["status"].get("migration") or {}
        history = [*status.get("history", []), {**entry, "migration": named, "conditions": [condition("Executing")]}]
        vms = [self.vm("app"), self.vm("db")]
        self.write(
            "Plan", "demo", conditions=self.plan_conditions("Executing"), migration={"history": history, "vms": vms, "started": TIME}
        )
        self.write("Migration", name, conditions=[condition("Ready", "Required"), condition("Running")], vms=vms)
        self.started.set()

    def plan_conditions(self, type):
        return [condition("Ready", "Required"), condition(type)]

    @staticmethod
    def vm(name, ended=None, **fields):
        step = {
            "name": "ImageConversion",
            "phase": "Completed" if ended == "Succeeded" else "Running",
            "progress": {"completed": 0, "total": 1},
        }
        vm = {
            "id": f"id-{name}",
            "name": name,
            "phase": "Completed" if ended else "ConvertGuest",
            "started": TIME,
            "pipeline": [step],
            **fields,
        }
        if ended:
            vm.update(completed="2026-01-01T00:01:04Z", conditions=[condition(ended)])
        if ended == "Failed":
            vm["error"] = {"phase": "ConvertGuest", "reasons": ["Guest conversion failed."]}
            step["error"] = {"phase": "Running", "reasons": ["Guest conversion failed."]}
        return vm

    def end(self, name, outcome, vms=None):
        """The run ends: first the plan says so, then the Migration."""
        assert self.started.wait(10)
        self.started.clear()
        status = self.plane.do("get", "Plan", "mig", "demo")["status"]["migration"]
        status["history"][-1]["conditions"] = [condition(outcome)]
        status["vms"] = vms or [self.vm("app", outcome), self.vm("db", outcome)]
        self.write("Plan", "demo", conditions=self.plan_conditions(outcome), migration=status)
        if self.mirrors:
            time.sleep(0.2)
            self.write("Migration", name, conditions=[condition("Ready", "Required"), condition(outcome)], vms=status["vms"])

    def later(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def close(self):
        self.stop()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def runner(plane):
    found = Runner(plane)
    yield found
    found.close()


def names(plane):
    return [m["metadata"]["name"] for m in plane.do("list", "Migration", "mig")]


def test_a_plan_is_run_and_reported_and_a_second_task_does_nothing(plane, run, runner):
    runner.later(runner.end, "demo-1", "Succeeded")
    first = run("migration", **GIVEN)
    assert (first["changed"], first["outcome"]) == (True, "Succeeded")
    assert [(vm["name"], vm["outcome"], vm["duration"]) for vm in first["vms"]] == [("app", "Succeeded", 64), ("db", "Succeeded", 64)]
    assert first["migration"]["metadata"]["name"] == "demo-1"
    assert "Succeeded" in [c["type"] for c in first["migration"]["status"]["conditions"]]
    again = run("migration", **GIVEN)
    assert (again["changed"], again["outcome"], again["vms"], again["table"]) == (False, "Succeeded", first["vms"], first["table"])
    assert names(plane) == ["demo-1"]


def test_an_interrupted_task_run_again_follows_and_ends_with_the_same_result(plane, run, runner):
    begun = run("migration", **GIVEN, wait=False)
    assert (begun["changed"], begun["outcome"]) == (True, None)
    runner.later(runner.end, "demo-1", "Succeeded")
    followed = run("migration", **GIVEN)
    assert (followed["changed"], followed["outcome"], len(followed["vms"])) == (False, "Succeeded", 2)
    assert names(plane) == ["demo-1"]


def test_the_end_is_seen_on_the_plan_when_the_migration_never_says_it(run, runner, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.modules import migration

    monkeypatch.setattr(migration, "MIRROR_SECONDS", 1)
    runner.mirrors = False
    runner.later(runner.end, "demo-1", "Succeeded")
    assert run("migration", **GIVEN)["outcome"] == "Succeeded"


def test_the_end_is_seen_when_the_migration_says_no_more_than_that_it_is_ready(run, runner, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.modules import migration

    monkeypatch.setattr(migration, "MIRROR_SECONDS", 1)
    write = runner.write
    runner.write = lambda kind, name, **status: write(
        kind, name, **{**status, **({"conditions": [condition("Ready", "Required")]} if kind == "Migration" else {})}
    )
    runner.later(runner.end, "demo-1", "Succeeded")
    assert run("migration", **GIVEN)["outcome"] == "Succeeded"


def test_a_migration_without_any_status_is_noticed_early(run, runner, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import waiting

    monkeypatch.setattr(waiting.wait_for, "__kwdefaults__", {**waiting.wait_for.__kwdefaults__, "silence": 1.0})
    runner.take_up = lambda name: None
    failed = run("migration", **GIVEN)
    assert failed["failed"] and "Migration mig/demo-1 did not become accepted within 1 s: it has no status at all" in failed["msg"]


def failed_run(run, runner):
    runner.later(runner.end, "demo-1", "Failed", [runner.vm("app", "Failed"), runner.vm("db", "Succeeded")])
    return run("migration", **GIVEN)


def test_a_failure_names_vm_step_reason_and_conditions(run, runner):
    failed = failed_run(run, runner)
    assert failed["failed"] and failed["changed"] and failed["outcome"] == "Failed"
    lines = failed["msg"].splitlines()
    assert lines[0] == "Migration mig/demo-1 of plan demo has failed."
    assert lines[1] == "VM app (id-app) failed in step ImageConversion: Guest conversion failed"
    assert lines[2] == "  There is no pod of this VM in namespace apps (any more)."
    assert lines[3].startswith("Plan demo: Ready=True; Failed=True")
    assert [vm["outcome"] for vm in failed["vms"]] == ["Failed", "Succeeded"] and len(failed["table"]) == 3


def test_after_a_failure_nothing_is_started_unless_asked(plane, run, runner):
    failed_run(run, runner)
    again = run("migration", **GIVEN)
    assert again["failed"] and not again["changed"] and "The last run of Plan mig/demo has failed. Give retry" in again["msg"]
    assert "VM app (id-app) failed in step ImageConversion" in again["msg"] and names(plane) == ["demo-1"]
    runner.later(runner.end, "demo-2", "Succeeded")
    retried = run("migration", **GIVEN, retry=True)
    assert (retried["changed"], retried["outcome"], retried["migration"]["metadata"]["name"]) == (True, "Succeeded", "demo-2")


def test_a_deleted_migration_ends_the_wait(plane, run, runner):
    def delete():
        assert runner.started.wait(10)
        plane.do("delete", "Migration", "mig", "demo-1")

    runner.later(delete)
    failed = run("migration", **GIVEN)
    assert failed["failed"] and "Migration mig/demo-1 was deleted before it had ended." in failed["msg"]
    assert failed["migration"] is None


def test_a_timeout_says_where_the_vms_stand(run, runner):
    failed = run("migration", **{**GIVEN, "wait_timeout": 2})
    assert "Migration mig/demo-1 has not ended within 2 s; it goes on." in failed["msg"]
    assert "VM app (id-app): Running at step ImageConversion" in failed["msg"]


def test_a_plan_with_blockers_gets_no_migration(plane, run, runner):
    runner.write("Plan", "demo", conditions=[condition("VMNotFound", "Critical", message="VM not found.", items=["x"])])
    for wait in (True, False):
        failed = run("migration", **GIVEN, wait=wait)
        assert failed["failed"] and "VMNotFound=True: VM not found. [x]" in failed["msg"]
    assert names(plane) == []


def test_a_refused_migration_ends_the_wait(plane, run, runner):
    runner.take_up = lambda name: runner.write("Migration", name, conditions=[condition("PlanNotReady", "Critical", message="No.")])
    failed = run("migration", **GIVEN)
    assert failed["failed"] and "did not become accepted: PlanNotReady=True: No." in failed["msg"]


def test_check_mode_predicts(plane, run, runner):
    predicted = run("migration", check_mode=True, **GIVEN)
    assert predicted["changed"] and predicted["migration"]["metadata"]["name"] == "demo-1" and names(plane) == []
    missing = run("migration", check_mode=True, **{**GIVEN, "plan": "later"})
    assert missing["changed"] and missing["migration"]["metadata"]["name"] == "later-1"
    assert "The plan mig/later does not exist." in run("migration", **{**GIVEN, "plan": "later"})["msg"]
    run("migration", **GIVEN, wait=False)
    assert not run("migration", check_mode=True, **GIVEN)["changed"]


def test_a_cutover_is_set_on_the_running_migration_once(plane, run, runner):
    run("migration", **GIVEN, wait=False)
    assert "cutover" not in plane.do("get", "Migration", "mig", "demo-1")["spec"]
    given = {**GIVEN, "wait": False, "cutover": "2026-01-01T22:00:00+01:00"}
    assert [run("migration", **given)["changed"] for _unused in range(2)] == [True, False]
    assert plane.do("get", "Migration", "mig", "demo-1")["spec"]["cutover"] == "2026-01-01T21:00:00Z"


def test_a_name_in_use_is_refused(plane, run, runner):
    failed_run(run, runner)
    failed = run("migration", **GIVEN, retry=True, name="demo-1")
    assert "name: Migration mig/demo-1 has ended; leave name out" in failed["msg"]
    plane.make("Migration", "other", spec={"plan": {"name": "db", "namespace": "mig"}})
    assert "name: Migration mig/other belongs to another plan" in run("migration", **GIVEN, retry=True, name="other")["msg"]


def test_an_archived_plan_is_not_run(plane, run, runner):
    plane.do("patch", "Plan", "mig", "demo", {"spec": {"archived": True}})
    assert "Plan mig/demo is archived and cannot be run." in run("migration", **GIVEN)["msg"]


def cancel_when_asked(plane, runner):
    """VMs in spec.cancel end as canceled; when none is left the run ends."""

    def changed(event, kind, obj):
        wanted = [ref["id"] for ref in obj["spec"].get("cancel", [])] if kind == "Migration" and event == "MODIFIED" else []
        if wanted:
            runner.later(end, set(wanted))

    def end(wanted):
        status = plane.do("get", "Plan", "mig", "demo")["status"]["migration"]
        vms = [runner.vm(vm["name"], "Canceled") if vm["id"] in wanted else vm for vm in status["vms"]]
        if len(wanted) == 2 and status["history"][-1]["conditions"][0]["type"] != "Canceled":
            runner.started.set()
            runner.end("demo-1", "Canceled", vms)
        elif len(wanted) == 1:
            runner.write("Plan", "demo", migration={**status, "vms": vms})

    return plane.do("subscribe", changed)


def test_one_vm_is_canceled_and_the_others_go_on(plane, run, runner):
    run("migration", **GIVEN, wait=False)
    assert runner.started.wait(10)
    cancel_when_asked(plane, runner)
    predicted = run("migration", check_mode=True, **GIVEN, state="canceled", vms=["app"])
    assert predicted["changed"] and "cancel" not in plane.do("get", "Migration", "mig", "demo-1")["spec"]
    canceled = run("migration", **GIVEN, state="canceled", vms=["app"])
    assert canceled["changed"] and canceled["outcome"] is None
    assert [vm["outcome"] for vm in canceled["vms"]] == ["Canceled", "Running"]
    assert plane.do("get", "Migration", "mig", "demo-1")["spec"]["cancel"] == [{"id": "id-app", "name": "app"}]
    assert not run("migration", **GIVEN, state="canceled", vms=["app"])["changed"]
    assert "there is no VM 'ap' (did you mean 'app'?)" in run("migration", **GIVEN, state="canceled", vms=["ap"])["msg"]


def test_all_are_canceled_and_then_nothing_runs(plane, run, runner):
    run("migration", **GIVEN, wait=False)
    assert runner.started.wait(10)
    cancel_when_asked(plane, runner)
    canceled = run("migration", **GIVEN, state="canceled")
    assert (canceled["changed"], canceled["outcome"]) == (True, "Canceled")
    again = run("migration", **GIVEN, state="canceled")
    assert (again["changed"], again["outcome"]) == (False, "Canceled")
    assert "The last run of Plan mig/demo was canceled. Give retry to run it again." in run("migration", **GIVEN)["msg"]


def test_records_are_removed_but_not_of_a_running_migration(plane, run, runner):
    run("migration", **GIVEN, wait=False)
    assert runner.started.wait(10)
    assert "Migration mig/demo-1 is running; cancel it first" in run("migration", **GIVEN, state="absent")["msg"]
    runner.end("demo-1", "Succeeded")
    assert run("migration", check_mode=True, **GIVEN, state="absent")["changed"] and names(plane) == ["demo-1"]
    assert run("migration", **GIVEN, state="absent")["changed"] and names(plane) == []
    assert not run("migration", **GIVEN, state="absent")["changed"]
    assert run("migration", **GIVEN)["outcome"] == "Succeeded"


def test_a_slice_ends_with_how_the_vms_stand_and_the_next_one_goes_on(plane, run, runner):
    first = run("migration", **GIVEN, progress_slice={"seconds": 0.5})
    ongoing = first["ongoing"]
    assert first["changed"] and "outcome" not in first and ongoing["migration"] == "demo-1"
    assert [(vm["name"], vm["outcome"], vm["step"]) for vm in ongoing["vms"]] == [(n, "Running", "ImageConversion") for n in ("app", "db")]
    runner.later(runner.end, "demo-1", "Failed", [runner.vm("app", "Failed"), runner.vm("db", "Succeeded")])
    part = {"seconds": 0.5, "waited": 1.0, **{key: ongoing[key] for key in ("migration", "uid", "seen")}}
    # Also with retry: it is about the runs before the task, not about the one the task has begun.
    ended = run("migration", **GIVEN, retry=True, progress_slice=part)
    assert ended["failed"] and ended["msg"].startswith("Migration mig/demo-1 of plan demo has failed.\nVM app (id-app) failed in step")
    assert names(plane) == ["demo-1"]


def test_a_migration_deleted_between_two_slices_ends_the_wait(plane, run, runner):
    ongoing = run("migration", **GIVEN, progress_slice={"seconds": 0.5})["ongoing"]
    plane.do("delete", "Migration", "mig", "demo-1")
    part = {"seconds": 0.5, **{key: ongoing[key] for key in ("migration", "uid", "seen")}}
    failed = run("migration", **GIVEN, progress_slice=part)
    assert failed["failed"] and failed["msg"].startswith("Migration mig/demo-1 was deleted before it had ended.")


def test_slices_together_wait_no_longer_than_one_task(run, runner):
    ongoing = run("migration", **GIVEN, progress_slice={"seconds": 0.5})["ongoing"]
    part = {"seconds": 5, "waited": 19.0, **{key: ongoing[key] for key in ("migration", "uid", "seen")}}
    begin = time.monotonic()
    failed = run("migration", **GIVEN, progress_slice=part)
    assert time.monotonic() - begin < 5
    assert failed["msg"].startswith("Migration mig/demo-1 has not ended within 20 s; it goes on.")
