"""The state folder of one embedded control plane: where things lie in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class State:
    """Paths under one state folder. The folder and everything below it is private to its user (0700)."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store.sqlite"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def volumes(self) -> Path:
        """One sparse raw file per PersistentVolume."""
        return self.root / "volumes"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def run(self) -> Path:
        """Sockets, locks, the process id, endpoints.json and the control plane's own log."""
        return self.root / "run"

    def pod(self, uid: str) -> Path:
        """Work folder of one pod: log, exit code, mounts, progress."""
        return self.pods / uid

    def volume(self, name: str) -> Path:
        """The file behind the PersistentVolume `name`."""
        return self.volumes / f"{name}.img"

    def prepare(self) -> None:
        """Make the folders; idempotent."""
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        os.chmod(self.root, 0o700)
        for folder in (self.pki, self.volumes, self.pods, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)
