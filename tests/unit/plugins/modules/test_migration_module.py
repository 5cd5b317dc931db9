"""Pure parts of the migration module."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.module_utils.migration_task import cancel_list, migration_manifest

PLAN = {"metadata": {"name": "app", "namespace": "mig", "uid": "u"}}


def test_manifest_refers_to_the_plan_with_its_namespace_and_guesses_no_cutover():
    assert migration_manifest(PLAN, "app-1", cutover=None) == {
        "kind": "Migration",
        "metadata": {"name": "app-1", "namespace": "mig"},
        "spec": {"plan": {"name": "app", "namespace": "mig"}},
    }
    assert migration_manifest(PLAN, "app-1", cutover="2026-03-01T22:00:00Z")["spec"]["cutover"] == "2026-03-01T22:00:00Z"


def test_vms_are_added_to_the_cancel_list_once():
    migration = {"spec": {"cancel": [{"id": "vm-1", "name": "a"}, {"name": "b"}]}}
    vms = [{"id": "vm-1", "name": "a"}, {"id": "vm-2", "name": "b"}, {"id": "vm-3", "name": "a"}]
    assert cancel_list(migration, vms) == [{"id": "vm-1", "name": "a"}, {"name": "b"}, {"id": "vm-3", "name": "a"}]
    assert cancel_list({"spec": {}}, vms[:1]) == [{"id": "vm-1", "name": "a"}]
