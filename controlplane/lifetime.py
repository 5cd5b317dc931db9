"""Who holds a state folder: a lock, and a file that tells clients where the control plane listens."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.state import State


class StartError(Exception):
    """The control plane cannot start or end; the text is one sentence for the user."""


@contextmanager
def explained(state: State) -> Iterator[None]:
    """What is wrong with the state folder, as a StartError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StartError(f"the store {state.store} cannot be used: {error}") from error
    except OSError as error:
        raise StartError(
            f"cannot work in {state.root}: {error.filename or state.root}: {(error.strerror or str(error)).lower()}"
        ) from error
    except ValueError as error:
        raise StartError(f"a file in {state.root} is damaged: {error}") from error


@contextmanager
def held(state: State) -> Iterator[None]:
    """Hold the state folder for this process; StartError when another control plane does. The kernel lets go when the process dies."""
    with explained(state):
        state.prepare()
        lock = (state.run / "lock").open("a+")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another control plane (process {holder(state) or 'unknown'}) holds {state.root}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            (state.run / "endpoints.json").unlink(missing_ok=True)


def holder(state: State) -> int | None:
    """The process that holds the folder now, or None."""
    path = state.run / "lock"
    if not path.exists():
        return None
    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = path.read_text()
            return int(text) if text.isdigit() else None
    return None


def stop(state: State, timeout: float = 30) -> bool:
    """End the control plane that holds the folder and wait until it has let go. Returns whether there was one."""
    process = holder(state)
    if process is None:
        return False
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while holder(state) == process:
        if time.monotonic() > deadline:
            raise StartError(f"the control plane (process {process}) did not end within {timeout:.0f} s")
        time.sleep(0.05)
    return True


def read_endpoints(state: State) -> dict[str, Any]:
    """What `endpoints.json` says; empty when no control plane has got ready."""
    path = state.run / "endpoints.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_endpoints(state: State, endpoints: dict[str, Any]) -> None:
    write_json(state.run / "endpoints.json", endpoints)


def read_ports(state: State) -> dict[str, int]:
    """The ports of the last time; empty when there was none, or when nobody can tell."""
    try:
        return json.loads((state.run / "ports.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def write_ports(state: State, ports: dict[str, int]) -> None:
    write_json(state.run / "ports.json", ports)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all: the process may be killed at any moment."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.rename(path)
