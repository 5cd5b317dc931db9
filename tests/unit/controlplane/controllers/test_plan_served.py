"""Plans that this control plane cannot carry out are refused before anything begins."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import WARM, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.phases import PHASES
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ova import OvaSource
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import World, source_vm


@pytest.fixture(autouse=True)
def tools_are_installed(monkeypatch):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, [source_vm("app1"), source_vm("app2")])


def test_a_plan_whose_vms_meet_a_phase_without_a_function_does_not_start(world, monkeypatch):
    monkeypatch.setattr(OvaSource, "traits", lambda self, work: Traits("ova", converts=False, virt_v2v_copies=work.vm["name"] == "app1"))
    monkeypatch.delitem(PHASES, itineraries.COPY_DISKS, raising=False)
    world.plan()
    world.migration()
    world.settle()
    refused = world.conditions("Plan", "p")["MigrationTypeNotValid"]
    assert refused["category"] == "Critical"
    assert refused["message"] == "Migrations with these phases are not available here: CopyDisks."
    assert refused["items"] == ["app2"]
    assert "Ready" not in world.conditions("Plan", "p")
    assert world.vm()["phase"] == ""


def test_all_phases_that_are_not_served_are_named(world, monkeypatch):
    for phase in ("CopyingPaused", "Finalize"):
        monkeypatch.delitem(PHASES, phase, raising=False)
    monkeypatch.setattr(OvaSource, "itinerary", lambda self, plan: WARM)
    world.plan()
    world.settle()
    message = world.conditions("Plan", "p")["MigrationTypeNotValid"]["message"]
    assert "CopyingPaused" in message
    assert "Finalize" in message


def test_a_phase_may_say_where_to_go_on(world, monkeypatch):
    monkeypatch.setitem(PHASES, itineraries.STORE_POWER_STATE, lambda work: itineraries.CREATE_DATA_VOLUMES)
    monkeypatch.setitem(PHASES, itineraries.POWER_OFF_SOURCE, lambda work: pytest.fail("passed over"))
    world.plan()
    world.migration()
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")


def test_plans_that_only_convert_are_refused(world):
    world.plan(type="conversion")
    world.settle()
    assert "Ready" not in world.conditions("Plan", "p")
    assert "MigrationTypeNotValid" in world.conditions("Plan", "p")


def test_a_windows_guest_whose_reboots_nobody_has_followed_gets_a_warning(world, monkeypatch):
    monkeypatch.setattr(OvaSource, "traits", lambda self, work: Traits("ova", converts=True, virt_v2v_copies=True, awaits_reboots=True))
    world.plan(vms=["app1"])
    world.migration()
    world.run(world.ended)
    assert "Succeeded" in world.conditions("Plan", "p")
    [warning] = [c for c in world.vm()["conditions"] if c["type"] == "WaitForGuestReboots"]
    assert (warning["category"], warning["status"]) == ("Warn", "True")
    assert [step["phase"] for step in world.vm()["pipeline"] if step["name"] == "WaitForGuestReboots"] == ["Completed"]
