"""An oVirt engine to migrate from, in a process of its own: a double of its API before the real ovirt-imageio daemon.

The double has the engine's objects as the types of oVirt's own SDK, whose writers and readers make its XML. It serves: logging in and
out (SSO with user and password), the CA (pki-resource), all collections that an inventory reads with `follow`, `search` (comparisons
joined by "and", pages) and `max`, as XML or JSON; start, stop and shutdown of VMs; making and removing snapshots, with the data in
chains of qcow2 files; downloads of disks and of their snapshots, also shallow ones (of one file of a chain), by tickets of the
daemon; events.

It does not: run guests, upload, create or change VMs and disks, keep permissions and quotas, migrate, backups with checkpoints, jobs,
templates, any other authentication. All that it does not know it refuses with an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.lab import processes
from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.lab.commands import LabError, run
from ansible_collections.vmshift.mtv.lab.ovirt.machines import ONE, Machine, to_json
from ansible_collections.vmshift.mtv.lab.started import StartedLab

USER = "admin@internal"
START_DEADLINE = 120.0  # seconds; the guests may have to be built
_MODULE = "ansible_collections.vmshift.mtv.lab.ovirt.engine"


@dataclass
class OVirt(StartedLab):
    """`vms`: facts of the machines made: name, id, cluster, disks (id, name, size, sha256 of what they were filled with)."""

    KIND = "oVirt"

    url: str
    user: str
    password: str = field(repr=False)
    ca: str = ""
    pid: int = 0
    vms: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, folder: Path, machines: Sequence[Machine] = ONE, *, while_process: int | None = None) -> OVirt:
        """Start an engine that has these machines. Ends with `stop`, or when the process `while_process` is gone."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(folder / "disks", ignore_errors=True)
        (folder / "disks").mkdir()
        ca, _certificate, _key = write_certificates(folder, "lab oVirt")
        (folder / "machines.json").write_text(to_json(machines))
        password = secrets.token_hex(12)
        environment = {**os.environ, "LAB_USER": USER, "LAB_PASSWORD": password}
        if while_process:
            environment["LAB_WHILE"] = str(while_process)
        with (folder / "engine.out").open("w") as out, (folder / "engine.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        told = _first_line(process, folder)
        lab = cls(folder, told["url"], USER, password, ca.read_text(), process.pid, told["vms"])
        lab.write_facts()
        return lab

    def stop(self) -> None:
        """End the engine with all that it has started, and remove its disks."""
        processes.end(self.pid, self.folder)
        shutil.rmtree(self.folder / "disks", ignore_errors=True)
        self.remove_facts()

    def vm(self, name: str) -> dict[str, Any]:
        """Facts of a VM by name. Raises KeyError."""
        found = [vm for vm in self.vms if vm["name"] == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} VMs are called {name}")
        return found[0]

    def chain(self, disk: str) -> list[list[str]]:
        """[file, format] of the files that a disk consists of now, the oldest first."""
        chains: dict[str, list[list[str]]] = json.loads(self._ask("GET", "/lab/disks"))
        return chains[disk]

    def sha256(self, disk: str) -> str:
        """The sum of what a disk holds now."""
        file, kind = self.chain(disk)[-1]
        raw = self.folder / f"{disk}.raw"
        try:
            run(["qemu-img", "convert", "-U", "-f", kind, "-O", "raw", file, raw])
            with raw.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        finally:
            raw.unlink(missing_ok=True)

    def write(self, disk: str, offset: int, data: bytes) -> None:
        """Write into a disk, as its guest would."""
        file, kind = self.chain(disk)[-1]
        content = self.folder / "written"
        content.write_bytes(data)
        run(["qemu-io", "-f", kind, "-c", f"write -s {content} {offset} {len(data)}", file])
        content.unlink()

    def faults(self, *rules: dict[str, Any]) -> None:
        """What is to go wrong from now on, instead of what was to go wrong before; see api.Engine for the keys of a rule."""
        self._ask("PUT", "/lab/faults", list(rules))

    def imageio(self, *, running: bool) -> None:
        """Kill the daemon in the middle of what it does, or start it again (without the tickets it had)."""
        self._ask("PUT", "/lab/daemon", running)

    def transfers(self, *, lifetime: int = 300, rate: int = 0) -> None:
        """Of transfers that are begun from now on: seconds that a ticket is good for, bytes per second (0: as fast as it goes)."""
        self._ask("PUT", "/lab/transfers", {"lifetime": lifetime, "rate": rate})

    def end_sessions(self) -> None:
        """No token is good any more."""
        self._ask("PUT", "/lab/tokens", {})

    def change(self, vm: str, **attributes: Any) -> None:
        """Change a VM behind the back of everybody."""
        self._ask("PUT", "/lab/vms", {"id": self.vm(vm)["id"], **attributes})

    def statistics(self) -> dict[str, Any]:
        """`calls` by method and path, `transfers` that are going on, `extensions` that clients asked for."""
        statistics: dict[str, Any] = json.loads(self._ask("GET", "/lab/statistics"))
        return statistics

    def _ask(self, verb: str, path: str, body: Any = None) -> bytes:
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        data = None if body is None else json.dumps(body).encode()
        url = self.url.removesuffix("/ovirt-engine/api") + path
        request = urllib.request.Request(url, data, {"Authorization": f"Basic {login}"}, method=verb)
        with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context(cadata=self.ca)) as answer:
            content: bytes = answer.read()
        return content


def _first_line(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        text = (folder / "engine.out").read_text()
        if text.endswith("\n"):
            told: dict[str, Any] = json.loads(text)
            return told
        time.sleep(0.02)
    process.kill()
    raise LabError(f"the oVirt engine did not start: {processes.last_line((folder / 'engine.log').read_text())}")
