"""Recorded runs of Forklift's own controllers, run again here: what a client sees is the same, but for what is known and explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.phases import warm
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.compare import differences
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.known import KNOWN, SCENARIOS, sorted_out
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import GOLDEN
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.world import RecordedWorld, Scenario

DOCUMENT = Path(__file__).parents[4] / "docs/fidelity.md"
recorded = pytest.mark.skipif(GOLDEN is None, reason="no recorded scenarios here")


@recorded
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recorded_run_is_the_same_here(name, tmp_path, monkeypatch, record_property):
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])
    monkeypatch.setenv(warm.MINUTE_VARIABLE, "0")  # the next round is due when the last one has ended
    scenario = Scenario(name)
    found = differences(scenario.seen, RecordedWorld(tmp_path, scenario).play())
    unknown, gone = sorted_out(name, found)
    record_property("differences", len(found))
    assert not unknown
    assert not gone, "this is as recorded by now: take it off the list"


@pytest.mark.parametrize("why", sorted({why for known in KNOWN.values() for _pattern, why in known}))
def test_each_known_difference_is_explained_to_readers(why):
    assert why in re.sub(r"\s+", " ", DOCUMENT.read_text())


@recorded
def test_a_run_that_differs_is_seen_to_differ(tmp_path, monkeypatch):
    """Each kind of thing that is compared, broken once."""
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])
    scenario = Scenario("static-ips")
    ours = RecordedWorld(tmp_path, scenario).play()
    assert differences(scenario.seen, ours) == []
    last_vm = next(entry[4] for entry in reversed(ours) if entry[1] == "VirtualMachine")
    for entry in ours:
        if entry[1] == "VirtualMachine":
            entry[4]["spec"]["template"]["spec"]["domain"]["cpu"]["cores"] = 7
        if entry[1] == "PersistentVolumeClaim":
            entry[4]["metadata"]["ownerReferences"] = []
        if entry[1] == "Plan" and entry[4].get("status", {}).get("migration", {}).get("vms"):
            entry[4]["status"]["migration"]["vms"][0]["pipeline"][0]["name"] = "Begin"
    assert last_vm["spec"]["template"]["spec"]["domain"]["cpu"]["cores"] == 7
    found = " ".join(differences(scenario.seen, ours))
    for said in ("domain.cpu.cores=1", "+metadata.owners=[]", '+[0].name="Begin"'):
        assert said in found
    fewer = [entry for entry in ours if entry[1] != "Conversion"]
    assert any("only there" in difference for difference in differences(scenario.seen, fewer))
