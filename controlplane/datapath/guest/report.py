"""What the program of a virt-launcher pod tells about its guest: one small file, whole or not at all, written when something changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Object = dict[str, Any]

FILE_NAME = "guest.json"
CONSOLE_LOG = "guest-console-log"
STARTING, RUNNING, PAUSED = "Starting", "Running", "Paused"


class Report:
    """The file in the pod's folder. Fields:

    state         Starting, Running, Paused
    accelerator   kvm or tcg
    ssh           "127.0.0.1:PORT", behind which the guest's port 22 is; absent for a guest without a NIC
    agent         what the guest agent tells (agent.describe); absent while none answers
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._content: Object = {}

    def update(self, **fields: Any) -> None:
        """Set fields; None takes one away."""
        content = {key: value for key, value in {**self._content, **fields}.items() if value is not None}
        if content == self._content:
            return
        self._content = content
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(self._path)


def read(folder: Path) -> Object:
    """Empty while there is none."""
    try:
        return json.loads((folder / FILE_NAME).read_text())
    except FileNotFoundError:
        return {}
