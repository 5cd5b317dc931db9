"""What programs of pods leave in VMSHIFT_POD_DIR for whoever follows their pod. Importing it costs nothing, as each pod does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Totals

PROGRESS_FILE, RESULT_FILE, MESSAGE_FILE = "progress.json", "result.json", "termination-message"
#: Of a server: there once it serves.
SERVING_FILE = "serving.json"
#: The stage in which a conversion in place changes the disks themselves: they are neither as they were copied nor converted.
WRITING = "Writing what was changed"
TELL_EVERY = 0.5  # seconds


def write_json(path: Path, content: Any, *, lasting: bool = False) -> None:
    """Readers see the old content or the new one, never a part; after a power failure, too, when it is to be `lasting`."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)


class Teller:
    """Writes how far a copy is, not too often."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS_FILE
        self._next = 0.0

    def __call__(self, totals: Totals) -> None:
        now = time.monotonic()
        if now >= self._next or totals.done == totals.wanted:
            self._next = now + TELL_EVERY
            write_json(self._path, {"done": totals.done, "total": totals.wanted})
