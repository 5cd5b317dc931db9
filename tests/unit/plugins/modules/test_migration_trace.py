"""migration_trace: what it reads, whom it shows, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster

REFERENCE = {"name": "src", "namespace": "mig"}
WHEN = "2026-01-01T00:00:00Z"
SPEC = {
    "provider": {"source": REFERENCE, "destination": {"name": "host", "namespace": "konveyor-forklift"}},
    "map": {"network": REFERENCE, "storage": REFERENCE},
    "targetNamespace": "t",
    "vms": [{"id": "vm-1", "name": "web"}, {"id": "vm-2", "name": "db"}],
}
FAILED = {"type": "Failed", "status": "True", "category": "Advisory", "message": "", "lastTransitionTime": WHEN}


@pytest.fixture
def plan(plane: Any) -> Any:
    plane.provider("src", url="nfs:/x")
    plane.provider("host", type="openshift", namespace="konveyor-forklift")
    plane.make("Namespace", "t", "", "v1")
    return plane.make("Plan", "crm", spec=SPEC)


def step(name: str, phase: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "phase": phase, "started": WHEN, "progress": {"completed": 0, "total": 1}, **fields}


def machine(name: str, failed_in: str | None = None, number: int = 1) -> dict[str, Any]:
    """A VM in its conversion, or one that has failed there or in its hook."""
    error = {"phase": {"ImageConversion": "ConvertGuest"}.get(failed_in or "", failed_in), "reasons": ["It broke."]}
    disk = {"name": f"{name}.vmdk", "progress": {"completed": 0, "total": 1}}
    names = [*(["PreHook"] if failed_in == "PreHook" else []), "Initialize", "DiskAllocation", "ImageConversion"]
    pipeline = [
        step(n, "Running" if n == names[-1] else "Completed", **({"tasks": [disk]} if n == "DiskAllocation" else {}))
        | ({"error": error} if n == failed_in else {})
        for n in names
    ]
    ended = {"completed": WHEN, "error": error, "conditions": [FAILED], "phase": "Completed"} if failed_in else {"phase": "ConvertGuest"}
    return {"id": f"vm-{number}", "name": name, "started": WHEN, "pipeline": pipeline, **ended}


def ran(plane: Any, *vms: dict[str, Any], name: str = "crm") -> Any:
    """The plan after a run with these VMs."""
    plan = plane.do("get", "Plan", "mig", name)
    migration = plane.make("Migration", f"{name}-1", spec={"plan": {"name": name, "namespace": "mig"}})
    snapshot = {"namespace": "mig", "name": "x", "uid": "x", "generation": 1}
    entry = {
        "plan": snapshot,
        "map": {"network": snapshot, "storage": snapshot},
        "provider": {"source": snapshot, "destination": snapshot},
        "migration": {**snapshot, "name": f"{name}-1", "uid": migration["metadata"]["uid"]},
    }
    plan["status"] = {"conditions": [], "migration": {"started": WHEN, "history": [entry], "vms": list(vms)}}
    plane.do("update_status", plan)
    return migration


def labelled(plane: Any, plan: Any, migration: Any, kind: str, name: str, api: str = "v1", namespace: str = "t", **fields: Any) -> Any:
    more = fields.pop("labels", {})
    labels = {"plan": plan["metadata"]["uid"], "migration": migration["metadata"]["uid"], "vmID": "vm-1", **more}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return plane.do("create", {"apiVersion": api, "kind": kind, "metadata": meta, **fields})


POD = {"containers": [{"name": "virt-v2v", "image": "x"}]}


def shown(result: dict[str, Any], **only: Any) -> list[tuple[Any, ...]]:
    lines = [line for line in result["trace"] if all(line[key] == value for key, value in only.items())]
    return [(line["vm"], line["number"], line["step"]) for line in lines]


def test_a_plan_that_has_not_run(run: Any, plan: Any) -> None:
    result = run("migration_trace", namespace="mig", plan="crm", check_mode=True)
    assert result["changed"] is False
    assert result["workflow"]["name"] == "cold"
    assert result["workflow"]["why"] == "the source is OVA files, the plan is cold, and the VMs go to the cluster of MTV"
    assert {line["state"] for line in result["trace"]} == {"waiting"}
    assert {line["evidence"] for line in result["trace"]} == {"the plan has not been run"}
    assert [line for line in result["table"] if line.startswith("VM ")] == [
        "VM web (vm-1), Pending: cold migration with virt-v2v to the local cluster",
        "VM db (vm-2), Pending: cold migration with virt-v2v to the local cluster",
    ]


def test_a_failed_conversion_with_the_log_of_its_pod(run: Any, plan: Any, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = ran(plane, machine("web", "ImageConversion"), machine("db", number=2))
    labelled(plane, plan, migration, "Pod", "crm-vm-1-x", labels={"forklift.app": "virt-v2v"}, spec=POD)
    asked = ask_for_logs(monkeypatch)
    result = run("migration_trace", namespace="mig", plan="crm", log_lines=5)
    assert shown(result, state="failed") == [("web", 6, "conversion")]
    assert shown(result, state="active") == [("db", 6, "conversion")]
    line = next(line for line in result["trace"] if line["state"] == "failed")
    assert line["object"] == {"kind": "Pod", "namespace": "t", "name": "crm-vm-1-x"}
    assert line["error"] == "It broke"
    assert line["log"] == ["last lines of pod t/crm-vm-1-x, container virt-v2v:", "| no root file system"]
    assert asked == [("/api/v1/namespaces/t/pods/crm-vm-1-x/log", 5)]
    assert "    | no root file system" in result["table"]
    assert run("migration_trace", namespace="mig", plan="crm", log_lines=0)["trace"][0]["log"] == []
    assert len(asked) == 1


def ask_for_logs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Pods of this server have no logs of their own."""
    asked: list[tuple[str, Any]] = []
    request = Cluster.request

    def answer(self: Cluster, method: str, path: str, **given: Any) -> Any:
        if not path.endswith("/log"):
            return request(self, method, path, **given)
        asked.append((path, given["query"]["tailLines"]))
        return "no root file system\n"

    monkeypatch.setattr(Cluster, "request", answer)
    return asked


def test_the_log_of_a_hook_is_that_of_its_job(run: Any, plan: Any, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = ran(plane, machine("web", "PreHook"))
    template = {"spec": {"containers": [{"name": "hook", "image": "x"}], "restartPolicy": "Never"}}
    labelled(plane, plan, migration, "Job", "crm-hook", "batch/v1", "mig", labels={"step": "PreHook"}, spec={"template": template})
    meta = {"name": "crm-hook-abcde", "namespace": "mig", "labels": {"job-name": "crm-hook"}}
    plane.do("create", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "hook", "image": "x"}]}})
    ask_for_logs(monkeypatch)
    result = run("migration_trace", namespace="mig", migration="crm-1")
    assert shown(result, state="failed") == [("web", None, "pre_hook")]
    assert result["trace"][0]["object"] == {"kind": "Job", "namespace": "mig", "name": "crm-hook"}
    assert result["trace"][0]["log"][0] == "last lines of pod mig/crm-hook-abcde, container hook:"


def test_the_number_of_requests_does_not_grow_with_the_vms(run: Any, plan: Any, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    request = Cluster.request
    monkeypatch.setattr(Cluster, "request", lambda self, *args, **given: counts.append(args) or request(self, *args, **given))
    totals = []
    for number in (2, 50):
        ran_plan = plane.do("get", "Plan", "mig", "crm")
        ran_plan["status"] = {"migration": {"history": [], "vms": [machine(f"vm{i}", number=i) for i in range(number)]}}
        plane.do("update_status", ran_plan)
        counts.clear()
        assert len({line["vm"] for line in run("migration_trace", namespace="mig", plan="crm")["trace"]}) == number
        totals.append(len(counts))
    assert totals[0] == totals[1] <= 12


def test_vms_that_a_plan_names_without_their_id_have_a_block_each(run: Any, plane: Any) -> None:
    plane.provider("src", url="nfs:/x")
    plane.make("Plan", "crm", spec={**SPEC, "vms": [{"name": "web"}, {"name": "db"}]})
    table = run("migration_trace", namespace="mig", plan="crm")["table"]
    assert [line.partition(",")[0] for line in table if line.startswith("VM ")] == ["VM web (-)", "VM db (-)"]
    assert [line.split()[0] for line in table].count("NO") == 2
    assert len([line for line in table if line.startswith("8 ")]) == 2


def test_an_earlier_run_is_not_proven_by_what_a_later_one_made(run: Any, plan: Any, plane: Any) -> None:
    first = ran(plane, machine("web", "ImageConversion"))
    first["status"] = {"vms": [machine("web", "ImageConversion")]}
    plane.do("update_status", first)
    later = {"metadata": {"uid": "another"}}
    labelled(plane, plan, later, "Pod", "later", labels={"forklift.app": "virt-v2v"}, spec=POD)
    lines = {line["step"]: line for line in run("migration_trace", namespace="mig", migration="crm-1")["trace"]}
    assert (lines["conversion"]["state"], lines["conversion"]["object"]["kind"]) == ("failed", "Plan")
    plan = plane.do("get", "Plan", "mig", "crm")
    plan["status"]["migration"]["history"][0]["migration"]["uid"] = "another"
    plane.do("update_status", plan)
    lines = {line["step"]: line for line in run("migration_trace", namespace="mig", migration="crm-1")["trace"]}
    assert lines["conversion"]["object"] == {"kind": "Migration", "namespace": "mig", "name": "crm-1"}


def test_only_some_vms(run: Any, plan: Any, plane: Any) -> None:
    ran(plane, machine("web"), machine("db", number=2))
    assert {vm for vm, _number, _step in shown(run("migration_trace", namespace="mig", plan="crm", vms=["vm-2"]))} == {"db"}
    assert {vm for vm, _number, _step in shown(run("migration_trace", namespace="mig", plan="crm", vms=["web", "db"]))} == {"web", "db"}


def test_a_vm_is_shown_as_the_last_follow_up_has_it(run: Any, plan: Any, plane: Any) -> None:
    ran(plane, machine("web", "ImageConversion"), machine("db", number=2))
    meta = {"name": "crm-retry-1", "namespace": "mig", "labels": {"vmshift.io/continues": "crm"}}
    spec = {**SPEC, "vms": [SPEC["vms"][0]]}
    plane.do("create", {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": meta, "spec": spec})
    plane.do("patch", "Plan", "mig", "crm", {"metadata": {"annotations": {"vmshift.io/continued-by": "crm-retry-1"}}})
    result = run("migration_trace", namespace="mig", plan="crm")
    assert {(line["vm"], line["plan"]) for line in result["trace"]} == {("web", "crm-retry-1"), ("db", "crm")}
    assert shown(result, state="failed") == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"plan": "nope"}, "plan: there is no plan nope in namespace mig."),
        ({"migration": "nope"}, "migration: there is no migration nope in namespace mig."),
        ({"migration": "crm-1", "plan": "hr"}, "migration: crm-1 is a run of the plan crm, not of hr."),
        ({"plan": "crm", "vms": ["wbe"]}, "vms: the plan has no VM wbe; it has db, web."),
        ({}, "one of the following is required: plan, migration"),
    ],
)
def test_bad_options(run: Any, plan: Any, plane: Any, params: dict[str, Any], said: str) -> None:
    ran(plane, machine("web"), machine("db", number=2))
    result = run("migration_trace", namespace="mig", **params)
    assert result["failed"]
    assert said in result["msg"]


def test_a_pod_that_failed_for_two_disks_is_read_once(run: Any, plan: Any, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    web = machine("web", "ImageConversion")
    disks = [{"name": name, "progress": {"completed": 0, "total": 1}} for name in ("a", "b")]
    error = {**web["error"], "phase": "CopyDisksVirtV2V"}
    web["pipeline"] = [
        step("Initialize", "Completed"),
        step("DiskAllocation", "Completed", tasks=disks),
        step("DiskTransferV2v", "Running", tasks=disks, error=error),
    ]
    migration = ran(plane, {**web, "error": error})
    labelled(plane, plan, migration, "Pod", "crm-vm-1-x", labels={"forklift.app": "virt-v2v"}, spec=POD)
    asked = ask_for_logs(monkeypatch)
    failed = [line for line in run("migration_trace", namespace="mig", plan="crm")["trace"] if line["state"] == "failed"]
    assert [bool(line["log"]) for line in failed] == [True, True]
    assert len(asked) == 1
