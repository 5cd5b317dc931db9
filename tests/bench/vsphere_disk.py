"""A disk copied from a vCenter's datastore over HTTPS, beside qemu-img convert of the same source; and then what has changed of it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import Measure, environment, median

ROUNDS = 3
DISK, BLOCKS, BLOCK = 1 << 30, 256, 64 << 10
SMOKE = {"ROUNDS": 1, "DISK": 8 << 20, "BLOCKS": 4}

#: The copy as the importer makes it, compared with what was read: its environment as JSON, volume, folder for its journal.
OURS = """
import sys, json
from pathlib import Path
from ansible_collections.vmshift.mtv.controlplane.datapath import importer, vsphere_disk
request = importer.request(json.loads(sys.argv[1]))
copied = vsphere_disk.copy(request, Path(sys.argv[2]), Path(sys.argv[3]), lambda _totals: None, lambda _line: None)
print(json.dumps({"read": copied.totals.read, "full": copied.full}))
"""


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

    lab = VSphere.start(work / "vcenter", (Machine("big", disks=(Disk(size=DISK),), tracked=True),), while_process=os.getpid())
    try:
        write(lab, 1 << 20, DISK >> 20)
        yield from copies(work, lab)
        yield from changes(work, lab)
    finally:
        lab.stop()


def copies(work: Path, lab: Any) -> Iterator[Measure]:
    ours, theirs = [], []
    with lab.session() as session:
        url = session.file_url(lab.vm("big")["disks"][0]["file"].replace(".vmdk", "-flat.vmdk"), "DC0")
        (work / "cookie").write_text(session.cookie)
        (work / "ca.pem").write_text(lab.ca)
        source = ["nbdkit", "-U", "-", "curl", f"url={url}", f"cookie=+{work / 'cookie'}", f"cainfo={work / 'ca.pem'}"]
        convert = [*source, "--run", f"qemu-img convert -n -O raw $uri {work / 'theirs.raw'}"]
        for _unused in range(ROUNDS):
            ours.append(taken(copy(work, lab, "ours.raw"), work / "ours.raw")[:2])
            theirs.append(taken(convert, work / "theirs.raw")[:2])
    for what, figures in (("the importer, with sums", ours), ("nbdkit and qemu-img convert", theirs)):
        yield Measure(f"{DISK >> 20} MiB, {what}", DISK / median(wall for wall, _cpu in figures) / 2**20, "MiB/s")
        yield Measure(f"{DISK >> 20} MiB, {what}", median(cpu for _wall, cpu in figures), "CPU s")
    speed = median(other[0] / own[0] for own, other in zip(ours, theirs, strict=True))
    yield Measure("speed, qemu-img convert = 1", speed, "", least=0.9)


def changes(work: Path, lab: Any) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Machine

    with lab.session() as session:
        machine = Machine(session, lab.vm("big")["id"])
        snapshots = [snapshot(machine, "first")]
        previous = machine.disks(snapshots[0])[0].change_id
        write(lab, BLOCK, BLOCKS)
        snapshots.append(snapshot(machine, "second"))
    wall, cpu, said = taken(copy(work, lab, "ours.raw", snapshots[1], previous), work / "ours.raw", fresh=False)
    if json.loads(said)["full"]:
        raise RuntimeError(said)
    changed = BLOCKS * BLOCK
    yield Measure(f"{changed >> 10} KiB changed in {BLOCKS} places", wall, "s")
    yield Measure(f"{changed >> 10} KiB changed in {BLOCKS} places", cpu, "CPU s")
    yield Measure("bytes read, changed bytes = 1", json.loads(said)["read"] / changed, "", most=1.05)


def write(lab: Any, length: int, times: int) -> None:
    """New bytes, all over the disk."""
    with lab.extents("big")[0].open("r+b") as disk:
        for number in range(times):
            disk.seek(number * (DISK // times))
            disk.write(secrets.token_bytes(length))


def snapshot(machine: Any, name: str) -> str:
    return str(machine.wait(machine.create_snapshot(name, quiesce=False))._moId)


def copy(work: Path, lab: Any, volume: str, current: str = "", previous: str = "") -> list[str]:
    (work / "journal").unlink(missing_ok=True)
    vm, endpoint = lab.vm("big"), lab.endpoint()
    with lab.session() as session:
        uuid = session.read([session.object("VirtualMachine", vm["id"])], ["config.uuid"])[vm["id"]]["config.uuid"]
    variables = {
        "IMPORTER_SOURCE": "vddk",
        "IMPORTER_ENDPOINT": endpoint.url,
        "IMPORTER_ACCESS_KEY_ID": endpoint.user,
        "IMPORTER_SECRET_KEY": endpoint.password,
        "IMPORTER_CA": endpoint.ca,
        "IMPORTER_UUID": uuid,
        "IMPORTER_BACKING_FILE": vm["disks"][0]["file"],
        "IMPORTER_CURRENT_CHECKPOINT": current,
        "IMPORTER_PREVIOUS_CHECKPOINT": previous,
    }
    return [sys.executable, "-c", OURS, json.dumps(variables), str(work / volume), str(work)]


def taken(argv: list[str], volume: Path, *, fresh: bool = True) -> tuple[float, float, str]:
    """(wall, CPU) seconds until the volume is on stable storage, and what the program printed. The vCenter's own CPU time is not in it."""
    if fresh:
        volume.unlink(missing_ok=True)
        with volume.open("wb") as file:
            file.truncate(DISK)
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(argv, check=True, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with volume.open("rb") as file:
        os.fsync(file.fileno())
    wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system, done.stdout
