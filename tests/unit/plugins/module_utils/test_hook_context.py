"""What hooks find in /tmp/hook, beside the recordings of MTV's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.vmshift.mtv.plugins.module_utils import hook_context
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_job import HookRun, Resources

GOLDEN = next((p / "shared/golden" for p in Path(__file__).parents if (p / "shared/golden").is_dir()), None)
recorded = pytest.mark.skipif(GOLDEN is None, reason="the recordings are not at hand")


def added(scenario, kind, part):
    """Objects of a recording whose name has `part` in it, as they were made."""
    lines = map(json.loads, (GOLDEN / "scenarios" / scenario / "trace.jsonl").read_text().splitlines())
    return [e["object"] for e in lines if e["event"] == "ADDED" and e.get("kind") == kind and part in e["name"]]


def plan_of(scenario):
    return next(iter(added(scenario, "Plan", "")))


@recorded
@pytest.mark.parametrize("scenario", ["hooks-succeed", "hooks-prehook-fails"])
def test_plan_yaml_is_recorded_letter_by_letter(scenario):
    plan = plan_of(scenario)
    maps = [m for m in added(scenario, "ConfigMap", "hook-") if "plan.yml" in m.get("data", {})]
    assert maps
    for found in maps:
        assert hook_context.plan_yaml(plan["spec"]) == found["data"]["plan.yml"]


@recorded
def test_workload_yaml_has_the_recorded_shape():
    """The recorded VM is not among the recorded answers of the inventory, so its values are taken out of the shape again."""
    text = added("hooks-succeed", "ConfigMap", "prehook")[0]["data"]["workload.yml"]
    told = yaml.safe_load(text)
    vm, host = told["vm"], told["host"]
    renamed = {"toolsversionstatus": "toolsVersionStatus2"}
    flat = {renamed.get(k, k): v for k, v in {**vm["vm1"]["vm0"], **vm["vm1"], **vm}.items() if k not in ("vm0", "vm1", "host")}
    flat["disks"] = [{("parent" if k == "parentfile" else k): v for k, v in disk.items()} for disk in flat["disks"]]
    flat["nics"] = [{("order" if k == "index" else k): v for k, v in nic.items()} for nic in flat["nics"]]
    inner = host["host"]
    networking = {
        **inner["network"],
        "portgroups": [{("vSwitch" if k == "switch" else k): v for k, v in g.items()} for g in inner["network"]["portgroups"]],
    }
    alone = {k: v for k, v in {**inner["resource"], **inner}.items() if k not in ("resource", "cluster", "network", "inmaintenancemode")}
    cluster = {k: v for k, v in {**host["cluster"]["cluster"]["resource"], **host["cluster"]["cluster"]}.items() if k != "resource"}
    whole = {
        **flat,
        "selfLink": told["selflink"],
        "host": {**alone, "inMaintenance": inner["inmaintenancemode"], "networking": networking, "cluster": cluster},
    }
    assert hook_context.workload_yaml("vsphere", whole) == text


@recorded
def test_every_recorded_workload_of_vsphere_fits():
    for path in sorted((GOLDEN / "inventory/vsphere").glob("workloads-id-*.json")):
        body = json.loads(path.read_text())["body"]
        told = yaml.safe_load(hook_context.workload_yaml("vsphere", body))
        assert told["vm"]["vm1"]["vm0"]["id"] == body["id"]
        assert (told["vm"]["ipaddress"], told["vm"]["uuid"]) == (body["ipAddress"], body["uuid"])
        assert told["host"]["host"]["resource"]["id"] == body["host"]["id"]
        assert told["host"]["cluster"]["cluster"]["resource"]["name"] == body["host"]["cluster"]["name"]
        assert [d["file"] for d in told["vm"]["vm1"]["disks"]] == [d["file"] for d in body["disks"]]


OVA = {
    "selfLink": "providers/ova/p/workloads/v",
    "id": "v",
    "name": "app",
    "cpuCount": 2,
    "memoryMB": 512,
    "ovfPath": "/ova/app.ova",
    "nics": [{"Name": "Network adapter 1", "MAC": "00:50:56:00:00:01", "Network": "VM Network", "Config": None}],
    "disks": [{"ID": "d", "Name": "disk1.vmdk", "FilePath": "/ova/app.ova", "Capacity": 4, "CapacityAllocationUnits": "byte * 2^30"}],
    "networks": None,
    "concerns": [],
}


def test_a_workload_from_an_ova_file():
    told = yaml.safe_load(hook_context.workload_yaml("ova", OVA))
    assert told["selflink"] == "providers/ova/p/workloads/v"
    vm = told["vm"]
    assert vm["vm1"]["vm0"] == {"id": "v", "variant": "", "path": "", "name": "app", "selflink": ""}
    assert vm["vm1"]["disks"] == vm["disks"] and vm["disks"][0]["base"] == {"id": "d", "variant": "", "name": "disk1.vmdk", "revision": 0}
    assert (vm["cpucount"], vm["memorymb"], vm["ovfpath"], vm["networks"]) == (2, 512, "/ova/app.ova", [])
    assert vm["nics"] == [{"name": "Network adapter 1", "mac": "00:50:56:00:00:01", "network": "VM Network", "config": []}]


@pytest.mark.parametrize("source", ["ovirt", "openstack"])
def test_workloads_that_lie_a_key_deeper(source):
    told = yaml.safe_load(
        hook_context.workload_yaml(source, {"id": "v", "name": "app", "selfLink": "l", "hostName": "h", "cluster": {"Name": "c"}})
    )
    assert told == {
        "selflink": "l",
        "xvm": {"vm": {"vm1": {"vm0": {"id": "v", "name": "app", "selflink": ""}}, "hostname": "h"}},
        "cluster": {"name": "c"},
    }


def test_quotes_are_those_of_the_library_that_mtv_uses():
    assert hook_context.dumped({"a": "", "b": "0", "c": "true", "d": "[x] y", "e": "plain", "f": "1.5", "g": None}) == (
        'a: ""\nb: "0"\nc: "true"\nd: \'[x] y\'\ne: plain\nf: "1.5"\ng: null\n'
    )


def test_types_of_pyvmomi_are_written_as_what_they_are():
    long, word = type("long", (int,), {}), type("Word", (str,), {})
    given = {"capacity": long(1610612736), "state": word("poweredOn"), "connected": True}
    assert hook_context.dumped(given) == "capacity: 1610612736\nstate: poweredOn\nconnected: true\n"


@recorded
@pytest.mark.parametrize(("step", "hook"), [("PreHook", "pre"), ("PostHook", "post")])
def test_job_and_config_map_are_recorded(step, hook):
    plan = plan_of("hooks-succeed")
    found = next(h for h in added("hooks-succeed", "Hook", "") if h["metadata"]["name"] == hook)
    (job,) = added("hooks-succeed", "Job", f"-{step.lower()}-")
    (config,) = added("hooks-succeed", "ConfigMap", f"-{step.lower()}-")
    run = HookRun(plan, "vm-74", step, found, job["metadata"]["labels"]["migration"])
    ours = run.job(config["metadata"]["name"], "", Resources())
    for field in ("generateName", "namespace", "labels", "ownerReferences"):
        assert ours["metadata"][field] == job["metadata"][field]
    assert ours["spec"]["backoffLimit"] == job["spec"]["backoffLimit"]
    pod, theirs = ours["spec"]["template"]["spec"], job["spec"]["template"]["spec"]
    for field in ("restartPolicy", "activeDeadlineSeconds", "serviceAccountName"):
        assert pod.get(field) == theirs.get(field)
    for field in ("name", "image", "command", "resources", "volumeMounts"):
        assert pod["containers"][0].get(field) == theirs["containers"][0].get(field)
    assert pod["volumes"][0]["configMap"]["name"] == theirs["volumes"][0]["configMap"]["name"]
    made = run.config_map("vsphere", {"id": "vm-74", "name": "app-07"})
    assert {k: made["metadata"][k] for k in ("generateName", "namespace", "labels")} == {
        k: config["metadata"][k] for k in ("generateName", "namespace", "labels")
    }
    assert made["data"]["playbook.yml"] == config["data"]["playbook.yml"]
    assert set(made["data"]) == set(config["data"])


def test_the_account_of_the_hook_comes_first_then_the_plans_then_mtvs():
    plan = {"apiVersion": "v", "kind": "Plan", "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}}
    spec = {"image": "i"}

    def account(setting=""):
        return (
            HookRun(plan, "v", "PreHook", {"spec": spec}, "m")
            .job("c", setting, Resources())["spec"]["template"]["spec"]
            .get("serviceAccountName")
        )

    assert account() is None and account("global") == "global"
    plan["spec"]["serviceAccount"] = "of-plan"
    assert account("global") == "of-plan"
    spec["serviceAccount"] = "of-hook"
    assert account("global") == "of-hook"
