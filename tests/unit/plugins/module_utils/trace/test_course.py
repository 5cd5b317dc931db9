"""Traces from plain objects: what the recordings do not have."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import workflows
from ansible_collections.vmshift.mtv.plugins.module_utils.trace import children, course, table

PLAN: dict[str, Any] = {
    "kind": "Plan",
    "metadata": {"name": "crm", "namespace": "mig", "uid": "p1"},
    "spec": {"targetNamespace": "crm", "vms": [{"id": "v1", "name": "web"}]},
    "status": {"migration": {"history": [{"migration": {"name": "crm-1", "namespace": "mig", "uid": "m1"}}]}},
}
WHEN = "2026-01-01T00:00:00Z"
IMAGE = "forklift-migration-vm-v1"


def thing(kind: str, name: str, *, labels: Any = None, annotations: Any = None, **fields: Any) -> dict[str, Any]:
    own = {"plan": "p1", "migration": "m1", "vmID": "v1", **(labels or {})}
    meta = {"name": name, "namespace": "crm", "uid": f"uid-{name}", "creationTimestamp": WHEN, "labels": own}
    return {"kind": kind, "metadata": {**meta, "annotations": annotations or {}}, **fields}


def step(name: str, phase: str = "Pending", tasks: Any = None, **fields: Any) -> dict[str, Any]:
    begun = {"started": WHEN} if phase != "Pending" else {}
    return {"name": name, "phase": phase, **begun, **({"tasks": tasks} if tasks else {}), **fields}


def task(name: str, done: int = 0, **fields: Any) -> dict[str, Any]:
    return {"name": name, "progress": {"completed": done, "total": 100}, **fields}


def vm(phase: str, *pipeline: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "v1", "name": "web", "phase": phase, "started": WHEN, "pipeline": list(pipeline), **fields}


def trace(
    machine: dict[str, Any], objects: list[dict[str, Any]], source: str = "openstack", importers: Any = (), **given: Any
) -> list[dict[str, Any]]:
    spec = {**PLAN["spec"], **given.pop("spec", {})}
    unseen = given.pop("unseen", frozenset())
    choice = workflows.as_run(workflows.choose(spec, source, local=not unseen), machine.get("pipeline") or [])
    by_kind: dict[str, list[Any]] = {}
    for obj in objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    found = children.Found(by_kind, {pod["metadata"]["name"]: pod for pod in importers}, unseen)
    plan = {**PLAN, "spec": spec}
    run = course.Run(plan, plan, **{"cutover": True, **given})
    return [e.public for e in course.of_vm(run, machine, choice, children.Children(found, machine, "m1"))]


def states(lines: list[dict[str, Any]], disk: str | None = None) -> dict[str, str]:
    return {line["step"]: line["state"] for line in lines if disk is None or line["disk"] in (None, disk)}


# --- populators -----------------------------------------------------------------------------------------------------


def populated(claim: str = "root", image: str = IMAGE, phase: str = "Pending") -> dict[str, Any]:
    reference = {"kind": "OpenstackVolumePopulator", "name": f"{image}-x"}
    return thing("PersistentVolumeClaim", claim, spec={"dataSourceRef": reference, "volumeName": "pv-1"}, status={"phase": phase})


PRIME = thing("PersistentVolumeClaim", "prime-uid-root", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})
FILLER = thing("OpenstackVolumePopulator", f"{IMAGE}-x", status={"progress": "40"})
POD = thing("Pod", "populate-uid-root", status={"phase": "Running"})


def copying(**fields: Any) -> dict[str, Any]:
    return vm(
        "CopyDisks",
        step("Initialize", "Completed"),
        step("DiskTransfer", "Running", [task(IMAGE, **fields)]),
        step("VirtualMachineCreation"),
    )


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], "active waiting waiting waiting waiting waiting"),
        ([populated()], "done active waiting waiting waiting waiting"),
        ([populated(), FILLER, PRIME], "done done done active waiting waiting"),
        ([populated(), FILLER, PRIME, POD], "done done done done active waiting"),
        ([populated(phase="Bound"), FILLER, PRIME, POD], "done done done done active active"),
        ([populated(phase="Bound"), FILLER], "done done done done active done"),
    ],
)
def test_a_populator_goes_through_its_numbered_steps(objects: list[Any], expected: str) -> None:
    machine = copying() if objects else vm("CreateDataVolumes", *copying()["pipeline"])
    lines = trace(machine, objects)
    assert [line["state"] for line in lines if line["number"] in range(1, 7)] == expected.split()
    assert [line["number"] for line in lines if line["number"]] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_populator_tells_its_progress_and_its_pod() -> None:
    lines = trace(copying(done=40), [populated(), FILLER, PRIME, POD])
    line = next(line for line in lines if line["number"] == 5)
    assert line["object"] == {"kind": "Pod", "namespace": "crm", "name": "populate-uid-root"}
    assert line["evidence"] == "40 %; 40 of 100 MiB"
    assert next(line for line in lines if line["number"] == 3)["object"]["name"] == "pv-1"


def test_disks_are_told_apart_although_the_name_of_one_begins_with_that_of_another() -> None:
    volume = f"{IMAGE}-volume-7"
    tasks = [task(IMAGE), task(volume)]
    machine = vm("CopyDisks", step("Initialize", "Completed"), step("DiskTransfer", "Running", tasks), step("VirtualMachineCreation"))
    lines = trace(machine, [populated("data", volume), populated("root")])
    assert [(line["disk"], line["object"]["name"]) for line in lines if line["step"] == "populator"] == [(IMAGE, "root"), (volume, "data")]


def test_one_disk_may_be_ahead_of_the_other() -> None:
    tasks = [task("a", 100, phase="Completed", completed=WHEN), task("b", error={"reasons": ["no space left."]})]
    failed = {"phase": "CopyDisks", "reasons": ["no space left."]}
    machine = vm(
        "Completed",
        step("Initialize", "Completed"),
        step("DiskTransfer", "Running", tasks, error=failed),
        step("VirtualMachineCreation"),
        error=failed,
        conditions=[{"type": "Failed", "status": "True"}],
    )
    claims = [
        thing(
            "PersistentVolumeClaim",
            name,
            annotations={children.DISK_SOURCE: name},
            spec={"volumeName": f"pv-{name}"},
            status={"phase": "Bound"},
        )
        for name in "ab"
    ]
    lines = trace(machine, claims)
    assert states(lines, "a")["transfer"] == "done"
    assert states(lines, "b")["transfer"] == "failed"
    assert [line["error"] for line in lines if line["state"] == "failed"] == ["no space left"]
    assert states(lines)["virtual_machine"] == "skipped"


# --- importers ------------------------------------------------------------------------------------------------------


def imported(volume: str = "ImportInProgress", **annotations: str) -> list[dict[str, Any]]:
    of = {children.DISK_SOURCE: "[ds] a.vmdk", **annotations}
    return [
        thing(
            "DataVolume",
            "d0",
            annotations=of,
            status={"phase": volume, "conditions": [{"type": "Running", "status": "False", "message": "no route."}]},
        ),
        thing("PersistentVolumeClaim", "d0", annotations=of, spec={"volumeName": "pv-0"}, status={"phase": "Bound"}),
    ]


def warm(phase: str, **fields: Any) -> dict[str, Any]:
    tasks = [task("[ds] a.vmdk", 30)]
    steps = (step("Initialize", "Completed"), step("DiskTransfer", "Running", tasks), step("Cutover", "", tasks), step("ImageConversion"))
    return vm(phase, *steps, step("VirtualMachineCreation"), **fields)


def test_an_importer_is_found_by_its_name_on_the_claim() -> None:
    pod = thing(
        "Pod",
        "importer-d0",
        labels={"cdi.kubevirt.io": "importer"},
        status={"phase": "Running", "containerStatuses": [{"restartCount": 2}]},
    )
    named = {"cdi.kubevirt.io/storage.import.importPodName": "importer-d0"}
    lines = trace(warm("CopyDisks"), imported(**named), "vsphere", [pod], spec={"warm": True})
    got = {line["step"]: (line["state"], line["object"] and line["object"]["kind"], line["evidence"]) for line in lines}
    assert got["importer"] == ("done", "Pod", "phase Running, restarted 2 times")
    assert got["transfer"] == ("active", "Pod", "30 of 100 MiB, restarted 2 times")
    gone = {line["step"]: line for line in trace(warm("CopyDisks"), imported(**named), "vsphere", spec={"warm": True})}
    assert "importer-d0, which is gone" in gone["importer"]["evidence"]


def test_a_failed_data_volume_that_mtv_does_not_notice_is_told() -> None:
    line = next(line for line in trace(warm("CopyDisks"), imported("Failed"), "vsphere", spec={"warm": True}) if line["state"] == "failed")
    assert (line["step"], line["object"]["kind"], line["evidence"]) == ("transfer", "DataVolume", "no route")
    assert "MTV does not notice" in line["hint"]


@pytest.mark.parametrize(
    ("phase", "active"),
    [
        ("CopyDisks", "transfer"),
        ("CopyingPaused", "precopies"),
        ("WaitForSnapshot", "precopies"),
        ("WaitForPowerOff", "source_off"),
        ("Finalize", "final_copy"),
    ],
)
def test_where_a_warm_migration_stands(phase: str, active: str) -> None:
    lines = trace(warm(phase), imported(), "vsphere", spec={"warm": True})
    assert [line["step"] for line in lines if line["state"] == "active"] == [active]


def test_a_second_copy_is_one_of_the_precopies() -> None:
    machine = warm("CopyDisks", warm={"successes": 1, "precopies": [{"snapshot": "s-1", "start": WHEN, "end": WHEN}, {"snapshot": "s-2"}]})
    assert states(trace(machine, imported(), "vsphere", spec={"warm": True}))["transfer"] == "done"
    assert states(trace(machine, imported(), "vsphere", spec={"warm": True}))["precopies"] == "active"


def test_without_a_cutover_the_hint_says_so() -> None:
    hints = {
        given: [
            line["hint"] for line in trace(warm("CopyingPaused"), imported(), "vsphere", spec={"warm": True}, cutover=given) if line["hint"]
        ]
        for given in (True, False)
    }
    assert hints[True] == []
    assert len(hints[False]) == 1 and "no cutover" in hints[False][0]


# --- the whole VM ---------------------------------------------------------------------------------------------------


def cold(phase: str, **fields: Any) -> dict[str, Any]:
    tasks = [task("[ds] a.vmdk")]
    steps = (step("Initialize", "Completed"), step("DiskAllocation", "Completed", tasks), step("ImageConversion", "Completed"))
    return vm(phase, *steps, step("DiskTransferV2v", "Completed", tasks), step("VirtualMachineCreation", "Completed"), **fields)


SUCCEEDED = [{"type": "Succeeded", "status": "True"}]


@pytest.mark.parametrize(
    ("status", "spec", "given", "state", "evidence"),
    [
        ({"printableStatus": "Running"}, {"runStrategy": "Always"}, {}, "done", "the VM is Running"),
        ({"printableStatus": "Starting"}, {"runStrategy": "Always"}, {}, "active", "the VM is Starting"),
        ({"printableStatus": "ErrorUnschedulable"}, {"runStrategy": "Always"}, {}, "failed", "the VM is ErrorUnschedulable"),
        ({"printableStatus": "Stopped"}, {"runStrategy": "Halted"}, {"restorePowerState": "Off"}, "skipped", "the source was off"),
        ({}, {"running": False}, {"targetPowerState": "off"}, "skipped", "the plan has targetPowerState: off"),
    ],
)
def test_the_last_step_looks_at_the_vm_itself(status: Any, spec: Any, given: Any, state: str, evidence: str) -> None:
    machine = thing("VirtualMachine", "web", spec=spec, status=status)
    line = trace(cold("Completed", conditions=SUCCEEDED, **given), [machine], "vsphere")[-1]
    assert (line["number"], line["state"], line["evidence"]) == (8, state, evidence)


def test_on_another_cluster_the_plan_stands_for_what_is_not_seen() -> None:
    steps = (step("Initialize", "Completed"), step("DiskTransfer", "Completed", [task("d", 100)]), step("ImageConversion", "Running"))
    machine = vm("ConvertGuest", *steps, step("VirtualMachineCreation"))
    inspection = thing("Conversion", "i", labels={"conversion-type": "DeepInspection"}, status={"phase": "Succeeded"})
    asked = [inspection, thing("Conversion", "c", status={"phase": "Running"})]
    lines = trace(machine, asked, "vsphere", unseen=frozenset({"Pod"}))
    assert {line["workflow"] for line in lines} == {"remote"}
    assert states(lines)["claim"] == states(lines)["transfer"] == "done"
    claim = next(line for line in lines if line["step"] == "claim")
    assert claim["object"] == {"kind": "Plan", "namespace": "mig", "name": "crm"}
    assert claim["evidence"] == "step DiskTransfer of the VM's pipeline: Completed; its objects cannot be read from here"
    conversion = next(line for line in lines if line["step"] == "conversion")
    assert (conversion["state"], conversion["object"]["kind"], conversion["object"]["name"]) == ("active", "Conversion", "c")


def test_what_an_earlier_run_has_left_proves_nothing() -> None:
    old = [
        thing(kind, "old", labels={"migration": "m0"}, annotations={children.DISK_SOURCE: "[ds] a.vmdk"})
        for kind in ("DataVolume", "PersistentVolumeClaim")
    ]
    machine = vm("PowerOffSource", step("Initialize", "Running"), *cold("")["pipeline"][1:2])
    assert states(trace(machine, old, "vsphere"))["data_volume"] == "waiting"
    kept = trace(cold("Completed", conditions=SUCCEEDED), old, "vsphere")
    assert next(line for line in kept if line["step"] == "claim")["object"]["name"] == "old"


def test_a_vm_that_has_not_begun_says_what_it_waits_for() -> None:
    machine = {"id": "v1", "name": "web", "hooks": [{"step": "PreHook", "hook": {"name": "h"}}]}
    lines = trace(machine, [], "ova", waits_for="the plan has not been run")
    assert {line["state"] for line in lines} == {"waiting"}
    assert {line["evidence"] for line in lines} == {"the plan has not been run"}
    assert lines[0]["step"] == "pre_hook"


def test_other_kinds_of_plans_show_the_steps_of_their_pipeline() -> None:
    machine = vm(
        "WaitForTargetVMI", step("Initialize", "Completed"), step("PrepareTarget", "Completed"), step("Synchronization", "Running")
    )
    lines = trace(machine, [], "openshift", spec={"type": "live"})
    assert [(line["number"], line["step"], line["state"]) for line in lines] == [
        (None, "Initialize", "done"),
        (None, "PrepareTarget", "done"),
        (None, "Synchronization", "active"),
    ]


def test_the_table_has_a_block_for_each_vm_with_what_failed_below() -> None:
    lines = trace(warm("CopyDisks"), imported("Failed"), "vsphere", spec={"warm": True})
    next(line for line in lines if line["state"] == "failed")["log"] = ["last lines of pod x:", "| boom"]
    printed = table.lines(lines, {("crm", "web", "v1"): "VM web"})
    assert printed[0] == "VM web"
    assert printed[1].split() == ["NO", "STATE", "SINCE", "DISK", "STEP", "PROOF"]
    place = next(i for i, line in enumerate(printed) if line.startswith("5   failed"))
    assert "DataVolume crm/d0: no route" in printed[place]
    assert printed[place + 1].startswith("    hint: ")
    assert printed[place + 2 : place + 4] == ["    last lines of pod x:", "    | boom"]


@pytest.mark.parametrize(("power", "state", "hinted"), [("Off", "skipped", False), ("On", "active", True)])
def test_a_source_that_was_off_is_not_shut_down(power: str, state: str, hinted: bool) -> None:
    line = trace(vm("WaitForPowerOff", step("Initialize", "Running"), restorePowerState=power), [], "ova")[0]
    assert (line["step"], line["state"], bool(line["hint"])) == ("source_off", state, hinted)


# --- conversions of disks that others have copied -------------------------------------------------------------------


def test_claims_that_somebody_else_has_filled_are_those_of_the_vm() -> None:
    """They carry no label of the plan, and name their disks themselves."""
    filled = thing("PersistentVolumeClaim", "root", annotations={"forklift.konveyor.io/disk-source": "[ds] web/web.vmdk"}, spec={})
    filled["metadata"]["labels"] = {"vmID": "v1", "vmUUID": "u1"}
    other = thing("PersistentVolumeClaim", "other", labels={"migration": "m0"}, spec={})
    pod = thing("Pod", "crm-v1-x", labels={"forklift.app": "virt-v2v"}, status={"phase": "Running"})
    machine = vm("ConvertGuest", step("Initialize", "Completed"), step("ImageConversion", "Running"), step("VirtualMachineCreation"))
    lines = trace(machine, [filled, other, pod], "vsphere", spec={"type": "conversion"})
    assert {line["workflow"] for line in lines} == {"conversion"}
    assert {line["number"] for line in lines} == {None}
    assert states(lines) == {
        "source_off": "done",
        "filled_claim": "done",
        "conversion_pod": "done",
        "conversion": "active",
        "virtual_machine": "waiting",
        "power_on": "waiting",
    }
    [claim] = [line for line in lines if line["step"] == "filled_claim"]
    assert (claim["disk"], claim["object"]["name"]) == ("[ds] web/web.vmdk", "root")
