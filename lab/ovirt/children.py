"""Programs that the engine's process has started: they end with it, however it ends."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def start(argv: Sequence[str | Path], log: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """To be called on the main thread: the kernel ends the program when the thread is gone that has started it."""
    parent = os.getpid()

    def with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)

    return subprocess.Popen(
        [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True, preexec_fn=with_parent
    )


async def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see to it."""
    if process.poll() is None:
        process.terminate()
        for _unused in range(100):
            if process.poll() is not None:
                return
            await asyncio.sleep(0.05)
        process.kill()
    process.wait()
