"""Processes of pods: started once, found again after a restart of the control plane, ended for sure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.datapath.guest import report as guest_report
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import SERVING_FILE
from ansible_collections.vmshift.mtv.controlplane.state import State

log = logging.getLogger(__name__)

PAST = "exit-"  # and a number: how earlier processes of the pod have ended
GUEST_SECONDS = 20.0  # for guests to shut down when the control plane ends
SERVER_SECONDS = 2.0  # for servers of exports, likewise
_SLACK = 15.0  # seconds that a supervisor may need to end its program for sure


@dataclass(frozen=True)
class Running:
    """`pid` is the supervisor's."""

    pid: int
    started: str


@dataclass(frozen=True)
class Ended:
    """`code` as containers report it (137: killed by SIGKILL), `message` says why the program could not be started."""

    code: int
    signal: int | None
    started: str
    finished: str
    message: str = ""


@dataclass(frozen=True)
class Lost:
    """It was started, and ended without anybody seeing how: its supervisor was killed, or the machine went down."""

    started: str


class LaunchFailed(Exception):
    """The supervisor could not be started."""


def look(folder: Path) -> Running | Ended | Lost | None:
    """What became of the process of the pod with that folder; None when it was never started."""
    record = _read(folder / supervisor.PROCESS_FILE)
    if record is None:
        return None
    alive = _alive(record)
    ended = _read(folder / supervisor.EXIT_FILE)  # read after the look at the supervisor, which writes it and then ends
    if ended:
        return Ended(ended["exitCode"], ended["signal"], ended["startedAt"], ended["finishedAt"], ended["message"])
    return Running(record["pid"], record["startedAt"]) if alive else Lost(record["startedAt"])


def failures(folder: Path) -> int:
    """How often the process of the pod has ended and was put aside to be started again."""
    return sum(1 for _unused in folder.glob(f"{PAST}*.json"))


def put_aside(folder: Path) -> None:
    """Make room for another start of a process that has ended. Interrupted in the middle, it looks Lost, and can be put aside again."""
    past = folder / f"{PAST}{failures(folder)}.json"
    try:
        (folder / supervisor.EXIT_FILE).rename(past)
    except FileNotFoundError:  # nobody saw how it ended
        past.touch()
    (folder / supervisor.PROCESS_FILE).unlink(missing_ok=True)


async def launch(folder: Path, argv: Sequence[str], environment: Mapping[str, str], grace: float) -> None:
    """Start the process of a pod; does nothing when it was started before. Returns once its record is on disk.

    The environment is handed over as such: it may hold secrets, and an argv can be read by everybody on the machine.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        supervisor.__file__,
        str(folder),
        str(grace),
        *argv,
        env={**environment, supervisor.FOLDER_VARIABLE: str(folder.resolve())},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    # Not communicate(): the supervisor keeps the pipe until it has written its record.
    complaint = (await process.stderr.read()).decode(errors="replace").strip()
    if code := await process.wait():
        raise LaunchFailed(f"the supervisor of the process could not start: {complaint.splitlines()[-1] if complaint else code}")


async def stop(folder: Path, grace: float) -> None:
    """End all processes of a pod: its program is asked first and killed after `grace` seconds."""
    record = _read(folder / supervisor.PROCESS_FILE)
    if record and _alive(record):
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGALRM, _SLACK)):
            _send(record, number)
            until = time.monotonic() + patience
            while _alive(record) and time.monotonic() < until:
                await asyncio.sleep(0.02)
    # Nothing is left unless the supervisor was killed, or was just about to start.
    stuck = await asyncio.to_thread(supervisor.end_processes, folder)
    if stuck:
        log.warning("processes of %s cannot be killed: %s", folder, stuck)


def stop_all(pods: Path, grace: float = 5.0, *, only: str = "") -> int:
    """End the processes of all pods with folders in `pods`: before a state folder is removed. Not for the event loop.

    `only`: of the pods in whose folder there is a file of that name. Returns how many ran.
    """
    folders = [folder for folder in pods.iterdir() if folder.is_dir() and (folder / only).exists()] if pods.is_dir() else []
    records = [record for folder in folders if (record := _read(folder / supervisor.PROCESS_FILE)) and _alive(record)]
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGALRM, 2.0)):
        for record in records:
            _send(record, number)
        until = time.monotonic() + patience
        while any(map(_alive, records)) and time.monotonic() < until:
            time.sleep(0.02)
    left = [folder for folder in folders if supervisor.processes_of(folder)]
    for folder in left:
        supervisor.end_processes(folder)
    return len(records) + len(left)


def stop_guests(state: State) -> int:
    """Shut down the guests that run: they end with their cluster, while conversions go on. Not for the event loop. Returns how many ran.

    So do servers of exports, which are started again with it: nobody else would end them before the exports expire.
    """
    stop_all(state.pods, SERVER_SECONDS, only=SERVING_FILE)
    return stop_all(state.pods, GUEST_SECONDS, only=guest_report.FILE_NAME)


def _alive(record: dict[str, Any]) -> bool:
    return record["boot"] == supervisor.boot_id() and supervisor.start_time(record["pid"]) == record["started"]


def _send(record: dict[str, Any], number: signal.Signals) -> None:
    """Signal the supervisor and nobody who has its pid by now."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(record["pid"])
        try:
            if _alive(record):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    """None when the file is not there (yet); it is never there in part."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
