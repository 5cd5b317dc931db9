"""VirtualMachineInstances: a virt-launcher pod for each, and a status that follows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import instance_status, launcher_pod
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.strategies import FINAL
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import GRACE_ANNOTATION
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.datapath import tools
from ansible_collections.vmshift.mtv.controlplane.datapath.guest import firmware, qemu, report
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qemu import Unsupported

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

FINALIZERS = ("kubevirt.io/virtualMachineControllerFinalize", "foregroundDeleteVirtualMachine")
POLL, IDLE = 1.0, 5.0  # seconds between looks at a guest: while it starts, and once its agent answers
#: A claim with what a persistent TPM holds: its label and the beginning of its name, and its size.
STATE_LABEL, STATE_SIZE = "persistent-state-for", "10Mi"
RETRY = 10.0  # while something keeps a guest from being started


class VirtualMachineInstanceReconciler(Reconciler):
    kind = "VirtualMachineInstance"

    def __init__(self, context: Context) -> None:
        self._api, self._state = context.api, context.state
        self._runs, self._network = context.guests.run, context.guests.network

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Pod": _instance_of}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        instance = self._api.find(self.kind, namespace, name)
        if instance is None:
            self._end_orphans(namespace, name)
            return None
        pods = self._api.list("Pod", namespace, launcher_pod.labels_of(instance))
        if "deletionTimestamp" in instance["metadata"]:
            self._end(instance, pods)
            return None
        if not self._runs:  # an instance by itself; those of machines go with these
            self._api.delete(self.kind, namespace, name, uid=instance["metadata"]["uid"])
            return None
        return self._follow(instance, pods[0] if pods else None)

    # Its end

    def _end(self, instance: Object, pods: list[Object]) -> None:
        """The pods first, which stay until their guest has shut down; then what holds the instance."""
        for pod in pods:
            self._shorten(pod, launcher_pod.grace_of(instance))
            self._delete(pod)
        if not self._api.list("Pod", instance["metadata"]["namespace"], launcher_pod.labels_of(instance)):
            meta = instance["metadata"]
            left = [finalizer for finalizer in meta.get("finalizers") or () if finalizer not in FINALIZERS]
            self._api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})

    def _end_orphans(self, namespace: str, name: str) -> None:
        """Pods whose instance is gone, whatever became of its finalizers."""
        for pod in self._api.list("Pod", namespace, {launcher_pod.APP: launcher_pod.VIRT_LAUNCHER}):
            if (namespace, name) in _instance_of(pod):
                self._delete(pod)

    def _delete(self, pod: Object) -> None:
        """Ask for the pod's end; once its process has ended, let it go."""
        meta = pod["metadata"]
        if "deletionTimestamp" not in meta:
            pod = self._api.delete("Pod", meta["namespace"], meta["name"], uid=meta["uid"]) or pod
        self._let_go(pod)

    def _shorten(self, pod: Object, grace: int) -> None:
        """Give the guest another time to shut down than it was started with."""
        meta = pod["metadata"]
        if "deletionTimestamp" not in meta and grace != pod["spec"].get("terminationGracePeriodSeconds"):
            change = {"metadata": {"annotations": {GRACE_ANNOTATION: str(grace)}}}
            self._api.patch("Pod", meta["namespace"], meta["name"], change)

    def _let_go(self, pod: Object) -> None:
        meta, phase = pod["metadata"], pod.get("status", {}).get("phase")
        if "deletionTimestamp" in meta and (phase in FINAL or not pod["spec"].get("nodeName")):
            left = [finalizer for finalizer in meta.get("finalizers") or () if finalizer != launcher_pod.FINALIZER]
            self._api.patch("Pod", meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})

    # Its life

    def _follow(self, instance: Object, pod: Object | None) -> float | None:
        instance = self._hold(instance)
        phase, problem = (instance.get("status") or {}).get("phase", ""), None
        if pod is None and phase in ("", instance_status.PENDING):
            problem = self._problem(instance)
            if problem is None:
                try:
                    blocks, state = self._block_claims(instance), self._state_claim(instance)
                    pod = self._api.create(launcher_pod.pod(instance, blocks, self._network, state))
                except ApiError as error:
                    if error.code != 403:
                        raise
                    problem = "FailedCreate", f"Error creating pod: {error.message}"
        elif pod is not None:
            self._let_go(pod)
        told = report.read(self._state.pod(pod["metadata"]["uid"])) if pod else {}
        instance = self._annotate(instance, told.get("ssh"))
        new = instance_status.status(instance, pod, told, problem)
        self._api.update_status({**instance, "status": new})
        if new["phase"] in FINAL:
            return None
        if problem:
            return RETRY
        return IDLE if told.get("agent") else POLL

    def _hold(self, instance: Object) -> Object:
        """Its end waits for that of its pod."""
        meta = instance["metadata"]
        held = meta.get("finalizers") or []
        if set(FINALIZERS) <= set(held):
            return instance
        change = {"metadata": {"finalizers": [*held, *(name for name in FINALIZERS if name not in held)]}}
        return self._api.patch(self.kind, meta["namespace"], meta["name"], change)

    def _annotate(self, instance: Object, ssh: str | None) -> Object:
        meta = instance["metadata"]
        if not ssh or (meta.get("annotations") or {}).get(instance_status.SSH_ANNOTATION) == ssh:
            return instance
        change = {"metadata": {"annotations": {instance_status.SSH_ANNOTATION: ssh}}}
        return self._api.patch(self.kind, meta["namespace"], meta["name"], change)

    def _block_claims(self, instance: Object) -> frozenset[str]:
        claims = (
            self._api.find("PersistentVolumeClaim", instance["metadata"]["namespace"], n) for n in launcher_pod.claims_of(instance).values()
        )
        return frozenset(c["metadata"]["name"] for c in claims if c and c["spec"].get("volumeMode") == "Block")

    def _state_claim(self, instance: Object) -> str:
        """The claim for what a persistent TPM holds, which goes with the machine. "" when it has none."""
        meta = instance["metadata"]
        if not qemu.keeps_tpm(instance["spec"]["domain"]):
            return ""
        labels = {STATE_LABEL: meta["name"]}
        found = self._api.list("PersistentVolumeClaim", meta["namespace"], labels)
        if not found:
            own = {"apiVersion": instance["apiVersion"], "kind": self.kind, "name": meta["name"], "uid": meta["uid"]}
            owners = [owner for owner in meta.get("ownerReferences") or () if owner["kind"] == "VirtualMachine"] or [own]
            about = {"generateName": f"{STATE_LABEL}-{meta['name']}-", "namespace": meta["namespace"], "labels": labels}
            size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": STATE_SIZE}}}
            claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**about, "ownerReferences": owners}, "spec": size}
            found = [self._api.create(claim)]
        return found[0]["metadata"]["name"]

    # What must be right before a guest is started

    def _problem(self, instance: Object) -> tuple[str, str] | None:
        """(reason, message) of what is missing."""
        domain = instance["spec"]["domain"]
        for claim in launcher_pod.claims_of(instance).values():
            if self._api.find("PersistentVolumeClaim", instance["metadata"]["namespace"], claim) is None:
                return "FailedPvcNotFound", f"PVC {instance['metadata']['namespace']}/{claim} does not exist"
        if tools.missing([qemu.PROGRAM]):
            return "ToolMissing", str(tools.ToolMissing(tools.TOOLS[qemu.PROGRAM]))
        if qemu.boots_uefi(domain) and firmware.find(secure=qemu.secure_boot(domain)) is None:
            return "FirmwareMissing", str(tools.ToolMissing(tools.UEFI_FIRMWARE))
        if qemu.has_tpm(domain) and not shutil.which("swtpm"):
            return "TPMNotAvailable", "the guest has a TPM, which needs swtpm on this machine: install the package swtpm"
        try:
            disks = dict.fromkeys(launcher_pod.claims_of(instance), self._state.volumes)
            some = firmware.Firmware(self._state.run, self._state.run) if qemu.boots_uefi(domain) else None
            qemu.command(instance, qemu.Host("tcg", disks, some))
        except Unsupported as error:
            return "NotSupported", str(error)
        return self._too_much(domain)

    def _too_much(self, domain: Object) -> tuple[str, str] | None:
        """A guest for whose memory there is no room beside the others'."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        asked = qemu.memory(domain)
        instances = self._api.list(self.kind)
        taken = sum(
            qemu.memory(i["spec"]["domain"])
            for i in instances
            if i.get("status", {}).get("phase") in ("Scheduling", "Scheduled", "Running")
        )
        if asked + taken <= total:
            return None
        others = f", of which running guests take {quantity.shown(taken)}" if taken else ""
        why = f"the guest needs {quantity.shown(asked)}, and this machine has {quantity.shown(total)}{others}"
        return "InsufficientMemory", f"0/1 nodes are available: 1 Insufficient memory ({why})"


def _instance_of(pod: Object) -> list[Key]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return [(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == "VirtualMachineInstance"]
