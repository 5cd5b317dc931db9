"""Steps, tasks and how they roll up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration import pipeline
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import (
    COLD,
    COMPLETED,
    DISK_ALLOCATION,
    INITIALIZE,
    WARM,
    Traits,
    itinerary,
)

WAY = itinerary(COLD, Traits("ova", converts=True, virt_v2v_copies=True))
DISKS = [("/ova/a.ova::a-1.vmdk", 2 << 30), ("/ova/a.ova::a-2.vmdk", (512 << 20) + 1)]


@pytest.fixture
def vm():
    return {"id": "1", "name": "a", "phase": WAY[0].phase, "pipeline": pipeline.build(WAY, DISKS)}


def step(vm, name):
    return next(s for s in vm["pipeline"] if s["name"] == name)


def test_steps_count_disks_in_mebibytes_rounded_up(vm):
    assert step(vm, "DiskAllocation") == {
        "name": "DiskAllocation",
        "description": "Allocate disks.",
        "phase": "Pending",
        "progress": {"completed": 0, "total": 2048 + 513},
        "annotations": {"unit": "MB"},
        "tasks": [
            {"name": DISKS[0][0], "annotations": {"unit": "MB"}, "progress": {"completed": 0, "total": 2048}},
            {"name": DISKS[1][0], "annotations": {"unit": "MB"}, "progress": {"completed": 0, "total": 513}},
        ],
    }
    assert step(vm, "Initialize")["progress"] == {"completed": 0, "total": 1}
    assert "tasks" not in step(vm, "ImageConversion")


def test_tasks_of_two_steps_are_not_the_same_objects(vm):
    step(vm, "DiskAllocation")["tasks"][0]["progress"]["completed"] = 5
    step(vm, "DiskAllocation")["annotations"]["Precopy"] = "1"
    assert step(vm, "DiskTransferV2v")["tasks"][0]["progress"]["completed"] == 0
    assert step(vm, "DiskTransferV2v")["annotations"] == {"unit": "MB"}


def test_phases_of_one_step_do_not_end_it(vm):
    pipeline.begin_step(step(vm, "Initialize"))
    pipeline.advance(vm, WAY)
    assert vm["phase"] == "StorePowerState"
    assert step(vm, "Initialize")["phase"] == "Running"
    assert "completed" not in step(vm, "Initialize")


def test_going_on_to_another_step_ends_the_one_and_begins_the_other(vm):
    vm["phase"] = "CreateDataVolumes"
    pipeline.begin_step(step(vm, "Initialize"))
    pipeline.advance(vm, WAY)
    assert vm["phase"] == "AllocateDisks"
    assert step(vm, "Initialize")["phase"] == "Completed"
    assert step(vm, "Initialize")["completed"]
    assert step(vm, "DiskAllocation")["phase"] == "Running"
    assert step(vm, "DiskAllocation")["started"]


def test_a_jump_leaves_the_steps_to_what_is_done_next():
    way = itinerary(WARM, Traits("vsphere", converts=True, virt_v2v_copies=False, warm=True))
    vm = {"id": "1", "name": "a", "phase": "CopyingPaused", "pipeline": pipeline.build(way, DISKS)}
    cutover = step(vm, "Cutover")
    assert "phase" not in cutover
    pipeline.advance(vm, way, to="StorePowerState")
    assert vm["phase"] == "StorePowerState"
    assert "started" not in cutover
    vm["phase"] = "RemoveFinalSnapshot"
    pipeline.advance(vm, way)
    assert cutover["phase"] == "Completed"
    assert step(vm, "ImageConversion")["phase"] == "Running"


def test_a_step_without_a_phase_takes_an_error():
    way = itinerary(WARM, Traits("vsphere", converts=True, virt_v2v_copies=False, warm=True))
    vm = {"id": "1", "name": "a", "phase": "CreateFinalSnapshot", "pipeline": pipeline.build(way, DISKS)}
    pipeline.add_error(step(vm, "Cutover")["tasks"][0], "", ["no"])
    pipeline.roll_up(vm)
    assert vm["error"]["reasons"] == ["no"]


def test_a_vm_is_complete_when_all_of_its_steps_are(vm):
    pipeline.begin_step(step(vm, "Initialize"))
    for count, _row in enumerate(WAY):
        pipeline.roll_up(vm)
        assert "completed" not in vm, count
        pipeline.advance(vm, WAY)
    pipeline.roll_up(vm)
    assert vm["phase"] == COMPLETED
    assert vm["completed"]
    assert [s["phase"] for s in vm["pipeline"]] == ["Completed"] * 5


def test_tasks_add_up_and_end_their_step(vm):
    allocation = step(vm, "DiskAllocation")
    first, second = allocation["tasks"]
    pipeline.begin_step(first)
    pipeline.set_progress(first, 50)
    pipeline.roll_up(vm)
    assert allocation["progress"]["completed"] == 1024
    assert allocation["started"]
    assert "completed" not in allocation
    for task in (first, second):
        pipeline.set_progress(task, 100)
        pipeline.end_step(task)
    pipeline.roll_up(vm)
    assert allocation["progress"]["completed"] == allocation["progress"]["total"]
    assert allocation["phase"] == "Completed"


def test_an_error_of_a_task_reaches_its_step_and_the_vm_once(vm):
    vm["phase"] = "AllocateDisks"
    allocation = step(vm, "DiskAllocation")
    pipeline.begin_step(allocation)
    pipeline.add_error(allocation["tasks"][1], "Running", ["no space"])
    pipeline.roll_up(vm)
    vm["phase"] = COMPLETED
    pipeline.roll_up(vm)
    assert allocation["error"] == {"phase": "Running", "reasons": ["no space"]}
    assert vm["error"] == {"phase": "AllocateDisks", "reasons": ["no space"]}
    assert allocation["phase"] == "Running"  # it did not complete
    assert allocation["completed"]


def test_reasons_keep_their_order_and_are_said_once(vm):
    pipeline.add_error(vm, "ConvertGuest", ["first", "second", "first"])
    pipeline.add_error(vm, "Completed", ["second", "third"])
    assert vm["error"] == {"phase": "ConvertGuest", "reasons": ["first", "second", "third"]}


def test_ending_early_ends_only_what_was_begun(vm):
    pipeline.begin_step(pipeline.step_of(vm, INITIALIZE))
    pipeline.begin_step(pipeline.step_of(vm, DISK_ALLOCATION))
    pipeline.end_begun_steps(vm)
    assert ["completed" in s for s in vm["pipeline"]] == [True, True, False, False, False]
    assert step(vm, "DiskAllocation")["phase"] == "Running"


def test_the_first_time_counts():
    item = {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}
    pipeline.start(item)
    pipeline.complete(item)
    assert item == {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}


@given(st.integers(0, 1 << 40), st.lists(st.floats(-10, 1000), max_size=8))
def test_progress_stays_in_bounds_and_never_goes_back(total, percents):
    task = {"progress": {"completed": 0, "total": total}}
    seen = [0]
    for percent in percents:
        pipeline.set_progress(task, percent)
        seen.append(task["progress"]["completed"])
    assert seen == sorted(seen)
    assert 0 <= seen[-1] <= total


def test_a_vm_without_steps_is_not_complete_by_itself():
    vm = {"phase": COMPLETED, "pipeline": []}
    pipeline.roll_up(vm)
    assert "completed" not in vm
