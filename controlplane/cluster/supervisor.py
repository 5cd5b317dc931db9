"""Runs the process of one pod and outlives the control plane: `python supervisor.py FOLDER GRACE PROGRAM ARGUMENT...`.

Started as a program of its own from the standard library only. In FOLDER it keeps

    process.json    {"pid", "started", "boot", "startedAt"}: this supervisor; `started` in clock ticks after the boot, so that a
                    reused pid is not mistaken for it. Once the file is there, the program is never started again.
    exit.json       {"exitCode", "signal", "startedAt", "finishedAt", "message"}: written once, when everything has ended
    log             output of the program

SIGTERM ends the program: first politely, after GRACE seconds for sure; SIGALRM at once. All processes of the pod end with the
program; they are known by the variable VMSHIFT_POD_DIR in their environment, whatever sessions they have made for themselves.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROCESS_FILE, EXIT_FILE, LOG_FILE, LOCK_FILE = "process.json", "exit.json", "log", "supervisor.lock"
FOLDER_VARIABLE = "VMSHIFT_POD_DIR"
CANNOT_START = 128  # as container runtimes say it
_LOCK_ATTEMPTS = 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main(arguments: list[str]) -> int:
    folder, grace, program = Path(arguments[0]), float(arguments[1]), arguments[2:]
    os.umask(0o077)
    lock = _claim(folder)
    if lock is None:
        return 0
    reader, writer = os.pipe()
    launcher = os.getpid()
    if os.fork():
        os.close(writer)
        return 0 if os.read(reader, 1) else 1  # until the record is on disk
    os.close(reader)
    os.setsid()
    supervisor = Supervisor(folder, grace, program)
    os.write(writer, b"1")
    os.close(writer)
    with open(os.devnull, "r+") as nothing:
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)
    while os.getppid() == launcher:  # it has the environment of the pod, too, and is not to be taken for one of its processes
        time.sleep(0.001)
    supervisor.run()
    os._exit(0)


def _claim(folder: Path) -> int | None:
    """Be the only supervisor that this pod ever has; None when it had one already. The lock goes with the process."""
    lock = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
    for _unused in range(_LOCK_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None if (folder / PROCESS_FILE).exists() else lock
        if (folder / PROCESS_FILE).exists():
            return None
        time.sleep(0.05)
    return None


class Supervisor:
    def __init__(self, folder: Path, grace: float, program: list[str]) -> None:
        self._folder = folder
        self._grace = grace
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._terminating = False
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGALRM, self._kill)
        self._started = timestamp()
        record = {"pid": os.getpid(), "started": start_time(os.getpid()), "boot": boot_id(), "startedAt": self._started}
        write_durably(folder / PROCESS_FILE, record)

    def run(self) -> None:
        code, message = self._run_program()
        end_processes(self._folder)
        ended = {
            "exitCode": code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "startedAt": self._started,
            "finishedAt": timestamp(),
            "message": message,
        }
        write_durably(self._folder / EXIT_FILE, ended)

    def _run_program(self) -> tuple[int, str]:
        """(exit code, negative for a signal; why it could not be started)"""
        with (self._folder / LOG_FILE).open("ab") as log:
            try:
                self._child = subprocess.Popen(
                    self._program, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as error:
                message = f"cannot start {self._program[0]}: {error.strerror}"
                log.write(f"{message}\n".encode())
                return CANNOT_START, message
        if self._terminating:  # SIGTERM came while there was nothing to hand it on to
            self._terminate()
        return self._child.wait(), ""

    def _terminate(self, *_unused: object) -> None:
        self._terminating = True
        if self._child:
            self._signal(signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, max(self._grace, 0.001))

    def _kill(self, *_unused: object) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._child and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


def processes_of(folder: Path) -> list[int]:
    """All processes of the pod but the calling one."""
    marker = b"\0" + os.fsencode(f"{FOLDER_VARIABLE}={folder.resolve()}") + b"\0"
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker in b"\0" + Path("/proc", name, "environ").read_bytes():
                    found.append(int(name))
    return found


def end_processes(folder: Path, patience: float = 10.0) -> list[int]:
    """Kill all processes of the pod but the calling one; those that would not die (stuck in the kernel) are returned."""
    until = time.monotonic() + patience
    while (found := processes_of(folder)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return found


def start_time(pid: int) -> int | None:
    """When a living process started, in clock ticks after the boot; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def write_durably(path: Path, content: object) -> None:
    """Whole or not at all, also after a power failure."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
