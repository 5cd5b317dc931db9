"""The migration module against the embedded API server; `Runner` writes what MTV's controllers would."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.cutover import text_of

GIVEN = {"plan": "demo", "namespace": "mig", "wait_timeout": 20}
TIME = "2026-01-01T00:00:00Z"


def condition(type, category="Advisory", **fields):
    return {"type": type, "status": "True", "category": category, "lastTransitionTime": TIME, **fields}


class Runner:
    """Takes up each new Migration of the plans in `mig`, and plans, as the real controllers do (recorded: fail-then-retry,
    archive-and-delete); the test says how and when a run goes on."""

    def __init__(self, plane):
        self.plane = plane
        self.started = threading.Event()
        self.threads = []
        self.mirrors = True
        plane.provider("host", "openshift", "konveyor-forklift")
        ref = {"name": "demo", "namespace": "mig"}
        provider = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
        vms = [{"id": "id-app", "name": "app"}, {"id": "id-db", "name": "db"}]
        spec = {"provider": provider, "map": {"network": ref, "storage": ref}, "targetNamespace": "apps", "type": "warm", "vms": vms}
        plane.make("Plan", "demo", spec=spec)
        self.write("Plan", "demo", conditions=[condition("Ready", "Required")])

        def changed(event, kind, obj):
            if kind == "Migration" and event == "ADDED":
                self.later(self.take_up, obj["metadata"]["name"])
            elif kind == "Plan" and event == "ADDED":
                self.later(self.validate, obj["metadata"]["name"])
            elif kind == "Plan" and event == "MODIFIED" and obj["spec"].get("archived"):
                self.later(self.archive, obj["metadata"]["name"])

        self.stop = plane.do("subscribe", changed)

    def validate(self, name):
        self.write("Plan", name, conditions=[condition("Ready", "Required")])

    def archive(self, name):
        plan = self.plane.do("get", "Plan", "mig", name)
        if "Archived" not in [c["type"] for c in plan["status"]["conditions"]]:
            found = [c for c in plan["status"]["conditions"] if c["type"] != "Ready"]
            self.write("Plan", name, conditions=[*found, condition("Archived")])

    def write(self, kind, name, **status):
        obj = self.plane.do("get", kind, "mig", name)
        generation = {"observedGeneration": obj["metadata"]["generation"]}
        self.plane.do("update_status", {**obj, "status": {**obj.get("status", {}), **generation, **status}})

    def take_up(self, name):
        migration = self.plane.do("get", "Migration", "mig", name)
        plan = self.plan_of(name)
        if not {"Ready"} <= {c["type"] for c in plan["status"]["conditions"]}:
            self.write("Migration", name, conditions=[condition("PlanNotReady", "Critical", message="The plan is not ready.")])
            return
        some = {"name": "x", "namespace": "mig", "uid": "x", "generation": 1}
        entry = {"plan": some, "provider": {"source": some, "destination": some}, "map": {"network": some, "storage": some}}
        named = {"name": name, "namespace": "mig", "uid": migration["metadata"]["uid"], "generation": 1}
        status = plan["status"].get("migration") or {}
        history = [*status.get("history", []), {**entry, "migration": named, "conditions": [condition("Executing")]}]
        vms = [self.vm(vm["name"]) for vm in plan["spec"]["vms"]]
        self.write(
            "Plan",
            plan["metadata"]["name"],
            conditions=self.plan_conditions("Executing"),
            migration={"history": history, "vms": vms, "started": TIME},
        )
        self.write("Migration", name, conditions=[condition("Ready", "Required"), condition("Running")], vms=vms)
        self.started.set()

    def plan_of(self, migration):
        return self.plane.do("get", "Plan", "mig", self.plane.do("get", "Migration", "mig", migration)["spec"]["plan"]["name"])

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
        """The run ends: first the plan says so, then the Migration; then the plan is found to be in conflict with what it has made."""
        assert self.started.wait(30)
        self.started.clear()
        plan = self.plan_of(name)
        status = plan["status"]["migration"]
        status["history"][-1]["conditions"] = [condition(outcome)]
        status["vms"] = vms or [self.vm(vm["name"], outcome) for vm in plan["spec"]["vms"]]
        self.write("Plan", plan["metadata"]["name"], conditions=self.plan_conditions(outcome), migration=status)
        if self.mirrors:
            time.sleep(0.2)
            self.write("Migration", name, conditions=[condition("Ready", "Required"), condition(outcome)], vms=status["vms"])
        if outcome == "Failed" and any(vm["conditions"][0]["type"] == "Succeeded" for vm in status["vms"]):
            conflict = condition("MacConflicts", "Critical", reason="NotValid", message="MACs x conflict with destination VM apps/db")
            self.write("Plan", plan["metadata"]["name"], conditions=[condition(outcome), conflict])

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
    from ansible_collections.vmshift.mtv.plugins.module_utils import migration_task

    monkeypatch.setattr(migration_task, "MIRROR_SECONDS", 1)
    runner.mirrors = False
    runner.later(runner.end, "demo-1", "Succeeded")
    assert run("migration", **GIVEN)["outcome"] == "Succeeded"


def test_the_end_is_seen_when_the_migration_says_no_more_than_that_it_is_ready(run, runner, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import migration_task

    monkeypatch.setattr(migration_task, "MIRROR_SECONDS", 1)
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
    assert lines[3].startswith("Plan demo: ") and "Failed=True" in lines[3]
    assert [vm["outcome"] for vm in failed["vms"]] == ["Failed", "Succeeded"] and len(failed["table"]) == 3


def test_after_a_failure_nothing_is_started_unless_asked(plane, run, runner):
    runner.later(runner.end, "demo-1", "Failed", [runner.vm("app", "Failed"), runner.vm("db", "Failed")])
    run("migration", **GIVEN)
    again = run("migration", **GIVEN)
    assert again["failed"] and not again["changed"] and "The last run of Plan mig/demo has failed. Give retry" in again["msg"]
    assert "VM app (id-app) failed in step ImageConversion" in again["msg"] and names(plane) == ["demo-1"]
    runner.later(runner.end, "demo-2", "Succeeded")
    retried = run("migration", **GIVEN, retry=True)
    assert (retried["changed"], retried["outcome"], retried["migration"]["metadata"]["name"]) == (True, "Succeeded", "demo-2")
    assert retried["plans"] == ["demo"]


# --- what a plan has left goes to a follow-up plan -------------------------------------------------------------------


def plans(plane):
    return {p["metadata"]["name"]: p for p in plane.do("list", "Plan", "mig")}


def outcomes(result):
    return [(vm["name"], vm["plan"], vm["outcome"]) for vm in result["vms"]]


def test_vms_that_are_left_are_migrated_by_a_follow_up_plan(plane, run, runner):
    hook = {"step": "PreHook", "hook": {"name": "h", "namespace": "mig"}}
    vms = [{"id": "id-app", "name": "app", "targetName": "app2", "hooks": [hook]}, {"id": "id-db", "name": "db"}]
    meta = {"labels": {"wave": "1"}, "annotations": {"owner": "me"}}
    plane.do("patch", "Plan", "mig", "demo", {"metadata": meta, "spec": {"vms": vms, "preserveStaticIPs": False}})
    runner.validate("demo")
    failed_run(run, runner)
    before = plans(plane)["demo"]
    predicted = run("migration", check_mode=True, **GIVEN, retry=True)
    assert predicted["changed"] and set(plans(plane)) == {"demo"} and plans(plane)["demo"]["spec"] == before["spec"]
    assert names(plane) == ["demo-1"]

    runner.later(runner.end, "demo-retry-1-1", "Succeeded")
    retried = run("migration", **GIVEN, retry=True)
    assert (retried["changed"], retried["outcome"], retried["plans"]) == (True, "Succeeded", ["demo", "demo-retry-1"])
    assert outcomes(retried) == [("app", "demo-retry-1", "Succeeded"), ("db", "demo", "Succeeded")]
    assert retried["migration"]["metadata"]["name"] == "demo-retry-1-1" and len(retried["diff"]) == len(predicted["diff"]) == 3

    first, later = plans(plane)["demo"], plans(plane)["demo-retry-1"]
    assert first["spec"] == {**before["spec"], "archived": True}
    assert first["metadata"]["annotations"] == {"owner": "me", "vmshift.io/continued-by": "demo-retry-1"}
    assert later["spec"] == {**{k: v for k, v in before["spec"].items() if k != "archived"}, "vms": vms[:1]}
    assert later["metadata"]["labels"] == {"wave": "1", "vmshift.io/continues": "demo"}
    assert later["metadata"]["annotations"] == {"owner": "me"}

    for retry in (True, False):
        third = run("migration", **GIVEN, retry=retry)
        assert (third["changed"], third["outcome"], third["vms"]) == (False, "Succeeded", retried["vms"])
    assert set(plans(plane)) == {"demo", "demo-retry-1"} and names(plane) == ["demo-1", "demo-retry-1-1"]


def test_a_follow_up_that_fails_is_retried_itself_or_followed_by_another(plane, run, runner):
    plane.do("patch", "Plan", "mig", "demo", {"spec": {"vms": [{"id": f"id-{n}", "name": n} for n in ("app", "db", "web")]}})
    runner.validate("demo")

    def failed(name):
        return runner.vm(name, "Failed")

    def done(name):
        return runner.vm(name, "Succeeded")

    runner.later(runner.end, "demo-1", "Failed", [failed("app"), done("db"), failed("web")])
    run("migration", **GIVEN)
    runner.later(runner.end, "demo-retry-1-1", "Failed", [failed("app"), failed("web")])
    again = run("migration", **GIVEN, retry=True)
    assert again["failed"] and again["msg"].startswith("Migration mig/demo-retry-1-1 of plan demo-retry-1 has failed.\nVM app")
    assert outcomes(again) == [("app", "demo-retry-1", "Failed"), ("db", "demo", "Succeeded"), ("web", "demo-retry-1", "Failed")]
    assert "The last run of Plan mig/demo-retry-1 has failed. Give retry" in run("migration", **GIVEN)["msg"]
    # Nothing was made by it: it is run again.
    runner.later(runner.end, "demo-retry-1-2", "Failed", [done("app"), failed("web")])
    assert run("migration", **GIVEN, retry=True)["failed"]
    # Now there is something: the rest goes to another one, named after the first plan.
    runner.later(runner.end, "demo-retry-2-1", "Succeeded")
    last = run("migration", **GIVEN, retry=True)
    assert last["plans"] == ["demo", "demo-retry-1", "demo-retry-2"]
    assert outcomes(last) == [
        ("app", "demo-retry-1", "Succeeded"),
        ("db", "demo", "Succeeded"),
        ("web", "demo-retry-2", "Succeeded"),
    ]
    assert not run("migration", **GIVEN, retry=True)["changed"]
    assert {p["metadata"]["labels"]["vmshift.io/continues"] for n, p in plans(plane).items() if n != "demo"} == {"demo"}


@pytest.mark.parametrize("when", ["archived", "made"])
def test_a_retry_that_was_interrupted_is_gone_on_with(plane, run, runner, when):
    failed_run(run, runner)
    patch = {"metadata": {"annotations": {"vmshift.io/continued-by": "demo-retry-1"}}, "spec": {"archived": True}}
    plane.do("patch", "Plan", "mig", "demo", patch)
    if when == "made":
        meta = {"labels": {"vmshift.io/continues": "demo"}}
        spec = {k: v for k, v in plans(plane)["demo"]["spec"].items() if k != "archived"}
        made = {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "spec": {**spec, "vms": spec["vms"][:1]}}
        plane.do("create", {**made, "metadata": {"name": "demo-retry-1", "namespace": "mig", **meta}})
    assert "The last run of Plan mig/demo has failed. Give retry" in run("migration", **GIVEN)["msg"]
    runner.later(runner.end, "demo-retry-1-1", "Succeeded")
    assert run("migration", **GIVEN, retry=True)["outcome"] == "Succeeded" and set(plans(plane)) == {"demo", "demo-retry-1"}


def test_a_follow_up_that_runs_is_followed_and_canceled_by_the_name_of_its_first_plan(plane, run, runner):
    failed_run(run, runner)
    begun = run("migration", **GIVEN, retry=True, wait=False)
    assert begun["changed"] and begun["outcome"] is None and begun["plans"] == ["demo", "demo-retry-1"]

    runner.mirrors = False  # the record is removed below

    def end_when_canceled():
        while "cancel" not in spec_of(plane, "demo-retry-1-1"):
            time.sleep(0.05)
        runner.end("demo-retry-1-1", "Canceled")

    runner.later(end_when_canceled)
    canceled = run("migration", **GIVEN, state="canceled", vms=["app", "db"])
    assert canceled["changed"] and [vm["outcome"] for vm in canceled["vms"]] == ["Canceled", "Succeeded"]
    assert plane.do("get", "Migration", "mig", "demo-retry-1-1")["spec"]["cancel"] == [{"id": "id-app", "name": "app"}]
    assert run("migration", **GIVEN, state="absent")["changed"] and names(plane) == []


def test_slices_of_a_follow_up_end_with_the_result_of_all_plans(plane, run, runner):
    failed_run(run, runner)
    first = run("migration", **GIVEN, retry=True, progress_slice={"seconds": 0.5})
    ongoing = first["ongoing"]
    assert first["changed"] and (ongoing["plan"], ongoing["migration"]) == ("demo-retry-1", "demo-retry-1-1")
    runner.later(runner.end, "demo-retry-1-1", "Succeeded")
    part = {"seconds": 0.5, "waited": 1.0, **{key: ongoing[key] for key in ("plan", "migration", "uid", "seen")}}
    ended = run("migration", **GIVEN, retry=True, progress_slice=part)
    assert ended["outcome"] == "Succeeded" and outcomes(ended) == [("app", "demo-retry-1", "Succeeded"), ("db", "demo", "Succeeded")]


def test_a_vm_that_ran_before_the_first_run_runs_again_after_the_retry(plane, run, runner):
    vms = [runner.vm("app", "Failed", restorePowerState="On"), runner.vm("db", "Succeeded")]
    runner.later(runner.end, "demo-1", "Failed", vms)
    run("migration", **GIVEN)
    run("migration", **GIVEN, retry=True, wait=False)
    assert plans(plane)["demo-retry-1"]["spec"]["vms"] == [{"id": "id-app", "name": "app", "targetPowerState": "on"}]


def test_what_is_in_the_way_of_a_follow_up_until_it_is_cleaned_up_is_waited_for(plane, run, runner):
    def validate(name):
        conflict = condition("VMAlreadyExists", "Critical", message="Target VM already exists.", items=["app"])
        runner.write("Plan", name, conditions=[conflict])
        time.sleep(1)
        runner.write("Plan", name, conditions=[condition("Ready", "Required")])

    failed_run(run, runner)
    runner.validate = validate
    runner.later(runner.end, "demo-retry-1-1", "Succeeded")
    assert run("migration", **GIVEN, retry=True)["outcome"] == "Succeeded"


def test_a_follow_up_that_stays_blocked_says_why(plane, run, runner):
    failed_run(run, runner)
    blocker = condition("VMCriticalConcerns", "Critical", message="VM has critical concerns.", items=["app"])
    runner.validate = lambda name: runner.write("Plan", name, conditions=[blocker])
    failed = run("migration", **GIVEN, retry=True)
    assert failed["failed"] and failed["changed"]
    assert "Plan mig/demo-retry-1 did not become ready: VMCriticalConcerns=True: VM has critical concerns. [app]" in failed["msg"]
    assert names(plane) == ["demo-1"]


def test_a_plan_that_somebody_has_archived_is_not_continued(plane, run, runner):
    failed_run(run, runner)
    plane.do("patch", "Plan", "mig", "demo", {"spec": {"archived": True}})
    assert "Plan mig/demo is archived and cannot be run." in run("migration", **GIVEN, retry=True)["msg"]
    assert set(plans(plane)) == {"demo"}


def test_a_plan_of_somebody_else_keeps_its_name(plane, run, runner):
    failed_run(run, runner)
    plane.make("Plan", "demo-retry-1", spec=plans(plane)["demo"]["spec"])
    run("migration", **GIVEN, retry=True, wait=False)
    assert plans(plane)["demo"]["metadata"]["annotations"]["vmshift.io/continued-by"] == "demo-retry-2"
    assert "labels" not in plans(plane)["demo-retry-1"]["metadata"]


def test_vms_canceled_in_a_run_that_succeeded_are_migrated_when_asked(plane, run, runner):
    runner.later(runner.end, "demo-1", "Succeeded", [runner.vm("app", "Canceled"), runner.vm("db", "Succeeded")])
    first = run("migration", **GIVEN)
    assert first["outcome"] == "Succeeded" and "VM app was canceled and is not migrated." in first["warnings"]
    assert not run("migration", **GIVEN)["changed"]
    runner.later(runner.end, "demo-retry-1-1", "Succeeded")
    retried = run("migration", **GIVEN, retry=True)
    assert outcomes(retried) == [("app", "demo-retry-1", "Succeeded"), ("db", "demo", "Succeeded")] and retried["warnings"] == []


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


def test_nobody_waits_longer_than_the_window(plane, run, runner):
    late = text_of(datetime.now(timezone.utc) + timedelta(seconds=2))
    begin = time.monotonic()
    failed = run("migration", **{**GIVEN, "wait_timeout": 60, "wait_until": late})
    assert time.monotonic() - begin < 50
    assert f"Migration mig/demo-1 has not ended by {late}; it goes on." in failed["msg"]
    assert "VM app (id-app): Running at step ImageConversion" in failed["msg"]
    runner.end("demo-1", "Succeeded", [runner.vm("app", "Succeeded"), runner.vm("db", "Succeeded")])
    assert run("migration", **GIVEN, wait_until=late)["outcome"] == "Succeeded", "the same task afterwards sees the end"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cutover": "now", "wait_until": "2026-01-01T00:00:00Z"}, "wait_until: 2026-01-01T00:00:00Z is not after the cutover at "),
        (
            {"vm_cutover": [{"vm": "app", "cutover": "2126-01-02 00:00 UTC"}], "wait_until": "2126-01-01T22:00Z"},
            "the cutover at 2126-01-02",
        ),
        ({"wait_until": "2126-01-01 22:00"}, "wait_until: '2126-01-01 22:00' says no zone; give one with the time, such as "),
        ({"wait_until": "now"}, "wait_until: 'now' is not a time; give one with its zone, such as "),
    ],
)
def test_a_window_that_cannot_be_kept_is_refused(plane, run, runner, options, said):
    failed = run("migration", **GIVEN, wait=False, **options)
    assert said in failed["msg"] and "or now" not in failed["msg"] and names(plane) == []


@pytest.fixture
def data_volume(plane, runner):
    """The disk of a VM of the running plan, in a phase."""
    plane.make("Namespace", "apps", "", "v1")

    def make(vm, phase, message="Unable to connect to the source"):
        labels = {"plan": plane.do("get", "Plan", "mig", "demo")["metadata"]["uid"], "vmID": f"id-{vm}"}
        meta = {"name": f"demo-{vm}", "namespace": "apps", "labels": labels}
        spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
        made = plane.do("create", {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "metadata": meta, "spec": spec})
        status = {"phase": phase, "conditions": [{"type": "Running", "status": "False", "message": message}]}
        plane.do("update_status", {**made, "status": status})

    return make


def test_a_failed_volume_ends_the_wait_when_nothing_else_goes_on(plane, run, runner, data_volume, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import migration_task

    monkeypatch.setattr(migration_task, "LOOK_SECONDS", 0.5)
    run("migration", **GIVEN, wait=False)
    assert runner.started.wait(10)
    data_volume("app", "Failed")
    going = run("migration", **{**GIVEN, "wait_timeout": 3})
    assert "has not ended within 3 s; it goes on." in going["msg"], "the other VM is being converted"
    status = plane.do("get", "Plan", "mig", "demo")["status"]["migration"]
    vms = [runner.vm("app", phase="AllocateDisks"), runner.vm("db", "Succeeded")]
    runner.write("Plan", "demo", migration={**status, "vms": vms})
    begin = time.monotonic()
    stuck = run("migration", **GIVEN)
    assert time.monotonic() - begin < 15
    assert stuck["msg"].startswith(
        "VM app: DataVolume apps/demo-app has failed (Unable to connect to the source). MTV does not notice that, and waits for ever: "
        "cancel app (state canceled) and retry.\nVM app (id-app): Running at step ImageConversion"
    )
    part = {"seconds": 0.5, "plan": "demo", "migration": "demo-1", "uid": stuck["migration"]["metadata"]["uid"]}
    assert run("migration", **GIVEN, progress_slice=part)["msg"] == stuck["msg"]


def test_a_volume_that_is_filled_is_waited_for(plane, run, runner, data_volume, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import migration_task

    monkeypatch.setattr(migration_task, "LOOK_SECONDS", 0.5)
    run("migration", **GIVEN, wait=False)
    assert runner.started.wait(10)
    status = plane.do("get", "Plan", "mig", "demo")["status"]["migration"]
    runner.write("Plan", "demo", migration={**status, "vms": [runner.vm(n, phase="AllocateDisks") for n in ("app", "db")]})
    data_volume("app", "Failed")
    data_volume("db", "ImportInProgress")
    assert "has not ended within 3 s" in run("migration", **{**GIVEN, "wait_timeout": 3})["msg"]


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


def spec_of(plane, name="demo-1"):
    return plane.do("get", "Migration", "mig", name)["spec"]


def test_a_cutover_is_set_on_the_running_migration_once(plane, run, runner):
    run("migration", **GIVEN, wait=False)
    assert "cutover" not in spec_of(plane)
    given = {**GIVEN, "wait": False, "cutover": "2126-01-01T22:00:00+01:00"}
    assert [run("migration", **given)["changed"] for _unused in range(2)] == [True, False]
    assert spec_of(plane)["cutover"] == "2126-01-01T21:00:00Z"
    now = {**GIVEN, "wait": False, "cutover": "now"}
    assert [run("migration", **now)["changed"] for _unused in range(2)] == [True, False]
    # The same task again, after its time: nothing new, and nothing wrong.
    passed = spec_of(plane)["cutover"]
    assert not run("migration", **{**given, "cutover": passed})["changed"]


def test_a_time_that_is_over_is_refused_before_anything_is_written(plane, run, runner):
    over = {**GIVEN, "wait": False, "cutover": "2026-01-01T22:00:00Z"}
    assert "cutover: 2026-01-01T22:00:00Z is over, it is " in run("migration", **over)["msg"] and names(plane) == []
    assert run("migration", **over, allow_past_cutover=True)["changed"]
    assert spec_of(plane)["cutover"] == "2026-01-01T22:00:00Z"


def test_a_cutover_of_a_cold_plan_is_a_warning(plane, run, runner):
    plane.do("patch", "Plan", "mig", "demo", {"spec": {"type": "cold"}})
    runner.validate("demo")
    started = run("migration", **GIVEN, wait=False, cutover="now")
    assert started["warnings"] == ["cutover: plan demo is no warm migration; MTV ignores the time."]


def test_single_vms_switch_over_at_times_of_their_own(plane, run, runner):
    given = {**GIVEN, "wait": False}
    first = run("migration", **given, cutover="2126-01-01T22:00:00Z", vm_cutover=[{"vm": "app", "cutover": "2126-01-01T20:00:00Z"}])
    assert first["changed"] and spec_of(plane)["cutover"] == "2126-01-01T22:00:00Z"
    assert spec_of(plane)["vmCutover"] == [{"id": "id-app", "cutover": "2126-01-01T20:00:00Z"}]
    assert runner.started.wait(10)
    more = {**given, "vm_cutover": [{"vm": "id-db", "cutover": "now"}]}
    assert run("migration", check_mode=True, **more)["changed"] and len(spec_of(plane)["vmCutover"]) == 1
    assert [run("migration", **more)["changed"] for _unused in range(2)] == [True, False]
    assert [entry["id"] for entry in spec_of(plane)["vmCutover"]] == ["id-app", "id-db"]
    wrong = run("migration", **given, vm_cutover=[{"vm": "ap", "cutover": "now"}])
    assert "vm_cutover[0].vm: VMs of Plan mig/demo: vms[0]: there is no VM 'ap' (did you mean 'app'?)" in wrong["msg"]


def test_a_time_for_a_vm_whose_id_is_not_known_is_refused(plane, run, runner):
    plane.do("patch", "Plan", "mig", "demo", {"spec": {"vms": [{"name": "app"}]}})
    runner.validate("demo")
    own = [{"vm": "app", "cutover": "2126-01-01T20:00:00Z"}]
    refused = run("migration", **GIVEN, wait=False, vm_cutover=own)
    assert "vm_cutover[0].vm: Plan mig/demo has app by its name alone, and MTV takes ids here" in refused["msg"] and names(plane) == []


@pytest.mark.mtv("2.12.5")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"vm_cutover": [{"vm": "app", "cutover": "now"}]},
            "vm_cutover: the MTV of this cluster does not know this option; MTV 5.0 and newer do.",
        ),
        ({"retry": True, "resume_conversion": True}, "resume_conversion: no VM of Plan mig/demo can be resumed"),
    ],
)
def test_what_an_older_mtv_does_not_know_is_refused(plane, run, runner, options, said):
    assert said in run("migration", **GIVEN, **options)["msg"] and names(plane) == []


def test_a_conversion_is_resumed_where_mtv_says_that_it_can_be(plane, run, runner):
    runner.later(runner.end, "demo-1", "Failed", [runner.vm("app", "Failed"), runner.vm("db", "Failed")])
    run("migration", **GIVEN)
    resume = {**GIVEN, "wait": False, "retry": True, "resume_conversion": True}
    assert "no VM of Plan mig/demo can be resumed (it has no condition ConversionResumable)" in run("migration", **resume)["msg"]
    runner.write("Plan", "demo", conditions=[*runner.plan_conditions("Failed"), condition("ConversionResumable")])
    assert run("migration", **resume)["changed"] and spec_of(plane, "demo-2")["resumeConversion"] is True
    assert not run("migration", **resume)["changed"]


def test_a_conversion_cannot_be_resumed_by_a_follow_up(plane, run, runner):
    failed_run(run, runner)
    failed = run("migration", **GIVEN, retry=True, resume_conversion=True)
    assert "resume_conversion: VMs of Plan mig/demo were made already" in failed["msg"] and set(plans(plane)) == {"demo"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resume_conversion": True}, "resume_conversion: this is a way to retry; give retry: true, too."),
        ({"state": "canceled", "cutover": "now"}, "cutover: this goes with state started only; state is canceled."),
        ({"state": "absent", "wait_until": "2126-01-01T00:00:00Z"}, "wait_until: this goes with state started only; state is absent."),
        ({"state": "absent", "retry": True}, "retry: this goes with state started only; state is absent."),
        ({"vms": ["app"]}, "vms: which VMs a run migrates is said in the plan"),
        ({"vm_cutover": [{"vm": "app"}]}, "missing required arguments: cutover"),
    ],
)
def test_options_that_do_not_go_together(plane, run, runner, options, said):
    assert said in run("migration", **GIVEN, **options)["msg"] and names(plane) == []


def test_a_name_in_use_is_refused(plane, run, runner):
    runner.take_up = lambda name: None
    plane.make("Migration", "other", spec={"plan": {"name": "other", "namespace": "mig"}})
    assert "name: Migration mig/other belongs to another plan" in run("migration", **GIVEN, name="other")["msg"]
    del runner.take_up
    runner.later(runner.end, "demo-1", "Failed", [runner.vm("app", "Failed"), runner.vm("db", "Failed")])
    run("migration", **GIVEN)
    failed = run("migration", **GIVEN, retry=True, name="demo-1")
    assert "name: Migration mig/demo-1 has ended; leave name out" in failed["msg"]


def test_a_name_in_use_is_refused_before_a_follow_up_is_made(plane, run, runner):
    failed_run(run, runner)
    assert "name: Migration mig/demo-1 is one of another run" in run("migration", **GIVEN, retry=True, name="demo-1")["msg"]
    assert set(plans(plane)) == {"demo"} and "archived" not in plans(plane)["demo"]["spec"]


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
    part = {"seconds": 60, "waited": 19.0, **{key: ongoing[key] for key in ("migration", "uid", "seen")}}
    begin = time.monotonic()
    failed = run("migration", **GIVEN, progress_slice=part)
    assert time.monotonic() - begin < 30
    assert failed["msg"].startswith("Migration mig/demo-1 has not ended within 20 s; it goes on.")
