"""The program of the image-converter: makes a raw disk of a volume that holds an image of another format (facts 3.15).

`python -m …image_converter -src-path=… -dst-path=… -src-format=… -dst-format=raw -src-volume-mode=… -dst-volume-mode=…` inside a pod's
process. The disk is made in the second volume and then put into the first. That begins only when the disk is whole in the second one,
which the file `converted` in VMSHIFT_POD_DIR tells: a program that is started again after that needs the image no more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath import local_copy, space, tools
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, Teller, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.target import Target, Unfit, held

CONVERTED = "converted"
RAW = "raw"
_QUICK, _DEADLINE = 60.0, 24 * 3600.0  # seconds

Object = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    given = _parser().parse_args(arguments)
    volumes: list[Path] = []
    try:
        mounts = Mounts.load(folder)
        volumes = [mounts.host_path(path) for path in (given.src_path, given.dst_path)]
        size = int(os.environ.get("VOLUME_SIZE") or 0)
        with held(mounts, given.src_path, size) as image, held(mounts, given.dst_path, size) as disk:
            convert(image, disk, given.src_format, folder)
    except (Unfit, NotMounted, local_copy.TooLarge, tools.ToolFailed, tools.ToolMissing) as error:
        return _fail(folder, str(error))
    except OSError as error:
        full = [volume.parent for volume in volumes if space.free(volume.parent) < space.FULL]
        return _fail(folder, space.lack(full[0], volumes) if full else f"{error.strerror}: {error.filename}")
    print("Converted", flush=True)
    return 0


def convert(image: Target, disk: Target, format: str, folder: Path) -> None:
    """Make of `image` the raw disk that is in it, by way of `disk`. Raises Unfit, ToolFailed, ToolMissing, TooLarge, OSError."""
    told = folder / CONVERTED
    if told.exists():
        size = json.loads(told.read_text())["size"]
    else:
        size = _virtual_size(image.path, format)
        disk.take(size)
        _qemu_img("convert", "-n", "-f", format, "-O", RAW, str(image.path), str(disk.path), deadline=_DEADLINE)
        disk.make_lasting()
        write_json(told, {"size": size}, lasting=True)
    image.take(size)
    local_copy.copy(disk.path, image.path, Teller(folder))


def _virtual_size(image: Path, format: str) -> int:
    """Bytes of the disk in an image. An image that is not whole in itself is refused: it could name any file of this machine."""
    about: Object = json.loads(_qemu_img("info", "-f", format, "--output=json", str(image), deadline=_QUICK))
    data_file = ((about.get("format-specific") or {}).get("data") or {}).get("data-file")
    other = about.get("backing-filename") or data_file
    if other:
        raise Unfit(f"the image refers to another file ({other}), and is not used")
    return about["virtual-size"]


def _qemu_img(*arguments: str, deadline: float) -> str:
    """What it says."""
    lines: list[str] = []
    asyncio.run(tools.run([tools.find("qemu-img"), *arguments], deadline=deadline, on_line=tools.remembering(lines.append)))
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("src-path", "dst-path", "src-format"):
        parser.add_argument(f"-{name}", required=True)
    parser.add_argument("-dst-format", choices=[RAW], default=RAW)
    for name in ("src-volume-mode", "dst-volume-mode"):
        parser.add_argument(f"-{name}", choices=["Filesystem", "Block"])
    return parser


def _fail(folder: Path, why: str) -> int:
    print(f"conversion failed: {why}", file=sys.stderr, flush=True)
    (folder / MESSAGE_FILE).write_text(why)
    return 1


if __name__ == "__main__":
    sys.exit(main())
