"""Images made raw in the volume that they came in, with the real qemu-img."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import image_converter, local_copy
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts

SIZE = 2 << 20
CONTENT = os.urandom(1 << 20) + bytes((1 << 20) - 512) + b"e" * 512


class Pod:
    """The folder of a pod with two volumes: an image of CONTENT in the first one."""

    def __init__(self, folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.mode = folder / "pod", mode
        self.folder.mkdir()
        self.image, self.disk = folder / "image", folder / "disk"
        (folder / "raw").write_bytes(CONTENT)
        self.run("convert", "-f", "raw", "-O", "qcow2", str(folder / "raw"), str(self.image))
        with self.disk.open("wb") as file:
            file.truncate(SIZE * 2)
        if mode == "Block":
            with self.image.open("r+b") as file:
                file.truncate(SIZE * 2)
        kind = "Block" if mode == "Block" else "Filesystem"
        paths = ("/dev/block", "/dev/output") if mode == "Block" else ("/mnt", "/output")
        mounts = Mounts(Mount(path, str(source), kind) for path, source in zip(paths, (self.image, self.disk), strict=True))  # type: ignore[arg-type]
        (self.folder / FILE_NAME).write_text(mounts.to_json())
        monkeypatch.setenv("VMSHIFT_POD_DIR", str(self.folder))
        monkeypatch.setenv("VOLUME_SIZE", str(SIZE * 2))

    def run(self, *arguments: str) -> None:
        subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)

    def convert(self, format: str = "qcow2") -> int:
        paths = ("/dev/block", "/dev/output") if self.mode == "Block" else ("/mnt/disk.img", "/output/disk.img")
        return image_converter.main([f"-src-path={paths[0]}", f"-dst-path={paths[1]}", f"-src-format={format}", "-dst-format=raw"])

    def message(self) -> str:
        return (self.folder / "termination-message").read_text()


@pytest.fixture(params=["Filesystem", "Block"])
def pod(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, request.param, monkeypatch)


def test_the_volume_holds_the_disk_that_was_in_the_image(pod: Pod) -> None:
    assert pod.convert() == 0
    found = pod.image.read_bytes()
    assert found[:SIZE] == CONTENT and not any(found[SIZE:])
    assert len(found) == (SIZE * 2 if pod.mode == "Block" else SIZE)


def test_what_was_interrupted_while_the_disk_was_put_back_is_done_again(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_source: Path, volume: Path, _tell: object) -> None:
        volume.write_bytes(b"half a disk".ljust(4096, b"."))
        raise OSError(5, "the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(local_copy, "copy", breaks)
        assert pod.convert() == 1
    assert json.loads((pod.folder / "converted").read_text()) == {"size": SIZE}
    if pod.mode == "Block":
        with pod.image.open("r+b") as file:
            file.truncate(SIZE * 2)
    assert pod.convert() == 0
    assert pod.image.read_bytes()[:SIZE] == CONTENT


def test_what_is_no_image_of_the_format_is_refused_and_stays(pod: Pod) -> None:
    content = b"no image".ljust(SIZE * 2, b".")
    pod.image.write_bytes(content)
    assert pod.convert() == 1
    assert "not in qcow2 format" in pod.message()
    assert pod.image.read_bytes() == content


def test_an_image_that_refers_to_a_file_of_this_machine_is_refused(pod: Pod, tmp_path: Path) -> None:
    if pod.mode == "Block":
        pytest.skip("once is enough")
    (tmp_path / "secret").write_bytes(b"s3cret".ljust(SIZE, b"."))
    pod.image.unlink()
    pod.run("create", "-f", "qcow2", "-F", "raw", "-b", str(tmp_path / "secret"), str(pod.image))
    assert pod.convert() == 1
    assert "refers to another file" in pod.message()
    assert b"s3cret" not in pod.image.read_bytes()


def test_a_disk_that_is_larger_than_its_volume_is_refused(pod: Pod) -> None:
    pod.run("create", "-f", "qcow2", str(pod.image), "64M")
    if pod.mode == "Block":
        with pod.image.open("r+b") as file:
            file.truncate(SIZE * 2)
    assert pod.convert() == 1
    assert f"the disk has {64 << 20} bytes, and its volume only {SIZE * 2}" in pod.message()
