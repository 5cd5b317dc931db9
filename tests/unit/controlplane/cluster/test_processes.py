from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.cluster.processes import Ended, Lost, Running


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "pods" / "uid"
    made.mkdir(parents=True)
    yield made
    processes.stop_all(tmp_path / "pods", grace=0.1)


async def _ended(folder: Path, seconds: float = 10) -> Ended:
    for _unused in range(int(seconds / 0.02)):
        found = processes.look(folder)
        if isinstance(found, Ended):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {processes.look(folder)}")


async def _launch(folder: Path, script: str, grace: float = 5) -> None:
    await processes.launch(folder, ["sh", "-c", script], {"PATH": os.environ["PATH"]}, grace)


def test_nothing_was_started(folder: Path) -> None:
    assert processes.look(folder) is None


async def test_exit_code_is_kept(folder: Path) -> None:
    await _launch(folder, "sleep 0.3; echo out; exit 4")
    assert isinstance(processes.look(folder), Running)
    ended = await _ended(folder)
    assert (ended.code, ended.signal, ended.message) == (4, None, "")
    assert (folder / "log").read_text() == "out\n"


async def test_second_launch_starts_nothing(folder: Path) -> None:
    script = f"echo x >> {folder}/starts; sleep 0.3"
    await asyncio.gather(_launch(folder, script), _launch(folder, script))
    await _launch(folder, script)
    await _ended(folder)
    await _launch(folder, script)
    await asyncio.sleep(0.1)
    assert (folder / "starts").read_text() == "x\n"


async def test_killed_by_a_signal(folder: Path) -> None:
    await _launch(folder, "kill -SEGV $$")
    ended = await _ended(folder)
    assert (ended.code, ended.signal) == (139, signal.SIGSEGV)


async def test_launch_into_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(processes.LaunchFailed, match="could not start.*No such file or directory"):
        await _launch(tmp_path / "nowhere", "true")


async def test_process_of_the_same_pid_is_somebody_else(folder: Path) -> None:
    """What a record says about a pid that another process has by now."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        own = supervisor.start_time(stranger.pid)
        assert own is not None
        record = {"pid": stranger.pid, "started": own - 1, "boot": supervisor.boot_id(), "startedAt": "2026-01-01T00:00:00Z"}
        (folder / "process.json").write_text(json.dumps(record))
        assert processes.look(folder) == Lost("2026-01-01T00:00:00Z")
        await processes.stop(folder, 0)
        assert stranger.poll() is None
        (folder / "process.json").write_text(json.dumps({**record, "started": own, "boot": "an earlier boot"}))
        assert isinstance(processes.look(folder), Lost)
        (folder / "process.json").write_text(json.dumps({**record, "started": own}))
        assert isinstance(processes.look(folder), Running)
        stranger.kill()


async def test_dead_but_not_yet_reaped_counts_as_dead(folder: Path) -> None:
    zombie = subprocess.Popen(["true"])
    started = supervisor.start_time(zombie.pid)
    while supervisor.start_time(zombie.pid) is not None:
        await asyncio.sleep(0.01)
    record = {"pid": zombie.pid, "started": started or 1, "boot": supervisor.boot_id(), "startedAt": "t"}
    (folder / "process.json").write_text(json.dumps(record))
    assert processes.look(folder) == Lost("t")
    zombie.wait()


async def test_stop_all_ends_every_pod(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "pods" / "other"
    other.mkdir()
    await _launch(folder, "trap '' TERM; while :; do sleep 1; done", grace=60)
    await _launch(other, "sleep 60")
    started = time.monotonic()
    await asyncio.to_thread(processes.stop_all, tmp_path / "pods", 0.5)
    assert time.monotonic() - started < 50
    assert supervisor.processes_of(folder) + supervisor.processes_of(other) == []


def test_stop_all_without_pods(tmp_path: Path) -> None:
    processes.stop_all(tmp_path / "none")


async def test_supervisor_needs_nothing_but_the_standard_library(folder: Path) -> None:
    argv = [sys.executable, "-I", "-S", supervisor.__file__, str(folder), "1", "sh", "-c", "exit 6"]
    process = await asyncio.create_subprocess_exec(*argv, env={"VMSHIFT_POD_DIR": str(folder), "PATH": os.environ["PATH"]})
    assert await process.wait() == 0
    assert (await _ended(folder)).code == 6


async def test_files_of_an_exit_are_whole(folder: Path) -> None:
    await _launch(folder, "exit 2")
    await _ended(folder)
    await asyncio.sleep(0.05)
    assert not list(folder.glob("*.partial"))
    assert json.loads((folder / "exit.json").read_text())["exitCode"] == 2
