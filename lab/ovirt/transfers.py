"""Image transfers: each is a ticket of the daemon before a qemu-nbd that serves the disk, and ends by itself when nobody uses it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovirtsdk4 import types

from ansible_collections.vmshift.mtv.lab.ovirt import children
from ansible_collections.vmshift.mtv.lab.ovirt.imageio import Daemon
from ansible_collections.vmshift.mtv.lab.ovirt.model import Fault, Layer, World, reference

Phase = types.ImageTransferPhase
#: What comes after each phase of an end. As with the real engine, who cancels is answered before the disk is free, which it is in the last.
ENDING = {
    Phase.CANCELLED_USER: Phase.FINALIZING_CLEANUP,
    Phase.CANCELLED_SYSTEM: Phase.FINALIZING_FAILURE,
    Phase.FINALIZING_CLEANUP: Phase.FINISHED_CLEANUP,
    Phase.FINALIZING_FAILURE: Phase.FINISHED_FAILURE,
    Phase.FINALIZING_SUCCESS: Phase.FINISHED_SUCCESS,
}
INACTIVITY_TIMEOUT = 60  # seconds
CLIENTS = 8  # connections that qemu-nbd serves at once


@dataclass
class Running:
    """What goes on behind a transfer. `touched`: when its client was last seen."""

    disk: Any
    servers: list[Any] = field(default_factory=list)
    touched: float = field(default_factory=time.monotonic)
    watcher: asyncio.Task[None] | None = None


class Transfers:
    """`lifetime`: seconds that a ticket is good for without being extended; `rate`: bytes per second at which disks are read, 0 for
    as fast as it goes.
    """

    def __init__(self, world: World, daemon: Daemon) -> None:
        self._world, self._daemon = world, daemon
        self._running: dict[str, Running] = {}
        self.lifetime = 300
        self.rate = 0
        self.look_every = 0.2  # seconds between two looks at a ticket
        self.extensions = 0

    def begin(self, wanted: Any) -> Any:
        """Make a transfer as a client wants it. Raises Fault."""
        disk, layer = self._subject(wanted)
        if wanted.direction != types.ImageTransferDirection.DOWNLOAD:
            raise Fault(400, "Only downloads are offered by this engine.")
        if disk.storage_type != types.DiskStorageType.IMAGE:
            raise Fault(409, "Cannot transfer Virtual Disk. Only disks of type image can be transferred.")
        vm = self._world.vm_of(disk.id)
        if vm is not None and vm.status != types.VmStatus.DOWN and not layer.snapshot:
            raise Fault(409, f"Cannot transfer Virtual Disk. Disk {disk.name} is attached to the running VM {vm.name}.")
        if disk.status != types.DiskStatus.OK and not layer.snapshot:
            raise Fault(409, f"Cannot transfer Virtual Disk. Disk {disk.name} is {disk.status.value}. Please try again in a few minutes.")
        transfer = types.ImageTransfer(
            direction=wanted.direction,
            disk=reference(disk),
            image=types.Image(id=layer.id),
            host=reference(self._world.all("hosts")[0]),
            format=wanted.format or types.DiskFormat.RAW,
            inactivity_timeout=INACTIVITY_TIMEOUT if wanted.inactivity_timeout is None else wanted.inactivity_timeout,
            timeout_policy=wanted.timeout_policy or types.ImageTransferTimeoutPolicy.LEGACY,
            shallow=bool(wanted.shallow),
            phase=Phase.INITIALIZING,
            active=False,
            transferred=0,
        )
        self._world.add("imagetransfers", transfer)
        running = self._running[transfer.id] = Running(disk)
        if not layer.snapshot:
            disk.status = types.DiskStatus.LOCKED
        running.watcher = asyncio.create_task(self._serve(transfer, running, layer))
        return transfer

    def _subject(self, wanted: Any) -> tuple[Any, Layer]:
        if wanted.snapshot is not None:
            for id, layers in self._world.layers.items():
                for layer in layers:
                    if layer.id == wanted.snapshot.id and layer.snapshot:
                        return self._world.get(f"disks/{id}"), layer
            raise Fault(404, f"Entity not found: disk snapshot {wanted.snapshot.id}", "Not Found")
        named = wanted.disk or wanted.image
        if named is None:
            raise Fault(400, "ImageTransfer [image.id|disk.id|snapshot.id] required for add", "Incomplete parameters")
        disk = self._world.get(f"disks/{named.id}")
        layers = self._world.layers.get(disk.id) or [Layer("", Path(), "raw")]
        return disk, layers[-1]

    async def _serve(self, transfer: Any, running: Running, layer: Layer) -> None:
        try:
            socket = self._world.folder / "run" / f"{transfer.id[:8]}.nbd"
            running.servers = [children.start(self._nbd_server(socket, layer, shallow=transfer.shallow))]
            await _there(socket)
            if self.rate:
                slow = socket.with_suffix(".slow")
                source = ["nbd", f"socket={socket}", "shared=true"]
                running.servers.append(
                    children.start(["nbdkit", "-f", "-r", "-U", slow, "--filter=rate", *source, f"rate={self.rate * 8}"])
                )
                await _there(slow)
                socket = slow
            self._daemon.add(
                {
                    "uuid": transfer.id,
                    "size": running.disk.provisioned_size,
                    "url": f"nbd:unix:{socket}",
                    "timeout": self.lifetime,
                    "inactivity_timeout": transfer.inactivity_timeout or 0,
                    "sparse": bool(running.disk.sparse),
                    "ops": ["read"],
                    "transfer_id": transfer.id,
                    "filename": running.disk.name,
                    "dirty": False,
                }
            )
            transfer.transfer_url = transfer.proxy_url = f"https://localhost:{self._daemon.port}/images/{transfer.id}"
            transfer.phase = Phase.TRANSFERRING
            running.touched = time.monotonic()
            await self._watch(transfer, running)
        except Exception as error:
            self._world.tell(1050, f"Transfer of {running.disk.name} failed: {error}")
            await self._end(transfer, Phase.FINALIZING_FAILURE)

    def _nbd_server(self, socket: Path, layer: Layer, *, shallow: bool) -> list[str | Path]:
        """As a host serves it: the content of the chain as raw bytes; of a shallow transfer only of the one file of it."""
        image: dict[str, Any] = {"driver": layer.format, "file": {"driver": "file", "filename": str(layer.file), "locking": "off"}}
        if layer.format == "qcow2" and shallow:
            image["backing"] = None
        common = ["qemu-nbd", "--persistent", f"--shared={CLIENTS}", "--read-only", f"--socket={socket}"]
        return [*common, *(["--allocation-depth"] if shallow else []), f"json:{json.dumps(image)}"]

    async def _watch(self, transfer: Any, running: Running) -> None:
        """Extend the ticket while somebody uses it; give the transfer up when nobody does, or when the daemon has lost the ticket."""
        missing = 0
        while True:
            await asyncio.sleep(self.look_every)
            ticket = self._daemon.look(transfer.id)
            if ticket is None:
                missing = missing + 1 if self._daemon.running else 0
                if missing > 1:
                    await self._end(transfer, Phase.FINALIZING_FAILURE)
                    return
                continue
            transfer.active, transfer.transferred = ticket["active"], ticket.get("transferred", 0)
            if ticket["active"] or ticket["idle_time"] < self.look_every * 2:
                running.touched = time.monotonic()
            idle = time.monotonic() - running.touched
            if transfer.inactivity_timeout and idle > transfer.inactivity_timeout:
                await self._end(transfer, Phase.CANCELLED_SYSTEM)
                return
            if idle < max(self.lifetime / 3, 1):
                self._daemon.extend(transfer.id, self.lifetime)

    def extend(self, transfer: Any) -> None:
        self._check(transfer)
        self.extensions += 1
        self._running[transfer.id].touched = time.monotonic()

    def finish(self, transfer: Any, phase: Any) -> None:
        """By a client: finalized or canceled; `phase`: with which the end begins."""
        self._check(transfer)
        running = self._running[transfer.id]
        if running.watcher:
            running.watcher.cancel()
        transfer.phase, transfer.active = phase, False
        running.watcher = asyncio.create_task(self._end(transfer, phase))

    def _check(self, transfer: Any) -> None:
        if transfer.id not in self._running or transfer.phase in ENDING:
            raise Fault(409, f"The image transfer {transfer.id} is over ({transfer.phase.value}).")

    async def _end(self, transfer: Any, phase: Any) -> None:
        """From that phase to the last. Tickets go first: nobody reads from a server that is on its way out."""
        running = self._running[transfer.id]
        transfer.phase, transfer.active = phase, False
        while not await asyncio.to_thread(self._daemon.remove, transfer.id):
            await asyncio.sleep(0.05)
        if ENDING[phase] in ENDING:
            transfer.phase = ENDING[phase]
        for server in reversed(running.servers):
            await children.end(server)
        for name in ("nbd", "slow"):
            (self._world.folder / "run" / f"{transfer.id[:8]}.{name}").unlink(missing_ok=True)
        if running.disk.status == types.DiskStatus.LOCKED:
            running.disk.status = types.DiskStatus.OK
        transfer.phase = ENDING[transfer.phase]
        transfer.transfer_url = transfer.proxy_url = None
        self._running.pop(transfer.id, None)

    def going_on(self) -> list[str]:
        return sorted(self._running)


async def _there(socket: Path) -> None:
    for _unused in range(1000):
        if socket.exists():
            return
        await asyncio.sleep(0.01)
    raise Fault(500, f"No server came up at {socket}.")
