"""The table of phases, and figures they read."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.phases import PHASES
from ansible_collections.vmshift.mtv.controlplane.migration.phases.disks import percent


def test_every_function_is_of_a_phase_of_an_itinerary():
    assert set(PHASES) <= {row.phase for row in (*itineraries.COLD, *itineraries.WARM)}


@pytest.mark.parametrize(("text", "value"), [("34.3%", 34.3), ("100.0%", 100.0), ("N/A", 0.0), ("", 0.0)])
def test_progress_of_cdi(text, value):
    assert percent(text) == value
