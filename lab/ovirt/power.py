"""VMs going up and down, and their snapshots: each takes a moment, as on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import Any

from ovirtsdk4 import types

from ansible_collections.vmshift.mtv.lab.ovirt import images
from ansible_collections.vmshift.mtv.lab.ovirt.model import Fault, World, reference

Status = types.VmStatus
MOMENT = 0.3  # seconds that a change takes
STARTED, STOPPED, SNAPSHOT_MADE, SNAPSHOT_REMOVED = 32, 33, 45, 342  # codes of events


class Power:
    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, vm: Any) -> None:
        if vm.status != Status.DOWN:
            raise Fault(409, f"Cannot run VM. VM {vm.name} is running.")
        locked = [disk.name for disk in self._world.disks_of(vm.id) if disk.status != types.DiskStatus.OK]
        if locked:
            raise Fault(409, f"Cannot run VM: The following disks are locked: {', '.join(locked)}. Please try again in a few minutes.")
        vm.status = Status.POWERING_UP
        vm.host = reference(self._world.all("hosts")[0])
        self._later(self._become(vm, Status.UP, STARTED))

    def shut_down(self, vm: Any) -> None:
        if vm.status == Status.DOWN:
            raise Fault(409, f"Cannot shutdown VM. VM {vm.name} is not running.")
        if vm.id not in self._world.deaf:
            vm.status = Status.POWERING_DOWN
            self._later(self._become(vm, Status.DOWN, STOPPED))

    def stop(self, vm: Any) -> None:
        if vm.status == Status.DOWN:
            raise Fault(409, f"Cannot stop VM. VM {vm.name} is not running.")
        vm.status = Status.POWERING_DOWN
        self._later(self._become(vm, Status.DOWN, STOPPED))

    async def _become(self, vm: Any, status: Any, code: int) -> None:
        await asyncio.sleep(MOMENT)
        vm.status = status
        if status == Status.DOWN:
            vm.host = None
        self._world.tell(code, f"VM {vm.name} is {status.value}", vm=reference(vm))

    def make_snapshot(self, vm: Any, wanted: Any) -> Any:
        busy = [disk.name for disk in self._world.disks_of(vm.id) if disk.status == types.DiskStatus.LOCKED]
        if busy or self._locked(vm):
            raise Fault(409, "Cannot create Snapshot. The VM is performing an operation on a Snapshot or a disk. Please try again later.")
        snapshot = types.Snapshot(
            description=wanted.description,
            persist_memorystate=bool(wanted.persist_memorystate) and vm.status == Status.UP,
            date=datetime.now(timezone.utc),
            snapshot_status=types.SnapshotStatus.LOCKED,
            snapshot_type=types.SnapshotType.REGULAR,
        )
        self._world.add(f"vms/{vm.id}/snapshots", snapshot)
        self._later(self._snapshot(vm, snapshot))
        return snapshot

    async def _snapshot(self, vm: Any, snapshot: Any) -> None:
        for disk in self._world.disks_of(vm.id):
            if disk.id in self._world.layers:
                await images.push(self._world, disk, snapshot.id)
        snapshot.snapshot_status = types.SnapshotStatus.OK
        self._world.tell(SNAPSHOT_MADE, f"Snapshot '{snapshot.description}' of VM '{vm.name}' was made", vm=reference(vm))

    def remove_snapshot(self, vm: Any, snapshot: Any) -> None:
        if snapshot.snapshot_type == types.SnapshotType.ACTIVE:
            raise Fault(409, "Cannot remove Snapshot. Removing the VM active Snapshot is not allowed.")
        if self._locked(vm):
            raise Fault(409, "Cannot remove Snapshot. The VM is performing an operation on a Snapshot. Please try again later.")
        snapshot.snapshot_status = types.SnapshotStatus.LOCKED
        self._later(self._merge(vm, snapshot))

    async def _merge(self, vm: Any, snapshot: Any) -> None:
        for disk in self._world.disks_of(vm.id):
            if disk.id in self._world.layers:
                await images.merge(self._world, disk, snapshot.id)
                disk.image_id = self._world.layers[disk.id][-1].id
        self._world.objects[f"vms/{vm.id}/snapshots"].pop(snapshot.id)
        self._world.tell(SNAPSHOT_REMOVED, f"Snapshot '{snapshot.description}' of VM '{vm.name}' was removed", vm=reference(vm))

    def _locked(self, vm: Any) -> bool:
        return any(one.snapshot_status == types.SnapshotStatus.LOCKED for one in self._world.all(f"vms/{vm.id}/snapshots"))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
