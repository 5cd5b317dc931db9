"""The program of the ovirt-populator image: a disk of an oVirt engine into the volume of its pod.

`python -m …datapath.ovirt_populator --engine-url=URL --disk-id=ID --volume-path=PATH …`; see populator.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import ovirt_disk, populator
from ansible_collections.vmshift.mtv.controlplane.datapath.populator import Filled, Target
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Totals
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Endpoint
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import Image

OWN = {"engine-url": "the engine's API", "disk-id": "the disk that is copied"}


def fill(given: argparse.Namespace, environment: Mapping[str, str], target: Target, tell: Callable[[Totals], None]) -> Filled:
    def take(size: int) -> Path:
        target.take(size)
        return target.path

    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    size, totals = ovirt_disk.copy(endpoint(given.engine_url, environment), Image(given.disk_id), take, folder, tell, populator.say)
    return Filled(size, totals)


def endpoint(url: str, environment: Mapping[str, str]) -> Endpoint:
    """From the keys of the provider's Secret."""
    return Endpoint(
        url,
        environment.get("user", ""),
        environment.get("password", ""),
        ca=environment.get("cacert") or environment.get("ca.crt", ""),
        insecure=environment.get("insecureSkipVerify", "").lower() in ("1", "t", "true"),
    )


if __name__ == "__main__":
    sys.exit(populator.main(OWN, fill))
