"""A disk of a VM on vSphere into a volume: whole, or what has changed since an earlier copy.

The disk is read from its datastore over HTTPS, as it is (of a VM that is off) or as it was at a snapshot. What was in use, or has
changed since, is asked from vSphere's tracking of changed blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.datastore import DatastoreReader, Datastores, Extent
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Journal, Totals, Transfer
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Disk, Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, connect
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.vms import base_file

JOURNAL_FILE = "journal"
Areas = list[tuple[int, int]]


class Unreadable(Exception):
    """This disk cannot be copied; the text says why in one sentence."""


@dataclass(frozen=True)
class Request:
    """Which disk, of the VM with that UUID. `current`: the snapshot to read, "" for the disk as it is; `previous`: the change id of
    what the volume holds, "" when it holds nothing of the disk.
    """

    endpoint: Endpoint
    uuid: str
    backing_file: str
    current: str = ""
    previous: str = ""


@dataclass(frozen=True)
class Copied:
    """`full`: why the whole disk was copied although only changes were asked for; "" otherwise."""

    totals: Totals
    full: str


def copy(request: Request, volume: Path, folder: Path, tell: Callable[[Totals], None], say: Callable[[str], None]) -> Copied:
    """Copy the disk into `volume`. `folder` keeps what another attempt may go on from.

    Raises Unreadable, SourceError, transfer.SourceGone, volume.Damaged, OSError.
    """
    session = connect(request.endpoint)
    try:
        machine = Machine.by_uuid(session, request.uuid)
        disk = _disk(machine, request)
        datastores = Datastores(request.endpoint, session, machine.datacenter())
    except BaseException:
        session.close()
        raise
    try:
        extent = datastores.extent(disk.file)
        size = _check_sizes(extent, disk, volume)
        areas, full = _areas(machine, request, disk, say)
        about = {"disk": extent.url, "stamp": extent.stamp, "size": size, "from": "" if full else request.previous, "at": request.current}
        journal = Journal(folder / JOURNAL_FILE, about)
        wanted = list(transfer.pieces([(0, size)] if areas is None else areas, size))
        _announce(disk, wanted, journal, say)
        if not journal.resumed and (full or not request.previous):
            _empty(volume)
        journal.begin()
        try:
            totals = Transfer(lambda: DatastoreReader(datastores, extent.url), volume, journal, tell).copy(wanted)
        finally:
            journal.close()
        _check_stamp(datastores.look(extent.url), extent)
        return Copied(totals, full)
    finally:
        datastores.close()


def _disk(machine: Machine, request: Request) -> Disk:
    """The disk as it is, or as it was at the snapshot. Raises Unreadable."""
    base = base_file(request.backing_file)
    present = [disk for disk in machine.disks() if disk.base == base or request.backing_file in machine.files(disk.key)]
    if not present:
        raise Unreadable(f"the VM has no disk {request.backing_file} (any more)")
    if not request.current:
        return present[0]
    if request.current not in {snapshot.id for snapshot in machine.snapshots()}:
        raise Unreadable(f"the VM has no {request.current} (any more)")
    then = [disk for disk in machine.disks(request.current) if disk.key == present[0].key]
    if not then:
        raise Unreadable(f"{request.current} does not have the disk {request.backing_file}")
    return then[0]


def _check_sizes(extent: Extent, disk: Disk, volume: Path) -> int:
    """The size of the disk in bytes."""
    room = volume.stat().st_size
    if extent.size != disk.size:
        raise Unreadable(f"the disk {disk.file} has {disk.size} bytes, but its file {extent.size}")
    if disk.size > room:
        raise Unreadable(f"the disk {disk.file} has {disk.size} bytes, but its volume holds only {room}")
    return disk.size


def _areas(machine: Machine, request: Request, disk: Disk, say: Callable[[str], None]) -> tuple[Areas | None, str]:
    """What to read, None for all of the disk; and why that is more than was asked for."""
    full = ""
    if request.previous:
        try:
            return list(machine.changed_areas(request.current, disk, request.previous)), ""
        except SourceError as error:
            if error.kind != DATA:
                raise
            full = f"what has changed since the last copy cannot be told, so the whole disk is copied again: {error.message}"
            say(full)
    # Of what was written before a snapshot that is still there vSphere may tell too little.
    if request.current and disk.change_id and [snapshot.id for snapshot in machine.snapshots()] == [request.current]:
        try:
            return list(machine.used_areas(request.current, disk)), full
        except SourceError as error:
            if error.kind != DATA:
                raise
            say(f"what is in use on the disk cannot be told, so all of it is read: {error.message}")
    return None, full


def _empty(volume: Path) -> None:
    """What is not copied of a whole disk must be zeros."""
    size = volume.stat().st_size
    os.truncate(volume, 0)
    os.truncate(volume, size)


def _announce(disk: Disk, wanted: Areas, journal: Journal, say: Callable[[str], None]) -> None:
    bytes_wanted = sum(length for _offset, length in wanted)
    say(f"{disk.file}: {bytes_wanted} of {disk.size} bytes are to be copied, in {len(wanted)} pieces")
    if journal.resumed:
        known = sum(length for (_offset, length) in journal.sums)
        say(f"an earlier attempt has copied {known} bytes; what of it is in the volume is kept")


def _check_stamp(now: Extent, then: Extent) -> None:
    if (now.stamp, now.size) != (then.stamp, then.size):
        raise Unreadable(f"{then.url.partition('?')[0]} was written to while it was copied: is its VM running, without a snapshot?")
