"""What the programs of populator pods have in common: one disk of a source into the one volume of the pod.

`python -m …_populator --volume-path=… --secret-name=… --cr-name=… --cr-namespace=… --owner-uid=… --pvc-size=… ` and what the kind of
populator adds, with the keys of the provider's Secret as environment, inside a pod's process. It leaves in VMSHIFT_POD_DIR

    progress.json         {"done": bytes, "total": bytes}
    result.json           {"size": of the disk, "wanted", "read", "kept": bytes}
    termination-message   the error, in one line

Exit code 0 means that the volume holds the disk, whole and on stable storage.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ansible_collections.vmshift.mtv.controlplane.datapath import space
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, RESULT_FILE, Teller, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone, Totals
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import Damaged, clear
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

HOLD_SECONDS = 60.0  # until a volume is given up that another process still writes to: one of a pod that was deleted may


class Unfit(Exception):
    """The disk cannot be put into the volume; the text says why in one sentence."""


class Terminated(BaseException):
    """The pod is to end: what was begun at the source is to be ended on the way out."""


@dataclass(frozen=True)
class Target:
    """The volume of the pod, which nobody else writes to: a file with room for so many bytes. `block`: the pod has it as a device."""

    path: Path
    room: int
    block: bool

    def take(self, size: int) -> None:
        """Make it zeros all over, as large as a disk of `size` bytes, before anything is written: an earlier pod may have left something.

        A device stays as large as it is; the image in a file system is as large as its disk. Raises Unfit.
        """
        if size > self.room:
            raise Unfit(f"the disk has {size} bytes, and its volume only {self.room}")
        with self.path.open("r+b") as file:
            if self.block:
                clear(file.fileno(), 0, self.room)
            else:
                file.truncate(0)
                file.truncate(size)


@dataclass(frozen=True)
class Filled:
    """`size` of the disk in bytes; what of it was copied."""

    size: int
    totals: Totals


#: Fills the target; all of what it wrote is on stable storage then. Raises Unfit, SourceGone, Damaged, SourceError, OSError.
Fill = Callable[[argparse.Namespace, Mapping[str, str], Target, Callable[[Totals], None]], Filled]


def main(own: Mapping[str, str], fill: Fill, arguments: Sequence[str] | None = None) -> int:
    """Run a populator program. `own`: its arguments beside the common ones, name -> help. `fill` gets arguments, environment, target and
    whom to tell how far it is.

    SIGTERM raises Terminated in `fill`.
    """
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    signal.signal(signal.SIGTERM, _terminate)
    try:
        given = _parser(own).parse_args(arguments)
        with _held(Mounts.load(folder), given) as target:
            filled = fill(given, os.environ, target, Teller(folder))
            _make_lasting(target.path)
    except (Unfit, SourceGone, Damaged, NotMounted) as error:
        return _fail(folder, str(error))
    except SourceError as error:
        return _fail(folder, error.message)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(folder, space.lack(target.path.parent, [target.path]))
        return _fail(folder, f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except Terminated:
        print("populating failed: it was terminated", file=sys.stderr, flush=True)
        return 128 + signal.SIGTERM
    totals = filled.totals
    write_json(
        folder / RESULT_FILE,
        {"size": filled.size, "wanted": totals.wanted, "read": totals.read, "kept": totals.kept},
        lasting=True,
    )
    say(f"Populated: a disk of {filled.size} bytes, {totals.read} of them read")
    return 0


def say(line: str) -> None:
    print(line, flush=True)


def _parser(own: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name, help in own.items():
        parser.add_argument(f"--{name}", required=True, help=help)
    parser.add_argument("--volume-path", required=True, help="the image or device in the pod that is filled")
    for name in ("secret-name", "cr-name", "cr-namespace", "owner-uid"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--pvc-size", type=int, default=0, help="bytes")
    return parser


@contextlib.contextmanager
def _held(mounts: Mounts, given: argparse.Namespace) -> Iterator[Target]:
    """The volume of the pod, once no other process has it."""
    place = mounts.host_path(given.volume_path)
    file = os.open(place, os.O_RDWR)
    try:
        until = time.monotonic() + HOLD_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unfit(f"another process still writes to {place}") from None
                time.sleep(0.1)
        # An image that an earlier pod made as small as its disk tells no more how large it may be.
        block = mounts.is_block(given.volume_path)
        room = os.fstat(file).st_size
        yield Target(place, room if block else max(room, given.pvc_size), block)
    finally:
        os.close(file)


def _make_lasting(path: Path) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _fail(folder: Path, why: str) -> int:
    print(f"populating failed: {why}", file=sys.stderr, flush=True)
    (folder / MESSAGE_FILE).write_text(why)
    return 1


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
