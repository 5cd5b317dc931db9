"""This machine as a host that Ansible reaches over SSH: an sshd on a free port of loopback, with its own keys, for the user who tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_PRIVILEGES = Path("/run/sshd")  # root's sshd insists on it
_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


class SshHost:
    """`with SshHost(folder) as host: … host.variables()`. The sshd ends with the block, and its sessions with their clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SshHost:
        assert SSHD, "there is no sshd"
        self._folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._folder / name], check=True)
        for _attempt in range(5):  # somebody else may be faster to take the port
            if self._listens(_free_port()):
                return self
        raise AssertionError((self._folder / "log").read_text())

    def __exit__(self, *_unused: object) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait(10)

    def _listens(self, port: int) -> bool:
        config = self._folder / "sshd_config"
        config.write_text(_CONFIG.format(port=port, folder=self._folder))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._port = port
        while self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    if connection.recv(4) == b"SSH-":
                        break
            except OSError:
                time.sleep(0.05)
        else:
            return False
        key = (self._folder / "host.pub").read_text()
        (self._folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
        return True

    def variables(self) -> dict[str, Any]:
        """Of the host in an inventory."""
        options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self._folder}/known_hosts")
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self._port,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self._folder / "user"),
            "ansible_ssh_common_args": "-F none " + " ".join(f"-o {option}" for option in options),
            "ansible_remote_tmp": str(self._folder / "tmp"),
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
