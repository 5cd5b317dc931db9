"""Times as people write them, and what Migrations are given."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.cutover import cutover_time, vm_cutovers
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

NOW = datetime(2026, 3, 1, 12, 0, 30, 500, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("2026-03-01T22:00:00Z", "2026-03-01T22:00:00Z"),
        ("2026-03-01T22:00:00+01:00", "2026-03-01T21:00:00Z"),
        ("2026-03-01 22:00:00+00:00", "2026-03-01T22:00:00Z"),  # what YAML makes of a time without quotes
        ("2026-03-01 22:00 Europe/Berlin", "2026-03-01T21:00:00Z"),
        ("2026-07-01 22:00 Europe/Berlin", "2026-07-01T20:00:00Z"),
        ("2026-03-01 22:00 UTC", "2026-03-01T22:00:00Z"),
        ("now", "2026-03-01T12:00:30Z"),
        ("Now", "2026-03-01T12:00:30Z"),
    ],
)
def test_a_time_is_written_in_utc(given, expected):
    assert cutover_time(given, NOW) == expected


def test_now_changes_nothing_when_the_time_has_come_already():
    assert cutover_time("now", NOW, "2026-03-01T11:00:00Z") == "2026-03-01T11:00:00Z"
    assert cutover_time("now", NOW, "2026-03-01T13:00:00Z") == "2026-03-01T12:00:30Z"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tonight", "'tonight' is not a time; give one with its zone"),
        ("22:00", "'22:00' is not a time"),
        ("", "'' is not a time"),
        ("2026-03-01T22:00:00", "says no zone; give one with the time"),
        ("2026-13-01T22:00:00Z", "is not a time"),
        ("2026-03-01 22:00 Europe/Nowhere", "the time zone 'Europe/Nowhere' is not known here"),
        ("2026-03-01 22:00 ../../etc/passwd", "the time zone '../../etc/passwd' is not known here"),
        ("2026-03-01 22:00+01:00 Europe/Berlin", "has an offset and a zone"),
        ("2026-03-29 02:30 Europe/Berlin", "does not exist, because clocks are changed then"),
        ("2026-10-25 02:30 Europe/Berlin", "exists twice, because clocks are changed then"),
    ],
)
def test_what_is_not_clearly_a_time_is_refused(given, said):
    with pytest.raises(TalkError) as caught:
        cutover_time(given, NOW)
    assert str(caught.value).startswith("cutover: ") and said in str(caught.value)


def test_a_time_that_is_over_is_refused_unless_it_is_meant():
    over = "2026-03-01T11:00:00+01:00"
    with pytest.raises(TalkError) as caught:
        cutover_time(over, NOW)
    assert str(caught.value) == (
        "cutover: 2026-03-01T10:00:00Z is over, it is 2026-03-01T12:00:30Z; give a time to come, or now, or allow_past_cutover."
    )
    assert cutover_time(over, NOW, past=True) == "2026-03-01T10:00:00Z"
    # Run again after the switch over: nothing is wrong, and nothing is new.
    assert cutover_time(over, NOW, "2026-03-01T10:00:00Z") == "2026-03-01T10:00:00Z"
    assert cutover_time("2026-03-01T11:59:00Z", NOW) == "2026-03-01T11:59:00Z"


def test_times_of_single_vms_are_put_beside_those_of_others():
    current = [{"id": "vm-1", "cutover": "2026-03-01T11:00:00Z"}, {"id": "vm-2", "cutover": "2026-03-01T23:00:00Z"}]
    wanted = [("vm-2", "2026-03-02T00:00:00+01:00"), ("vm-3", "now"), ("vm-1", "now")]
    assert vm_cutovers(wanted, NOW, current) == [*current, {"id": "vm-3", "cutover": "2026-03-01T12:00:30Z"}]
    with pytest.raises(TalkError, match=r"vm_cutover\[1\].cutover: 2026-03-01T10:00:00Z is over"):
        vm_cutovers([("vm-3", "now"), ("vm-2", "2026-03-01T10:00:00Z")], NOW, current)
