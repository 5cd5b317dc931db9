"""Traces of recorded runs of Forklift's own controllers, at each moment of the recording."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import runs, workflows
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ended
from ansible_collections.vmshift.mtv.plugins.module_utils.trace import children, course
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import GOLDEN, apply, lines

pytestmark = pytest.mark.skipif(GOLDEN is None, reason="no recorded scenarios here")

#: Scenario -> type of its source and name of the workflow.
SCENARIOS = {
    "cold-vsphere-multidisk": ("vsphere", "cold"),
    "cold-vsphere-windows": ("vsphere", "cold"),
    "fail-then-retry": ("vsphere", "cold"),
    "fail-then-retry-single": ("vsphere", "cold"),
    "hooks-prehook-fails": ("vsphere", "cold"),
    "hooks-succeed": ("vsphere", "cold"),
    "luks": ("vsphere", "cold"),
    "cancel-one-vm": ("vsphere", "cold"),
    "ova": ("ova", "cold"),
    "raw-copy-compat": ("vsphere", "raw_copy"),
    "ocp-to-ocp": ("openshift", "openshift"),
    "second-migration-after-cancel": ("vsphere", "cold"),
    "target-power-state": ("vsphere", "cold"),
    "warm-vsphere": ("vsphere", "warm"),
    "warm-vsphere-windows": ("vsphere", "warm"),
}


def moments(scenario: str) -> Iterator[tuple[float, dict[tuple[str, str, str], Any]]]:
    """All objects, whenever a plan has changed, and at the end."""
    objects: dict[tuple[str, str, str], Any] = {}
    t = 0.0
    for record in lines(scenario):
        if record["event"] in ("ACTION", "NOTE"):
            continue
        t, key = record["t"], (record["kind"], record["namespace"], record["name"])
        if record.get("object"):
            objects[key] = copy.deepcopy(record["object"])
        for operation in record.get("patch") or ():
            apply(objects[key], operation)
        if record["event"] == "DELETED":
            objects.pop(key, None)
        if record["kind"] == "Plan":
            yield t, objects
    yield t, objects


def traced(objects: dict[tuple[str, str, str], Any], source: str) -> Iterator[tuple[Any, Any, list[dict[str, Any]]]]:
    """(plan, row of a VM, its trace) of each VM that is there at this moment."""
    for plan in [o for (kind, _ns, _name), o in objects.items() if kind == "Plan"]:
        mine: dict[str, list[Any]] = {}
        for (kind, _namespace, _name), obj in objects.items():
            if (obj["metadata"].get("labels") or {}).get("plan") == plan["metadata"]["uid"]:
                mine.setdefault(kind, []).append({"kind": kind, **obj})
        found = children.Found(mine, {}, frozenset())
        over = bool(ended({"status": runs.last_run(plan) or {}}))
        run = ((runs.last_run(plan) or {}).get("migration") or {}).get("uid")
        for vm in runs.vms_of(plan, None):
            choice = workflows.as_run(workflows.choose(plan["spec"], source, local=True), vm.get("pipeline") or [])
            entries = course.of_vm(
                course.Run({"kind": "Plan", **plan}, {"kind": "Plan", **plan}, over), vm, choice, children.Children(found, vm, run)
            )
            yield plan, runs.row(vm, over), [entry.public for entry in entries]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_what_is_done_stays_done_and_the_end_is_the_end(scenario: str) -> None:
    source, workflow = SCENARIOS[scenario]
    before: dict[Any, dict[Any, str]] = {}
    ends: dict[str, str] = {}
    for t, objects in moments(scenario):
        for plan, row, trace in traced(objects, source):
            states = {(entry["step"], entry["disk"]): entry["state"] for entry in trace}
            run = (plan["metadata"]["uid"], row["id"], ((runs.last_run(plan) or {}).get("migration") or {}).get("uid"))
            if row["outcome"] != "Canceled":  # what it has made is removed
                lost = {key for key, state in before.get(run, {}).items() if state == "done" and states.get(key) != "done"}
                assert lost == set(), f"{row['name']} at {t}"
            before[run] = states
            assert {entry["workflow"] for entry in trace} == {workflow}
            kinds = set(states.values())
            if row["outcome"] == "Succeeded":
                assert kinds <= {"done", "skipped"} | ({"active"} if states["power_on", None] == "active" else set()), f"{row} at {t}"
            elif row["outcome"] == "Failed":
                assert "failed" in kinds and not kinds & {"active", "waiting"}, f"{row} at {t}"
            elif row["outcome"] == "Running":
                assert "active" in kinds, f"{row} at {t}: {states}"
                assert "failed" not in kinds
            elif row["outcome"] == "Canceled":
                assert not kinds & {"active", "waiting", "failed"}
            assert all(entry["object"] for entry in trace if entry["state"] in ("done", "active", "failed"))
            ends[row["outcome"]] = row["name"]
    assert set(ends) & {"Succeeded", "Failed"}


def at_the_end(scenario: str, vm: str) -> list[dict[str, Any]]:
    *_before, (_t, objects) = moments(scenario)
    return next(trace for _plan, row, trace in traced(objects, SCENARIOS[scenario][0]) if row["name"] == vm)


def at_failure(scenario: str, vm: str) -> list[dict[str, Any]]:
    for _t, objects in moments(scenario):
        for _plan, row, trace in traced(objects, SCENARIOS[scenario][0]):
            if (row["name"], row["outcome"]) == (vm, "Failed"):
                return trace
    raise AssertionError("it did not fail")


def told(trace: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(e["number"], e["step"], e["state"], e["object"] and e["object"]["kind"]) for e in trace]


def test_a_raw_copy_is_the_documented_workflow_without_its_conversion() -> None:
    assert told(at_the_end("raw-copy-compat", "app-04")) == [
        (None, "source_off", "done", "Plan"),
        (1, "data_volume", "done", "PersistentVolumeClaim"),
        (2, "claim", "done", "PersistentVolumeClaim"),
        (3, "volume", "done", "PersistentVolume"),
        (4, "importer", "done", "PersistentVolumeClaim"),
        (5, "transfer", "done", "PersistentVolumeClaim"),
        (6, "conversion_pod", "skipped", None),
        (6, "conversion", "skipped", None),
        (7, "virtual_machine", "done", "VirtualMachine"),
        (8, "power_on", "done", "VirtualMachineInstance"),
    ]


def test_a_failed_conversion_is_told_where_it_happened() -> None:
    failed = [e for e in at_failure("fail-then-retry-single", "app-42") if e["state"] == "failed"]
    assert [(e["number"], e["step"], e["object"]["kind"]) for e in failed] == [(6, "conversion", "Pod")]
    assert failed[0]["error"] == "Guest conversion failed. See pod logs for details"
    assert "virt-v2v" in failed[0]["hint"]
    assert failed[0]["since"]


def test_a_missing_secret_is_told_at_the_conversion_pod() -> None:
    trace = at_failure("luks", "app-24")
    failed = [(e["number"], e["step"], e["error"]) for e in trace if e["state"] == "failed"]
    assert failed == [(5, "conversion_pod", 'Secret "no-such-secret" not found')]
    assert [e["state"] for e in trace if (e["number"] or 0) in (1, 2, 3)] == ["done"] * 3
    assert [e["state"] for e in trace if (e["number"] or 0) > 5] == ["skipped"] * 4


def test_a_failed_hook_points_to_its_job_and_nothing_was_begun() -> None:
    trace = at_the_end("hooks-prehook-fails", "app-09")
    assert told(trace)[0] == (None, "pre_hook", "failed", "Job")
    assert {e["state"] for e in trace[1:]} == {"skipped"}


def test_each_disk_has_its_own_lines() -> None:
    trace = at_the_end("cold-vsphere-multidisk", "app-03")
    claims = [(e["disk"], e["object"]["name"]) for e in trace if e["step"] == "claim"]
    assert len({disk for disk, _name in claims}) == len({name for _disk, name in claims}) == 3
    assert [name.rsplit("-", 2)[1] for _disk, name in claims] == ["0", "1", "2"]
