"""The lab's OVA files: what a migration will be measured against."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from defusedxml import ElementTree

from ansible_collections.vmshift.mtv.lab import guests, ova
from ansible_collections.vmshift.mtv.lab.commands import LabError, run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[guests.Facts, Path]:
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VMSHIFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return guests.guest_ova(folder, "tiny", "guest-a"), folder


def unpacked(archive: Path, folder: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        return tar.getnames()


def test_export_has_descriptor_first_then_manifest_then_disks(exported: tuple[guests.Facts, Path], tmp_path: Path) -> None:
    facts, _unused = exported
    assert unpacked(Path(facts.ova), tmp_path) == ["guest-a.ovf", "guest-a.mf", "guest-a-disk1.vmdk", "guest-a-disk2.vmdk"]


def test_an_export_that_is_broken_leaves_the_cache_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMSHIFT_CACHE", str(tmp_path / "cache"))
    built = tmp_path / "cache/guests" / f"{guests.recipe_key('tiny')}-a"
    built.mkdir(parents=True)
    (built / "a.ova").write_bytes(b"whole")
    facts = {"name": "a", "ova": "a.ova", "payload": "", "mac": "", "data_disk_sha256": "", "data_disk_bytes": 0}
    (built / "facts.json").write_text(json.dumps(facts))
    exported = Path(guests.guest_ova(tmp_path / "export", "tiny", "a").ova)
    exported.write_bytes(b"who")
    assert Path(guests.guest_ova(tmp_path / "export", "tiny", "a").ova).read_bytes() == b"whole"


def test_manifest_has_the_true_checksums(exported: tuple[guests.Facts, Path], tmp_path: Path) -> None:
    unpacked(Path(exported[0].ova), tmp_path)
    for line in (tmp_path / "guest-a.mf").read_text().splitlines():
        name, digest = line.removeprefix("SHA256(").split(")= ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_data_disk_in_the_export_has_the_sha256_of_the_facts(exported: tuple[guests.Facts, Path], tmp_path: Path) -> None:
    facts, _unused = exported
    unpacked(Path(facts.ova), tmp_path)
    run(["qemu-img", "convert", "-O", "raw", tmp_path / "guest-a-disk2.vmdk", tmp_path / "data.img"])
    assert (tmp_path / "data.img").stat().st_size == facts.data_disk_bytes
    assert hashlib.sha256((tmp_path / "data.img").read_bytes()).hexdigest() == facts.data_disk_sha256


def test_root_disk_holds_the_planted_file_and_no_virtio_in_its_initramfs(exported: tuple[guests.Facts, Path], tmp_path: Path) -> None:
    facts, _unused = exported
    unpacked(Path(facts.ova), tmp_path)
    image = tmp_path / "root.img"
    run(["qemu-img", "convert", "-O", "raw", tmp_path / "guest-a-disk1.vmdk", image])
    partition = f"{image}?offset=1048576"
    assert run(["debugfs", "-R", "cat /root/payload", partition]) == facts.payload
    kernel = next(w for w in run(["debugfs", "-R", "ls -p /boot", partition]).split("/") if w.startswith("vmlinuz-")).removeprefix(
        "vmlinuz-"
    )
    run(["debugfs", "-R", f"dump /boot/initrd.img-{kernel} {tmp_path}/initrd", partition])
    members = subprocess.run(f"gzip -dc {tmp_path}/initrd | cpio -t --quiet", shell=True, capture_output=True, text=True, check=True).stdout
    assert "vmw_pvscsi.ko" in members
    assert "virtio" not in members


def test_second_request_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMSHIFT_CACHE", str(tmp_path / "cache"))
    first = guests.guest_ova(tmp_path / "one", "tiny", "guest-b")
    monkeypatch.setitem(guests.BUILDERS, "tiny", lambda *_unused, **__: pytest.fail("built again"))
    second = guests.guest_ova(tmp_path / "two", "tiny", "guest-b")
    assert second.payload == first.payload
    assert Path(second.ova).read_bytes() == Path(first.ova).read_bytes()


def test_descriptor_tells_hardware_and_networks(tmp_path: Path) -> None:
    disk = tmp_path / "d.img"
    disk.write_bytes(b"\0" * 1024)
    nics = (("VM Network", "00:50:56:00:00:01"), ("R&D", "00:50:56:00:00:02"))
    text = ova.descriptor(ova.Guest("web 1", cpus=2, memory=2048, nics=nics, firmware="efi", disks=(disk,)), [disk])
    root = ElementTree.fromstring(text)
    space = "{" + ova.NAMESPACES["ovf"] + "}"
    rasd = "{" + ova.NAMESPACES["rasd"] + "}"
    assert [n.get(space + "name") for n in root.iter(space + "Network")] == ["VM Network", "R&D"]
    quantities = {i.findtext(rasd + "ResourceType"): i.findtext(rasd + "VirtualQuantity") for i in root.iter(space + "Item")}
    assert (quantities["3"], quantities["4"]) == ("2", "2048")
    assert 'vmw:key="firmware" vmw:value="efi"' in text


def test_failing_program_is_told_with_its_last_words() -> None:
    with pytest.raises(LabError, match=r"qemu-img failed with exit code 1: .*No such file"):
        run(["qemu-img", "info", "/nowhere.img"])


def test_missing_program_names_the_way_to_install_it() -> None:
    with pytest.raises(LabError, match="`make setup`"):
        run(["no-such-program"])
