from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import ova

Make = Callable[..., bytes]
Write = Callable[..., Path]


def test_order_of_drives_may_differ_from_the_order_of_disks(tmp_path: Path, descriptor: Make, write_ova: Write) -> None:
    path = write_ova(tmp_path / "a.ova", descriptor(["data", "root"], attached=["root", "data"]))
    assert [disk.number for disk in ova.disks(path)] == [1, 0]


def test_capacity_in_bytes(tmp_path: Path, descriptor: Make, write_ova: Write) -> None:
    path = write_ova(tmp_path / "a.ova", descriptor(["d"], ["d"], mebibytes=3))
    assert ova.disks(path) == [ova.ApplianceDisk(capacity=3 * 2**20, number=0)]


def test_folder_with_one_descriptor(tmp_path: Path, descriptor: Make) -> None:
    (tmp_path / "vm.ovf").write_bytes(descriptor(["d", "e"], ["d", "e"]))
    with pytest.raises(ova.UnreadableAppliance, match="names the disk file 'd.vmdk', which does not lie beside it"):
        ova.disks(tmp_path)
    for name in ("d.vmdk", "e.vmdk"):
        (tmp_path / name).touch()
    assert len(ova.disks(tmp_path)) == 2
    (tmp_path / "other.ovf").write_bytes(b"")
    with pytest.raises(ova.UnreadableAppliance, match="has 2 OVF descriptors in its folder; virt-v2v needs one"):
        ova.disks(tmp_path)


def test_disks_that_virt_v2v_would_not_write(tmp_path: Path, descriptor: Make, write_ova: Write) -> None:
    with pytest.raises(ova.UnreadableAppliance, match="the disk e of the appliance a.ova is attached to no virtual machine"):
        ova.disks(write_ova(tmp_path / "a.ova", descriptor(["d", "e"], ["d"])))
    with pytest.raises(ova.UnreadableAppliance, match="the disk d of the appliance a.ova is blank"):
        ova.disks(write_ova(tmp_path / "a.ova", descriptor(["d"], ["d"], blank=["d"])))


def test_capacity_in_units_that_nobody_knows(tmp_path: Path, descriptor: Make, write_ova: Write) -> None:
    with pytest.raises(ova.UnreadableAppliance, match="appliance a.ova is unusable: allocation unit 'byte [*] furlongs' is not understood"):
        ova.disks(write_ova(tmp_path / "a.ova", descriptor(["d"], ["d"]).replace(b"2^20", b"furlongs")))


@pytest.mark.parametrize(
    ("ovf", "expected"),
    [
        (b"<Envelope", r"the appliance a.ova has a descriptor that is not well-formed XML \(line 1"),
        (b'<!DOCTYPE x [<!ENTITY e "x">]><Envelope>&e;</Envelope>', "XML entities"),
    ],
)
def test_unusable_descriptors(tmp_path: Path, write_ova: Write, ovf: bytes, expected: str) -> None:
    with pytest.raises(ova.UnreadableAppliance, match=expected):
        ova.disks(write_ova(tmp_path / "a.ova", ovf))


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"\x1f\x8b\x08\x00" + b"x" * 100])
def test_files_that_are_no_appliance(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ova").write_bytes(content)
    with pytest.raises(ova.UnreadableAppliance, match="a.ova (is not an uncompressed tar archive|holds no .ovf)"):
        ova.disks(tmp_path / "a.ova")


def test_archive_that_ends_early(tmp_path: Path, descriptor: Make, write_ova: Write) -> None:
    path = write_ova(tmp_path / "a.ova", descriptor(["d"], ["d"]))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ova.UnreadableAppliance, match="the appliance a.ova is not complete: it ends after 700"):
        ova.disks(path)


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ova.UnreadableAppliance, match="cannot read the appliance b.ova: No such file or directory"):
        ova.disks(tmp_path / "b.ova")


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_checksum_that_virt_v2v_complains_about_is_told_with_both(tmp_path: Path, in_folder: bool) -> None:
    """virt-v2v 2.2 gives the algorithm where it means what it expected; later ones give the checksum."""
    manifest = b"SHA256(x.ovf)= ab\nSHA256(x-disk1.vmdk)= 00aa\n"
    place = tmp_path / ("x" if in_folder else "x.ova")
    if in_folder:
        place.mkdir()
        (place / "x.mf").write_bytes(manifest)
    else:
        with tarfile.open(place, "w") as archive:
            header = tarfile.TarInfo("x.mf")
            header.size = len(manifest)
            archive.addfile(header, io.BytesIO(manifest))
    mounts = SimpleNamespace(host_path=lambda path: place)
    error = (
        f"virt-v2v: -i ova: corrupt OVA: checksum of disk x-disk1.vmdk does not match manifest (actual = {'21' * 32}, expected = sha256)"
    )
    assert ova.checksum_told({"V2V_diskPath": "/ova/x"}, mounts, error) == (  # type: ignore[arg-type]
        f"the file x-disk1.vmdk of the appliance {place.name} has the checksum {'21' * 32}, but the manifest says SHA256 00aa: "
        "it was damaged or changed after the export; export or copy it anew"
    )
    assert ova.checksum_told({"V2V_diskPath": "/ova/x"}, mounts, "virt-v2v: no root device") is None  # type: ignore[arg-type]
