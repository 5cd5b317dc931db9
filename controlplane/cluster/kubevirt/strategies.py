"""When a VirtualMachine's guest is to start or to stop: KubeVirt's run strategies. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]

ALWAYS, HALTED, MANUAL, RERUN, ONCE = "Always", "Halted", "Manual", "RerunOnFailure", "Once"
START, STOP, KEEP = "Start", "Stop", "Keep"
FINAL = ("Succeeded", "Failed")
FIRST_BACKOFF, LONGEST_BACKOFF = 10, 300  # seconds before a guest that never got to run is started again


@dataclass(frozen=True)
class Decision:
    """What to do now. `requests`: the state change requests that are left; `wait`: seconds until it is to be asked again."""

    action: str
    requests: list[Object]
    wait: float | None = None


def strategy_of(spec: Object) -> str:
    return spec.get("runStrategy") or (ALWAYS if spec.get("running") else HALTED)


def decide(machine: Object, instance: Object | None, present: float | None = None) -> Decision:
    """`instance`: the VirtualMachineInstance of the machine, None when there is none; `present`: seconds since the epoch."""
    strategy, status = strategy_of(machine["spec"]), machine.get("status") or {}
    requests = list(status.get("stateChangeRequests") or ())
    phase = (instance.get("status") or {}).get("phase", "") if instance else ""
    if instance and "deletionTimestamp" in instance["metadata"]:
        return Decision(KEEP, requests)
    if requests and requests[0].get("action") == STOP:
        if instance and requests[0].get("uid", instance["metadata"]["uid"]) == instance["metadata"]["uid"]:
            return Decision(STOP, requests)
        requests = requests[1:]  # that one is gone
    asked = bool(requests) and requests[0].get("action") == START
    if instance:
        if asked and phase not in FINAL:
            return Decision(KEEP, requests[1:])
        return Decision(STOP if asked or _is_over(strategy, phase) else KEEP, requests)
    if asked or strategy in (ALWAYS, RERUN) or (strategy == ONCE and not status.get("created")):
        wait = backoff(status, time.time() if present is None else present)
        return Decision(KEEP, requests, wait) if wait else Decision(START, requests[1:] if asked else requests)
    return Decision(KEEP, requests)


def _is_over(strategy: str, phase: str) -> bool:
    """The instance in that phase has to go: to be followed by another one, or for good."""
    return strategy == HALTED or (strategy == ALWAYS and phase in FINAL) or (strategy == RERUN and phase == "Failed")


# Guests that cannot start


def never_ran(instance: Object) -> bool:
    """It failed before its guest ran."""
    status = instance.get("status") or {}
    phases = [entry["phase"] for entry in status.get("phaseTransitionTimestamps") or ()]
    return status.get("phase") == "Failed" and "Running" not in phases


def start_failure(before: Object | None, instance: Object, present: float) -> Object | None:
    """`status.startFailure` after a look at an instance: counts those that never ran, and forgets them once one does."""
    status = instance.get("status") or {}
    if status.get("phase") == "Running":
        return None
    uid = instance["metadata"]["uid"]
    if not never_ran(instance) or (before and before.get("lastFailedVMIUID") == uid):
        return before
    count = (before or {}).get("consecutiveFailCount", 0) + 1
    retry = present + min(FIRST_BACKOFF * count * count, LONGEST_BACKOFF)
    after = datetime.fromtimestamp(retry, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"consecutiveFailCount": count, "lastFailedVMIUID": uid, "retryAfterTimestamp": after}


def backoff(status: Object, present: float) -> float | None:
    """Seconds until the next start may be tried; None for now."""
    after = (status.get("startFailure") or {}).get("retryAfterTimestamp")
    if not after:
        return None
    rest = datetime.fromisoformat(after.replace("Z", "+00:00")).timestamp() - present
    return rest if rest > 0 else None
