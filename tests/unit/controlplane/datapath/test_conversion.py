"""The program as a pod runs it, with a virt-v2v of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import conversion
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts

COLLECTIONS = Path(conversion.__file__).parents[5]
WRITE = r"""say message "Copying disk 1/2"; say message "Copying disk 2/2"
printf root > "$out/guest-sda"; truncate -s 1M "$out/guest-sda"; printf data > "$out/guest-sdb"; truncate -s 1M "$out/guest-sdb"
[ -d "$TMPDIR" ] && [ -z "$V2V_password" ] && say message "Finishing off" && echo '<domain><os/></domain>' > "$out/guest.xml"
"""


class Pod:
    """A pod's folder, the appliance that it mounts, and its volumes."""

    def __init__(self, folder: Path, sizes: tuple[int, ...]) -> None:
        self.folder = folder / "pod"
        self.folder.mkdir(parents=True)
        self.exports = folder / "exports"
        self.exports.mkdir()
        self.volumes = [folder / f"volume{number}.img" for number in range(len(sizes))]
        for volume, size in zip(self.volumes, sizes, strict=True):
            with volume.open("wb") as file:
                file.truncate(size)
        disks = [Mount(f"/mnt/disks/disk{number}", str(volume), "Filesystem") for number, volume in enumerate(self.volumes)]
        (self.folder / FILE_NAME).write_text(Mounts([Mount("/ova", str(self.exports), "NFS", True), *disks]).to_json())

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        settings = {"V2V_source": "ova", "V2V_diskPath": "/ova/app.ova", "V2V_vmName": "app", "V2V_password": "geheim", **environment}
        return subprocess.Popen(
            [sys.executable, "-m", conversion.__name__],
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "VMSHIFT_POD_DIR": str(self.folder), **settings},
            stdout=(self.folder / "log").open("wb"),
            stderr=subprocess.STDOUT,
        )

    def run(self, **environment: str) -> int:
        return self.start(**environment).wait(30)

    def read(self, name: str) -> dict[str, object]:
        return json.loads((self.folder / name).read_text())

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def make_pod(tmp_path: Path, descriptor: Callable[..., bytes], write_ova: Callable[..., Path]) -> Callable[..., Pod]:
    """make_pod(sizes, inside=""): a pod with an appliance of two disks, listed data, root and attached root, data."""

    def make(sizes: tuple[int, ...] = (2 << 20, 3 << 20), inside: str = "") -> Pod:
        pod = Pod(tmp_path / inside, sizes)
        write_ova(pod.exports / "app.ova", descriptor(["data", "root"], attached=["root", "data"]))
        return pod

    return make


def test_each_disk_ends_in_its_own_volume_which_keeps_its_size(
    tmp_path: Path, virt_v2v: Callable[[str], None], make_pod: Callable[..., Pod]
) -> None:
    virt_v2v(WRITE)
    pod = make_pod()
    assert pod.run() == 0, pod.log
    assert [volume.read_bytes()[:4] for volume in pod.volumes] == [b"data", b"root"]
    assert [volume.stat().st_size for volume in pod.volumes] == [2 << 20, 3 << 20]
    assert pod.read("result.json") == {"firmware": "bios", "operatingSystem": "", "warnings": []}
    assert pod.read("progress.json") == {"stage": "Finishing off", "disks": {"0": 100, "1": 100}}
    assert not (pod.folder / "scratch").exists()
    assert "geheim" not in pod.log


def test_failure_leaves_reason_sizes_and_no_scratch(tmp_path: Path, virt_v2v: Callable[[str], None], make_pod: Callable[..., Pod]) -> None:
    virt_v2v('truncate -s 1M "$out/guest-sda"; say error "No root device found"; exit 1')
    pod = make_pod()
    assert pod.run() == 1
    assert pod.read("result.json") == {"error": "virt-v2v: No root device found"}
    assert (pod.folder / "termination-message").read_text() == "virt-v2v: No root device found"
    assert pod.log.splitlines()[-1] == "conversion failed: virt-v2v: No root device found"
    assert [volume.stat().st_size for volume in pod.volumes] == [2 << 20, 3 << 20]
    assert not (pod.folder / "scratch").exists()


def test_disk_larger_than_the_descriptor_says(tmp_path: Path, virt_v2v: Callable[[str], None], make_pod: Callable[..., Pod]) -> None:
    virt_v2v('truncate -s 9M "$out/guest-sda"; say message "Copying disk 1/2"; sleep 30')
    pod = make_pod()
    assert pod.run() == 1
    assert pod.read("result.json") == {"error": "disk 1 of the guest has 9437184 bytes, but its volume holds only 3145728"}
    assert [volume.stat().st_size for volume in pod.volumes] == [2 << 20, 3 << 20]


@pytest.mark.parametrize(
    ("sizes", "environment", "expected"),
    [
        ((2 << 20, 1 << 10), {}, "disk 1 of the guest has 1048576 bytes, but its volume holds only 1024"),
        ((2 << 20,), {}, "the guest app has 2 disks, but the pod has 1 volumes for disks"),
        ((1, 1), {"V2V_source": "hyperv"}, "guests of source 'hyperv' cannot be converted here; 'ova' and 'vSphere' can"),
        ((1, 1), {"V2V_diskPath": ""}, "the environment of the pod lacks V2V_diskPath"),
        ((1, 1), {"V2V_diskPath": "/srv/app.ova"}, "/srv/app.ova is in no volume of this pod (mounted: /mnt/disks/disk0"),
        ((1, 1), {"V2V_diskPath": "/ova/no.ova"}, "cannot read the appliance no.ova: No such file or directory"),
        ((1, 1), {conversion.DEADLINE_VARIABLE: "soon"}, "VMSHIFT_CONVERSION_DEADLINE is 'soon'; a number of seconds is needed"),
    ],
)
def test_refused_before_virt_v2v_starts(
    tmp_path: Path,
    virt_v2v: Callable[[str], None],
    make_pod: Callable[..., Pod],
    sizes: tuple[int, ...],
    environment: dict[str, str],
    expected: str,
) -> None:
    virt_v2v(f"touch {tmp_path}/started")
    pod = make_pod(sizes)
    assert pod.run(**environment) == 1
    assert str(pod.read("result.json")["error"]).startswith(expected)
    assert not (tmp_path / "started").exists()


def test_termination_ends_virt_v2v_too(tmp_path: Path, virt_v2v: Callable[[str], None], make_pod: Callable[..., Pod]) -> None:
    virt_v2v(f'echo $$ > {tmp_path}/pid; truncate -s 1M "$out/guest-sda"; say message "Inspecting the source"; sleep 60')
    pod = make_pod()
    process = pod.start()
    until = time.monotonic() + 20
    while not (pod.folder / "progress.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == conversion.TERMINATED
    assert pod.read("result.json") == {"error": "the conversion was terminated"}
    assert pod.volumes[1].stat().st_size == 3 << 20
    assert not (pod.folder / "scratch").exists()
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not stat.exists() or " Z " in stat.read_text()


def test_long_state_folder_still_gives_short_sockets(tmp_path: Path, virt_v2v: Callable[[str], None], make_pod: Callable[..., Pod]) -> None:
    virt_v2v(f'echo "$TMPDIR" > {tmp_path}/tmpdir; ' + WRITE)
    pod = make_pod(inside="x" * 100)
    assert pod.run() == 0, pod.log
    used = Path((tmp_path / "tmpdir").read_text().strip())
    assert len(str(used)) <= 80
    assert not used.is_symlink()
