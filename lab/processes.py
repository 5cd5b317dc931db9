"""Processes that the lab has started, found again by number."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def is_ours(pid: int, folder: Path) -> bool:
    """The process still runs, and is the one that was started for the folder: its number may have gone to another since."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        with open(f"/proc/{pid}/stat") as stat:
            gone = stat.read().rpartition(") ")[2].startswith("Z")
    except OSError:
        return False
    return str(folder).encode() in command and not gone


def end(pid: int, folder: Path, patience: float = 10.0) -> None:
    """End the process of the folder, if it is still there; killed when it takes longer than `patience` seconds."""
    if not is_ours(pid, folder):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while is_ours(pid, folder):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += patience
        time.sleep(0.05)


def last_line(text: str) -> str:
    """Of what a process has told, which most often says why it ended."""
    return next(reversed(text.strip().splitlines()), "it told nothing")
