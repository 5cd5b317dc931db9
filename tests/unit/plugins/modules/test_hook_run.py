"""A hook run outside any migration: the objects it makes, what it takes for the VM, and what it says when the hook does not end well."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.modules import hook_run

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
