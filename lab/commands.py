"""External programs of the lab, run under a deadline."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class LabError(Exception):
    """Something the lab needs is missing or failed; the text is one sentence for the user."""


def run(command: Sequence[str | Path], *, timeout: float = 300, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed; raises LabError with its last lines when it fails or takes over `timeout` seconds."""
    argv = [str(word) for word in command]
    if not shutil.which(argv[0]):
        raise LabError(f"{argv[0]} is not installed; `make setup` installs what the lab needs")
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise LabError(f"{argv[0]} failed with exit code {done.returncode}: {last}")
    return done.stdout
