"""VirtualMachineExports: a server for the disks of a VM that is off, or for one claim, until the export expires."""

from __future__ import annotations

import secrets
import socket
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster import podstatus
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import exporter
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.exporter import PENDING, READY, SKIPPED, TERMINATED
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.strategies import FINAL
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import SERVING_FILE

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

COMPONENT = "export-controller"
POLL = 0.3  # seconds, until a server serves
RETRY = 3.0  # while something is in the way
_TOKEN_LENGTH = 20
_INITIALIZING, _IN_USE, _NOT_FOUND, _NO_VOLUMES, _NOT_POPULATED = (
    "Initializing",
    "InUse",
    "VMNotFound",
    "VMNoVolumes",
    "VolumesNotPopulated",
)


@dataclass
class Source:
    """What an export is of. `reason`, `message`: why it cannot be served (now), "" when it can."""

    claims: list[Object] = field(default_factory=list)
    machine: Object | None = None
    reason: str = ""
    message: str = ""


class VirtualMachineExportReconciler(Reconciler):
    kind = exporter.KIND

    def __init__(self, context: Context) -> None:
        self._api, self._state = context.api, context.state

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        of_machine = self._of("VirtualMachine")
        return {
            "Pod": self._of_pod,
            "VirtualMachine": of_machine,
            "VirtualMachineInstance": of_machine,
            "PersistentVolumeClaim": self._of("PersistentVolumeClaim"),
        }

    def _of(self, kind: str) -> Callable[[Object], list[Key]]:
        def keys(obj: Object) -> list[Key]:
            meta = obj["metadata"]
            exports = self._api.list(self.kind, meta["namespace"])
            sources = [(e, e["spec"]["source"]) for e in exports]
            return [(meta["namespace"], e["metadata"]["name"]) for e, s in sources if (s["kind"], s["name"]) == (kind, meta["name"])]

        return keys

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] == self.kind:
                yield pod["metadata"]["namespace"], owner["name"]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        export = self._api.find(self.kind, namespace, name)
        if export is None or "deletionTimestamp" in export["metadata"]:
            return None
        try:
            left = (exporter.expires(export) - datetime.now(timezone.utc)).total_seconds()
        except ValueError as error:
            self._write(export, PENDING, [exporter.condition("Ready", False, "TTLNotValid", f"ttlDuration: {error}")])
            return None
        if left <= 0:
            self._api.delete(self.kind, namespace, name, uid=export["metadata"]["uid"])
            return None
        again = self._serve(export)
        return left if again is None else min(left, again)

    # What it is of

    def _source(self, export: Object) -> Source:
        namespace, source = export["metadata"]["namespace"], export["spec"]["source"]
        if source["kind"] == "PersistentVolumeClaim" and not source["apiGroup"]:
            found = self._of_claim(namespace, source["name"])
        elif (source["apiGroup"], source["kind"]) == ("kubevirt.io", "VirtualMachine"):
            found = self._of_vm(namespace, source["name"])
        else:
            return Source(reason="SourceNotSupported", message=f"exports of a {source['kind']} are not served here, only of VMs and claims")
        if found.reason:
            return found
        waiting = [claim["metadata"]["name"] for claim in found.claims if not self._is_populated(claim)]
        if waiting:
            found.reason, found.message = _NOT_POPULATED, f"not all volumes are populated: {', '.join(waiting)}"
        return found

    def _of_claim(self, namespace: str, name: str) -> Source:
        claim = self._api.find("PersistentVolumeClaim", namespace, name)
        if claim is None:
            return Source(reason="PVCNotFound", message=f"pvc {namespace}/{name} not found")
        pods = [record.object() for record in self._api.referring("Pod", "claim", name, namespace)]
        users = [
            pod["metadata"]["name"]
            for pod in pods
            if pod.get("status", {}).get("phase") not in podstatus.ENDED
            and exporter.SERVICE_LABEL not in (pod["metadata"].get("labels") or {})
        ]
        busy = f"pvc {namespace}/{name} is in use by pod {', '.join(users)}" if users else ""
        return Source([claim], None, _IN_USE if busy else "", busy)

    def _of_vm(self, namespace: str, name: str) -> Source:
        machine = self._api.find("VirtualMachine", namespace, name)
        if machine is None:
            return Source(reason=_NOT_FOUND, message=f"Virtual Machine {namespace}/{name} not found")
        wanted = exporter.claim_names(machine)
        found = [self._api.find("PersistentVolumeClaim", namespace, claim) for claim in wanted]
        source = Source([claim for claim in found if claim], machine)
        if not wanted:
            source.reason, source.message = _NO_VOLUMES, f"Virtual Machine {namespace}/{name} has no volumes"
        elif None in found:
            missing = [claim for claim, there in zip(wanted, found, strict=True) if not there]
            source.reason = _NOT_POPULATED
            source.message = f"Virtual Machine {namespace}/{name} has volumes that are not there: {', '.join(missing)}"
        wants_type = (machine["spec"].get("instancetype") or {}).get("name")
        if wants_type and self._instance_type(machine) is None:
            source.reason, source.message = (
                "InstancetypeNotFound",
                f"the instance type {wants_type} of the VM {namespace}/{name} is not there",
            )
        instance = self._api.find("VirtualMachineInstance", namespace, name)
        if instance and (instance.get("status") or {}).get("phase") not in FINAL:
            source.reason, source.message = _IN_USE, f"Virtual Machine {namespace}/{name} is running"
        return source

    def _is_populated(self, claim: Object) -> bool:
        if claim.get("status", {}).get("phase") != "Bound":
            return False
        owners = [owner["name"] for owner in claim["metadata"].get("ownerReferences") or () if owner["kind"] == "DataVolume"]
        volumes = [self._api.find("DataVolume", claim["metadata"]["namespace"], name) for name in owners]
        return all(volume is None or volume.get("status", {}).get("phase") == "Succeeded" for volume in volumes)

    # Serving

    def _serve(self, export: Object) -> float | None:
        """Seconds until it is to be looked at again, if not by itself."""
        source = self._source(export)
        bound = exporter.condition("PVCReady", *_claims_state(source.claims))
        pod = self._pod(export)
        if source.reason:
            if pod is not None:
                self._end(export, pod, "ExportPaused", source.message)
            phase = SKIPPED if source.reason == _NO_VOLUMES else PENDING
            self._write(export, phase, [exporter.condition("Ready", False, source.reason, source.message), bound])
            return RETRY if source.reason in (_NOT_POPULATED, _IN_USE) else None
        if pod is not None and pod.get("status", {}).get("phase") in podstatus.ENDED:
            self._end(export, pod, "ExporterPodFailedOrCompleted", self._why(pod))
            done = pod["status"]["phase"] == "Succeeded"
            ended = exporter.condition("Ready", False, "PodCompleted" if done else "PodFailed", self._why(pod))
            self._write(export, TERMINATED if done else PENDING, [ended, bound])
            return POLL
        if pod is not None and "deletionTimestamp" in pod["metadata"]:
            return POLL
        try:
            port = self._port(export)
            pod = pod or self._start(export, source, port)
        except ApiError as error:
            if error.code != 403:
                raise
            self._write(export, PENDING, [exporter.condition("Ready", False, "FailedCreate", error.message), bound])
            return RETRY
        if not self._serves(pod):
            self._write(export, PENDING, [exporter.condition("Ready", False, "PodPending", _waiting(pod)), bound])
            return POLL
        links = exporter.links(export, source.claims, port, self._authority(), with_manifest=source.machine is not None)
        self._write(export, READY, [exporter.condition("Ready", True, "PodReady"), bound], links)
        return None

    def _pod(self, export: Object) -> Object | None:
        return self._api.find("Pod", export["metadata"]["namespace"], exporter.pod_name(export))

    def _serves(self, pod: Object) -> bool:
        running = pod.get("status", {}).get("phase") == "Running"
        return running and (self._state.pod(pod["metadata"]["uid"]) / SERVING_FILE).exists()

    def _start(self, export: Object, source: Source, port: int) -> Object:
        meta = export["metadata"]
        self._ensure_token(export)
        if source.machine is not None:
            machine = exporter.expanded(source.machine, self._instance_type(source.machine))
            self._replace(exporter.manifest(export, machine, source.claims, port, self._authority()))
        secret = f"secret-{''.join(secrets.choice(string.ascii_lowercase) for _unused in range(10))}"
        new = exporter.pod(export, source.claims, port, with_manifest=source.machine is not None, secret=secret)
        pod = self._api.create(new)
        self._api.create(exporter.certificate(export, pod, *pki.issue(self._state)))
        told = f"Created exporter pod {meta['namespace']}/{pod['metadata']['name']}"
        self._api.record_event(export, "Normal", "ExporterPodCreated", told, COMPONENT)
        return pod

    def _instance_type(self, machine: Object) -> Object | None:
        wanted = machine["spec"].get("instancetype") or {}
        if not wanted.get("name"):
            return None
        if (wanted.get("kind") or "").lower() == "virtualmachineinstancetype":
            return self._api.find("VirtualMachineInstancetype", machine["metadata"]["namespace"], wanted["name"])
        return self._api.find("VirtualMachineClusterInstancetype", None, wanted["name"])

    def _ensure_token(self, export: Object) -> None:
        """A Secret with a token of its own, unless the user has one."""
        meta, name = export["metadata"], exporter.token_name(export)
        if export["spec"].get("tokenSecretRef") or self._api.find("Secret", meta["namespace"], name):
            return
        letters = string.ascii_letters + string.digits
        token = "".join(secrets.choice(letters) for _unused in range(_TOKEN_LENGTH))
        self._api.create(exporter.token_secret(export, token))
        self._api.record_event(export, "Normal", "SecretCreated", f"Created default secret {meta['namespace']}/{name}", COMPONENT)

    def _replace(self, new: Object) -> None:
        """The manifests as they are now; those of an earlier pod may be out of date."""
        meta = new["metadata"]
        if self._api.find(new["kind"], meta["namespace"], meta["name"]):
            self._api.delete(new["kind"], meta["namespace"], meta["name"])
        self._api.create(new)

    def _port(self, export: Object) -> int:
        """Where the server listens: the same for each pod of an export, so that links stay true."""
        meta, name = export["metadata"], exporter.service_name(export)
        service = self._api.find("Service", meta["namespace"], name)
        if service is None:
            service = self._api.create(exporter.service(export, _free_port()))
        return int(service["metadata"]["annotations"][exporter.PORT_ANNOTATION])

    def _end(self, export: Object, pod: Object, reason: str, message: str) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            return
        if "Address already in use" in message:  # somebody else has the port by now
            self._api.delete("Service", meta["namespace"], exporter.service_name(export))
        self._api.record_event(export, "Warning", reason, message, COMPONENT)
        self._api.delete("Pod", meta["namespace"], meta["name"], uid=meta["uid"])

    def _why(self, pod: Object) -> str:
        statuses = pod.get("status", {}).get("containerStatuses") or [{}]
        ended = statuses[0].get("state", {}).get("terminated") or {}
        why = ended.get("message") or pod.get("status", {}).get("message") or ""
        name, phase = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", pod["status"]["phase"]
        return f"Exporter pod {name} is in phase {phase}{f': {why}' if why else ''}"

    def _authority(self) -> str:
        return (self._state.pki / "ca.crt").read_text()

    def _write(self, export: Object, phase: str, conditions: list[Object], links: Object | None = None) -> None:
        before, source = export.get("status") or {}, export["spec"]["source"]
        status: Object = {"phase": phase, "conditions": exporter.unless_new(conditions, before.get("conditions") or [])}
        status["serviceName"] = exporter.service_name(export)
        name = exporter.token_name(export)
        if self._api.find("Secret", export["metadata"]["namespace"], name):
            status["tokenSecretRef"] = name
        if conditions[0]["reason"] != "TTLNotValid":
            status["ttlExpirationTime"] = exporter.stamp(exporter.expires(export))
        if source["kind"] == "VirtualMachine":
            status["virtualMachineName"] = source["name"]
        if links:
            status["links"] = links
        self._api.update_status({**export, "status": status})


def _claims_state(claims: list[Object]) -> tuple[bool, str]:
    phases = {claim.get("status", {}).get("phase", "Pending") for claim in claims}
    if not phases:
        return False, "Unknown"
    return (True, "PVCBound") if phases == {"Bound"} else (False, "PVCPending" if "Pending" in phases else "Unknown")


def _waiting(pod: Object) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return (statuses[0].get("state", {}).get("waiting") or {}).get("message", "")


def _free_port() -> int:
    with socket.create_server((exporter.HOST, 0)) as found:
        return found.getsockname()[1]
