"""The table of phases, and figures they read."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.phases import PHASES
from ansible_collections.vmshift.mtv.controlplane.migration.phases.disks import percent


def test_every_phase_of_every_itinerary_has_its_function():
    rows = [row for value in vars(itineraries).values() if isinstance(value, tuple) for row in value if isinstance(row, itineraries.Row)]
    assert rows
    assert {row.phase for row in rows} == set(PHASES)


@pytest.mark.parametrize(("text", "value"), [("34.3%", 34.3), ("100.0%", 100.0), ("N/A", 0.0), ("", 0.0)])
def test_progress_of_cdi(text, value):
    assert percent(text) == value
