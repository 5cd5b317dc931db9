"""The way of a VM as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import (
    COLD,
    WARM,
    Traits,
    after,
    itinerary,
    lacking,
    row_of,
    steps,
)

OVA = Traits("ova", converts=True, virt_v2v_copies=True)
RAW = Traits("vsphere", converts=False, virt_v2v_copies=False)
WARM_VSPHERE = Traits("vsphere", converts=True, virt_v2v_copies=False, warm=True, awaits_consolidation=True)


def phases(traits, rows=COLD):
    return [row.phase for row in itinerary(rows, traits)]


def step_names(traits, rows=COLD):
    return [step.name for step in steps(itinerary(rows, traits))]


def test_virt_v2v_copies_and_converts():
    assert phases(OVA) == [
        "Started",
        "StorePowerState",
        "PowerOffSource",
        "WaitForPowerOff",
        "CreateDataVolumes",
        "AllocateDisks",
        "CreateGuestConversionPod",
        "ConvertGuest",
        "CopyDisksVirtV2V",
        "CreateVM",
    ]
    assert step_names(OVA) == [
        "Initialize",
        "DiskAllocation",
        "ImageConversion",
        "DiskTransferV2v",
        "VirtualMachineCreation",
    ]


@pytest.mark.parametrize("copies", [True, False])
def test_a_guest_that_is_not_converted_meets_no_conversion(copies):
    way = phases(Traits("vsphere", converts=False, virt_v2v_copies=copies))
    assert not {"CreateGuestConversionPod", "ConvertGuest", "CopyDisksVirtV2V"} & set(way)


def test_after_the_last_phase_comes_completed():
    way = itinerary(COLD, OVA)
    assert after(way, "CreateVM") == itineraries.COMPLETED
    assert after(way, "AllocateDisks") == "CreateGuestConversionPod"
    assert row_of(way, itineraries.COMPLETED) is None


def test_a_phase_that_is_left_out_is_skipped():
    way = itinerary(COLD, Traits("ova", converts=False, virt_v2v_copies=True))
    assert after(way, "AllocateDisks") == "CreateVM"


@pytest.mark.parametrize("rows", [COLD, WARM])
def test_each_step_is_made_for_a_phase_of_the_itinerary(rows):
    for row in rows:
        assert row_of(rows, row.step.for_phase) is not None


def test_a_raw_copy_only_copies():
    assert phases(RAW)[-2:] == ["CopyDisks", "CreateVM"]
    assert step_names(RAW) == ["Initialize", "DiskTransfer", "VirtualMachineCreation"]


def test_what_is_copied_by_others_is_converted_afterwards():
    way = phases(replace(RAW, converts=True))
    assert way[-4:] == ["CopyDisks", "CreateGuestConversionPod", "ConvertGuest", "CreateVM"]


def test_hooks_come_right_after_the_start_and_at_the_end():
    way = phases(replace(OVA, pre_hook=True, post_hook=True))
    assert way[:2] == ["Started", "PreHook"]
    assert way[-2:] == ["CreateVM", "PostHook"]
    assert step_names(replace(OVA, post_hook=True))[-1] == "PostHook"


def test_an_openstack_snapshot_has_a_step_of_its_own_but_counts_to_the_transfer():
    way = itinerary(COLD, Traits("openstack", converts=False, virt_v2v_copies=False))
    assert [step.name for step in steps(way)] == ["Initialize", "DiskTransfer", "ConvertOpenstackSnapshot", "VirtualMachineCreation"]
    row = row_of(way, "ConvertOpenstackSnapshot")
    assert row is not None
    assert row.step.name == "DiskTransfer"


def test_a_warm_migration_from_vsphere():
    loop = "RemovePreviousSnapshot WaitForPreviousSnapshotRemoval CreateSnapshot WaitForSnapshot StoreSnapshotDeltas AddCheckpoint"
    assert phases(WARM_VSPHERE, WARM) == [
        *"Started CreateInitialSnapshot WaitForInitialSnapshot StoreInitialSnapshotDeltas CreateDataVolumes CopyDisks".split(),
        *f"CopyingPaused {loop} StorePowerState PowerOffSource WaitForPowerOff".split(),
        *"RemovePenultimateSnapshot WaitForPenultimateSnapshotRemoval CreateFinalSnapshot WaitForFinalSnapshot".split(),
        *"AddFinalCheckpoint Finalize RemoveFinalSnapshot CreateGuestConversionPod ConvertGuest CreateVM".split(),
        "WaitForFinalSnapshotRemoval",
    ]
    assert step_names(WARM_VSPHERE, WARM) == (
        "Initialize DiskTransfer Cutover ImageConversion VirtualMachineCreation WaitForFinalSnapshotConsolidation".split()
    )


def test_the_loop_of_precopies_closes():
    way = itinerary(WARM, WARM_VSPHERE)
    assert after(way, "AddCheckpoint") == "CopyDisks"
    assert after(way, "CopyDisks") == "CopyingPaused"
    assert after(way, "WaitForFinalSnapshotRemoval") == "Completed"


def test_snapshots_of_other_sources_are_not_looked_after():
    ovirt = Traits("ovirt", converts=False, virt_v2v_copies=False, warm=True)
    assert not [phase for phase in phases(ovirt, WARM) if "Remov" in phase or "Deltas" in phase]


@pytest.mark.parametrize(("inspected", "step"), [(False, "Initialize"), (True, "DiskTransfer")])
def test_where_disks_are_made_depends_on_the_inspection(inspected, step):
    way = itinerary(WARM, replace(WARM_VSPHERE, inspected=inspected))
    rows = [row for row in way if row.phase == "CreateDataVolumes"]
    assert [row.step.name for row in rows] == [step]
    assert ("PreflightInspection" in step_names(replace(WARM_VSPHERE, inspected=inspected), WARM)) == inspected


def test_reboots_are_awaited_before_the_hook():
    assert phases(replace(OVA, awaits_reboots=True, post_hook=True))[-3:] == ["CreateVM", "WaitForGuestReboots", "PostHook"]


def test_phases_that_are_lacking():
    way = itinerary(COLD, RAW)
    assert lacking(way, {row.phase for row in way}) == []
    assert lacking(way, {row.phase for row in way} - {"CopyDisks"}) == ["CopyDisks"]
