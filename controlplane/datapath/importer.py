"""The program of the importer image: fills a volume from a source, as CDI's importer does.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.importer` inside a pod's process. It reads the IMPORTER_*
environment that CDI gives to its importer pods, and leaves in VMSHIFT_POD_DIR

    progress.json         {"done": bytes, "total": bytes}
    result.json           {"wanted", "read", "kept": bytes, "full": why the whole disk was copied where only changes were asked for}
    termination-message   the error, in one line
    journal               of an attempt that was interrupted (transfer.py)

Exit code 0 means that the volume holds what was asked for, checked and on stable storage.
"""

from __future__ import annotations

import base64
import errno
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from ansible_collections.vmshift.mtv.controlplane.datapath import http_disk, local_copy, space, vsphere_disk
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, RESULT_FILE, Teller, write_json
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone, Totals
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import Damaged
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

VOLUME, DEVICE = "/data/disk.img", "/dev/cdi-block-volume"
ORIGINAL, ORIGINAL_DEVICE = "/source/disk.img", "/dev/cdi-clone-source"
VDDK, CLONE, HTTP = "vddk", "pvc", "http"
#: Of a source of type http: certificates that vouch for the server; headers of its requests, one in each file of each folder.
CERTIFICATES, HEADERS = "/certs", "/extraheaders"
_SECRETS = ("IMPORTER_ACCESS_KEY_ID", "IMPORTER_SECRET_KEY")


def main() -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    signal.signal(signal.SIGTERM, _terminated)
    try:
        mounts = Mounts.load(folder)
        volume = _place(mounts, VOLUME, DEVICE)
        if os.environ.get("IMPORTER_SOURCE") == CLONE:
            return _clone(_place(mounts, ORIGINAL, ORIGINAL_DEVICE), volume, folder)
        if os.environ.get("IMPORTER_SOURCE") == HTTP:
            return _download(http_request(os.environ, mounts), volume, folder)
        copied = vsphere_disk.copy(request(os.environ), volume, folder, Teller(folder), say)
    except (vsphere_disk.Unreadable, SourceGone, Damaged, NotMounted, local_copy.TooLarge) as error:
        return _fail(folder, str(error))
    except SourceError as error:
        return _fail(folder, error.message)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(folder, space.lack(volume.parent, [volume]))
        return _fail(folder, f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    return _complete(folder, copied.totals, copied.full)


def _complete(folder: Path, totals: Totals, full: str = "") -> int:
    write_json(folder / RESULT_FILE, {"wanted": totals.wanted, "read": totals.read, "kept": totals.kept, "full": full}, lasting=True)
    say(f"Import Complete: {totals.read} bytes read, {totals.kept} kept of an earlier attempt; all compared with their sums")
    return 0


def _download(request: http_disk.Request, volume: Path, folder: Path) -> int:
    return _complete(folder, http_disk.copy(request, volume, folder, Teller(folder), say))


def _clone(original: Path, volume: Path, folder: Path) -> int:
    totals = local_copy.copy(original, volume, Teller(folder))
    write_json(folder / RESULT_FILE, {"wanted": totals.wanted, "read": totals.read, "kept": 0, "full": ""})
    say(f"Clone Complete: {totals.read} bytes copied")
    return 0


def request(environment: Mapping[str, str]) -> vsphere_disk.Request:
    """What the pod's environment asks for. Raises Unreadable."""
    source = environment.get("IMPORTER_SOURCE", "")
    if source != VDDK:
        raise vsphere_disk.Unreadable(
            f"volumes cannot be filled from a source of type {source!r} here; {VDDK!r}, {CLONE!r} and {HTTP!r} can"
        )
    missing = [name for name in ("IMPORTER_ENDPOINT", "IMPORTER_UUID", "IMPORTER_BACKING_FILE", *_SECRETS) if not environment.get(name)]
    if missing:
        raise vsphere_disk.Unreadable(f"the environment of the pod lacks {', '.join(missing)}")
    user, password = (environment[name] for name in _SECRETS)
    # A CA vouches for the server whatever certificate it has by now.
    authority = environment.get("IMPORTER_CA", "")
    thumbprint = "" if authority else environment.get("IMPORTER_THUMBPRINT", "")
    return vsphere_disk.Request(
        Endpoint(environment["IMPORTER_ENDPOINT"], user, password, ca=authority, thumbprint=thumbprint),
        environment["IMPORTER_UUID"],
        environment["IMPORTER_BACKING_FILE"],
        environment.get("IMPORTER_CURRENT_CHECKPOINT", ""),
        environment.get("IMPORTER_PREVIOUS_CHECKPOINT", ""),
    )


def http_request(environment: Mapping[str, str], mounts: Mounts) -> http_disk.Request:
    """What the pod's environment and its volumes ask for. Raises Unreadable."""
    url = environment.get("IMPORTER_ENDPOINT", "")
    if not url.startswith(("https://", "http://")):
        raise vsphere_disk.Unreadable(f"the url {url!r} of the DataVolume is none; it must be https://… or http://…")
    headers: dict[str, str] = {}
    number = 0
    while (line := environment.get(f"IMPORTER_EXTRA_HEADER_{number}")) is not None:
        headers.update([_header(line)])
        number += 1
    for path in mounts.files(HEADERS):
        headers.update([_header(path.read_text())])
    user = environment.get("IMPORTER_ACCESS_KEY_ID", "")
    if user:
        pair = f"{user}:{environment.get('IMPORTER_SECRET_KEY', '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    authority = "\n".join(path.read_text() for path in mounts.files(CERTIFICATES))
    return http_disk.Request(url, headers, authority, environment.get("IMPORTER_CHECKSUM", ""))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise vsphere_disk.Unreadable("an extra header of the DataVolume is not NAME: VALUE")
    return name.strip(), value.strip()


def say(line: str) -> None:
    print(line, flush=True)


def _place(mounts: Mounts, path: str, device: str) -> Path:
    try:
        return mounts.host_path(path)
    except NotMounted:
        return mounts.host_path(device)


def _fail(folder: Path, why: str) -> int:
    print(f"import failed: {why}", file=sys.stderr, flush=True)
    (folder / MESSAGE_FILE).write_text(f"Unable to process data: {why}")
    return 1


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """At once: what was done so far is in the journal."""
    print("import failed: it was terminated", file=sys.stderr, flush=True)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
