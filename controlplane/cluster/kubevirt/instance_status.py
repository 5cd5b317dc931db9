"""The status of a VirtualMachineInstance, from its pod and what the program in it tells. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.launcher_pod import claims_of
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.strategies import FINAL
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.datapath.guest import qemu, report

Object = dict[str, Any]

PENDING, SCHEDULING, SCHEDULED, RUNNING, SUCCEEDED, FAILED = "Pending", "Scheduling", "Scheduled", "Running", "Succeeded", "Failed"
#: On an instance: where this machine forwards to the guest's port 22.
SSH_ANNOTATION = "guest.vmshift.io/ssh"


def phase_of(instance: Object, pod: Object | None, told: Object) -> str:
    """`told`: the program's report (report.py), empty while there is none."""
    before = (instance.get("status") or {}).get("phase", "")
    if before in FINAL or (pod is None and before not in ("", PENDING)):
        return before if before in FINAL else FAILED  # a pod that is gone takes its guest along
    if pod is None:
        return PENDING
    phase = pod.get("status", {}).get("phase", "Pending")
    if phase in FINAL:
        return SUCCEEDED if phase == "Succeeded" else FAILED
    if phase == "Running":
        return RUNNING if told.get("state") in (report.RUNNING, report.PAUSED) else SCHEDULED
    return SCHEDULED if pod["spec"].get("nodeName") else SCHEDULING


def status(instance: Object, pod: Object | None, told: Object, problem: tuple[str, str] | None) -> Object:
    """`problem`: (reason, message) of what keeps the guest from being started."""
    before = instance.get("status") or {}
    phase = phase_of(instance, pod, told)
    new: Object = {"phase": phase, "phaseTransitionTimestamps": _transitions(before, phase)}
    if pod is not None:
        new["activePods"] = {pod["metadata"]["uid"]: pod["spec"].get("nodeName", "")}
        new["qosClass"] = pod.get("status", {}).get("qosClass", "Burstable")
        if pod["spec"].get("nodeName"):
            new["nodeName"] = pod["spec"]["nodeName"]
    elif before.get("activePods"):
        new["activePods"] = before["activePods"]
    agent = told.get("agent") if phase == RUNNING else None
    new["guestOSInfo"] = (agent or {}).get("os") or {}
    if phase == RUNNING:
        new["interfaces"] = interfaces(instance, agent)
        new["machine"] = {"type": "q35"}
        new["memory"] = dict.fromkeys(("guestAtBoot", "guestCurrent", "guestRequested"), _mebibytes(instance))
        sockets, cores, threads = qemu.processors(instance["spec"]["domain"])
        new["currentCPUTopology"] = {"sockets": sockets, "cores": cores, "threads": threads}
        new["volumeStatus"] = volumes(instance)
    conditions = _conditions(instance, pod, told, phase, agent, problem)
    new["conditions"] = _kept(before.get("conditions") or [], conditions)
    return new


def _mebibytes(instance: Object) -> str:
    return f"{qemu.memory(instance['spec']['domain']) >> 20}Mi"


def _devices(instance: Object) -> Object:
    return instance["spec"]["domain"].get("devices") or {}


def _transitions(before: Object, phase: str) -> list[Object]:
    entries = list(before.get("phaseTransitionTimestamps") or ())
    if phase not in [entry["phase"] for entry in entries]:
        entries.append({"phase": phase, "phaseTransitionTimestamp": now()})
    return entries


def volumes(instance: Object) -> list[Object]:
    """The names that disks have by their bus: vda, sda, sdb."""
    taken = {"vd": 0, "sd": 0}
    claims, shown = claims_of(instance), []
    for disk in _devices(instance).get("disks") or ():
        prefix = "vd" if qemu.bus_of(disk) == "virtio" else "sd"
        entry: Object = {"name": disk["name"], "target": f"{prefix}{chr(ord('a') + taken[prefix])}"}
        taken[prefix] += 1
        if disk["name"] in claims:
            entry["persistentVolumeClaimInfo"] = {"claimName": claims[disk["name"]]}
        shown.append(entry)
    return shown


def interfaces(instance: Object, agent: Object | None) -> list[Object]:
    """Of the spec, with what the guest says of them; then what only the guest knows."""
    told = {found["mac"]: found for found in (agent or {}).get("interfaces") or ()}
    shown = []
    for number, interface in enumerate(_devices(instance).get("interfaces") or ()):
        mac = qemu.mac_of(instance, number)
        entry: Object = {"name": interface["name"], "mac": mac, "queueCount": 1}
        entry["linkState"] = "down" if interface.get("state") == "down" else "up"
        found = told.pop(mac, None)
        entry["infoSource"] = "domain, guest-agent" if found else "domain"
        shown.append({**entry, **_addresses(found)})
    return [*shown, *({"mac": found["mac"], "infoSource": "guest-agent", **_addresses(found)} for found in told.values())]


def _addresses(found: Object | None) -> Object:
    if not found:
        return {}
    addresses = {"ipAddress": found["addresses"][0], "ipAddresses": found["addresses"]} if found["addresses"] else {}
    return {"interfaceName": found["name"], **addresses}


# Conditions

Said = tuple[str, str, str, str]  # type, status, reason, message


def _conditions(
    instance: Object, pod: Object | None, told: Object, phase: str, agent: Object | None, problem: tuple[str, str] | None
) -> list[Said]:
    said: list[Said] = [_ready(instance, phase, told, agent)]
    if agent:
        said.append(("AgentConnected", "True", "", ""))
    if phase == RUNNING and told.get("state") == report.PAUSED:
        said.append(("Paused", "True", "PausedByUser", "VMI was paused by user"))
    held = problem or _failure(pod)
    if held:
        said.append(("Synchronized", "False", *held))
    scheduled = next((c for c in (pod or {}).get("status", {}).get("conditions") or () if c["type"] == "PodScheduled"), None)
    if scheduled and scheduled["status"] == "False" and phase not in FINAL:
        said.append(("PodScheduled", "False", scheduled.get("reason", ""), scheduled.get("message", "")))
    return said


def _ready(instance: Object, phase: str, told: Object, agent: Object | None) -> Said:
    if phase in FINAL:
        return "Ready", "False", "PodTerminating" if phase == SUCCEEDED else "PodFailed", ""
    if phase != RUNNING or told.get("state") != report.RUNNING:
        return "Ready", "False", "GuestNotRunning", "Guest VM is not reported as running"
    probe = instance["spec"].get("readinessProbe") or {}
    if "guestAgentPing" in probe and not agent:
        return "Ready", "False", "ContainersNotReady", "containers with unready status: [compute]"
    return "Ready", "True", "", ""


def _failure(pod: Object | None) -> tuple[str, str] | None:
    """Why a pod does not start, or has failed."""
    for container in (pod or {}).get("status", {}).get("containerStatuses") or ():
        waiting, ended = (container.get("state", {}).get(state) or {} for state in ("waiting", "terminated"))
        if waiting.get("message"):
            return waiting["reason"], waiting["message"]
        if ended.get("exitCode") and ended.get("message"):
            return "GuestFailed", ended["message"]
    lost = (pod or {}).get("status", {})
    return ("GuestFailed", lost["message"]) if lost.get("phase") == "Failed" and lost.get("message") else None


def _kept(before: list[Object], wanted: list[Said]) -> list[Object]:
    """Conditions that say what they said before keep their times."""
    old = {tuple(c.get(field, "") for field in ("type", "status", "reason", "message")): c for c in before}
    return [old.get(said) or _condition(said) for said in wanted]


def _condition(said: Said) -> Object:
    type, status, reason, message = said
    condition = {"type": type, "status": status, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}
    return {**condition, "lastProbeTime": now(), "lastTransitionTime": now()}
