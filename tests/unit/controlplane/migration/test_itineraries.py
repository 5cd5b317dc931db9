"""The way of a VM as data."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import COLD, Traits, after, itinerary, row_of, steps

OVA = Traits(converts=True, virt_v2v_copies=True)


def phases(traits):
    return [row.phase for row in itinerary(COLD, traits)]


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
    assert [step.name for step in steps(itinerary(COLD, OVA))] == [
        "Initialize",
        "DiskAllocation",
        "ImageConversion",
        "DiskTransferV2v",
        "VirtualMachineCreation",
    ]


@pytest.mark.parametrize("copies", [True, False])
def test_a_guest_that_is_not_converted_meets_no_conversion(copies):
    way = phases(Traits(converts=False, virt_v2v_copies=copies))
    assert not {"CreateGuestConversionPod", "ConvertGuest", "CopyDisksVirtV2V"} & set(way)


def test_after_the_last_phase_comes_completed():
    way = itinerary(COLD, OVA)
    assert after(way, "CreateVM") == itineraries.COMPLETED
    assert after(way, "AllocateDisks") == "CreateGuestConversionPod"
    assert row_of(way, itineraries.COMPLETED) is None


def test_a_phase_that_is_left_out_is_skipped():
    way = itinerary(COLD, Traits(converts=False, virt_v2v_copies=True))
    assert after(way, "AllocateDisks") == "CreateVM"


def test_each_step_is_made_for_a_phase_of_its_own():
    for row in COLD:
        own = row_of(COLD, row.step.for_phase)
        assert own is not None
        assert own.step is row.step
