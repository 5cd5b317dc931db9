"""The parent of the OpenStack services and its children: none is left, whoever of them or of those who wait for them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.lab.openstack.environment import SERVICES

DEADLINE = 60.0
PARENT = """
import sys
sys.path.insert(0, {services!r})
import run
run.SHARED, run.HERE, run.SERVICES = [], {folder!r}, {{"one": ("sleeper.py",), "two": ("sleeper.py",)}}
sys.argv = ["run.py", {folder!r}, "--while", sys.argv[1]]
run.main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(600)\n")
    (tmp_path / "parent.py").write_text(PARENT.format(services=str(SERVICES), folder=str(tmp_path)))
    return tmp_path


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    """Whom the services are for."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def parent(folder: Path, waiting: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, folder / "parent.py", str(waiting.pid)], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def children(pid: int) -> list[int]:
    until = time.monotonic() + DEADLINE
    while True:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        if len(found) == 2:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def await_end(*pids: int) -> None:
    until = time.monotonic() + DEADLINE
    while not all(map(gone, pids)):
        assert time.monotonic() < until, [pid for pid in pids if not gone(pid)]
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_parent_takes_its_children_along(parent: subprocess.Popen[bytes], number: signal.Signals) -> None:
    family = children(parent.pid)
    os.kill(parent.pid, number)
    await_end(parent.pid, *family)


def test_all_end_with_whom_they_are_for(parent: subprocess.Popen[bytes], waiting: subprocess.Popen[bytes]) -> None:
    family = children(parent.pid)
    waiting.kill()
    waiting.wait()
    await_end(parent.pid, *family)


def test_one_that_ends_takes_the_others_along(parent: subprocess.Popen[bytes]) -> None:
    family = children(parent.pid)
    os.kill(family[0], signal.SIGKILL)
    await_end(parent.pid, *family)
