"""The program of the deep-inspection image: looks into the disks of one guest, as they were at a snapshot, and changes nothing.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.inspection` inside a pod's process. Of the environment that Forklift gives
to its inspection pods it reads VM_MOREF, SNAPSHOT_MOREF and V2V_NBDE_CLEVIS, of the connection's Secret (/etc/secret) user, password, url
and whom to trust. It leaves in VMSHIFT_POD_DIR

    result.json           {"inspection": {"passed": …, "all_concerns": […], …}} (facts 1.8) or {"error": "..."}
    termination-message   the error, in one line

virt-inspector finds out what there is, guestfish looks how much room virt-v2v would have. What both read comes from the datastore, over
HTTPS.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath import concerns, guest_options, tools, vsphere_guest
from ansible_collections.vmshift.mtv.controlplane.datapath.concerns import Concern, Contents, Root
from ansible_collections.vmshift.mtv.controlplane.datapath.conversion import TERMINATED, say, scratch_folder, tool_environment
from ansible_collections.vmshift.mtv.controlplane.datapath.datastore import Datastores, Extent
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, RESULT_FILE, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.space import DiskFull, unless_full
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import items, properties, vms
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect

SECRET = "/etc/secret"
RESULT = "inspection"
DEADLINE_VARIABLE = "VMSHIFT_INSPECTION_DEADLINE"  # seconds
DEFAULT_DEADLINE = 1800.0
_LARGEST_FSTAB = 64 << 10
_FSTAB = "fstab"
_LOCKED = ("could not read key from user", "could not find key to open")
_DEVICES = "config.hardware.device"

Object = dict[str, Any]


class InspectionFailed(Exception):
    """Nothing was found out about the guest; the text is the reason in one sentence."""


@dataclass(frozen=True)
class Request:
    """Which VM, at which snapshot. `root_disk`: the one that the plan chooses, "" for none."""

    endpoint: Endpoint
    vm: str
    snapshot: str
    root_disk: str
    deadline: float  # seconds

    @classmethod
    def of(cls, environment: Mapping[str, str], mounts: Mounts) -> Request:
        missing = [name for name in ("VM_MOREF", "SNAPSHOT_MOREF") if not environment.get(name)]
        if missing:
            raise InspectionFailed(f"the environment of the pod lacks {' and '.join(missing)}")
        deadline = environment.get(DEADLINE_VARIABLE, str(DEFAULT_DEADLINE))
        try:
            seconds = float(deadline)
        except ValueError:
            raise InspectionFailed(f"{DEADLINE_VARIABLE} is {deadline!r}; a number of seconds is needed") from None
        root = environment.get("V2V_RootDisk", "")
        return cls(_endpoint(mounts), environment["VM_MOREF"], environment["SNAPSHOT_MOREF"], root, seconds)


def _endpoint(mounts: Mounts) -> Endpoint:
    folder = mounts.host_path(SECRET)

    def text(*names: str) -> str:
        return next((path.read_text() for name in names if (path := folder / name).exists()), "")

    missing = [name for name in ("url", "user", "password") if not text(name)]
    if missing:
        raise InspectionFailed(f"the Secret at {SECRET} lacks {' and '.join(missing)}")
    insecure = text("insecureSkipVerify").strip().lower() == "true"
    return Endpoint(text("url"), text("user"), text("password"), ca="" if insecure else text("ca.crt", "cacert"), insecure=insecure)


def main() -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    try:
        found = asyncio.run(_until_terminated(folder))
    except (InspectionFailed, ConversionFailed, DiskFull, tools.ToolMissing, tools.ToolFailed, NotMounted) as error:
        return _fail(folder, str(error))
    except SourceError as error:
        return _fail(folder, error.message)
    except OSError as error:
        return _fail(folder, f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except asyncio.CancelledError:
        _fail(folder, "the inspection was terminated")
        return TERMINATED
    write_json(folder / RESULT_FILE, {RESULT: found}, lasting=True)
    for concern in found["all_concerns"]:
        say(f"{concern['category']}: {concern['message']}")
    say("The guest is inspected.")
    return 0


async def _until_terminated(folder: Path) -> Object:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    mounts = Mounts.load(folder)
    return await inspect(Request.of(os.environ, mounts), mounts, folder, os.environ)


def _fail(folder: Path, why: str) -> int:
    print(f"inspection failed: {why}", file=sys.stderr, flush=True)
    write_json(folder / RESULT_FILE, {"error": why}, lasting=True)
    (folder / MESSAGE_FILE).write_text(why)
    return 1


async def inspect(request: Request, mounts: Mounts, folder: Path, given: Mapping[str, str]) -> Object:
    """What is to be told. Raises InspectionFailed and the errors of what it uses."""
    with scratch_folder(folder / "scratch") as scratch:
        environment = tool_environment(scratch, given)
        session = await asyncio.to_thread(connect, request.endpoint)
        try:
            extents = await asyncio.to_thread(_extents, request, session)
            say(f"Inspecting {request.vm} at {request.snapshot}, with {len(extents)} disks")
            showing = vsphere_guest.shown(request.endpoint, session, extents, scratch, environment, request.deadline, say)
            async with showing as overlays:
                keys = guest_options.keys(given, mounts, len(overlays))
                look = Look(overlays, scratch, environment, request.deadline)
                return await unless_full(_judge(look, request, given, keys), {folder})
        finally:
            await asyncio.to_thread(session.close)


async def _judge(look: Look, request: Request, given: Mapping[str, str], keys: Sequence[str]) -> Object:
    clevis = guest_options.uses_clevis(given)
    keys = [] if clevis else keys
    found = await look.roots(keys)
    if found is None:
        return concerns.results(None, [concerns.encrypted(clevis, bool(keys))])
    root = concerns.chosen(found, request.root_disk)
    told: list[Concern] = concerns.of_roots(found, request.root_disk)
    if root is not None and not any(concern.category == concerns.CRITICAL for concern in told):
        if keys:
            say("Encrypted disks: how much room there is on them is not looked at.")
        else:
            told += concerns.of_contents(await look.contents(root))
    return concerns.results(root, told)


def _extents(request: Request, session: Session) -> list[Extent]:
    """The disks that the VM had at the snapshot, in the order of the guest."""
    machine = Machine(session, request.vm)
    if request.snapshot not in {snapshot.id for snapshot in machine.snapshots()}:
        raise InspectionFailed(f"the VM {request.vm} has no {request.snapshot} (any more)")
    managed = session.object("VirtualMachineSnapshot", request.snapshot)
    devices = session.read([managed], [_DEVICES]).get(request.snapshot, {}).get(_DEVICES) or ()
    described = items.vm(request.vm, {_DEVICES: properties.devices(devices)})
    datastores = Datastores(request.endpoint, session, machine.datacenter())
    return [datastores.extent(disk["file"]) for disk in vms.ordered_disks(described)]


class Look:
    """Tools that read the overlays. Each makes changes, such as replaying a journal, in an overlay of its own, which goes with it."""

    def __init__(self, overlays: Sequence[Path], scratch: Path, environment: Mapping[str, str], deadline: float) -> None:
        self._disks = [word for overlay in overlays for word in ("--format=qcow2", "-a", str(overlay))]
        self._scratch = scratch
        self._environment = environment
        self._deadline = deadline

    async def roots(self, keys: Sequence[str]) -> list[Root] | None:
        """The operating systems; None when there are encrypted disks that `keys` do not open."""
        try:
            text = await self._run("virt-inspector", ["--no-applications", "--no-icon", *self._disks, *keys])
        except tools.ToolFailed as error:
            if any(sign in line for line in error.output for sign in _LOCKED):
                return None
            raise
        return concerns.roots(text)

    async def contents(self, root: Root) -> Contents:
        script, fstab = self._scratch / "look", self._scratch / _FSTAB
        tried = concerns.plain(root)
        wanted = [*concerns.commands(tried), *([f"-download /etc/fstab {_FSTAB}"] if root.type == "linux" else ())]
        script.write_text("\n".join(wanted) + "\n")
        output = await self._run("guestfish", ["--ro", *self._disks, "-f", str(script)])
        with open(fstab, "a+b") as file:
            file.seek(0)
            table = file.read(_LARGEST_FSTAB).decode(errors="replace")
        return Contents(tried, concerns.spaces(output), table)

    async def _run(self, tool: str, options: Sequence[str]) -> str:
        """What it writes to its standard output."""
        path = self._scratch / f"{tool}.out"
        with open(path, "wb") as file:
            argv = [tools.find(tool), *options]
            on_line = tools.remembering(say)
            await tools.run(argv, deadline=self._deadline, env=self._environment, cwd=self._scratch, on_line=on_line, stdout=file)
        return path.read_text(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
