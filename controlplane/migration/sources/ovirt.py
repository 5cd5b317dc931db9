"""Red Hat Virtualization and oVirt as a source: volume populators fetch the disks of a VM that is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import ovirt_endpoint
from ansible_collections.vmshift.mtv.controlplane.migration import children
from ansible_collections.vmshift.mtv.controlplane.migration.builders import ovirt as builder
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk
from ansible_collections.vmshift.mtv.controlplane.migration.sources.populated import PopulatedInventorySource, Populator
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.machine import DOWN, UP, Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import connect
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import cancel_all

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]


class OVirtSource(PopulatedInventorySource):
    type = "ovirt"
    storages = "storagedomains"

    def refusal(self, work: VmRun) -> str:
        """What would fail at the end fails before anything is done: the target is built, with names of PVCs that are not there yet."""
        try:
            claims = {disk.source: f"pvc-{index}" for index, disk in enumerate(self.disks(work))}
            self.virtual_machine(work, claims)
        except ValueError as error:
            return str(error)
        return ""

    # Disks

    def disks(self, work: VmRun) -> list[Disk]:
        destinations = self.storage_destinations(work.run.storage_map)
        attachments = self.workload(work.source_vm)["diskAttachments"]
        return [self._disk(attached["disk"], destinations) for attached in attachments]

    def _disk(self, disk: Object, destinations: dict[str, Object]) -> Disk:
        if not disk:
            raise ValueError("The inventory does not know a disk of the VM (yet).")
        named = f"{disk['name']} ({disk['id']})"
        if disk["storageType"] != "image":
            raise ValueError(f"Disk {named} is of the type {disk['storageType']}, which cannot be copied; only images can.")
        if disk["storageDomain"] not in destinations:
            raise ValueError(f"The storage map has no entry for the storage domain of disk {named} ({disk['storageDomain']}).")
        if disk["provisionedSize"] <= 0:
            raise ValueError(f"The size of disk {named} is not known.")
        return Disk(disk["id"], disk["provisionedSize"], destinations[disk["storageDomain"]], name_values={"DiskId": disk["id"]})

    def prepare(self, work: VmRun) -> bool:
        """A disk of a VM that is off is read as it is."""
        return True

    def populator(self, work: VmRun, disk: Disk, secret: str) -> Populator:
        spec = {"engineUrl": self._provider["spec"].get("url") or "", "engineSecretName": secret, "diskId": disk.source}
        return Populator("OvirtVolumePopulator", f"{disk.source}-", spec, labels={"diskID": disk.source})

    def release(self, vm: Object) -> None:
        """Transfers that a killed pod has left behind would end by themselves, but keep the disks locked until then."""
        known = self._inventory.item("vms", vm.get("id") or "")
        disks = {attached["disk"] for attached in (known or {}).get("diskAttachments") or ()}
        if disks:
            with self._machine(known or {}) as machine:
                cancel_all(machine.session, disks)

    # Power, asked of the engine itself: an inventory may be some seconds old.

    def power_state(self, vm: Object) -> str:
        with self._machine(vm) as machine:
            return {UP: "On", DOWN: "Off"}.get(machine.status(), "Unknown")

    def power_off(self, vm: Object) -> None:
        """By its guest; nobody pulls the plug."""
        with self._machine(vm) as machine:
            machine.shut_down()

    def is_off(self, vm: Object) -> bool:
        return self.power_state(vm) == "Off"

    def power_on(self, vm: Object) -> None:
        with self._machine(vm) as machine:
            machine.start()

    @contextmanager
    def _machine(self, vm: Object) -> Iterator[Machine]:
        """Raises PhaseError for what the engine refuses, SourceError while it cannot be reached."""
        secret = self.provider_secret()
        if not secret:
            raise PhaseError("The Secret of the source provider is gone.")
        try:
            with connect(ovirt_endpoint(self._provider["spec"].get("url") or "", secret)) as session:
                yield Machine(session, vm["id"])
        except SourceError as error:
            if error.kind != DATA:
                raise
            raise PhaseError(error.message) from None

    # The target

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        return builder.virtual_machine(
            self.workload(work.source_vm),
            work.plan,
            work.vm,
            networks=self.network_pairs(work.run.network_map),
            claims=claims,
            labels=work.labels,
            instance_type=children.instance_type(work),
        )
