"""KubeVirt's API of its own, `subresources.kubevirt.io`: start, stop and restart machines, ask guests about themselves.

What it refuses is refused in KubeVirt's words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, Conflict
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import launcher_pod, strategies
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import GRACE_ANNOTATION
from ansible_collections.vmshift.mtv.controlplane.datapath.guest import report

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

GROUP, VERSIONS = "subresources.kubevirt.io", ("v1", "v1alpha3")
MACHINES, INSTANCES = "virtualmachines", "virtualmachineinstances"
NOT_RUNNING = "VM is not running"


class Subresources:
    """Answers requests for one context."""

    group, versions = GROUP, VERSIONS

    def __init__(self, context: Context) -> None:
        self._api, self._state, self._runs = context.api, context.state, context.guests.run
        self._verbs: dict[tuple[str, str, str], Callable[[str, str, Object], Object | None]] = {
            ("PUT", MACHINES, "start"): self._start,
            ("PUT", MACHINES, "stop"): self._stop,
            ("PUT", MACHINES, "restart"): self._restart,
            ("GET", INSTANCES, "guestosinfo"): lambda namespace, name, _body: self._info(namespace, name),
            ("GET", INSTANCES, "userlist"): lambda namespace, name, _body: self._list(namespace, name, "userList"),
            ("GET", INSTANCES, "filesystemlist"): lambda namespace, name, _body: self._list(namespace, name, "fsInfo"),
        }

    def resources(self) -> list[Object]:
        """As discovery lists them."""
        kinds = {MACHINES: "VirtualMachine", INSTANCES: "VirtualMachineInstance"}
        return [
            {"name": f"{plural}/{name}", "singularName": "", "namespaced": True, "kind": kinds[plural], "verbs": [_verb(method)]}
            for method, plural, name in self._verbs
        ]

    def access(self, method: str, plural: str, subresource: str) -> tuple[str, str] | None:
        """(verb, resource) of a request, for authorization; None when there is nothing of the kind. Raises ApiError 405."""
        if (method, plural, subresource) in self._verbs:
            return _verb(method), f"{plural}/{subresource}"
        if any((plural, subresource) == known[1:] for known in self._verbs):
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        return None

    def answer(self, method: str, plural: str, subresource: str, namespace: str, name: str, body: Object) -> Object | None:
        """None is an empty answer (202). Raises ApiError."""
        return self._verbs[method, plural, subresource](namespace, name, body)

    # Machines

    def _start(self, namespace: str, name: str, _body: Object) -> None:
        machine, instance = self._machine(namespace, name), self._instance(namespace, name)
        strategy, phase = strategies.strategy_of(machine["spec"]), _phase(instance)
        if instance and phase not in ("", *strategies.FINAL):
            raise _refused(name, "VM is already running")
        if strategy == strategies.HALTED:
            self._run(machine, True)
        elif strategy == strategies.RERUN and phase == "Failed":
            raise _refused(name, f"{strategy} does not support starting VM from failed state")
        elif strategy in (strategies.RERUN, strategies.MANUAL):
            stop = [{"action": strategies.STOP, "uid": instance["metadata"]["uid"]}] if instance else []
            self._request(machine, *stop, {"action": strategies.START})
        else:
            raise _refused(name, f"{strategy} does not support manual start requests")

    def _stop(self, namespace: str, name: str, body: Object) -> None:
        machine, instance = self._machine(namespace, name), self._instance(namespace, name)
        strategy, grace = strategies.strategy_of(machine["spec"]), _grace(body.get("gracePeriod"))
        running = instance is not None and _phase(instance) not in strategies.FINAL
        if strategy not in (strategies.ALWAYS, strategies.ONCE) and not running:
            raise _refused(name, NOT_RUNNING)
        if strategy == strategies.HALTED and instance and (grace is None or grace >= launcher_pod.grace_of(instance)):
            raise _refused(name, f"{strategy} only supports manual stop requests with a shorter graceperiod")
        if running and instance and grace is not None:
            self._shorten(instance, grace)
        if strategy in (strategies.ALWAYS, strategies.ONCE):
            self._run(machine, False)
        elif instance:
            self._request(machine, {"action": strategies.STOP, "uid": instance["metadata"]["uid"]})

    def _restart(self, namespace: str, name: str, body: Object) -> None:
        grace = _grace(body.get("gracePeriodSeconds"))
        if grace:
            raise bad_request("For force restart, only gracePeriod=0 is supported for now")
        machine, instance = self._machine(namespace, name), self._instance(namespace, name)
        strategy = strategies.strategy_of(machine["spec"])
        if strategy in (strategies.HALTED, strategies.ONCE):
            raise _refused(name, f"RunStategy {strategy} does not support manual restart requests")
        if instance is None:
            raise _refused(name, f"{NOT_RUNNING}: {strategies.HALTED}")
        if grace == 0:
            self._shorten(instance, 0)
        self._request(machine, {"action": strategies.STOP, "uid": instance["metadata"]["uid"]}, {"action": strategies.START})

    def _machine(self, namespace: str, name: str) -> Object:
        machine = self._api.get("VirtualMachine", namespace, name)
        if not self._runs:
            raise ApiError(409, "Conflict", "this control plane does not start guests: start it with run_vms")
        return machine

    def _instance(self, namespace: str, name: str) -> Object | None:
        return self._api.find("VirtualMachineInstance", namespace, name)

    def _run(self, machine: Object, running: bool) -> None:
        meta, spec = machine["metadata"], machine["spec"]
        if spec.get("runStrategy") is None:
            change: Object = {"running": running}
        else:
            change = {"runStrategy": strategies.ALWAYS if running else strategies.HALTED}
        self._api.patch("VirtualMachine", meta["namespace"], meta["name"], {"spec": change})

    def _request(self, machine: Object, *changes: Object) -> None:
        meta, status = machine["metadata"], machine.get("status") or {}
        if status.get("stateChangeRequests") and not (len(changes) == 1 and changes[0]["action"] == strategies.STOP):
            raise ApiError(500, "InternalError", "Internal error occurred: unable to complete request: stop/start already underway")
        change = {"status": {"stateChangeRequests": list(changes), "startFailure": None}}
        self._api.patch("VirtualMachine", meta["namespace"], meta["name"], change, subresource="status")

    def _shorten(self, instance: Object, grace: int) -> None:
        meta = instance["metadata"]
        change: Object = {"spec": {"terminationGracePeriodSeconds": grace}}
        self._api.patch("VirtualMachineInstance", meta["namespace"], meta["name"], change)
        for pod in self._api.list("Pod", meta["namespace"], launcher_pod.labels_of(instance)):
            change = {"metadata": {"annotations": {GRACE_ANNOTATION: str(grace)}}}
            self._api.patch("Pod", meta["namespace"], pod["metadata"]["name"], change)

    # Guests

    def _told(self, namespace: str, name: str) -> Object:
        """What the guest's agent tells. Raises ApiError."""
        instance = self._api.get("VirtualMachineInstance", namespace, name)
        if _phase(instance) != "Running":
            raise _refused(name, "VMI is not running", "virtualmachineinstance")
        for uid in (instance.get("status") or {}).get("activePods") or ():
            agent = report.read(self._state.pod(uid)).get("agent")
            if agent:
                return agent
        raise _refused(name, "VMI does not have guest agent connected", "virtualmachineinstance")

    def _info(self, namespace: str, name: str) -> Object:
        told = self._told(namespace, name)
        wanted = ("guestAgentVersion", "supportedCommands", "hostname", "os", "timezone", "userList", "fsInfo")
        return {key: told[key] for key in wanted if key in told}

    def _list(self, namespace: str, name: str, key: str) -> Object:
        told = self._told(namespace, name).get(key) or []
        return {"metadata": {}, "items": told["disks"] if isinstance(told, dict) else told}


def _verb(method: str) -> str:
    return {"GET": "get", "PUT": "update"}[method]


def _phase(instance: Object | None) -> str:
    return ((instance or {}).get("status") or {}).get("phase", "")


def _grace(seconds: Any) -> int | None:
    if seconds is None:
        return None
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
        raise bad_request("gracePeriod has to be greater or equal to 0")
    return seconds


def _refused(name: str, why: str, resource: str = "virtualmachine") -> Conflict:
    details = {"name": name, "group": "kubevirt.io", "kind": resource}
    return Conflict(f'Operation cannot be fulfilled on {resource}.kubevirt.io "{name}": {why}', details)
