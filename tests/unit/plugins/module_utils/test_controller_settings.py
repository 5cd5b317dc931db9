from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.controller_settings import SETTINGS, effective, field_value


def served_by(release):
    """Schemas without defaults, as the definitions of releases before 5.0 have them."""
    limit = tuple(map(int, release.split(".")))
    return {s.name: {"type": "string"} for s in SETTINGS.values() if tuple(map(int, s.since.split("."))) <= limit}


@pytest.mark.parametrize(
    ("release", "offload", "management", "limit"),
    [("2.10.6", False, False, "500m"), ("2.11.0", True, False, "2"), ("2.12.0", True, True, "2")],
)
def test_defaults_are_those_of_the_release(release, offload, management, limit):
    found = effective({}, served_by(release))
    assert found["feature_copy_offload"] is offload
    assert found["feature_ova_appliance_management"] is management
    assert found["controller_container_limits_cpu"] == limit
    assert ("wait_for_final_snapshot_consolidation" in found) is (release == "2.12.0")


def test_a_definition_without_fields_counts_as_an_old_release():
    found = effective({"feature_copy_offload": True}, None)
    assert found["feature_copy_offload"] is True
    assert found["ova_container_requests_memory"] == "150Mi"


def test_a_default_of_the_cluster_counts_more_than_the_table():
    assert effective({}, {"metric_interval": {"default": "77s"}}) == {"metric_interval": "77s"}


def test_every_default_is_accepted_and_comes_back():
    written = {s.name: field_value(s, s.default) for s in SETTINGS.values() if s.default is not None}
    assert effective(written, {name: {} for name in written}) == {name: SETTINGS[name].default for name in written}


def test_values_that_somebody_else_wrote_are_told_as_they_are():
    spec = {"virt_v2v_extra_args": "--x y", "feature_ui_plugin": True, "controller_log_level": "4"}
    found = effective(spec, served_by("2.12.0"))
    assert {name: found[name] for name in spec} == {"virt_v2v_extra_args": "--x y", "feature_ui_plugin": True, "controller_log_level": 4}
