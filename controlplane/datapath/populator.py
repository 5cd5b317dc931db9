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
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ansible_collections.vmshift.mtv.controlplane.datapath import space
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, RESULT_FILE, Teller, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.target import Target, Unfit, held
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone, Totals
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import Damaged
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError


class Terminated(BaseException):
    """The pod is to end: what was begun at the source is to be ended on the way out."""


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
        with held(Mounts.load(folder), given.volume_path, given.pvc_size) as target:
            filled = fill(given, os.environ, target, Teller(folder))
            target.make_lasting()
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


def _fail(folder: Path, why: str) -> int:
    print(f"populating failed: {why}", file=sys.stderr, flush=True)
    (folder / MESSAGE_FILE).write_text(why)
    return 1


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
