"""The files of disks: raw or qcow2, a chain of them where there are snapshots."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

from ovirtsdk4 import types

from ansible_collections.vmshift.mtv.lab.ovirt.model import Fault, Layer, World


async def qemu_img(*words: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "qemu-img", *(str(word) for word in words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Fault(500, f"qemu-img {words[0]} failed: {err.decode().strip()}")
    return out.decode()


async def make_file(file: Path, disk: Any, content: Path | None) -> None:
    """The first file of a disk, with the bytes of a raw image or empty."""
    kind = format_of(disk)
    if content:
        sparse = ["-S", "0"] if not disk.sparse else []
        await qemu_img("convert", "-f", "raw", "-O", kind, *sparse, content, file)
        return
    await qemu_img("create", "-q", "-f", kind, *([] if disk.sparse else ["-o", "preallocation=falloc"]), file, str(disk.provisioned_size))


async def push(world: World, disk: Any, snapshot: str) -> None:
    """Let a snapshot have what a disk holds: from now on it is written into a new file."""
    chain = world.layers[disk.id]
    top = chain[-1]
    new = Layer(str(uuid.uuid4()), top.file.with_name(f"{disk.id}.{uuid.uuid4().hex[:8]}"), "qcow2")
    await qemu_img("create", "-q", "-f", "qcow2", "-F", top.format, "-b", top.file, new.file)
    top.snapshot = snapshot
    chain.append(new)
    disk.image_id = new.id


async def merge(world: World, disk: Any, snapshot: str) -> None:
    """Let go of what a snapshot has kept: what was written after it goes into its file."""
    chain = world.layers[disk.id]
    kept = next((layer for layer in chain if layer.snapshot == snapshot), None)
    if kept is None:
        return
    after = chain[chain.index(kept) + 1]
    await qemu_img("commit", "-q", "-f", after.format, after.file)
    following = chain[chain.index(after) + 1 :]
    if following:
        await qemu_img("rebase", "-u", "-f", following[0].format, "-F", kept.format, "-b", kept.file, following[0].file)
    after.file.unlink()
    kept.id, kept.snapshot = after.id, after.snapshot
    chain.remove(after)


async def allocated(layer: Layer) -> int:
    return int(json.loads(await qemu_img("info", "-U", "--output", "json", layer.file))["actual-size"])


def format_of(disk: Any) -> str:
    return "raw" if disk.format == types.DiskFormat.RAW else "qcow2"


def disk_snapshots(world: World, disk: Any) -> list[Any]:
    """What snapshots have kept of a disk, as the API shows it."""
    found = []
    for layer in world.layers.get(disk.id, ()):
        if layer.snapshot:
            kept = types.DiskSnapshot(
                id=layer.id, disk=types.Disk(id=disk.id), snapshot=types.Snapshot(id=layer.snapshot), provisioned_size=disk.provisioned_size
            )
            kept.href = f"{disk.href}/disksnapshots/{layer.id}"
            found.append(kept)
    return found
