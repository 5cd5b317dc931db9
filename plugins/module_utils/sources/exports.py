# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on this machine the NFS export of an OVA provider lies."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError

MOUNTS = "/proc/self/mounts"

_URL = re.compile(r"(?P<server>\[[^\]]+\]|[^:/]+):(?P<path>/[^:/].*|/)")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def local_folder(url: str, mounts: str = MOUNTS) -> Path:
    """The folder behind `server:/path`: a path of this machine when the server is this machine, else where it is mounted.

    Raises SourceError. Nothing is mounted here: that takes rights which a user's process does not have.
    """
    match = _URL.fullmatch(url)
    if not match:
        raise SourceError(f"the url {url!r} of an OVA provider must have the form server:/path", DATA)
    server, path = match["server"].strip("[]"), os.path.normpath(match["path"])
    if is_this_machine(server):
        return Path(path)
    for source, target in _nfs_mounts(mounts):
        mounted_server, _unused, export = source.rpartition(":")
        export = os.path.normpath(export)
        if mounted_server.strip("[]") == server and (export == "/" or path == export or path.startswith(export + "/")):
            return Path(target, os.path.relpath(path, export))
    raise SourceError(
        f"{server}:{path} is not mounted on this machine: mount it (mount -t nfs {server}:{path} /mnt/ova), "
        "or give localhost:/FOLDER for a folder of this machine",
        CONNECTION,
    )


def is_this_machine(server: str) -> bool:
    """`server` is a loopback name or address, or this machine's own name."""
    name = socket.gethostname()
    return server.lower() in {"localhost", "::1", name.lower(), name.partition(".")[0].lower()} or server.startswith("127.")


def _nfs_mounts(table: str) -> Iterator[tuple[str, str]]:
    """(server:/export, mount point) of the NFS mounts, the deepest exports first."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            fields = [line.split() for line in lines]
    except OSError:
        return
    found = [(_unescaped(f[0]), _unescaped(f[1])) for f in fields if len(f) > 2 and f[2] in ("nfs", "nfs4")]
    yield from sorted(found, key=lambda mount: len(mount[0]), reverse=True)


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
