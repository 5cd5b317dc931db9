"""Pure parts of the migration module."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import TalkError
from ansible_collections.vmshift.mtv.plugins.modules.migration import cancel_list, cutover_time, migration_manifest

NOW = datetime(2026, 3, 1, 12, 0, 30, 500, tzinfo=timezone.utc)
PLAN = {"metadata": {"name": "app", "namespace": "mig", "uid": "u"}}


def test_manifest_refers_to_the_plan_with_its_namespace_and_guesses_no_cutover():
    assert migration_manifest(PLAN, "app-1", None) == {
        "kind": "Migration",
        "metadata": {"name": "app-1", "namespace": "mig"},
        "spec": {"plan": {"name": "app", "namespace": "mig"}},
    }
    assert migration_manifest(PLAN, "app-1", "2026-03-01T22:00:00Z")["spec"]["cutover"] == "2026-03-01T22:00:00Z"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("2026-03-01T22:00:00Z", "2026-03-01T22:00:00Z"),
        ("2026-03-01T22:00:00+01:00", "2026-03-01T21:00:00Z"),
        ("now", "2026-03-01T12:00:30Z"),
    ],
)
def test_cutover_is_written_in_utc(given, expected):
    assert cutover_time(given, NOW) == expected


def test_now_changes_nothing_when_the_time_has_come_already():
    assert cutover_time("now", NOW, "2026-03-01T11:00:00Z") == "2026-03-01T11:00:00Z"
    assert cutover_time("now", NOW, "2026-03-01T13:00:00Z") == "2026-03-01T12:00:30Z"


@pytest.mark.parametrize("given", ["tonight", "2026-03-01T22:00:00", "22:00"])
def test_what_is_not_a_time_with_a_zone_is_refused(given):
    with pytest.raises(TalkError, match="is not a time; give one with its zone"):
        cutover_time(given, NOW)


def test_vms_are_added_to_the_cancel_list_once():
    migration = {"spec": {"cancel": [{"id": "vm-1", "name": "a"}, {"name": "b"}]}}
    vms = [{"id": "vm-1", "name": "a"}, {"id": "vm-2", "name": "b"}, {"id": "vm-3", "name": "a"}]
    assert cancel_list(migration, vms) == [{"id": "vm-1", "name": "a"}, {"name": "b"}, {"id": "vm-3", "name": "a"}]
    assert cancel_list({"spec": {}}, vms[:1]) == [{"id": "vm-1", "name": "a"}]
