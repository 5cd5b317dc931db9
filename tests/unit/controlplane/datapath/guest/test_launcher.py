"""The program of a virt-launcher pod, with QEMU and guests of a few bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.guest import launcher, qemu, relay
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts
from ansible_collections.vmshift.mtv.tests.unit.controlplane.datapath.guest.conftest import HALT, POWER_OFF, boot_disk

pytestmark = pytest.mark.skipif(not shutil.which(qemu.PROGRAM), reason="QEMU is not installed")


class Run:
    """One launcher in a folder of its own."""

    def __init__(self, folder: Path, instance: Any, disk: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / FILE_NAME).write_text(Mounts([Mount("/dev/vol-0", str(disk), "Block")]).to_json())
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", launcher.__name__],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), launcher.INSTANCE_VARIABLE: json.dumps(instance), **environment},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def report(self) -> Any:
        try:
            return json.loads((self.folder / "guest.json").read_text())
        except FileNotFoundError:
            return {}

    def message(self) -> str:
        return (self.folder / launcher.MESSAGE_FILE).read_text().strip()

    def until_running(self) -> Any:
        return self.until(lambda: self.report() if self.report().get("state") == "Running" else None)

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 60
        while not (found := condition()):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)
        return found

    def machines(self) -> list[int]:
        """QEMU's processes of this folder."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self.process.pid:
                try:
                    inside = os.readlink(f"/proc/{name}/cwd") == str(self.folder)
                    if inside and Path(f"/proc/{name}/comm").read_text().startswith("qemu"):
                        found.append(int(name))
                except OSError:
                    continue
        return found


@pytest.fixture
def launch(tmp_path: Path, instance: Any) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(disk: Path, change: Any = None, **environment: str) -> Run:
        runs.append(Run(tmp_path / f"pod{len(runs)}", change or instance, disk, environment))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
        run.log.close()


def test_a_guest_that_powers_off_ends_well(launch: Any, tmp_path: Path) -> None:
    run = launch(boot_disk(tmp_path / "disk", POWER_OFF))
    assert run.process.wait(60) == 0
    assert "the guest has ended (guest-shutdown)" in (run.folder / "log").read_text()
    assert not (run.folder / launcher.MESSAGE_FILE).exists()


def test_a_running_guest_is_told_of_and_its_port_leads_into_it(launch: Any, tmp_path: Path) -> None:
    run = launch(boot_disk(tmp_path / "disk", HALT))
    told = run.until_running()
    address, port = told["ssh"].split(":")
    assert address == "127.0.0.1" and told["accelerator"] in ("kvm", "tcg") and "agent" not in told
    (machine,) = run.machines()
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{int(port):04X}" in [fields[1] for fields in listening if fields[3] == "0A"]
    assert (run.folder / "guest-console-log").exists()
    assert os.getpgid(machine) != run.process.pid


def test_sigterm_presses_the_power_button_and_does_not_drop_the_guest(launch: Any, tmp_path: Path) -> None:
    run = launch(boot_disk(tmp_path / "disk", HALT))
    run.until_running()
    os.killpg(run.process.pid, signal.SIGTERM)  # as the supervisor does
    run.until(lambda: "QEMU: POWERDOWN" in (run.folder / "log").read_text())
    assert run.process.poll() is None and run.machines()


def test_a_killed_launcher_leaves_no_guest(launch: Any, tmp_path: Path) -> None:
    run = launch(boot_disk(tmp_path / "disk", HALT))
    run.until_running()
    run.process.kill()
    run.process.wait()
    deadline = time.monotonic() + 20
    while run.machines():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_disk_is_never_given_to_two_guests(launch: Any, tmp_path: Path) -> None:
    disk = boot_disk(tmp_path / "disk", HALT)
    first = launch(disk)
    first.until_running()
    second = launch(disk)
    assert second.process.wait(60) == 1
    assert re.match('QEMU does not start: .*Failed to get "write" lock Is another process using the image', second.message())
    assert first.process.poll() is None and first.machines()
    first.process.kill()
    first.process.wait()
    launch(disk).until_running()


def test_qemu_killed_from_outside_is_a_failure_that_is_told(launch: Any, tmp_path: Path) -> None:
    run = launch(boot_disk(tmp_path / "disk", HALT))
    run.until_running()
    (machine,) = run.machines()
    os.kill(machine, signal.SIGKILL)
    assert run.process.wait(30) == 1
    assert run.message() == "QEMU was ended by SIGKILL"


@pytest.mark.parametrize(("tool", "said"), [("swtpm", "install the package swtpm"), ("qemu", "qemu-system-x86_64 is not installed")])
def test_a_missing_tool_is_named(launch: Any, tmp_path: Path, instance: Any, tool: str, said: str) -> None:
    if tool == "swtpm":
        instance["spec"]["domain"]["devices"]["tpm"] = {}
    empty = tmp_path / "bin"
    empty.mkdir()
    run = launch(boot_disk(tmp_path / "disk", HALT), instance, PATH=str(empty))
    assert run.process.wait(60) == 1
    assert said in run.message()


def test_a_guest_may_begin_paused_and_without_a_cable(launch: Any, tmp_path: Path, instance: Any) -> None:
    instance["spec"]["startStrategy"] = "Paused"
    instance["spec"]["domain"]["devices"]["interfaces"][0]["state"] = "down"
    run = launch(boot_disk(tmp_path / "disk", POWER_OFF), instance)
    assert run.until(lambda: run.report() if run.report().get("state") == "Paused" else None)["ssh"]
    assert run.process.poll() is None


def test_a_relay_carries_a_connection_both_ways(tmp_path: Path) -> None:
    script = (
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nc, _ = s.accept()\n"
        "data = b''\nwhile block := c.recv(4096):\n    data += block\nc.sendall(data.upper() * 1000)\nc.close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = server.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-I", "-S", relay.__file__, "127.0.0.1", port], input=b"hello", capture_output=True, timeout=30, check=True
        )
    assert done.stdout == b"HELLO" * 1000
    refused = subprocess.run(
        [sys.executable, "-I", "-S", relay.__file__, "127.0.0.1", "1"], input=b"", capture_output=True, timeout=30, check=False
    )
    assert refused.returncode == 1 and b"127.0.0.1:1" in refused.stderr
