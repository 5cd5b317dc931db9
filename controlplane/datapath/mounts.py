"""Where the paths that a container sees lie on this machine."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["Filesystem", "Block", "NFS", "Secret", "ConfigMap", "EmptyDir"]

FILE_NAME = "mounts.json"
DISK_IMAGE = "disk.img"  # the one file of a Filesystem volume, as CDI and KubeVirt name it
_DISK_NUMBER = re.compile(r"^(?:/mnt/disks/disk|/dev/block)(\d+)$")


class NotMounted(Exception):
    """A container path lies in no volume of the pod."""


@dataclass(frozen=True)
class Mount:
    """One volume of a pod: `path` in the container (mountPath or devicePath), `source` on this machine.

    The source of Filesystem and Block volumes is the file behind the PersistentVolume; of all others it is a folder.
    """

    path: str
    source: str
    kind: Kind
    read_only: bool = False


class Mounts:
    """The volumes of one pod."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._mounts = sorted(mounts, key=lambda mount: len(mount.path), reverse=True)

    @classmethod
    def load(cls, pod_folder: Path) -> Mounts:
        entries = json.loads((pod_folder / FILE_NAME).read_text())
        return cls(
            Mount(entry.get("mountPath") or entry["devicePath"], entry["source"], entry["kind"], entry["readOnly"]) for entry in entries
        )

    def to_json(self) -> str:
        """A list of {mountPath | devicePath, source, kind, readOnly}."""
        return json.dumps([_entry(mount) for mount in self._mounts], indent=1)

    def host_path(self, path: str) -> Path:
        """What the container calls `path`. Raises NotMounted."""
        path = posixpath.normpath(path)
        for mount in self._mounts:
            if path != mount.path and not path.startswith(mount.path.rstrip("/") + "/"):
                continue
            inside = posixpath.relpath(path, mount.path)
            if mount.kind == "Block":
                return Path(mount.source)
            if mount.kind != "Filesystem":
                return Path(mount.source) / inside
            if inside == DISK_IMAGE:
                return Path(mount.source)
            raise NotMounted(f"{path} is not in the volume at {mount.path}, which holds {DISK_IMAGE} and nothing else")
        raise NotMounted(f"{path} is in no volume of this pod (mounted: {', '.join(sorted(m.path for m in self._mounts)) or 'nothing'})")

    def files(self, path: str) -> list[Path]:
        """What Secrets and ConfigMaps hold that are mounted at `path` or below it."""
        below = [mount for mount in self._mounts if mount.path == path or mount.path.startswith(f"{path}/")]
        folders = [Path(mount.source) for mount in below if mount.kind in ("Secret", "ConfigMap")]
        return sorted(file for folder in folders for file in folder.iterdir() if file.is_file())

    def is_block(self, path: str) -> bool:
        """What the container has at `path` is a device."""
        return any(mount.path == path and mount.kind == "Block" for mount in self._mounts)

    def disks(self) -> list[Path]:
        """The files behind /mnt/disks/disk<i> and /dev/block<i> in the order of their numbers."""
        numbered = [(int(match[1]), Path(mount.source)) for mount in self._mounts if (match := _DISK_NUMBER.match(mount.path))]
        return [source for _unused, source in sorted(numbered)]


def _entry(mount: Mount) -> dict[str, object]:
    entry = asdict(mount)
    entry["devicePath" if mount.kind == "Block" else "mountPath"] = entry.pop("path")
    entry["readOnly"] = entry.pop("read_only")
    return entry
