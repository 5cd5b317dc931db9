from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.module_utils import forklift


def obj(conditions, generation=1, observed=1):
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": observed, "conditions": conditions}}


READY = {"type": "Ready", "status": "True", "category": "Required"}
FAILED_TEST = {"type": "ConnectionTestFailed", "status": "True", "category": "Critical", "reason": "Tested", "message": "no route "}


def test_ready_needs_a_status_about_the_present_spec():
    assert forklift.ready(obj([READY]))
    assert not forklift.ready(obj([READY], generation=2))
    assert not forklift.ready({"metadata": {"generation": 1}})
    assert not forklift.ready(obj([{**READY, "status": "False"}]))


def test_only_true_critical_and_error_conditions_block():
    assert forklift.blocked(obj([READY, {**FAILED_TEST, "status": "False"}, {**FAILED_TEST, "category": "Warn"}])) is None
    assert forklift.blocked(obj([{**FAILED_TEST, "category": "Error"}])) == "ConnectionTestFailed=True Tested: no route"
    assert [c["type"] for c in forklift.warnings(obj([{**FAILED_TEST, "category": "Warn"}, READY]))] == ["ConnectionTestFailed"]


def test_conditions_as_one_line():
    full = {"type": "A", "status": "True", "reason": "R", "message": "m", "items": ["x", "y"], "suggestion": "do z"}
    assert forklift.describe_conditions([full, {"type": "B", "status": "False"}]) == "A=True R: m [x, y] (do z); B=False"
    assert forklift.describe_conditions([]) == "no conditions"


def test_how_a_run_ended():
    assert forklift.ended(obj([{"type": "Executing", "status": "True"}])) is None
    assert forklift.ended(obj([{"type": "Canceled", "status": "True"}])) == "Canceled"


def test_host_provider():
    assert forklift.is_host({"spec": {"type": "openshift", "url": ""}})
    assert not forklift.is_host({"spec": {"type": "openshift", "url": "https://other"}})
    assert not forklift.is_host({"spec": {"type": "ova"}})


def test_tables_speak_about_the_same_types():
    types = set(forklift.PROVIDER_TYPES)
    for table in (forklift.CREDENTIALS, forklift.SETTINGS, forklift.MAP_COLLECTIONS):
        assert set(table) == types
    for credentials in forklift.CREDENTIALS.values():
        assert len({c.option for c in credentials}) == len({c.key for c in credentials}) == len(credentials)
