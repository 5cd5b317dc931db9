"""What each run strategy does with a machine and its instance."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import strategies
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.strategies import KEEP, START, STOP, decide

STOPPING, STARTING = {"action": "Stop", "uid": "i"}, {"action": "Start"}


def machine(strategy: str, *requests: Any, **status: Any) -> Any:
    return {"spec": {"runStrategy": strategy}, "status": {"stateChangeRequests": list(requests), **status}}


def instance(phase: str, *, uid: str = "i", deleting: bool = False, ran: bool = True) -> Any:
    phases = ["Running"] if ran else []
    times = [{"phase": each} for each in (*phases, phase)]
    meta = {"uid": uid, **({"deletionTimestamp": "now"} if deleting else {})}
    return {"metadata": meta, "status": {"phase": phase, "phaseTransitionTimestamps": times}}


@pytest.mark.parametrize(
    ("strategy", "absent", "running", "succeeded", "failed"),
    [
        ("Always", START, KEEP, STOP, STOP),
        ("RerunOnFailure", START, KEEP, KEEP, STOP),
        ("Once", START, KEEP, KEEP, KEEP),
        ("Manual", KEEP, KEEP, KEEP, KEEP),
        ("Halted", KEEP, STOP, STOP, STOP),
        ("WaitAsReceiver", KEEP, KEEP, KEEP, KEEP),
    ],
)
def test_strategies(strategy: str, absent: str, running: str, succeeded: str, failed: str) -> None:
    assert decide(machine(strategy), None).action == absent
    assert decide(machine(strategy), instance("Running")).action == running
    assert decide(machine(strategy), instance("Succeeded")).action == succeeded
    assert decide(machine(strategy), instance("Failed")).action == failed
    assert decide(machine(strategy), instance("Running", deleting=True)).action == KEEP


def test_a_restart_is_a_stop_and_then_a_start() -> None:
    asked = machine("Manual", STOPPING, STARTING)
    assert decide(asked, instance("Running")) == strategies.Decision(STOP, [STOPPING, STARTING])
    assert decide(asked, instance("Running", deleting=True)).requests == [STOPPING, STARTING]
    assert decide(asked, None) == strategies.Decision(START, [])
    assert decide(machine("Manual"), instance("Running", uid="next")) == strategies.Decision(KEEP, [])


def test_a_stop_is_only_for_the_instance_that_it_names() -> None:
    assert decide(machine("Manual", STOPPING), instance("Running", uid="another")) == strategies.Decision(KEEP, [])
    assert decide(machine("Manual", STOPPING), None) == strategies.Decision(KEEP, [])


def test_an_instance_that_ended_is_replaced_when_a_start_is_asked_for() -> None:
    assert decide(machine("Manual", STARTING), instance("Failed")).action == STOP
    assert decide(machine("Manual", STARTING), None) == strategies.Decision(START, [])


def test_one_that_never_runs_is_tried_less_and_less_often() -> None:
    failure, waits = None, []
    for number in range(1, 8):
        failure = strategies.start_failure(failure, instance("Failed", uid=f"i{number}", ran=False), 1000.0)
        assert failure and failure["consecutiveFailCount"] == number
        waits.append(round(strategies.backoff({"startFailure": failure}, 1000.0) or 0))
    assert waits == [10, 40, 90, 160, 250, 300, 300]
    assert strategies.start_failure(failure, instance("Failed", uid="i7", ran=False), 2000.0) == failure  # counted before
    assert strategies.start_failure(failure, instance("Running"), 2000.0) is None


def test_a_start_waits_for_its_time() -> None:
    later = {"consecutiveFailCount": 1, "lastFailedVMIUID": "x", "retryAfterTimestamp": "1970-01-01T00:01:00Z"}
    waiting = decide(machine("Always", startFailure=later), None, present=50.0)
    assert (waiting.action, waiting.wait) == (KEEP, 10.0)
    assert decide(machine("Always", startFailure=later), None, present=60.0).action == START


def test_a_crash_of_one_that_ran_is_no_failure_to_start() -> None:
    assert strategies.start_failure(None, instance("Failed", ran=True), 0.0) is None


@pytest.mark.parametrize(("spec", "strategy"), [({"running": True}, "Always"), ({"running": False}, "Halted"), ({}, "Halted")])
def test_strategy_of_older_specs(spec: Any, strategy: str) -> None:
    assert strategies.strategy_of(spec) == strategy
