"""The program of a pod that changes disks with virt-customize, as a hook lets one run on the claims of a VM that is off.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.customize --add /mnt/disks/disk0/disk.img --run /mnt/script/install.sh …`
inside a pod's process. Paths of the pod's volumes, alone or before a colon, are found where they lie on this machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import tools
from ansible_collections.vmshift.mtv.controlplane.datapath.conversion import TERMINATED, say, scratch_folder, tool_environment
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE

PROGRAM = "virt-customize"
LONGEST = 24 * 3600.0  # seconds; the deadline of its Job comes first


def main(arguments: list[str]) -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    try:
        asyncio.run(_until_terminated(folder, arguments))
    except (tools.ToolFailed, tools.ToolMissing) as error:
        (folder / MESSAGE_FILE).write_text(f"{error}\n")
        return getattr(error, "code", None) or 1
    except asyncio.CancelledError:
        return TERMINATED
    return 0


async def _until_terminated(folder: Path, arguments: list[str]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with scratch_folder(folder / "scratch") as scratch:
        argv = [tools.find(PROGRAM), *found(arguments, Mounts.load(folder))]
        await tools.run(argv, deadline=LONGEST, env=tool_environment(scratch, os.environ), on_line=tools.remembering(say))


def found(arguments: Iterable[str], mounts: Mounts) -> list[str]:
    """The arguments with the paths that they have on this machine."""
    return [_found(argument, mounts) for argument in arguments]


def _found(argument: str, mounts: Mounts) -> str:
    path, colon, rest = argument.partition(":")
    try:
        return f"{mounts.host_path(path)}{colon}{rest}" if path.startswith("/") else argument
    except NotMounted:
        return argument


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
