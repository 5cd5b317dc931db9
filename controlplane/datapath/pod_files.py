"""What programs of pods leave in VMSHIFT_POD_DIR for whoever follows their pod. Importing it costs nothing, as each pod does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

PROGRESS_FILE, RESULT_FILE, MESSAGE_FILE = "progress.json", "result.json", "termination-message"


def write_json(path: Path, content: Any, *, lasting: bool = False) -> None:
    """Readers see the old content or the new one, never a part; after a power failure, too, when it is to be `lasting`."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)
