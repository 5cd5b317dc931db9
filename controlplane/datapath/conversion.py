"""The program of the virt-v2v image: converts one guest and writes its disks into the pod's volumes.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.conversion` inside a pod's process. It reads the V2V_*
environment that Forklift gives to its conversion pods, and leaves in VMSHIFT_POD_DIR

    progress.json         {"stage": "Copying disk 1/2", "disks": {"0": 42, "1": 0}}     percent by number of the volume
    result.json           {"firmware": "bios", "operatingSystem": "debian12", "warnings": [...]} or {"error": "..."}
    termination-message   the error, in one line

Exit code 0 means that every disk is complete and on stable storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath import guest_options, in_place, ova, tools, virt_v2v, vsphere_guest
from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.controlplane.datapath.customization import Customization
from ansible_collections.vmshift.mtv.controlplane.datapath.guest_input import GuestInput
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, PROGRESS_FILE, RESULT_FILE, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.space import DiskFull, unless_full
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed, Guest, Progress
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

DEADLINE_VARIABLE = "VMSHIFT_CONVERSION_DEADLINE"  # seconds
DEFAULT_DEADLINE = 4 * 3600.0
TERMINATED = 128 + signal.SIGTERM
_LONGEST_TMPDIR = 80  # bytes: virt-v2v makes sockets in it, and a socket's path ends at 107


OVA, VSPHERE = "ova", "vSphere"
TRUE = "1"


@dataclass(frozen=True)
class Request:
    """What the pod's environment asks for. `in_place`: the volumes hold the disks of the guest already."""

    source: str
    vm: str
    deadline: float
    environment: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Request:
        if not environment.get("V2V_source"):
            raise ConversionFailed("the environment of the pod lacks V2V_source")
        deadline = environment.get(DEADLINE_VARIABLE, str(DEFAULT_DEADLINE))
        try:
            seconds = float(deadline)
        except ValueError:
            raise ConversionFailed(f"{DEADLINE_VARIABLE} is {deadline!r}; a number of seconds is needed") from None
        name = environment.get("V2V_NewName") or environment.get("V2V_vmName", "")
        return cls(environment["V2V_source"], name, seconds, environment)

    @property
    def in_place(self) -> bool:
        return self.environment.get("V2V_inPlace") == TRUE


def main() -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    try:
        result = asyncio.run(_until_terminated(folder))
    except (ConversionFailed, DiskFull, tools.ToolMissing, NotMounted, ova.UnreadableAppliance) as error:
        return _fail(folder, str(error))
    except SourceError as error:
        return _fail(folder, error.message)
    except OSError as error:
        return _fail(folder, f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except asyncio.CancelledError:
        _fail(folder, "the conversion was terminated")
        return TERMINATED
    write_json(folder / RESULT_FILE, result, lasting=True)
    print("Every disk is complete.", flush=True)
    return 0


async def _until_terminated(folder: Path) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await convert(Request.of(os.environ), folder)


def _fail(folder: Path, why: str) -> int:
    print(f"conversion failed: {why}", file=sys.stderr, flush=True)
    write_json(folder / RESULT_FILE, {"error": why}, lasting=True)
    (folder / MESSAGE_FILE).write_text(why)
    return 1


async def convert(request: Request, folder: Path) -> dict[str, Any]:
    """Convert the guest; the content of result.json. Raises ConversionFailed and the errors of what it uses."""
    mounts = Mounts.load(folder)
    volumes = mounts.disks()
    with _sizes_kept(volumes) as sizes, scratch_folder(folder / "scratch") as scratch:
        pod = Pod(request, folder, mounts, volumes, scratch)
        rooms = {folder, *(volume.parent for volume in volumes)}
        guest, warnings = await unless_full(pod.in_place() if request.in_place else pod.copy(sizes), rooms, volumes)
        changes = Customization(request.environment, mounts, volumes, guest.operating_system)
        await unless_full(changes.run(scratch, pod.environment, request.deadline, say), rooms, volumes)
        _check_sizes(sizes, _current_sizes(volumes))
    for volume in volumes:
        with volume.open("rb") as file:
            os.fsync(file.fileno())
    return {"firmware": guest.firmware, "operatingSystem": guest.operating_system, "warnings": [*warnings, *changes.warnings]}


class Pod:
    """One conversion: what it was asked, and where it works."""

    def __init__(self, request: Request, folder: Path, mounts: Mounts, volumes: list[Path], scratch: Path) -> None:
        self._request = request
        self._folder = folder
        self._mounts = mounts
        self._volumes = volumes
        self._scratch = scratch
        self.environment = tool_environment(scratch, request.environment)

    async def copy(self, sizes: Mapping[Path, int]) -> tuple[Guest, list[str]]:
        """From the source into the volumes."""
        async with self._source() as source:
            self._check(source, sizes)
            output = self._scratch / "output"
            output.mkdir()
            for volume, (_capacity, number) in zip(self._volumes, source.disks, strict=True):
                (output / f"{virt_v2v.GUEST}-sd{virt_v2v.disk_letters(number)}").symlink_to(volume)

            def changed(progress: Progress) -> None:
                _check_sizes(sizes, _current_sizes(self._volumes))
                percents = {str(index): progress.disks.get(number, 0) for index, (_unused, number) in enumerate(source.disks)}
                write_json(self._folder / PROGRESS_FILE, {"stage": progress.stage, "disks": percents})

            run = virt_v2v.Run([*source.argv, *self._options()], output, changed, say)
            try:
                return await run.run(self.environment, self._request.deadline), run.warnings
            except ConversionFailed as error:
                told = ova.checksum_told(self._request.environment, self._mounts, str(error)) if self._request.source == OVA else None
                if told is None:
                    raise
                raise ConversionFailed(told) from None

    @contextlib.asynccontextmanager
    async def _source(self) -> AsyncIterator[GuestInput]:
        request = self._request
        if request.source == OVA:
            yield ova.guest_input(request.environment, self._mounts)
        elif request.source == VSPHERE:
            wanted = vsphere_guest.request(request.environment, self._mounts, request.deadline)
            async with vsphere_guest.opened(wanted, self._scratch, self.environment, say) as source:
                yield source
        else:
            raise ConversionFailed(f"guests of source {request.source!r} cannot be converted here; {OVA!r} and {VSPHERE!r} can")

    def _options(self) -> list[str]:
        """Of an appliance virt-v2v is told nothing more, as with MTV."""
        if self._request.source == OVA:
            return []
        return guest_options.of(self._request.environment, self._mounts, len(self._volumes))

    def _check(self, source: GuestInput, sizes: Mapping[Path, int]) -> None:
        have, there = len(source.disks), len(self._volumes)
        if have != there:
            raise ConversionFailed(f"the guest {self._request.vm} has {have} disks, but the pod has {there} volumes for disks")
        say(f"Converting {self._request.vm} from {self._request.source} into {there} volumes")
        _check_sizes(sizes, [capacity for capacity, _unused in source.disks])

    async def in_place(self) -> tuple[Guest, list[str]]:
        """The disks that the volumes hold."""
        say(f"Converting {self._request.vm} in its {len(self._volumes)} volumes")

        def changed(progress: Progress) -> None:
            write_json(self._folder / PROGRESS_FILE, {"stage": progress.stage, "disks": {}})

        conversion = in_place.InPlace(self._volumes, self._scratch, self._request.vm, self._options(), changed, say)
        return await conversion.run(self.environment, self._request.deadline), conversion.warnings


def say(line: str) -> None:
    print(line, flush=True)


@contextlib.contextmanager
def _sizes_kept(volumes: list[Path]) -> Iterator[dict[Path, int]]:
    """virt-v2v cuts its output files to the size of the virtual disk; the volumes get theirs back, whatever happens."""
    sizes = {volume: volume.stat().st_size for volume in volumes}
    try:
        yield sizes
    finally:
        for volume, size in sizes.items():
            os.truncate(volume, size)


def _current_sizes(volumes: list[Path]) -> list[int]:
    """virt-v2v sizes its output before it copies the first byte, by what the disks really have."""
    return [volume.stat().st_size for volume in volumes]


def _check_sizes(volumes: Mapping[Path, int], disks: list[int]) -> None:
    """A disk larger than its volume would lose its end."""
    for number, (size, needed) in enumerate(zip(volumes.values(), disks, strict=True)):
        if needed > size:
            raise ConversionFailed(f"disk {number} of the guest has {needed} bytes, but its volume holds only {size}")


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for virt-v2v's overlays and sockets, by a path short enough for sockets; removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    short = folder
    if len(os.fsencode(folder)) > _LONGEST_TMPDIR:
        short = Path(tempfile.gettempdir()) / f"vmshift-{secrets.token_hex(4)}"
        short.symlink_to(folder)
    try:
        yield short
    finally:
        if short != folder:
            short.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def tool_environment(scratch: Path, own: Mapping[str, str]) -> dict[str, str]:
    """virt-v2v's environment: no credentials, temporary files in `scratch`, the appliance cached where libguestfs tools share it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("V2V_")}
    environment.setdefault("LIBGUESTFS_CACHEDIR", "/var/tmp")
    places = {"TMPDIR": str(scratch), "VIRT_V2V_TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
    memory = {"LIBGUESTFS_MEMSIZE": own["V2V_memSize"]} if own.get("V2V_memSize") else {}
    return {**environment, **libguestfs_environment(), **memory, **places}


if __name__ == "__main__":
    sys.exit(main())
