"""The program of the importer image, as a process."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.controlplane.datapath import importer, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.vsphere_disk import Unreadable

GIVEN = {
    "IMPORTER_SOURCE": "vddk",
    "IMPORTER_ENDPOINT": "https://vc/sdk",
    "IMPORTER_UUID": "u-1",
    "IMPORTER_BACKING_FILE": "[ds] a/a.vmdk",
    "IMPORTER_THUMBPRINT": "AA:BB",
    "IMPORTER_ACCESS_KEY_ID": "me",
    "IMPORTER_SECRET_KEY": "s3cret",
}


class TestRequest:
    def test_without_a_ca_the_thumbprint_counts(self):
        request = importer.request(GIVEN)
        assert (request.endpoint.url, request.endpoint.user, request.endpoint.thumbprint) == ("https://vc/sdk", "me", "AA:BB")
        assert (request.uuid, request.backing_file, request.current, request.previous) == ("u-1", "[ds] a/a.vmdk", "", "")
        assert "s3cret" not in repr(request)

    def test_a_ca_vouches_for_whatever_certificate(self):
        request = importer.request({**GIVEN, "IMPORTER_CA": "PEM", "IMPORTER_CURRENT_CHECKPOINT": "snapshot-1"})
        assert (request.endpoint.ca, request.endpoint.thumbprint, request.current) == ("PEM", "", "snapshot-1")

    def test_what_is_missing_is_named(self):
        with pytest.raises(Unreadable, match="lacks IMPORTER_UUID, IMPORTER_SECRET_KEY"):
            importer.request({**GIVEN, "IMPORTER_UUID": "", "IMPORTER_SECRET_KEY": ""})
        with pytest.raises(Unreadable, match="source of type 'gcs'"):
            importer.request({**GIVEN, "IMPORTER_SOURCE": "gcs"})


class Program:
    """An importer of the disk of web-2."""

    def __init__(self, lab, folder: Path, **other: str) -> None:
        with lab.session() as session:
            vm = session.object("VirtualMachine", lab.vm("web-2")["id"])
            uuid = session.read([vm], ["config.uuid"])[vm._moId]["config.uuid"]
        disk = lab.vm("web-2")["disks"][0]
        self.folder, self.size = folder, disk["size"]
        self.volume = folder / "volume"
        self.volume.touch()
        os.truncate(self.volume, self.size)
        (folder / "mounts.json").write_text(Mounts([Mount("/data", str(self.volume), "Filesystem")]).to_json())
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "VMSHIFT_POD_DIR": str(folder),
            **GIVEN,
            "IMPORTER_ENDPOINT": lab.url,
            "IMPORTER_UUID": uuid,
            "IMPORTER_BACKING_FILE": disk["file"],
            "IMPORTER_CA": lab.ca,
            "IMPORTER_ACCESS_KEY_ID": lab.user,
            "IMPORTER_SECRET_KEY": lab.password,
            **other,
        }

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", importer.__name__]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self, name: str) -> dict[str, int]:
        return json.loads((self.folder / name).read_text())


@pytest.fixture
def lab(vsphere):
    yield vsphere
    vsphere.faults()


def test_a_killed_importer_goes_on(lab, tmp_path):
    program = Program(lab, tmp_path)
    lab.faults({"path": "/folder", "skip": 2, "delay": 0.1})
    process = program.start()
    journal = tmp_path / "journal"
    while not journal.exists() or len(journal.read_text().splitlines()) < 10:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    assert lab.password not in Path(f"/proc/{process.pid}/cmdline").read_text()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "result.json").exists()

    lab.faults()
    again = program.start()
    output = again.communicate(timeout=60)[0]
    assert again.returncode == 0, output
    result = program.read("result.json")
    assert result["kept"] >= 9 * transfer.PIECE
    assert result["read"] == program.size - result["kept"]
    assert hashlib.sha256(program.volume.read_bytes()).hexdigest() == lab.sha256("web-2")
    assert program.read("progress.json") == {"done": program.size, "total": program.size}
    assert lab.password not in output


def test_a_failure_is_told_in_one_line(lab, tmp_path):
    program = Program(lab, tmp_path, IMPORTER_SECRET_KEY="wrong-one")
    process = program.start()
    output = process.communicate(timeout=60)[0]
    message = (tmp_path / "termination-message").read_text()
    assert process.returncode == 1
    assert message.startswith("Unable to process data: ")
    assert "refuses the user name or password" in message
    assert "wrong-one" not in message + output


def test_terminated_it_ends_at_once(lab, tmp_path):
    program = Program(lab, tmp_path)
    lab.faults({"path": "/folder", "skip": 3, "delay": 30})
    process = program.start()
    while not (tmp_path / "journal").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
