"""A control plane to be measured, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from measures import environment

from ansible_collections.vmshift.mtv.controlplane.state import State

START_SECONDS = 60.0
CONTROL_PLANE = ("-m", "ansible_collections.vmshift.mtv.controlplane")
COUNTED = (str(Path(__file__).with_name("counted_plane.py")),)  # the same with a log of requests


class Plane:
    """One running control plane. `started_in`: seconds from spawn to the first good answer of /readyz."""

    def __init__(self, root: Path, program: tuple[str, ...] = CONTROL_PLANE, **variables: str) -> None:
        self.state = State(root)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.state.prepare()
        self._log = (self.state.run / "controlplane.log").open("ab")
        argv = [sys.executable, *program, "serve", "--state", str(root), "--port", str(self.port)]
        begun = time.perf_counter()
        self.process = subprocess.Popen(argv, env={**environment(), **variables}, stdout=self._log, stderr=self._log)
        self.started_in = self._await_ready(begun) - begun

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def token(self) -> str:
        return yaml.safe_load(self.state.kubeconfig.read_text())["users"][0]["user"]["token"]

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.state.pki / "ca.crt"))

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, context=self.tls(), timeout=60) as reply:
            return json.load(reply)

    def cpu_seconds(self) -> float:
        """Of all threads of the process, without children."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def resident_mib(self, field: str = "VmRSS") -> float:
        """VmRSS now, or VmHWM at its highest."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field)) / 1024

    def idle_percent(self, settle: float, seconds: float) -> float:
        """Share of one core that it uses while nobody asks anything."""
        time.sleep(settle)
        used, begun = self.cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        return 100 * (self.cpu_seconds() - used) / (time.perf_counter() - begun)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def _await_ready(self, begun: float) -> float:
        anyone = ssl._create_unverified_context()
        while time.perf_counter() - begun < START_SECONDS and self.process.poll() is None:
            # A bare connect first: failing TLS handshakes would take CPU from what is measured.
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1), \
                    urllib.request.urlopen(f"{self.url}/readyz", context=anyone, timeout=5):  # fmt: skip
                return time.perf_counter()
            time.sleep(0.01)
        self.process.kill()
        raise RuntimeError(f"the control plane did not start: {(self.state.run / 'controlplane.log').read_text()[-2000:]}")


@contextlib.contextmanager
def running(root: Path, program: tuple[str, ...] = CONTROL_PLANE, **variables: str) -> Iterator[Plane]:
    plane = Plane(root, program, **variables)
    try:
        yield plane
    finally:
        plane.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def seconds_of(argv: list[str], env: dict[str, str] | None = None) -> tuple[float, float]:
    """(wall, CPU) seconds of a program and all its children."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(argv, env={**environment(), **(env or {})}, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system
