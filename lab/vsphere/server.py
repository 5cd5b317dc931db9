"""A vCenter to migrate from: the simulator in a process of its own, or a real one that is only told about."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.lab import processes
from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.started import StartedLab
from ansible_collections.vmshift.mtv.lab.vsphere import seed
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import ONE, Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect, server_thumbprint

USER = "administrator@vsphere.local"
START_DEADLINE = 60.0  # seconds
SIZES = {"dc": 1, "cluster": 1, "host": 2, "standalone-host": 0, "ds": 2, "pg": 2, "vm": 0}


@dataclass
class VSphere(StartedLab):
    """`vms`: facts of the machines made: name, path, id, disks (key, file, size, sha256 of what they were filled with)."""

    KIND = "vSphere"

    url: str
    user: str
    password: str = field(repr=False)
    ca: str = ""
    thumbprint: str = ""
    pid: int = 0
    datastores: dict[str, str] = field(default_factory=dict)
    vms: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        folder: Path,
        machines: Sequence[Machine] = ONE,
        *,
        program: Path | None = None,
        esxi: bool = False,
        while_process: int | None = None,
        **sizes: int,
    ) -> VSphere:
        """Start a simulator and make the machines in it. Ends with `stop`, or when the process `while_process` is gone.

        `program`: another vcsim than the lab's own, which knows no changed-block tracking and freezes no disks.
        `sizes`: how many of what the simulator makes itself (dc, cluster, host, ds, pg, vm).
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca, certificate, key = write_certificates(folder, "lab vCenter")
        password = secrets.token_hex(12)
        command: list[str] = [str(program or vcenter_program()), "-l", "127.0.0.1:0", f"-tlscert={certificate}", f"-tlskey={key}"]
        options = {name: size for name, size in {**SIZES, **sizes}.items() if not esxi or name in ("ds", "vm")}
        command += [f"-{name}={size}" for name, size in options.items()]
        command += ["-username", USER]
        if program:
            command += ["-password", password]
        else:
            command += ["-v"] * ("LAB_VERBOSE" in os.environ) + ["-esxi"] * esxi + ([f"-while={while_process}"] if while_process else [])
        url, process = launch(command, folder, password)
        lab = cls(folder, url, USER, password, ca.read_text(), server_thumbprint(url), process.pid)
        try:
            with lab.session() as session:
                maker = seed.Seed(session)
                lab.datastores = {name: str(path) for name, path in maker.datastores.items()}
                lab.vms = maker.make_all(machines)
            lab.write_facts()
        except BaseException:
            lab.stop()
            raise
        return lab

    @classmethod
    def real(cls, folder: Path, url: str, user: str, password: str, ca: str = "") -> VSphere:
        """A vCenter that is there already: nothing is started or made."""
        lab = cls(folder, url, user, password, ca, server_thumbprint(url))
        with lab.session():
            pass
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lab.write_facts()
        return lab

    def stop(self) -> None:
        """End the simulator, if this lab has one, and remove its datastores."""
        processes.end(self.pid, self.folder)
        shutil.rmtree(self.folder / "datastores", ignore_errors=True)
        self.remove_facts()

    def endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.user, self.password, ca=self.ca)

    def session(self) -> Session:
        return connect(self.endpoint())

    def vm(self, path: str) -> dict[str, Any]:
        """Facts of a VM by name or by path. Raises KeyError."""
        found = [vm for vm in self.vms if path in (vm["path"], vm["name"])]
        if len(found) != 1:
            raise KeyError(f"{len(found)} VMs are called {path}")
        return found[0]

    def extents(self, path: str) -> list[Path]:
        """The files with the present bytes of a VM's disks, as they are after snapshots were made and removed."""
        with self.session() as session:
            vm = session.object("VirtualMachine", self.vm(path)["id"])
            devices = session.read([vm], ["config.hardware.device"])[vm._moId]["config.hardware.device"]
        files = {device.key: device.backing.fileName for device in devices if hasattr(device, "capacityInBytes")}
        return [self.file(files[disk["key"]]) for disk in self.vm(path)["disks"]]

    def file(self, disk: str) -> Path:
        """The local file with the bytes of the disk "[datastore] folder/name.vmdk"."""
        return seed.extent_path(disk, {name: Path(folder) for name, folder in self.datastores.items()})

    def write(self, path: str, disk: int, offset: int, data: bytes) -> None:
        """Write into a disk of a VM, as its guest would."""
        with self.extents(path)[disk].open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def sha256(self, path: str, disk: int = 0) -> str:
        """The sum of what a disk of a VM holds now."""
        return seed.sha256(self.extents(path)[disk])

    def faults(self, *rules: dict[str, Any]) -> None:
        """What is to go wrong from now on, instead of what was to go wrong before; see vcenter/faults.go for the keys of a rule."""
        self._ask("PUT", "/lab/faults", json.dumps(rules).encode())

    def deny(self, *privileges: str) -> None:
        """The user has all privileges but these from now on."""
        self._ask("PUT", "/lab/denied", json.dumps(privileges).encode())

    def statistics(self) -> dict[str, Any]:
        """`calls` by SOAP method, bytes `served` by path of datastore file, since the start; how many requests a fault has `held`."""
        statistics: dict[str, Any] = json.loads(self._ask("GET", "/lab/statistics"))
        return statistics

    def _ask(self, verb: str, path: str, body: bytes | None = None) -> bytes:
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(self.url.removesuffix("/sdk") + path, body, {"Authorization": f"Basic {login}"}, method=verb)
        with urllib.request.urlopen(request, timeout=30, context=self.endpoint().tls()) as answer:
            content: bytes = answer.read()
        return content


def launch(command: list[str], folder: Path, password: str) -> tuple[str, subprocess.Popen[str]]:
    """Start the program and wait for the URL that it prints."""
    datastores = folder / "datastores"
    shutil.rmtree(datastores, ignore_errors=True)
    datastores.mkdir()
    output = folder / "vcenter.out"
    with output.open("w") as out, (folder / "vcenter.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, "TMPDIR": str(datastores), "LAB_PASSWORD": password},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    deadline = time.monotonic() + START_DEADLINE * 10
    while process.poll() is None and time.monotonic() < deadline:
        words = output.read_text().replace("GOVC_URL=", " ").split()
        url = next((word for word in words if word.startswith("https://")), "")
        if url and output.read_text().endswith("\n"):
            return without_login(url), process
        time.sleep(0.05)
    process.kill()
    raise LabError(f"the vSphere simulator did not start: {(folder / 'vcenter.log').read_text()[-500:].strip()}")


def without_login(url: str) -> str:
    scheme, _unused, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
