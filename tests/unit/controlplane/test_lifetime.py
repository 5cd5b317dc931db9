"""Who may hold a state folder, and how it is let go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane import __main__ as command_line
from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State

HOLD = """
import sys, time
from pathlib import Path
from ansible_collections.vmshift.mtv.controlplane.lifetime import held, write_endpoints
from ansible_collections.vmshift.mtv.controlplane.state import State
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with held(State(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def other_holder(state: State) -> subprocess.Popen[str]:
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state.root)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_control_plane_is_refused_with_the_process_of_the_first(state: State) -> None:
    with other_holder(state) as first:
        with pytest.raises(lifetime.StartError, match=rf"process {first.pid}\) holds"), lifetime.held(state):
            pytest.fail("two control planes share a folder")
        first.terminate()


def test_stop_ends_the_holder_and_waits_until_the_folder_is_free(state: State) -> None:
    with other_holder(state) as first:
        assert lifetime.stop(state, timeout=10)
        assert lifetime.holder(state) is None
        assert first.wait(5) == 0


def test_stop_without_a_holder_does_nothing(state: State) -> None:
    assert not lifetime.stop(state)


def test_a_killed_holder_leaves_the_folder_free(state: State) -> None:
    with other_holder(state) as first:
        first.kill()
        first.wait()
    with lifetime.held(state):
        assert lifetime.holder(state) == os.getpid()


def test_folder_is_private_and_endpoints_go_with_the_holder(state: State) -> None:
    with lifetime.held(state):
        assert state.root.stat().st_mode & 0o777 == 0o700
        lifetime.write_endpoints(state, {"server": "https://127.0.0.1:1"})
        assert lifetime.read_endpoints(state)["server"] == "https://127.0.0.1:1"
    assert lifetime.read_endpoints(state) == {}


def test_ports_are_remembered_and_a_damaged_memory_is_none(state: State) -> None:
    state.prepare()
    assert lifetime.read_ports(state) == {}
    lifetime.write_ports(state, {"server": 6443, "inventory": 8443})
    assert lifetime.read_ports(state) == {"server": 6443, "inventory": 8443}
    (state.run / "ports.json").write_text('{"server": 64')
    assert lifetime.read_ports(state) == {}


def spoil_store(root: Path) -> None:
    root.mkdir()
    (root / "store.sqlite").write_bytes(b"no database " * 1000)


def spoil_authority(root: Path) -> None:
    (root / "pki").mkdir(parents=True)
    for name in ("ca.crt", "ca.key"):
        (root / "pki" / name).write_text("junk")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda root: root.write_text(""), "cannot work in {root}: {root}: file exists"),
        (lambda root: root.parent.joinpath("state").symlink_to("/proc/none"), "cannot work in {root}: {root}"),
        (lambda root: (root / "kubeconfig").mkdir(parents=True), "cannot work in {root}: "),
        (spoil_store, "the store {root}/store.sqlite cannot be used: file is not a database"),
        (spoil_authority, "a file in {root} is damaged: Unable to load PEM file"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_in_one_line(
    state: State, spoil: Callable[[Path], None], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(state.root)
    monkeypatch.setattr(sys, "argv", ["controlplane", "serve", "--state", str(state.root)])
    assert command_line.main() == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("controlplane: " + sentence.format(root=state.root))


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_number_that_is_no_port_is_refused(state: State, port: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["controlplane", "serve", "--state", str(state.root), "--port", port])
    with pytest.raises(SystemExit):
        command_line.main()
    assert port in capsys.readouterr().err
    assert not state.root.exists()
