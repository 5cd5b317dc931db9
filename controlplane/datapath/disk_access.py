"""Whether this machine can read the disks of VMs from vSphere: by HTTPS from their datastores, with nbdkit.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.disk_access` in the pod that looks at VMware's disk library on a
cluster. Exit code 0 means yes; otherwise the last line of its output says what is missing.
"""

from __future__ import annotations

import subprocess
import sys

from ansible_collections.vmshift.mtv.controlplane.datapath import tools

SECONDS = 30.0
CURL = tools.Tool("nbdkit's plugin curl", "nbdkit", "nbdkit-curl-plugin")


def main() -> int:
    try:
        check()
    except tools.ToolMissing as error:
        print(error, file=sys.stderr)
        return 1
    print("Disks are read over HTTPS with nbdkit; VMware's disk library is not needed here.")
    return 0


def check() -> None:
    """Raises ToolMissing."""
    for name in ("nbdkit", "qemu-img", "qemu-nbd"):
        tools.find(name)
    argv = [tools.find("nbdkit"), "curl", "--dump-plugin"]
    if subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False).returncode:
        raise tools.ToolMissing(CURL)


if __name__ == "__main__":
    sys.exit(main())
