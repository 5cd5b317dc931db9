from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import tools


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _gone(pid: int) -> None:
    """A process that was killed is not gone at once."""
    deadline = time.monotonic() + 30
    while _alive(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_returns_the_last_lines_of_stdout_and_stderr() -> None:
    output = await tools.run(["sh", "-c", "seq 1 20; echo complaint >&2"], deadline=10)
    assert output.splitlines() == [*(str(n) for n in range(10, 21)), "complaint"]


async def test_carriage_returns_end_lines_and_unremembered_lines_are_left_out() -> None:
    seen: list[str] = []

    def remember(line: str) -> bool:
        seen.append(line)
        return "%" not in line

    output = await tools.run(["sh", "-c", r"printf '10%%\r20%%\rdone'"], deadline=10, on_line=remember)
    assert seen == ["10%", "20%", "done"]
    assert output == "done"


async def test_failure_names_tool_exit_code_and_last_output() -> None:
    with pytest.raises(tools.ToolFailed, match=r"sh ended with exit code 3: first \| second") as caught:
        await tools.run(["sh", "-c", "echo first; echo second; exit 3"], deadline=10)
    assert caught.value.code == 3


async def test_death_by_signal_is_named() -> None:
    with pytest.raises(tools.ToolFailed, match="was ended by SIGKILL, without any output") as caught:
        await tools.run(["sh", "-c", "kill -9 $$"], deadline=10)
    assert caught.value.code == -9


async def test_missed_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(tools.ToolFailed, match="did not end within 1 s and was killed: working") as caught:
        await tools.run(["sh", "-c", f"echo working; sleep 60 & echo $! > {tmp_path}/child; wait"], deadline=1)
    assert caught.value.code is None
    assert time.monotonic() - started < 50
    await _gone(int((tmp_path / "child").read_text()))


async def test_a_tool_that_fails_and_leaves_a_child_with_its_output_has_ended(tmp_path: Path) -> None:
    """virt-v2v-in-place leaves its qemu-nbd behind."""
    script = f"sleep 60 & echo $! > {tmp_path}/child; echo wrong; exit 4"
    with pytest.raises(tools.ToolFailed, match="sh ended with exit code 4: wrong"):
        await asyncio.wait_for(tools.run(["sh", "-c", script], deadline=50), 30)
    await _gone(int((tmp_path / "child").read_text()))


async def test_cancelled_caller_leaves_no_process(tmp_path: Path) -> None:
    task = asyncio.create_task(tools.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60"], deadline=100))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(int((tmp_path / "pid").read_text()))


def test_missing_tools_come_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "nbdkit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert tools.missing(["nbdkit", "qemu-img", "virt-v2v"]) == [
        ("qemu-img", "qemu-utils", "qemu-img"),
        ("virt-v2v", "virt-v2v", "virt-v2v"),
    ]
    assert tools.find("nbdkit") == str(program)
    with pytest.raises(tools.ToolMissing, match=r"qemu-img is not installed: install the package qemu-utils \(Debian"):
        tools.find("qemu-img")


async def test_output_that_goes_into_a_file_is_no_part_of_an_error(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file, pytest.raises(tools.ToolFailed, match="exit code 3: why$"):
        await tools.run(["sh", "-c", "echo data; echo why >&2; exit 3"], deadline=30, stdout=file)
    assert (tmp_path / "out").read_text() == "data\n"
