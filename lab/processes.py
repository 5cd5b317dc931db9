"""Processes that the lab has started, found again by number."""

from __future__ import annotations

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
