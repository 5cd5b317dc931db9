# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to one VM: its power, its snapshots, changed-block tracking. All methods block, and raise SourceError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import explained, words
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.vms import POWERED_OFF, POWERED_ON, base_file

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session

#: Of MTV's own snapshots (facts 3.6).
PRECOPY_NAME = "forklift-migration-precopy"
PRECOPY_DESCRIPTION = "Forklift Operator warm migration precopy"

RUNNING, SUCCESS, FAILED = "running", "success", "error"
_DEVICES = "config.hardware.device"
_TRACKED = "ctkEnabled"
_ALL_IN_USE = "*"  # as a change id: every area that was ever written


@dataclass(frozen=True)
class Snapshot:
    """`id` is a managed object ID ("snapshot-12"); `created` a time with its zone, as pyvmomi has it."""

    id: str
    name: str
    description: str
    created: Any
    parent: str


@dataclass(frozen=True)
class Disk:
    """A disk of a VM or of a snapshot. `file` is the present one, `base` that from before all snapshots; `size` in bytes.

    `slot` as options of the VM name it ("scsi0:1"); `change_id` "" where blocks are not tracked.
    """

    key: int
    file: str
    base: str
    size: int
    slot: str
    change_id: str


@dataclass(frozen=True)
class TaskState:
    """`state`: RUNNING, SUCCESS or FAILED; `result`: the ID of what a successful task has made, "" for nothing; `error`: why it failed."""

    state: str
    result: str = ""
    error: str = ""


class Machine:
    """A VM by its managed object ID ("vm-12")."""

    def __init__(self, session: Session, id: str) -> None:
        self._session = session
        self._vm = session.object("VirtualMachine", id)
        self.id = id

    @classmethod
    def by_uuid(cls, session: Session, uuid: str) -> Machine:
        """The VM with that BIOS UUID, or else instance UUID."""
        with explained(session.endpoint):
            for of_instance in (False, True):
                found = session.content.searchIndex.FindByUuid(None, uuid, True, of_instance)
                if found:
                    return cls(session, found._moId)
        raise SourceError(f"{session.endpoint.url} has no VM with the UUID {uuid}", DATA)

    # Power

    def power_state(self) -> str:
        """ "poweredOn", "poweredOff" or "suspended"."""
        return str(self._read("runtime.powerState")["runtime.powerState"])

    def power_on(self) -> None:
        if self.power_state() != POWERED_ON:
            self._done(self._vm.PowerOnVM_Task, "be powered on")

    def power_off(self) -> None:
        """Pull the plug."""
        if self.power_state() != POWERED_OFF:
            self._done(self._vm.PowerOffVM_Task, "be powered off")

    def shut_down(self) -> None:
        """Ask the guest to shut down, which it does later; needs VMware Tools. Nothing is done when it is off."""
        if self.power_state() != POWERED_OFF:
            self._call(self._vm.ShutdownGuest, "shut down its guest")

    # Snapshots

    def snapshots(self) -> list[Snapshot]:
        """All of them, parents before their children."""
        return list(_flat(self._read("snapshot.rootSnapshotList").get("snapshot.rootSnapshotList") or (), ""))

    def create_snapshot(self, name: str, description: str = "", *, quiesce: bool = True) -> str:
        """Begin to make one, without memory. Returns the ID of the task."""
        return str(self._call(lambda: self._vm.CreateSnapshot_Task(name, description, False, quiesce), "make a snapshot")._moId)

    def remove_snapshot(self, snapshot: str) -> str:
        """Begin to remove one; its children stay. Returns the ID of the task, "" when there is no such snapshot (any more)."""
        if snapshot not in {found.id for found in self.snapshots()}:
            return ""
        managed = self._session.object("VirtualMachineSnapshot", snapshot)
        return str(self._call(lambda: managed.RemoveSnapshot_Task(False), f"remove {snapshot}")._moId)

    def task(self, id: str) -> TaskState:
        """What has become of a task."""
        found = self._session.read([self._session.object("Task", id)], ["info.state", "info.result", "info.error"]).get(id, {})
        state = str(found.get("info.state") or RUNNING)
        if state == FAILED:
            return TaskState(FAILED, error=words(found.get("info.error")))
        if state != SUCCESS:
            return TaskState(RUNNING)
        result = found.get("info.result")
        return TaskState(SUCCESS, getattr(result, "_moId", "") or "")

    def wait(self, task: str, timeout: float = 3600) -> Any:
        """Wait for a task. Raises SourceError when it fails."""
        return self._session.wait(self._session.object("Task", task), timeout)

    # Disks and their changes

    def disks(self, snapshot: str = "") -> list[Disk]:
        """The disks now, or as they were at a snapshot."""
        managed = self._session.object("VirtualMachineSnapshot", snapshot) if snapshot else self._vm
        found = self._session.read([managed], [_DEVICES]).get(managed._moId, {})
        return _disks(found.get(_DEVICES) or ())

    def files(self, key: int) -> set[str]:
        """All files of a disk's chain, from the present one to that from before all snapshots."""
        devices = self._read(_DEVICES).get(_DEVICES) or ()
        backing = next((device.backing for device in devices if device.key == key), None)
        found = set()
        while backing is not None:
            found.add(_file(backing))
            backing = getattr(backing, "parent", None)
        return found

    def changed_areas(self, snapshot: str, disk: Disk, change_id: str) -> Iterator[tuple[int, int]]:
        """(offset, length) of what a disk at `snapshot` has other than at `change_id`, in order.

        Raises SourceError DATA when the change id is worth nothing (any more): tracking was reset meanwhile.
        """
        managed = self._session.object("VirtualMachineSnapshot", snapshot)

        def ask(offset: int) -> Any:
            return self._call(lambda: self._vm.QueryChangedDiskAreas(managed, disk.key, offset, change_id), "tell what has changed")

        offset = 0
        while offset < disk.size:
            answer = ask(offset)
            for area in answer.changedArea or ():
                yield area.start, area.length
            following = answer.startOffset + answer.length
            if following <= offset:  # a server that tells nothing would be asked for ever
                raise SourceError(f"{self._session.endpoint.url} tells no changed areas of {disk.file} after byte {offset}", DATA)
            offset = following

    def used_areas(self, snapshot: str, disk: Disk) -> Iterator[tuple[int, int]]:
        """(offset, length) of what was ever written on a tracked disk."""
        return self.changed_areas(snapshot, disk, _ALL_IN_USE)

    def change_tracking(self) -> tuple[bool, dict[str, bool]]:
        """Whether blocks of the VM are tracked, and of each disk by its slot."""
        found = self._read("config.changeTrackingEnabled", "config.extraConfig", _DEVICES)
        options = {option.key: option.value for option in found.get("config.extraConfig") or ()}
        slots = [disk.slot for disk in _disks(found.get(_DEVICES) or ())]
        return bool(found.get("config.changeTrackingEnabled")), {slot: _is_true(options.get(f"{slot}.{_TRACKED}")) for slot in slots}

    def set_change_tracking(self, enabled: bool) -> None:
        """Of the VM and of all its disks. With snapshots it cannot be switched."""
        from pyVmomi import vim

        _unused, disks = self.change_tracking()
        value = "TRUE" if enabled else "FALSE"
        options = [vim.option.OptionValue(key=f"{slot}.{_TRACKED}", value=value) for slot in disks if slot]
        wanted = vim.vm.ConfigSpec(changeTrackingEnabled=enabled, extraConfig=options)
        self._done(lambda: self._vm.ReconfigVM_Task(wanted), "change its tracking of blocks")

    def datacenter(self) -> str:
        """The path of its datacenter, as URLs of datastore files want it: "DC0", "Europe/DC1"."""
        from pyVmomi import vim

        names: list[str] = []
        place: Any = self._vm
        while place is not None:
            found = self._session.read([place], ["name", "parent"]).get(place._moId, {})
            above = found.get("parent")
            if isinstance(place, vim.Datacenter) or (names and above is not None):
                names.insert(0, str(found.get("name", "")))
            place = above
        return "/".join(names)

    # Asking

    def _read(self, *paths: str) -> Mapping[str, Any]:
        return self._session.read([self._vm], paths).get(self.id, {})

    def _done(self, begin: Any, what: str) -> None:
        self._session.wait(self._call(begin, what))

    def _call(self, call: Any, what: str) -> Any:
        """`what` the VM was asked to do, for the error."""
        from pyVmomi import vim, vmodl

        with explained(self._session.endpoint):
            try:
                return call()
            except vmodl.fault.SecurityError:
                raise
            except vim.fault.TaskInProgress as fault:
                raise SourceError(f"the VM {self.id} cannot {what} yet: {_cause(fault)}", CONNECTION) from fault
            except vmodl.MethodFault as fault:
                name = self._read("name").get("name", self.id)
                raise SourceError(f"the VM {name} cannot {what}: {_cause(fault)}", DATA) from fault


def _flat(tree: Any, parent: str) -> Iterator[Snapshot]:
    for node in tree:
        id = node.snapshot._moId
        yield Snapshot(id, node.name, node.description, node.createTime, parent)
        yield from _flat(node.childSnapshotList or (), id)


def _disks(devices: Any) -> list[Disk]:
    from pyVmomi import vim

    controllers = {device.key: device for device in devices if isinstance(device, vim.vm.device.VirtualController)}
    found = []
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualDisk):
            file = _file(device.backing)
            size = device.capacityInBytes or device.capacityInKB * 1024
            change_id = getattr(device.backing, "changeId", None) or ""
            found.append(Disk(device.key, file, base_file(file), size, _slot(device, controllers), change_id))
    return found


def _slot(disk: Any, controllers: Mapping[int, Any]) -> str:
    from pyVmomi import vim

    controller = controllers.get(disk.controllerKey)
    kinds = (
        (vim.vm.device.VirtualSCSIController, "scsi"),
        (vim.vm.device.VirtualSATAController, "sata"),
        (vim.vm.device.VirtualIDEController, "ide"),
        (vim.vm.device.VirtualNVMEController, "nvme"),
    )
    for kind, prefix in kinds:
        if isinstance(controller, kind):
            return f"{prefix}{controller.busNumber}:{disk.unitNumber}"
    return ""


def _file(backing: Any) -> str:
    return getattr(backing, "fileName", None) or getattr(backing, "descriptorFileName", None) or ""


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1")


def _cause(fault: Any) -> str:
    """In the words of vSphere; of a parameter that it does not take, its name."""
    name = getattr(fault, "invalidProperty", None)
    return f"{words(fault)}{f' ({name})' if name and name not in words(fault) else ''}"
