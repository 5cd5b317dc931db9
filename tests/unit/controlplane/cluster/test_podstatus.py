from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import podstatus


def _pod(status: Any = None, **resources: Any) -> Any:
    return {"spec": {"containers": [{"name": "main", "image": "i", "resources": resources}]}, "status": status or {"phase": "Pending"}}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: Any, expected: str) -> None:
    assert podstatus.quality_of_service(_pod(**resources)) == expected


def test_times_of_conditions_move_with_their_status_only() -> None:
    old = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "then"},
        {"type": "Ready", "status": "False", "lastTransitionTime": "then"},
    ]
    status = podstatus.running(_pod({"phase": "Pending", "conditions": old}), "2026-01-01T00:00:00Z")
    times = {c["type"]: c["lastTransitionTime"] for c in status["conditions"]}
    assert times["PodScheduled"] == "then"
    assert times["Ready"] != "then"


def test_reason_of_an_earlier_state_does_not_stay() -> None:
    status = podstatus.running(_pod({"phase": "Pending", "reason": "Old", "message": "old"}), "2026-01-01T00:00:00Z")
    assert not {"reason", "message"} & status.keys()


def test_failure_by_decision_keeps_when_the_pod_started() -> None:
    pod = _pod()
    pod["status"] = podstatus.running(pod, "2026-01-01T00:00:00Z")
    status = podstatus.failed(pod, "Lost", "nobody saw it")
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Lost", "nobody saw it")
    assert status["containerStatuses"][0]["state"]["terminated"]["startedAt"] == "2026-01-01T00:00:00Z"
    assert status["startTime"] == pod["status"]["startTime"]
