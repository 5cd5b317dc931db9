"""A hook run outside any migration: the objects it makes, what it takes for the VM, and what it says when the hook does not end well."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.modules import hook_run
from ansible_collections.vmshift.mtv.tests.rig.automation import JOB, TOKEN, Platform

PLAYBOOK = "- hosts: localhost\n  tasks: []\n"
VMS = [{"id": "vm-1", "name": "web01"}, {"id": "vm-2", "name": "twin"}, {"id": "vm-3", "name": "twin"}]


@pytest.fixture
def run_hook(plane, run):
    """A plan with three VMs, of which two have the same name; the module with it."""
    plane.provider("src", type="vsphere")
    uid = plane.do("get", "Provider", "mig", "src")["metadata"]["uid"]
    references = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "src", "namespace": "mig"}}
    maps = {kind: {"name": "m", "namespace": "mig"} for kind in ("network", "storage")}
    vms = [{"id": vm["id"]} for vm in VMS]
    plane.make("Plan", "web", spec={"provider": references, "targetNamespace": "prod", "map": maps, "vms": vms})
    plane.inventory[f"providers/vsphere/{uid}/vms"] = VMS
    for vm in VMS:
        plane.inventory[f"providers/vsphere/{uid}/vms/{vm['id']}"] = vm
        plane.inventory[f"providers/vsphere/{uid}/workloads/{vm['id']}"] = {**vm, "selfLink": ""}
    plane.inventory["providers"] = {"vsphere": [{"uid": uid, "name": "src", "namespace": "mig"}]}
    return lambda **given: run("hook_run", **{"plan": "web", "namespace": "mig", "vm": "web01", **given})


@pytest.fixture
def ends(plane):
    """Jobs end with this condition as soon as they are there."""

    def end(kind: str, **fields):
        plane.controller("Job", lambda job: {"conditions": [{"type": kind, "status": "True", **fields}]})

    return end


def jobs(plane):
    return plane.do("list", "Job", "mig")


def test_objects_are_as_in_a_migration_but_of_none(plane, run_hook, ends):
    ends("Complete")
    ran = run_hook(playbook=PLAYBOOK, service_account="runner", deadline=30, keep=True, step="PostHook")
    assert ran["changed"], ran
    assert ran["context"]["playbook.yml"] == PLAYBOOK
    (job,), (config,) = jobs(plane), plane.do("list", "ConfigMap", "mig")
    assert job["metadata"]["name"] == ran["job"]
    assert job["metadata"]["generateName"] == "web-vm-1-posthook-"
    assert {key: job["metadata"]["labels"][key] for key in ("migration", "vmID", "step", "resource")} == {
        "migration": "dry-run",
        "vmID": "vm-1",
        "step": "PostHook",
        "resource": "hook-config",
    }
    pod = job["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["activeDeadlineSeconds"]) == ("runner", 30)
    assert config["data"] == ran["context"]
    assert [owner["kind"] for owner in config["metadata"]["ownerReferences"]] == ["Job"]


def test_nothing_stays_by_default_nor_after_check_mode(plane, run_hook, ends):
    ends("Complete")
    assert run_hook(playbook=PLAYBOOK)["attempts"] == 0
    assert jobs(plane) == []
    predicted = run_hook(playbook=PLAYBOOK, check_mode=True)
    assert predicted["changed"]
    assert "web01" in predicted["context"]["workload.yml"]
    assert jobs(plane) == []


def test_an_inventory_without_workloads_gives_the_vm(plane, run_hook, ends):
    """As that of another cluster."""
    ends("Complete")
    for vm in VMS:
        (known,) = [path for path in plane.inventory if path.endswith(f"/workloads/{vm['id']}")]
        del plane.inventory[known]
    assert "web01" in run_hook(playbook=PLAYBOOK)["context"]["workload.yml"]


def test_a_failure_tells_the_words_of_the_job(plane, run_hook, ends):
    ends("Failed", message="Job has reached the specified backoff limit")
    failed = run_hook(playbook=PLAYBOOK)
    assert "The hook failed: Job has reached the specified backoff limit." in failed["msg"]
    assert jobs(plane) == []


def test_one_that_does_not_end_is_given_up(plane, run_hook):
    assert "did not end within 1 s" in run_hook(playbook=PLAYBOOK, wait_timeout=1)["msg"]
    assert jobs(plane) == []


def test_a_hook_that_is_there_runs_as_it_is(plane, run_hook, ends):
    ends("Complete")
    spec = {"image": "example.com/own", "playbook": base64.b64encode(PLAYBOOK.encode()).decode(), "deadline": 9}
    plane.make("Hook", "stop", spec=spec)
    assert run_hook(hook="stop", keep=True, deadline=10)["changed"]
    (job,) = jobs(plane)
    pod = job["spec"]["template"]["spec"]
    assert (pod["containers"][0]["image"], pod["activeDeadlineSeconds"]) == ("example.com/own", 10)
    assert job["metadata"]["labels"]["hook"] == plane.do("get", "Hook", "mig", "stop")["metadata"]["uid"]
    assert "there are: stop." in run_hook(hook="start")["msg"]
    assert run_hook(hook="stop", vars={"a": 1})["msg"].startswith("vars: ")


def test_a_vm_is_one_of_the_plan(run_hook, ends):
    ends("Complete")
    assert "means 2 of the VMs of plan web" in run_hook(playbook=PLAYBOOK, vm="twin")["msg"]
    assert "means none of the VMs of plan web: vm-1, vm-2, vm-3." in run_hook(playbook=PLAYBOOK, vm="web02")["msg"]
    assert run_hook(playbook=PLAYBOOK, vm="vm-2")["changed"]


def test_what_cannot_be_run_is_refused(run_hook, tmp_path):
    assert run_hook(plan="other", playbook=PLAYBOOK)["msg"] == "plan: mig/other does not exist."
    assert "cannot be read: No such file or directory" in run_hook(playbook_file=str(tmp_path / "no.yml"))["msg"]
    assert "the action plugin" in run_hook(library="x")["msg"]
    assert run_hook(playbook="a: 1")["msg"].startswith("playbook: ")
    assert "secret" in run_hook(playbook=PLAYBOOK, vars={"password": "x"})["msg"].lower()


def test_a_pod_that_is_held_says_why():
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    assert hook_run.why_held([{"status": {"containerStatuses": [waiting]}}]) == "ErrImagePull: no such image"
    assert hook_run.why_held([{"status": {"containerStatuses": [{"state": {"running": {}}}]}}, {}]) == ""


def test_limits_are_those_of_the_settings(plane, there):
    assert hook_run.settings_of(there, "mig") == {}
    plane.make("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"hooks_container_limits_memory": "3Gi"})
    resources = hook_run.resources_of(hook_run.settings_of(there, "mig"))
    assert (resources.limits_memory, resources.requests_cpu) == ("3Gi", "100m")


def test_a_missing_provider_is_named(plane, there):
    plan = {"metadata": {"name": "p"}, "spec": {"provider": {"source": {"name": "gone", "namespace": "mig"}}}}
    with pytest.raises(TalkError, match="its source provider mig/gone does not exist"):
        hook_run.workload_of(there, plan, {"vm": "x", "inventory_url": None})


# Job templates


@pytest.fixture
def platform(plane, monkeypatch):
    """A double of Ansible Automation Platform that MTV's settings trust; its token is in the namespace of the plan."""
    monkeypatch.setattr(hook_run, "POLL", 0.01)
    found = Platform(plane.state.pki / "server.crt", plane.state.pki / "server.key")
    keep(plane, "mig", "aap-token", token=TOKEN)
    keep(plane, "konveyor-forklift", "authority", ca_crt=(plane.state.pki / "ca.crt").read_text())
    plane.make("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"aap_ca_secret_name": "authority"})
    yield found
    found.close()


@pytest.fixture
def template(plane, platform):
    plane.make("Hook", "cmdb", spec={"aap": {"jobTemplateId": 7, "url": platform.url, "tokenSecret": {"name": "aap-token"}}})


def keep(plane, namespace, name, **data):
    encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    plane.make("Secret", name, namespace, "v1", data=encoded)


def test_a_job_template_is_launched_as_in_a_migration_and_waited_for(plane, run_hook, platform, template):
    predicted = run_hook(hook="cmdb", check_mode=True)
    assert (predicted["changed"], platform.launched) == (True, [])
    ran = run_hook(hook="cmdb", step="PostHook")
    wanted = {"vm_id": "vm-1", "vm_name": "web01", "plan_name": "web", "plan_namespace": "mig", "vm_source_id": "vm-1"}
    assert platform.launched == [(7, {"extra_vars": {**wanted, "migration_phase": "PostHook"}})]
    assert platform.asked == ["/api/", *["/api/", f"/api/v2/jobs/{JOB}/"] * 3]
    assert (ran["log"], ran["attempts"], ran["context"]["migration_phase"]) == ([f"AAP job {JOB}: successful"], 1, "PostHook")
    assert predicted["context"] == {**ran["context"], "migration_phase": "PreHook"}
    assert jobs(plane) == [] and TOKEN not in json.dumps([ran, predicted])


@pytest.mark.parametrize("status", ["failed", "error", "canceled"])
def test_a_job_of_a_template_that_does_not_end_well(run_hook, platform, template, status):
    platform.statuses = ["running", status]
    platform.root = {"apis": {"controller": "/api/controller/"}}  # of the gateway, which names no version
    assert run_hook(hook="cmdb")["msg"] == f"AAP job {JOB} failed with status: {status}"
    assert platform.asked[-1] == f"/api/controller/v2/jobs/{JOB}/"


def test_a_job_of_a_template_that_does_not_end(run_hook, platform, template):
    platform.statuses = ["running"]
    assert run_hook(hook="cmdb", wait_timeout=1)["msg"] == f"AAP job {JOB} did not end within 1 s."


def test_a_platform_whose_certificate_nobody_vouches_for(plane, run_hook, platform, template):
    change = {"spec": {"aap_ca_secret_name": None}}
    plane.do("patch", "ForkliftController", "konveyor-forklift", "forklift-controller", change)
    assert "is not trusted" in run_hook(hook="cmdb")["msg"]
    change = {"spec": {"aap_insecure_skip_verify": "true"}}
    plane.do("patch", "ForkliftController", "konveyor-forklift", "forklift-controller", change)
    assert run_hook(hook="cmdb")["warnings"] == [f"aap: the certificate of {platform.url} is not verified."]


def test_the_connection_of_the_settings_serves_hooks_without_one(plane, run_hook, platform):
    plane.make("Hook", "dns", spec={"aap": {"jobTemplateId": 10}})
    assert "set aap_url and aap_token_secret_name" in run_hook(hook="dns")["msg"]
    keep(plane, "konveyor-forklift", "central", token=TOKEN)
    change = {"spec": {"aap_url": platform.url, "aap_token_secret_name": "central"}}
    plane.do("patch", "ForkliftController", "konveyor-forklift", "forklift-controller", change)
    assert run_hook(hook="dns")["changed"] and platform.launched[0][0] == 10


def test_a_template_that_aap_does_not_know_or_let_us_launch(plane, run_hook, platform, template):
    plane.make("Hook", "gone", spec={"aap": {"jobTemplateId": 99, "url": platform.url, "tokenSecret": {"name": "aap-token"}}})
    assert "AAP returned status 404" in run_hook(hook="gone")["msg"]
    plane.do("delete", "Secret", "mig", "aap-token")
    keep(plane, "mig", "aap-token", token="another-token")
    refused = run_hook(hook="cmdb")
    assert "AAP returned status 401" in refused["msg"] and "another-token" not in json.dumps(refused)
