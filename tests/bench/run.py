"""Run benches: tests/bench/run.py [NAME...]. They measure and never fail; results go to .build/bench/NAME.json, too."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

from measures import COLLECTIONS, save, table

NAMES = (
    "tasks",
    "large_plan",
    "notice",
    "api",
    "copy_disks",
    "many_vms",
    "control_plane",
    "conversion",
    "vsphere_inventory",
    "ovirt_disk",
    "vsphere_disk",
    "vsphere_vms",
    "openstack_image",
    "openshift_export",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--smoke", action="store_true", help="as small as possible, only to see that the benches work")
    arguments = parser.parse_args()
    names = arguments.names or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}, only {', '.join(NAMES)}")
    sys.path.insert(0, str(COLLECTIONS))
    for name in names:
        bench = importlib.import_module(name)
        if arguments.smoke:
            vars(bench).update(getattr(bench, "SMOKE", {}))
        print(f"\n{name}: {(bench.__doc__ or '').splitlines()[0]}", flush=True)
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="vmshift-bench-") as work:
            measures = list(bench.measure(Path(work)))
        path = save(f"smoke-{name}" if arguments.smoke else name, measures, load)
        print(f"{table(measures)}\n({path})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
