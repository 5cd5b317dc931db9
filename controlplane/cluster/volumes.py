"""The files behind PersistentVolumes: made within what the disk can hold, removed when their volume is released."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.state import State

log = logging.getLogger(__name__)

Object = dict[str, Any]

DRIVER = "local.vmshift.io"
PROTECTION = "kubernetes.io/pv-protection"
_SECTOR = 512


class NoRoom(Exception):
    """The disk cannot hold the volume; the text says how much it can."""


def allocate(state: State, volume: str, size: int) -> None:
    """Make the sparse file of `volume` with `size` bytes, rounded up to whole sectors. Raises NoRoom."""
    size = -(-size // _SECTOR) * _SECTOR
    path = state.volume(volume)
    free, promised = shutil.disk_usage(state.volumes).free, _promised(state.volumes, but=path)
    if size > free - promised:
        wanted, rest = quantity.shown(size), quantity.shown(max(free - promised, 0))
        raise NoRoom(
            f"{wanted} are asked for, {rest} can be given: {state.volumes} has {quantity.shown(free)} free, "
            f"{quantity.shown(promised)} of them promised to other volumes"
        )
    try:
        with path.open("ab") as file:
            os.fchmod(file.fileno(), 0o600)
            file.truncate(size)
            os.fsync(file.fileno())
    except OSError as error:  # larger than this file system lets files be
        path.unlink(missing_ok=True)
        raise NoRoom(f"{quantity.shown(size)} cannot be made into one file in {state.volumes}: {error.strerror}") from error
    _sync(state.volumes)


def remove(state: State, volume: str) -> None:
    state.volume(volume).unlink(missing_ok=True)
    _sync(state.volumes)


def prune(state: State, volumes: Iterable[str]) -> None:
    """Remove the files of volumes that never came to be or whose removal was interrupted: those not among `volumes`."""
    known = {state.volume(volume).name for volume in volumes}
    for path in state.volumes.iterdir():
        if path.name not in known and path.is_file():
            log.info("removing %s, which belongs to no PersistentVolume", path)
            path.unlink()


def _promised(folder: Path, but: Path) -> int:
    """Bytes that the files in `folder` may still take."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.name != but.name:
                    stat = entry.stat()
                    total += max(stat.st_size - stat.st_blocks * 512, 0)
    return total


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class VolumeReconciler(Reconciler):
    """PersistentVolumes: Available, Bound, Released, and gone where that is the policy.

    Binding itself is the work of the claim's reconciler.
    """

    kind = "PersistentVolume"

    def __init__(self, context: Context) -> None:
        self._api, self._state = context.api, context.state

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"PersistentVolumeClaim": lambda claim: [("", volume)] if (volume := claim["spec"].get("volumeName")) else []}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        volume = self._api.find(self.kind, None, name)
        if volume is None:
            return None
        phase = self._phase(volume)
        if phase != "Bound" and "deletionTimestamp" in volume["metadata"]:
            self._remove(volume)
        elif phase == "Released" and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete" and _ours(volume):
            self._remove(volume)
            self._api.delete(self.kind, None, name, uid=volume["metadata"]["uid"])
        elif phase != volume.get("status", {}).get("phase"):
            volume["status"] = {"phase": phase, "lastPhaseTransitionTime": now()}
            self._api.update_status(volume)
        return None

    def _phase(self, volume: Object) -> str:
        reference = volume["spec"].get("claimRef")
        if not reference or not reference.get("uid"):
            return "Available"
        claim = self._api.find("PersistentVolumeClaim", reference["namespace"], reference["name"])
        return "Bound" if claim and claim["metadata"]["uid"] == reference["uid"] else "Released"

    def _remove(self, volume: Object) -> None:
        """Take away the file, where it is to go with the volume, and what keeps the object."""
        name = volume["metadata"]["name"]
        if _ours(volume) and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            remove(self._state, name)
        left = [finalizer for finalizer in volume["metadata"].get("finalizers", ()) if finalizer != PROTECTION]
        self._api.patch(self.kind, None, name, {"metadata": {"finalizers": left or None}})


def _ours(volume: Object) -> bool:
    return volume["spec"].get("csi", {}).get("driver") == DRIVER
