"""What the ForkliftController says."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings, read


def test_nothing_said_means_the_operators_defaults():
    assert read({}) == Settings()
    assert Settings().max_vm_inflight == 20


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ({"controller_max_vm_inflight": 2}, "max_vm_inflight", 2),
        ({"controller_max_vm_inflight": "2"}, "max_vm_inflight", 2),
        ({"controller_blocker_grace_period_minutes": 1}, "blocker_grace_minutes", 1),
        ({"controller_pvc_name_template": r"\{\{.VmName\}\}-d"}, "pvc_name_template", "{{.VmName}}-d"),
        ({"virt_v2v_dont_request_kvm": "true"}, "request_kvm", False),
        ({"virt_v2v_dont_request_kvm": True}, "request_kvm", False),
        ({"virt_v2v_container_limits_cpu": "8000m"}, "limits_cpu", "8"),
        ({"virt_v2v_container_limits_cpu": "1500m"}, "limits_cpu", "1500m"),
        ({"virt_v2v_container_requests_memory": "2Gi"}, "requests_memory", "2Gi"),
        ({"controller_migration_service_account": "mover"}, "service_account", "mover"),
    ],
)
def test_what_is_said_counts(spec, field, value):
    assert getattr(read(spec), field) == value
