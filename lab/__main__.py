"""python -m ansible_collections.vmshift.mtv.lab: guests to migrate."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import boot, guests
from ansible_collections.vmshift.mtv.lab.commands import LabError


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ova = commands.add_parser("ova", help="put the OVA of a guest into a folder and print its facts as JSON")
    ova.add_argument("folder", type=Path)
    ova.add_argument("--guest", choices=sorted(guests.BUILDERS), default="tiny")
    ova.add_argument("--name", default="lab-guest")
    start = commands.add_parser("boot", help="boot a raw disk image and print the line with which its guest reports")
    start.add_argument("image", type=Path)
    start.add_argument("--hardware", choices=sorted(boot.DEVICES), default="virtio")
    start.add_argument("--timeout", type=float, default=240)
    start.add_argument("--memory", type=int, default=256, help="MiB")
    options = parser.parse_args()
    try:
        if options.command == "ova":
            print(json.dumps(asdict(guests.guest_ova(options.folder, options.guest, options.name)), indent=2))
        else:
            print(boot.boot(options.image, options.hardware, timeout=options.timeout, memory=options.memory))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
