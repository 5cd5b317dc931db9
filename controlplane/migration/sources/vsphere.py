"""VMware vSphere as a source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import children, itineraries, labels, scheduling, vddk
from ansible_collections.vmshift.mtv.controlplane.migration.builders import vsphere as builder
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun, only_converts
from ansible_collections.vmshift.mtv.controlplane.migration.scheduling import Load
from ansible_collections.vmshift.mtv.controlplane.migration.sources import vsphere_access, vsphere_conversion, vsphere_sessions
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion, Disk, Inspection, InventorySource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere_access import Access
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import (
    FAILED,
    PRECOPY_DESCRIPTION,
    PRECOPY_NAME,
    RUNNING,
    SUCCESS,
    Machine,
)

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import Run

Object = dict[str, Any]

#: By these the networks of a NIC may be named by key instead of id.
_KEYED_NETWORKS = ("DvPortGroup", "OpaqueNetwork")


class VsphereSource(InventorySource):
    def itinerary(self, plan: Object) -> Itinerary:
        if only_converts(plan):
            return itineraries.CONVERSION
        return itineraries.WARM if is_warm(plan["spec"]) else itineraries.COLD

    def traits(self, work: VmRun) -> Traits:
        spec, settings = work.run.spec, work.run.settings
        warm, converts = is_warm(spec), not spec.get("skipGuestConversion")
        return Traits(
            "vsphere",
            converts=converts,
            virt_v2v_copies=converts
            and not (warm or only_converts(work.plan))
            and work.run.target.is_host
            and _migrates_shared_disks(work),
            warm=warm,
            inspected=inspects(spec),
            awaits_reboots=converts and self._runs_until_rebooted(work),
            awaits_consolidation=warm and settings.wait_for_consolidation,
        )

    def _runs_until_rebooted(self, work: VmRun) -> bool:
        """A Windows guest ends its conversion by itself, in its first boots."""
        return work.run.settings.windows_wait_for_reboot and work.option("targetPowerState") != "off" and vms.is_windows(work.source_vm)

    def refusal(self, work: VmRun) -> str:
        """What would fail at the end fails before anything is done: the target is built, with names of PVCs that are not there yet."""
        try:
            claims = {disk.source: f"pvc-{index}" for index, disk in enumerate(self.disks(work))}
            self.virtual_machine(work, claims)
        except ValueError as error:
            return str(error)
        return ""

    # Its turn

    def load(self, vm: Object) -> Load:
        """On the ESXi host that its disks are read by way of."""
        found = self.find({"id": vm["id"]})
        return Load(found.get("host") or "", scheduling.disk_cost(vm, len(found.get("disks") or ()))) if found else Load("", 0)

    def waits_for(self, run: Run, vm: Object) -> str:
        """Of VMs that share a disk one brings it along; the others have it attached, and begin when it is known where."""
        source_vm = self.find({"id": vm["id"]})
        if source_vm is None or _migrates_shared_disks(VmRun(run, vm, source_vm)):
            return ""
        wanted = {vms.base_file(disk["file"]) for disk in source_vm.get("disks") or () if disk.get("shared")}
        for other in run.vms if wanted else ():
            theirs = self.find({"id": other["id"]}) if other is not vm and "completed" not in other else None
            if theirs is None or not _migrates_shared_disks(VmRun(run, other, theirs)):
                continue
            shared = {vms.base_file(disk["file"]) for disk in theirs.get("disks") or () if disk.get("shared")} & wanted
            if shared - self._shared_claims(VmRun(run, vm, source_vm)).keys():
                return f"VM {other['name']} has yet to bring the disks that both share."
        return ""

    # Disks

    def disks(self, work: VmRun) -> list[Disk]:
        storage_map = work.run.storage_map
        destinations = self._storage_destinations(storage_map) if storage_map else None
        return [self._disk(work, index, disk, destinations) for index, disk in enumerate(_own_disks(work))]

    def _disk(self, work: VmRun, index: int, disk: Object, destinations: dict[str, Object] | None) -> Disk:
        """`destinations`: of datastores, by id; None where nothing has to be stored any more."""
        file = disk["file"]
        datastore = (disk.get("datastore") or {}).get("id", "")
        if destinations is not None and datastore not in destinations:
            raise ValueError(f"The storage map has no entry for the datastore of disk {file} ({datastore}).")
        if (disk.get("capacity") or 0) <= 0:
            raise ValueError(f"The size of disk {file} is not known.")
        own = {"shareable": "true"} if disk.get("shared") else {}
        if not work.traits.virt_v2v_copies:
            own[labels.VM_UUID] = work.source_vm["uuid"]
        source = vms.base_file(file) if work.traits.warm else file
        return Disk(
            source,
            disk["capacity"],
            destinations[datastore] if destinations is not None else {},
            labels=own,
            annotations={labels.DISK_INDEX: str(index)},
            name_values={
                "RootDiskIndex": builder.disk_number(work.vm.get("rootDisk") or ""),
                "Shared": bool(disk.get("shared")),
                "FileName": vms.file_name(source),
                "WinDriveLetter": disk.get("winDriveLetter") or "",
            },
        )

    def _storage_destinations(self, storage_map: Object) -> dict[str, Object]:
        """Datastore id -> destination of the map."""
        pairs = storage_map["spec"].get("map") or ()
        return {found["id"]: pair["destination"] for pair in pairs for found in self._inventory.find("datastores", pair["source"])}

    def content(self, work: VmRun, disk: Disk, secret: str) -> Object:
        if work.traits.virt_v2v_copies:
            return {"blank": {}}
        access = self._access(work.source_vm)
        image = self._vddk_image(work)
        return {
            "vddk": {
                "backingFile": disk.source,
                "secretRef": secret,
                "thumbprint": access.thumbprint,
                "url": access.url,
                "uuid": work.source_vm["uuid"],
                **({"initImageURL": image} if image else {}),
            }
        }

    def _vddk_image(self, work: VmRun) -> str:
        return vddk.image(self._provider, work.run.settings)

    def library_settings(self, plan: Object) -> dict[str, str]:
        return vddk.configuration(self._provider, plan)

    # Reaching the source

    def _host(self, vm: Object) -> Object:
        found = self._inventory.find("hosts", {"id": vm.get("host") or ""})
        return found[0] if found else {"id": vm.get("host") or ""}

    def _access(self, vm: Object) -> Access:
        """Raises PhaseError when its Secret is gone."""
        try:
            return vsphere_access.access(self._api, self._provider, self._inventory, self._host(vm))
        except LookupError as error:
            raise PhaseError(str(error.args[0])) from None

    def secret_data(self, work: VmRun, purpose: str) -> dict[str, str]:
        """As CDI and virt-v2v name user and password."""
        data = self._access(work.source_vm).secret.get("data") or {}
        found = {"accessKeyId": data.get("user", ""), "secretKey": data.get("password", "")}
        certificate = data.get("ca.crt") or data.get("cacert")
        return {**found, **({"cacert": certificate} if certificate else {})}

    # Power

    # Asked of vSphere itself: an inventory may be some seconds old.

    def power_state(self, vm: Object) -> str:
        with self._machine(vm) as machine:
            return {vms.POWERED_ON: "On", vms.POWERED_OFF: "Off"}.get(machine.power_state(), "Unknown")

    def power_off(self, vm: Object) -> None:
        """By its guest; nobody pulls the plug."""
        with self._machine(vm) as machine:
            machine.shut_down()

    def is_off(self, vm: Object) -> bool:
        return self.power_state(vm) == "Off"

    def power_on(self, vm: Object) -> None:
        with self._machine(vm) as machine:
            machine.power_on()

    # Snapshots

    def create_snapshot(self, vm: Object, description: str) -> tuple[str, str]:
        with self._machine(vm) as machine:
            described = f"{PRECOPY_DESCRIPTION}, {description}"
            there = [snapshot.id for snapshot in machine.snapshots() if snapshot.description == described]
            if there:
                return "", there[0]
            return machine.create_snapshot(PRECOPY_NAME, described), ""

    def made_snapshot(self, vm: Object, task: str, description: str) -> str:
        with self._machine(vm) as machine:
            state = machine.task(task) if task else None
            if state and state.state == FAILED:
                raise PhaseError(f"The snapshot could not be made: {state.error}")
            if state and state.state == RUNNING:
                return ""
            described = f"{PRECOPY_DESCRIPTION}, {description}"
            there = [snapshot.id for snapshot in machine.snapshots() if snapshot.description == described]
            if not there:
                raise PhaseError("The snapshot that was made is gone.")
            return there[0]

    def change_ids(self, vm: Object, snapshot: str) -> dict[str, str]:
        with self._machine(vm) as machine:
            return {disk.base: disk.change_id for disk in machine.disks(snapshot)}

    def remove_snapshot(self, vm: Object, snapshot: str) -> str:
        with self._machine(vm) as machine:
            return machine.remove_snapshot(snapshot)

    def has_removed(self, vm: Object, task: str, snapshot: str) -> bool:
        with self._machine(vm) as machine:
            if snapshot not in {found.id for found in machine.snapshots()}:
                return True
            state = machine.task(task)
            if state.state == FAILED:
                raise PhaseError(state.error)
            return state.state == SUCCESS

    @contextmanager
    def _machine(self, vm: Object) -> Iterator[Machine]:
        """Raises PhaseError for what vSphere refuses, SourceError while it cannot be reached."""
        try:
            with vsphere_sessions.session(vsphere_access.endpoint(self._api, self._provider)) as session:
                yield Machine(session, vm["id"])
        except LookupError as error:
            raise PhaseError(str(error.args[0])) from None
        except SourceError as error:
            if error.kind != DATA:
                raise
            raise PhaseError(error.message) from None

    # The target

    def conversion(self, work: VmRun) -> Conversion | None:
        config = children.library_config(work) if vddk.uses_buffers(self._provider) else None
        name = config["metadata"]["name"] if config else ""
        return vsphere_conversion.conversion(work, self._access(work.source_vm), self._vddk_image(work), name)

    def inspection(self, work: VmRun) -> Inspection:
        try:
            data = vsphere_access.connection(self._api, self._provider)
        except LookupError as error:
            raise PhaseError(str(error.args[0])) from None
        return Inspection(data, self._vddk_image(work))

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        held = {vms.base_file(source): claim for source, claim in claims.items()}
        attached = {} if _migrates_shared_disks(work) else self._shared_claims(work)
        disks = [
            disk
            for disk in vms.ordered_disks(work.source_vm)
            if vms.base_file(disk["file"]) in {**held, **attached} or not disk.get("shared")
        ]
        return builder.virtual_machine(
            work.source_vm,
            work.plan,
            work.vm,
            disks=disks,
            networks=self._network_pairs(work),
            claims={**attached, **held},
            labels=work.labels,
            timezone=self._host(work.source_vm).get("timezone") or "",
            instance_type=children.instance_type(work),
            awaits_reboots=self._runs_until_rebooted(work),
        )

    def _shared_claims(self, work: VmRun) -> dict[str, str]:
        """Base file of a shared disk -> the PVC that another VM's migration made of it; one of the same plan goes first."""
        found = work.target.list("PersistentVolumeClaim", work.namespace, {"shareable": "true"})
        found = [claim for claim in found if "deletionTimestamp" not in claim["metadata"]]
        plan = work.plan["metadata"]["uid"]
        found.sort(key=lambda claim: claim["metadata"]["labels"].get(labels.PLAN) == plan)
        sources = [(claim["metadata"].get("annotations") or {}).get(labels.DISK_SOURCE, "") for claim in found]
        return {vms.base_file(source): claim["metadata"]["name"] for source, claim in zip(sources, found, strict=True)}

    def _network_pairs(self, work: VmRun) -> list[NetworkPair]:
        """Each pair once, under the id that the VM's NICs know its network by."""
        used = {nic["network"]["id"] for nic in work.source_vm.get("nics") or ()}
        found = []
        for pair in work.run.network_map["spec"].get("map") or ():
            for network in self._inventory.find("networks", pair["source"]):
                keyed = network.get("variant") in _KEYED_NETWORKS and network["id"] not in used
                name = network.get("key") if keyed else network["id"]
                found.append(NetworkPair(name or network["id"], pair["destination"]))
        return found


def is_warm(spec: Object) -> bool:
    """`spec`: of a plan."""
    return spec.get("type") == "warm" or bool(spec.get("warm"))


def inspects(spec: Object) -> bool:
    """Guests are looked into before their disks are copied. `spec`: of a plan."""
    return is_warm(spec) and not spec.get("skipGuestConversion") and spec.get("runPreflightInspection") is not False


def _migrates_shared_disks(work: VmRun) -> bool:
    wanted = work.option("migrateSharedDisks")
    return True if wanted is None else bool(wanted)


def _own_disks(work: VmRun) -> list[Object]:
    """Those that are copied for this VM, in their order."""
    return [disk for disk in vms.ordered_disks(work.source_vm) if _migrates_shared_disks(work) or not disk.get("shared")]
