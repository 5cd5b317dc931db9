"""VirtualMachines: an instance while their run strategy asks for one, and a status that says how it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import machine_status, strategies
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.instances import FINALIZERS as INSTANCE_FINALIZERS
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
COMPONENT = "virtualmachine-controller"
INSTANCE = "VirtualMachineInstance"


class VirtualMachineReconciler(Reconciler):
    kind = "VirtualMachine"

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._runs = context.guests.run

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {INSTANCE: lambda instance: [key_of(instance)]}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        machine = self._api.find(self.kind, namespace, name)
        if machine is None:
            return None
        instance = self._instance_of(machine)
        if "deletionTimestamp" in machine["metadata"] or not self._runs:
            self._without_guest(machine, instance)
            return None
        machine = self._hold(machine)
        return self._with_guest(machine, instance)

    def _instance_of(self, machine: Object) -> Object | None:
        """The instance of that name, when it is this machine's and not somebody else's."""
        meta = machine["metadata"]
        found = self._api.find(INSTANCE, meta["namespace"], meta["name"])
        owners = [owner["uid"] for owner in found["metadata"].get("ownerReferences") or ()] if found else []
        return found if meta["uid"] in owners else None

    def _without_guest(self, machine: Object, instance: Object | None) -> None:
        """End what runs. A machine that is deleted goes after its guest, and its disks after it."""
        if instance:
            self._delete(instance)
        meta = machine["metadata"]
        held = meta.get("finalizers") or []
        if instance is None and FINALIZER in held:
            left = [finalizer for finalizer in held if finalizer != FINALIZER]
            self._api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})
            return
        if "deletionTimestamp" not in meta:
            self._write(machine, machine_status.without_guests(machine["spec"]))
        elif instance:
            self._write(machine, machine_status.with_guests(machine, instance, [], None))

    def _with_guest(self, machine: Object, instance: Object | None) -> float | None:
        before = machine.get("status") or {}
        failure = before.get("startFailure")
        if instance:
            failure = strategies.start_failure(failure, instance, time.time())
        machine = {**machine, "status": {**before, "startFailure": failure}}
        decision = strategies.decide(machine, instance)
        if decision.action == strategies.STOP and instance:
            self._delete(instance)
            instance = self._instance_of(machine)
        elif decision.action == strategies.START:
            instance = self._start(machine)
        self._write(machine, machine_status.with_guests(machine, instance, decision.requests, failure))
        return decision.wait

    def _hold(self, machine: Object) -> Object:
        """Its end waits for that of its guest."""
        meta = machine["metadata"]
        held = meta.get("finalizers") or []
        if FINALIZER in held:
            return machine
        return self._api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": [*held, FINALIZER]}})

    def _start(self, machine: Object) -> Object:
        made = self._api.create(instance_of(machine))
        told = f"Started the virtual machine by creating the new virtual machine instance {made['metadata']['name']}"
        self._api.record_event(machine, "Normal", "SuccessfulCreate", told, COMPONENT)
        return made

    def _delete(self, instance: Object) -> None:
        meta = instance["metadata"]
        if "deletionTimestamp" not in meta:
            self._api.delete(INSTANCE, meta["namespace"], meta["name"], uid=meta["uid"])

    def _write(self, machine: Object, status: Object) -> None:
        before = (machine.get("status") or {}).get("conditions") or []
        status["conditions"] = machine_status.kept(before, status["conditions"])
        meta = machine["metadata"]
        current = self._api.find(self.kind, meta["namespace"], meta["name"])
        if current and current["metadata"]["uid"] == meta["uid"]:
            self._api.update_status({**current, "status": status})


def instance_of(machine: Object) -> Object:
    """The VirtualMachineInstance that a machine's template describes. Pure."""
    meta, template = machine["metadata"], machine["spec"]["template"]
    given = template.get("metadata") or {}
    owner = {"apiVersion": machine["apiVersion"], "kind": machine["kind"], "name": meta["name"], "uid": meta["uid"]}
    labels = {**(given.get("labels") or {}), "vm.kubevirt.io/name": meta["name"][:63].rstrip("-.")}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": INSTANCE,
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": dict(given.get("annotations") or {}),
            "finalizers": list(INSTANCE_FINALIZERS),
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": template["spec"],
    }
