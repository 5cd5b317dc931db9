"""The program of the virt-v2v pod beside virt-v2v alone, and its copy of a sparse data disk beside qemu-img convert."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measures import Measure, environment, median

from ansible_collections.vmshift.mtv.controlplane.datapath import conversion
from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts
from ansible_collections.vmshift.mtv.lab import guests, ova

ROUNDS = 2
DATA_DISK = 2 << 30  # bytes, mostly holes
PIECES, PIECE = 24, 4 << 20
NAME = "bench"
SECONDS = 1800
_STAGE = re.compile(r"^\[ *(\d+\.\d+)\] (.*)$")


@dataclass(frozen=True)
class Conversion:
    """One run: seconds of the whole, and of the copy of the data disk as virt-v2v's own clock shows it."""

    wall: float
    cpu: float
    copy: float
    allocated: int  # bytes of the copied data disk on the file system


def measure(work: Path) -> Iterator[Measure]:
    appliance, data = make_appliance(work)
    run(["guestfish", "-a", str(data), "run"], libguestfs_environment())  # builds libguestfs' appliance, if that is not cached
    bare, own, copies = [], [], []
    for _unused in range(ROUNDS):
        bare.append(convert_bare(work, appliance))
        own.append(convert_as_pod(work, appliance))
        copies.append(run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(data), str(work / "copy.raw")]).wall)
    for what, unit in (("wall", "s"), ("cpu", "CPU s")):
        alone, program = (median(getattr(r, what) for r in runs) for runs in (bare, own))
        yield Measure("virt-v2v alone", alone, unit)
        yield Measure("the pod's program", program, unit)
        yield Measure(f"speed of the program ({unit}), virt-v2v alone = 1", alone / program, "", least=0.95)
    copy = median(copies)
    yield Measure(f"qemu-img convert, {PIECES * PIECE >> 20} MiB in {DATA_DISK >> 30} GiB", copy, "s")
    for label, runs in (("virt-v2v alone", bare), ("the pod's program", own)):
        yield Measure(f"copy of that disk by {label}", median(r.copy for r in runs), "s", median(r.copy for r in runs) / copy, "qemu-img")
    written = median(r.allocated for r in own)
    yield Measure("space taken by the copy", written / 2**20, "MiB", written / (PIECES * PIECE), "the content")


def make_appliance(work: Path) -> tuple[Path, Path]:
    """The lab's guest with a larger data disk: (its OVA, the data disk as VMDK)."""
    raw, data = work / "data.raw", work / f"{NAME}-disk2.vmdk"
    with raw.open("wb") as file:
        file.truncate(DATA_DISK)
        for number in range(PIECES):
            file.seek(number * (DATA_DISK // PIECES))
            file.write(secrets.token_bytes(PIECE))
    run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", str(raw), str(data)])
    facts = guests.guest_ova(work / "lab")
    root = work / f"{NAME}-disk1.vmdk"
    with tarfile.open(facts.ova) as lab:
        source = lab.extractfile(f"{facts.name}-disk1.vmdk")
        assert source is not None
        with root.open("wb") as target:
            shutil.copyfileobj(source, target)
    run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(root), str(work / "root.raw")])
    ovf = work / f"{NAME}.ovf"
    ovf.write_text(ova.descriptor(ova.Guest(NAME, disks=(work / "root.raw", raw)), [root, data]))
    with tarfile.open(work / f"{NAME}.ova", "w", format=tarfile.USTAR_FORMAT) as archive:
        for member in (ovf, root, data):
            archive.add(member, arcname=member.name)
    return work / f"{NAME}.ova", data


def convert_bare(work: Path, appliance: Path) -> Conversion:
    output = empty(work / "bare")
    argv = ["virt-v2v", "-i", "ova", str(appliance), "-o", "local", "-os", str(output), "-of", "raw"]
    done = run(argv, {**libguestfs_environment(), "LIBGUESTFS_CACHEDIR": "/var/tmp"})
    return done.conversion(output / f"{NAME}-sdb")


def convert_as_pod(work: Path, appliance: Path) -> Conversion:
    """In a pod's folder as the control plane prepares it."""
    pod = empty(work / "pod")
    volumes = [pod / "root.img", pod / "data.img"]
    for volume, size in zip(volumes, ((work / "root.raw").stat().st_size, DATA_DISK), strict=True):
        with volume.open("wb") as file:
            file.truncate(size)
    disks = [Mount(f"/mnt/disks/disk{number}", str(volume), "Filesystem") for number, volume in enumerate(volumes)]
    (pod / FILE_NAME).write_text(Mounts([Mount("/ova", str(appliance.parent), "NFS", True), *disks]).to_json())
    variables = {"V2V_source": "ova", "V2V_diskPath": f"/ova/{appliance.name}", "V2V_vmName": NAME, "VMSHIFT_POD_DIR": str(pod)}
    return run([sys.executable, "-m", conversion.__name__], variables).conversion(volumes[1])


@dataclass(frozen=True)
class Done:
    """A program that has ended well."""

    wall: float
    cpu: float
    output: str

    def conversion(self, data_disk: Path) -> Conversion:
        stages = [(float(match[1]), match[2]) for line in self.output.splitlines() if (match := _STAGE.match(line))]
        begun, ended = next((a[0], b[0]) for a, b in zip(stages, stages[1:], strict=False) if a[1].startswith("Copying disk 2/2"))
        return Conversion(self.wall, self.cpu, ended - begun, data_disk.stat().st_blocks * 512)


def run(argv: list[str], variables: dict[str, str] | None = None) -> Done:
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        argv,
        env={**environment(), **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    wall, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stdout[-3000:]}")
    return Done(wall, after.children_user + after.children_system - before.children_user - before.children_system, done.stdout)


def empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
