"""The status of a pod as a kubelet writes it. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now

Object = dict[str, Any]

ADDRESS = "127.0.0.1"
ENDED = ("Succeeded", "Failed")
CRASH_LOOP = "CrashLoopBackOff"
_PLACED = ("PodScheduled", "Initialized")
_READY = ("Ready", "ContainersReady")


def sidecars(pod: Object) -> list[Object]:
    """Its init containers that run beside its main one."""
    return [container for container in pod["spec"].get("initContainers") or () if container.get("restartPolicy") == "Always"]


def unschedulable(pod: Object, message: str) -> Object:
    return _status(pod, "Pending", {"PodScheduled": ("False", "Unschedulable", message)})


def waiting(pod: Object, reason: str, message: str) -> Object:
    """Placed, but its container does not start: ErrImagePull, CreateContainerConfigError …"""
    conditions = {**_done(_PLACED), **{type: ("False", "ContainersNotReady", _unready(pod)) for type in _READY}}
    return _placed(_status(pod, "Pending", conditions), pod, {"waiting": {"reason": reason, "message": message}})


def running(pod: Object, started: str, restarts: int = 0) -> Object:
    status = _placed(_status(pod, "Running", _done(_PLACED + _READY)), pod, {"running": {"startedAt": started}}, ready=True)
    status["containerStatuses"][0]["restartCount"] = restarts
    return status


def terminated(pod: Object, restarts: int, code: int, reason: str, message: str, started: str, finished: str) -> Object:
    """Ended; `message` is the termination message of the container."""
    phase = "Failed" if code else "Succeeded"
    why = "PodFailed" if code else "PodCompleted"
    conditions = {**_done(_PLACED), **dict.fromkeys(_READY, ("False", why, ""))}
    status = _placed(_status(pod, phase, conditions), pod, _end(code, reason, message, started, finished))
    status["containerStatuses"][0]["restartCount"] = restarts
    return status


def backing_off(pod: Object, seconds: float, restarts: int, code: int, reason: str, message: str, started: str, finished: str) -> Object:
    """Its container has failed and will be started again, after so many seconds. `restarts`: how often it was already."""
    name = pod["spec"]["containers"][0]["name"]
    told = f"back-off {seconds:.0f}s restarting failed container={name} pod={pod['metadata']['name']}_{pod['metadata']['namespace']}"
    conditions = {**_done(_PLACED), **dict.fromkeys(_READY, ("False", "ContainersNotReady", _unready(pod)))}
    status = _placed(_status(pod, "Running", conditions), pod, {"waiting": {"reason": CRASH_LOOP, "message": told}})
    status["containerStatuses"][0].update(restartCount=restarts, lastState=_end(code, reason, message, started, finished))
    return status


def last_message(pod: Object) -> str:
    """Why a pod that failed did: the termination message of its container, else the kubelet's own; "" where nobody says."""
    ended: Object = next((c["state"]["terminated"] for c in _containers(pod) if c.get("state", {}).get("terminated")), {})
    return ended.get("message") or pod.get("status", {}).get("message", "")


def last_failure(pod: Object) -> str:
    """What the container told when it failed last before it was started again; "" where it did not."""
    ended = (c.get("lastState", {}).get("terminated") for c in _containers(pod))
    return next((found.get("message", "") for found in ended if found), "")


def restarts(pod: Object) -> int:
    return sum(c.get("restartCount", 0) for c in _containers(pod))


def waits_for(pod: Object) -> str:
    """What keeps a pending pod from running; "" where nobody says."""
    held = next((c["state"]["waiting"] for c in _containers(pod) if c.get("state", {}).get("waiting")), None)
    if held:
        return f"{held['reason']}: {held.get('message', '')}"
    unmet = (c for c in pod.get("status", {}).get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "False")
    return next((c.get("message", "") for c in unmet), "")


def _end(code: int, reason: str, message: str, started: str, finished: str) -> Object:
    state = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": finished, **({"message": message} if message else {})}
    return {"terminated": state}


def failed(pod: Object, reason: str, message: str) -> Object:
    """Ended by the kubelet's own decision: DeadlineExceeded, Lost. Follows the status of a pod that was running."""
    started = next((c["state"]["running"]["startedAt"] for c in _containers(pod) if c["state"].get("running")), now())
    status = terminated(pod, 0, 137, "Error", "", started, now())
    return {**status, "reason": reason, "message": message}


def _status(pod: Object, phase: str, conditions: dict[str, tuple[str, str, str]]) -> Object:
    """The old status with another phase and conditions; times of conditions that stay as they are do not move."""
    old = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", ())}
    new = []
    for type, (status, reason, message) in conditions.items():
        condition: Object = {"type": type, "status": status, "lastProbeTime": None}
        condition.update({field: value for field, value in (("reason", reason), ("message", message)) if value})
        before = old.get(type, {})
        condition["lastTransitionTime"] = before["lastTransitionTime"] if before.get("status") == status else now()
        new.append(condition)
    kept = {field: value for field, value in pod.get("status", {}).items() if field not in ("reason", "message")}
    return {**kept, "phase": phase, "conditions": new, "qosClass": kept.get("qosClass") or quality_of_service(pod)}


def _placed(status: Object, pod: Object, state: Object, ready: bool = False) -> Object:
    """Add what is known of a pod that has a node, and the state of its container."""
    before = next(iter(_containers(pod)), {})
    main = {**_entry(pod["spec"]["containers"][0], state, ready), "restartCount": before.get("restartCount", 0)}
    main["lastState"] = before.get("lastState", {})
    beside = {"initContainerStatuses": [_entry(container, state, ready) for container in sidecars(pod)]} if sidecars(pod) else {}
    address = {"hostIP": ADDRESS, "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
    return {"startTime": now(), **status, **address, **beside, "containerStatuses": [main]}


def _entry(container: Object, state: Object, ready: bool) -> Object:
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "" if "waiting" in state else container.get("image", ""),
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "lastState": {},
        "state": state,
    }


def _done(types: tuple[str, ...]) -> dict[str, tuple[str, str, str]]:
    return dict.fromkeys(types, ("True", "", ""))


def _unready(pod: Object) -> str:
    return f"containers with unready status: [{pod['spec']['containers'][0]['name']}]"


def _containers(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("containerStatuses") or []


def quality_of_service(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort, from cpu and memory of the containers."""
    resources = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for r in resources:
        limits, requests = r.get("limits") or {}, r.get("requests") or {}
        if any(name not in limits or requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"
