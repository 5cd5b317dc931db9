"""Plans with hooks: Jobs and ConfigMaps in their time, what a failure leaves, job templates of AAP; beside the recordings of MTV's own."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.controllers import plan
from ansible_collections.vmshift.mtv.controlplane.migration import aap
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import CONTROLLERS, PLANS, TARGET, World

GOLDEN = next((p / "shared/golden" for p in Path(__file__).absolute().parents if (p / "shared/golden").is_dir()), None)
PLAYBOOK = "- hosts: localhost\n"
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    for name, deadline in (("pre", 60), ("post", 0)):
        spec = {"image": "quay.io/konveyor/hook-runner", "playbook": base64.b64encode(PLAYBOOK.encode()).decode(), "deadline": deadline}
        made.ready("Hook", PLANS, name, spec)
    return made


def hooked(world, *steps):
    hooks = [{"step": step, "hook": {"namespace": PLANS, "name": name}} for step, name in steps]
    world.plan(vms=["app1"])
    world.api.patch("Plan", PLANS, "p", {"spec": {"vms": [{"name": "app1", "hooks": hooks}]}})
    world.migration()


def job(world, step):
    return next(iter(world.api.list("Job", PLANS, {"step": step})), None)


def end(world, step, **status):
    """The Job of a step ends like that."""
    found = job(world, step)
    world.api.update_status({**found, "status": status or {"succeeded": 1}})


def step(world, name):
    return next(s for s in world.vm()["pipeline"] if s["name"] == name)


def test_hooks_run_in_their_time_and_leave_nothing(world):
    hooked(world, ("PreHook", "pre"), ("PostHook", "post"))
    world.run(lambda: job(world, "PreHook"))
    world.settle(3)
    assert world.vm()["phase"] == "PreHook" and step(world, "PreHook")["phase"] == "Running"
    assert world.count("DataVolume") == 0  # nothing is done to the VM before its hook is over
    (config,) = world.api.list("ConfigMap", PLANS, {"step": "PreHook"})
    assert config["data"]["playbook.yml"] == PLAYBOOK
    assert yaml.safe_load(config["data"]["workload.yml"])["vm"]["vm1"]["vm0"]["name"] == "app1"
    assert yaml.safe_load(config["data"]["plan.yml"])["targetnamespace"] == TARGET
    found = job(world, "PreHook")
    assert config["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert found["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 60
    end(world, "PreHook")
    world.run(lambda: job(world, "PostHook"))
    assert world.count("VirtualMachine", TARGET) == 1 and step(world, "PreHook")["progress"] == {"completed": 1, "total": 1}
    assert [s["name"] for s in world.vm()["pipeline"]][::5] == ["Initialize", "VirtualMachineCreation"]
    end(world, "PostHook")
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    assert {s["name"]: s["phase"] for s in world.vm()["pipeline"]}["PostHook"] == "Completed"
    assert world.count("Job") == 0 and world.count("ConfigMap", PLANS) == 0


def test_a_hook_runs_once_whatever_happens_to_the_control_plane(world):
    hooked(world, ("PreHook", "pre"))
    world.run(lambda: job(world, "PreHook"))
    before = job(world, "PreHook")["metadata"]["uid"]
    world.api.patch("ConfigMap", PLANS, world.api.list("ConfigMap", PLANS)[0]["metadata"]["name"], {"metadata": {"ownerReferences": None}})
    world.restart()
    world.settle(3)
    assert (world.count("Job"), job(world, "PreHook")["metadata"]["uid"], world.count("ConfigMap", PLANS)) == (1, before, 1)
    assert world.api.list("ConfigMap", PLANS)[0]["metadata"]["ownerReferences"]


def test_a_failing_pre_hook_leaves_the_source_untouched(world):
    hooked(world, ("PreHook", "pre"), ("PostHook", "post"))
    world.run(lambda: job(world, "PreHook"))
    end(world, "PreHook", failed=2, conditions=[FAILED])
    world.run(world.ended)
    vm = world.vm()
    assert vm["error"] == {"phase": "PreHook", "reasons": ["Job has reached the specified backoff limit"]}
    assert step(world, "PreHook")["error"] == {"phase": "Running", "reasons": ["Job has reached the specified backoff limit"]}
    assert {s["name"]: s["phase"] for s in vm["pipeline"]} == {
        "Initialize": "Completed",
        "PreHook": "Running",
        "DiskAllocation": "Pending",
        "ImageConversion": "Pending",
        "DiskTransferV2v": "Pending",
        "VirtualMachineCreation": "Pending",
        "PostHook": "Pending",
    }
    assert "restorePowerState" not in vm  # it was not even asked, let alone switched off
    assert [world.count(kind) for kind in ("DataVolume", "VirtualMachine", "Conversion")] == [0, 0, 0]
    assert job(world, "PreHook")  # for its log


def test_a_failing_post_hook_leaves_the_vm_and_says_so(world):
    hooked(world, ("PostHook", "post"))
    world.run(lambda: job(world, "PostHook"))
    end(world, "PostHook", failed=2, conditions=[FAILED])
    world.run(world.ended)
    assert "Failed" in world.conditions("Plan", "p")
    assert world.vm()["error"]["phase"] == "PostHook"
    assert world.count("VirtualMachine", TARGET) == 1
    assert {s["name"]: s["phase"] for s in world.vm()["pipeline"]}["VirtualMachineCreation"] == "Completed"


def test_another_migration_runs_the_hook_again(world):
    hooked(world, ("PreHook", "pre"))
    world.run(lambda: job(world, "PreHook"))
    end(world, "PreHook", failed=2, conditions=[FAILED])
    world.run(world.ended)
    before = job(world, "PreHook")["metadata"]["uid"]
    world.migration("again")
    world.run(lambda: job(world, "PreHook") and job(world, "PreHook")["metadata"]["uid"] != before)
    assert world.count("Job") == 1
    end(world, "PreHook")
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_a_job_without_end_is_given_up_after_many_failures(world):
    hooked(world, ("PreHook", "pre"))
    world.run(lambda: job(world, "PreHook"))
    end(world, "PreHook", failed=4)
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ["Retry limit exceeded."]


def test_a_hook_that_is_gone_by_then(world):
    hooked(world, ("PostHook", "post"))
    world.run(lambda: world.vm()["phase"] == "CreateVM")
    world.plans._require_served = lambda plan, conditions: None
    world.api.delete("Hook", PLANS, "post")
    original, plan.validate = plan.validate, lambda *_unused: None
    try:
        world.run(world.ended)
    finally:
        plan.validate = original
    assert world.vm()["error"]["reasons"] == ["Hook not found."]


def test_a_canceled_vm_takes_its_hook_along(world):
    hooked(world, ("PreHook", "pre"))
    world.run(lambda: job(world, "PreHook"))
    world.api.patch("Migration", PLANS, "run", {"spec": {"cancel": [{"name": "app1"}]}})
    world.run(world.ended)
    assert world.count("Job") == 0 and world.count("ConfigMap", PLANS) == 0


# AAP


class Platform(BaseHTTPRequestHandler):
    """As much of a controller's API as is asked for, with the fields of its answers that matter here."""

    state: dict[str, Any] = {}

    def do_GET(self) -> None:
        self.state["asked"].append((self.command, self.path, self.headers["Authorization"]))
        if self.path == "/api/":
            return self.answer(200, self.state["root"])
        if self.path.endswith(f"/jobs/{self.state['job']}/"):
            status = self.state["statuses"].pop(0) if len(self.state["statuses"]) > 1 else self.state["statuses"][0]
            return self.answer(
                200, {"id": self.state["job"], "type": "job", "status": status, "failed": status != "successful", "finished": None}
            )
        return self.answer(404, {"detail": "Not found."})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state["asked"].append((self.command, self.path, self.headers["Authorization"]))
        self.state["sent"] = body
        if self.state.get("refusal"):
            return self.answer(*self.state["refusal"])
        return self.answer(
            201, {"job": self.state["job"], "ignored_fields": {}, "id": self.state["job"], "type": "job", "status": "pending"}
        )

    def answer(self, code: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_unused: Any) -> None:
        pass


@pytest.fixture
def platform(world, monkeypatch):
    """An automation controller over HTTPS, whose certificate the world's CA has signed."""
    monkeypatch.setattr(aap, "POLL_SECONDS", 0.0)
    certificates = pki.ensure_pki(world.state)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    server.socket = certificates.server_context().wrap_socket(server.socket, server_side=True)
    Platform.state = {"asked": [], "job": 42, "statuses": ["pending", "running", "successful"], "root": {"current_version": "/api/v2/"}}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world.create("v1", "Secret", PLANS, "aap-token", data={"token": base64.b64encode(b"s3cret\n").decode()})
    ca = base64.b64encode((world.state.pki / "ca.crt").read_bytes()).decode()
    world.create("v1", "Secret", CONTROLLERS, "aap-ca", data={"ca.crt": ca})
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"aap_ca_secret_name": "aap-ca"}})
    Platform.state["url"] = f"https://127.0.0.1:{server.server_address[1]}"
    yield Platform.state
    server.shutdown()
    server.server_close()


def template(world, platform, **more):
    spec = {"aap": {"jobTemplateId": 7, "url": platform["url"], "tokenSecret": {"name": "aap-token"}, **more}}
    world.ready("Hook", PLANS, "job", spec)
    hooked(world, ("PostHook", "job"))


def test_a_job_template_is_launched_once_and_waited_for(world, platform):
    template(world, platform)
    world.run(lambda: world.vm()["phase"] == "PostHook" and (step(world, "PostHook").get("annotations") or {}).get("aap-job"))
    world.restart()
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    posts = [path for verb, path, _token in platform["asked"] if verb == "POST"]
    assert posts == ["/api/v2/job_templates/7/launch/"]
    assert {token for _verb, _path, token in platform["asked"]} == {"Bearer s3cret"}
    assert platform["sent"] == {
        "extra_vars": {
            "vm_id": "id-app1",
            "vm_name": "app1",
            "plan_name": "p",
            "plan_namespace": PLANS,
            "migration_phase": "PostHook",
            "vm_source_id": "id-app1",
        }
    }
    assert step(world, "PostHook")["annotations"]["aap-job"] == "42"


@pytest.mark.parametrize("status", ["failed", "error", "canceled"])
def test_a_job_that_fails_fails_its_vm(world, platform, status):
    platform["statuses"] = ["running", status]
    platform["root"] = {"apis": {"controller": "/api/controller/"}}  # AAP 2.5 with its gateway names no version
    template(world, platform)
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == [f"AAP job 42 failed with status: {status}"]
    assert any(path == "/api/controller/v2/jobs/42/" for _verb, path, _token in platform["asked"])
    assert world.count("VirtualMachine", TARGET) == 1


def test_what_is_refused_is_told_without_the_token(world, platform):
    platform["refusal"] = (401, {"detail": "Authentication credentials were not provided."})
    template(world, platform)
    world.run(world.ended)
    (reason,) = world.vm()["error"]["reasons"]
    assert reason.startswith("AAP returned status 401: ") and "credentials" in reason
    assert "s3cret" not in json.dumps(world.get("Plan", "p"))


def test_a_job_that_takes_too_long(world, platform, monkeypatch):
    platform["statuses"] = ["running"]
    template(world, platform, timeout=90)
    world.run(lambda: world.vm()["phase"] == "PostHook" and (step(world, "PostHook").get("annotations") or {}).get("aap-job"))
    plan = world.get("Plan", "p")
    plan["status"]["migration"]["vms"][0]["pipeline"][-1]["annotations"]["aap-launched"] = "1000"
    world.api.update_status(plan)
    world.run(world.ended)
    assert world.vm()["error"]["reasons"] == ["AAP job 42 timed out after 1m30s"]


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_the_settings_say_otherwise(world, platform):
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"aap_ca_secret_name": None}})
    template(world, platform)
    world.run(world.ended)
    assert "is not trusted" in world.vm()["error"]["reasons"][0]
    assert [entry for entry in platform["asked"] if entry[0] == "POST"] == []
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": {"aap_insecure_skip_verify": "true"}})
    world.migration("again")
    world.run(lambda: "Succeeded" in world.conditions("Migration", "again"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokenSecret": {"name": "none"}}, f'failed to get secret {PLANS}/none: secrets "none" not found'),
        ({"url": "http://aap.example.com"}, "give an https URL, because a token is sent there"),
        ({"url": "https://127.0.0.1:1"}, "cannot be reached"),
        ({"url": None, "tokenSecret": None}, "AAP is not configured: set ForkliftController aap_url"),
    ],
)
def test_connections_that_cannot_work(world, platform, change, said):
    template(world, platform, **change)
    world.run(world.ended)
    assert said in world.vm()["error"]["reasons"][0]


def test_the_connection_may_be_that_of_the_settings(world, platform):
    world.create("v1", "Secret", CONTROLLERS, "central", data={"token": base64.b64encode(b"of-all").decode()})
    settings = {"aap_url": platform["url"], "aap_token_secret_name": "central"}
    world.api.patch("ForkliftController", CONTROLLERS, "forklift-controller", {"spec": settings})
    template(world, platform, url=None, tokenSecret=None)
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    assert {token for _verb, _path, token in platform["asked"]} == {"Bearer of-all"}


@pytest.mark.parametrize(
    ("own", "deadline", "setting", "seconds"),
    [(0, 0, None, 3600), (0, 0, 100, 100), (0, 60, 100, 60), (30, 60, 100, 30), (-1, 60, 100, None), (0, -1, 100, None)],
)
def test_how_long_a_job_may_take(own, deadline, setting, seconds):
    assert aap.timeout({"spec": {"aap": {"timeout": own}, "deadline": deadline}}, {"aap_timeout": setting}) == seconds


# The recordings


@pytest.mark.skipif(GOLDEN is None, reason="no recorded scenarios here")
@pytest.mark.parametrize(("scenario", "ending"), [("hooks-prehook-fails", FAILED)])
def test_a_failing_hook_ends_as_recorded(world, scenario, ending):
    final = json.loads((GOLDEN / "scenarios" / scenario / "final.json").read_text())["objects"]
    recorded = next(o for o in final if o["kind"] == "Plan")["status"]
    hooked(world, ("PreHook", "pre"))
    world.run(lambda: job(world, "PreHook"))
    end(world, "PreHook", failed=2, conditions=[ending])
    world.run(world.ended)
    ours, theirs = world.get("Plan", "p")["status"], recorded["migration"]["vms"][0]
    assert _shape(ours["migration"]["vms"][0]["pipeline"]) == _shape(theirs["pipeline"])
    assert ours["migration"]["vms"][0]["error"] == theirs["error"]
    assert _said(ours["migration"]["vms"][0]["conditions"]) == _said(theirs["conditions"])
    lifecycle = ("Failed", "Executing", "Succeeded")
    assert [c for c in _said(ours["conditions"]) if c[0] in lifecycle] == [c for c in _said(recorded["conditions"]) if c[0] in lifecycle]
    assert _said(ours["migration"]["history"][0]["conditions"]) == _said(recorded["migration"]["history"][0]["conditions"])


def _shape(pipeline):
    return [
        (s["name"], s["description"], s["phase"], s.get("error"), "started" in s, "completed" in s, s["progress"]["completed"])
        for s in pipeline
    ]


def _said(conditions):
    return [tuple(c.get(k) for k in ("type", "status", "category", "message", "durable")) for c in conditions]
