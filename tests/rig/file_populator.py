"""A populator for tests: copies the file IMAGE-ID of the folder ENDPOINT (or DISK-ID of ENGINE-URL) into its volume, really.

`hold` in that folder stops it after half of the bytes until the file is gone; `fail` makes it fail with what the file says.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import populator
from ansible_collections.vmshift.mtv.controlplane.datapath.populator import Filled, Target, Unfit
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Totals

CHUNK = 64 << 10


def fill(given: argparse.Namespace, environment: Mapping[str, str], target: Target, tell: Callable[[Totals], None]) -> Filled:
    folder = Path(given.endpoint if hasattr(given, "endpoint") else given.engine_url)
    source = folder / (given.image_id if hasattr(given, "image_id") else given.disk_id)
    if environment.get("password") != "s3cret":
        raise Unfit("the credentials are wrong")
    content = source.read_bytes()
    target.take(len(content))
    totals = Totals(len(content))
    with target.path.open("r+b") as volume:
        for offset in range(0, len(content), CHUNK):
            if (folder / "fail").exists():
                raise Unfit((folder / "fail").read_text())
            while offset >= len(content) // 2 and (folder / "hold").exists():
                time.sleep(0.02)
            chunk = content[offset : offset + CHUNK]
            if any(chunk):  # like the real ones: what is not written is to be zeros
                volume.seek(offset)
                volume.write(chunk)
            totals.read += len(chunk)
            tell(totals)
    return Filled(len(content), totals)


if __name__ == "__main__":
    ENGINE, GLANCE = {"engine-url": "", "disk-id": ""}, {"endpoint": "", "image-id": ""}
    sys.exit(populator.main(ENGINE if any("engine-url" in argument for argument in sys.argv) else GLANCE, fill))
