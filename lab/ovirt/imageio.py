"""The real ovirt-imageio daemon, and its tickets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ovirt_imageio import admin

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.ovirt import children
from ansible_collections.vmshift.mtv.lab.processes import last_line

START_DEADLINE = 60.0  # seconds
_LISTENING = re.compile(r"remote\.service listening on \('127\.0\.0\.1', (\d+)\)")

CONFIGURATION = """\
[daemon]
run_dir = {folder}/run
drop_privileges = false
systemd_enable = false
[tls]
enable = true
key_file = {folder}/server.key
cert_file = {folder}/server.crt
ca_file = {folder}/ca.crt
[remote]
host = 127.0.0.1
port = {port}
[local]
enable = false
[control]
transport = unix
socket = {folder}/run/control
[handlers]
keys = stderr
[logger_root]
level = INFO
handlers = stderr
"""


class Daemon:
    """Works in `folder`, where the certificates are. After a stop it is started again at the same port, without the tickets it had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def running(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        """Returns once it serves. Raises LabError."""
        (self._folder / "conf.d").mkdir(exist_ok=True)
        (self._folder / "run").mkdir(exist_ok=True)
        (self._folder / "run" / "control").unlink(missing_ok=True)
        (self._folder / "conf.d" / "lab.conf").write_text(CONFIGURATION.format(folder=self._folder, port=self.port))
        log = self._folder / "imageio.log"
        with log.open("wb") as output:
            program = Path(sys.executable).with_name("ovirt-imageio")
            try:
                self._process = children.start([program, "-c", self._folder], output)
            except OSError as error:
                raise LabError(f"ovirt-imageio did not start: {error.strerror}: {program}") from error
        deadline = asyncio.get_running_loop().time() + START_DEADLINE
        while True:
            text = log.read_text()
            found = _LISTENING.search(text)
            if found and "Ready for requests" in text:
                break
            if self._process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise LabError(f"ovirt-imageio did not start: {last_line(text)}")
            await asyncio.sleep(0.01)
        self.port = int(found[1])

    async def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()  # connections are cut in the middle
            await children.end(process)

    def add(self, ticket: dict[str, Any]) -> None:
        with self._admin() as client:
            client.add_ticket(ticket)

    def look(self, id: str) -> dict[str, Any] | None:
        """What the daemon knows of a ticket; None when it has no such ticket, or does not run."""
        if not self.running:
            return None
        try:
            with self._admin() as client:
                found: dict[str, Any] = client.get_ticket(id)
                return found
        except (admin.Error, OSError):
            return None

    def extend(self, id: str, seconds: int) -> None:
        with contextlib.suppress(admin.Error, OSError), self._admin() as client:
            client.mod_ticket(id, {"timeout": seconds})

    def remove(self, id: str) -> bool:
        """False while somebody still reads by the ticket: who comes next is refused already."""
        if not self.running:
            return True
        try:
            with self._admin() as client:
                client.del_ticket(id)
        except (admin.Error, OSError):
            return False
        return True

    def _admin(self) -> Any:
        return admin.Client(admin.load_config(str(self._folder)), timeout=2)
