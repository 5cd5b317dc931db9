"""Folders of appliances: what is found, what is left out and why."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError, ova
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ova import capacity_bytes, collect, memory_bytes, network_id


def shape(value: Any) -> Any:
    """Keys and types, whatever the values; of a list that of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def vms(folder: Path) -> dict[str, dict[str, Any]]:
    return {vm["name"]: vm for vm in collect(folder).resources["vms"]}


def test_recorded_vm_is_read_the_same(tmp_path, golden, ovf_text, pack) -> None:
    """The recorded descriptor, packed again: every value but those made by place or by the service."""
    recorded = json.loads((golden / "ova" / "vms-id-796051fce57ca1d00b2bc0ec8c895c524e29.json").read_text())["body"]
    pack(tmp_path / "app1.ova", {"app1.ovf": ovf_text("ova-app1", disks={"app1-disk1.vmdk": "2"}), "app1-disk1.vmdk": b"x"})
    vm = vms(tmp_path)["ova-app1"]
    assert shape(vm) == shape({key: value for key, value in recorded.items() if key != "selfLink"})
    by_place = {"id", "uuid", "path", "selfLink", "policyVersion"}
    ours, theirs = ({key: value for key, value in item.items() if key not in by_place} for item in (vm, recorded))
    ours["disks"][0]["ID"] = theirs["disks"][0]["ID"]
    assert ours == theirs
    assert len(vm["id"]) == len(recorded["id"])


@pytest.mark.parametrize("collection", ["disks", "networks", "storages"])
def test_recorded_collections_have_the_same_shape(tmp_path, golden, vm_archive, collection: str) -> None:
    recorded = json.loads((golden / "ova" / f"{collection}-detail-1.json").read_text())["body"][0]
    vm_archive(tmp_path / "app1.ova")
    assert shape(collect(tmp_path).resources[collection][0]) == shape({k: v for k, v in recorded.items() if k != "selfLink"})


def test_network_ids_are_those_of_mtv() -> None:
    assert network_id("VM Network") == "ae1badc8c693926f492a01e2f357d6af321b"
    assert len({network_id("n" * length) for length in (1, 127, 128, 300)}) == 4


def test_sizes_in_bytes(tmp_path, vm_archive) -> None:
    vm_archive(tmp_path / "web.ova")
    vm = vms(tmp_path)["web"]
    assert (capacity_bytes(vm["disks"][0]), memory_bytes(vm)) == (2 * 2**30, 2 * 2**30)
    assert memory_bytes({**vm, "memoryUnits": ""}) == 2 * 2**30


def test_places_that_are_looked_at(tmp_path, ovf_text, vm_archive) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    vm_archive(tmp_path / "TOP.OVA", "top")
    vm_archive(tmp_path / "a" / "sub.ova", "sub")
    vm_archive(tmp_path / "a" / "b" / "deep.ova", "deep")
    (tmp_path / "a" / "b" / "plain.ovf").write_bytes(ovf_text("plain"))
    (tmp_path / "a" / "b" / "plain-disk1.vmdk").write_bytes(b"x")
    (tmp_path / "a" / "b" / "c" / "far.ovf").write_bytes(ovf_text("far"))
    (tmp_path / "notes.txt").write_text("not an appliance")
    found = collect(tmp_path)
    assert [(vm["name"], vm["ovfPath"]) for vm in found.resources["vms"]] == [
        ("top", "/ova/TOP.OVA"),
        ("sub", "/ova/a/sub.ova"),
        ("plain", "/ova/a/b/plain.ovf"),
    ]
    assert found.resources["vms"][2]["disks"][0]["FilePath"] == "/ova/a/b/"
    assert found.problems == ["a/b/deep.ova lies too deep: archives are looked for in the folder itself and one level below it"]


def test_ids_stay_when_the_content_changes(tmp_path, vm_archive) -> None:
    vm_archive(tmp_path / "web.ova")
    before = vms(tmp_path)["web"]
    vm_archive(tmp_path / "web.ova", extra='<vmw:Config vmw:key="firmware" vmw:value="efi"/>')
    after = vms(tmp_path)["web"]
    assert (before["id"], before["disks"][0]["ID"]) == (after["id"], after["disks"][0]["ID"])
    assert (before["firmware"], after["firmware"]) == ("", "efi")


def test_a_uuid_of_the_exporter_is_kept_and_is_unique(tmp_path, vm_archive) -> None:
    uuid = "6f0a1c52-1d0b-4ff6-9a0e-0d8a5a3f1111"
    vm_archive(tmp_path / "a.ova", "one", id=uuid)
    vm_archive(tmp_path / "b.ova", "two", id=uuid)
    found = collect(tmp_path)
    assert [(vm["id"], vm["name"]) for vm in found.resources["vms"]] == [(uuid, "one")]
    assert found.problems == [f"b.ova describes a machine with the same UUID as a.ova: {uuid}"]


def test_networks_of_many_vms_are_one(tmp_path, vm_archive) -> None:
    for name in ("a", "b"):
        vm_archive(tmp_path / f"{name}.ova", name)
    resources = collect(tmp_path).resources
    assert {collection: len(items) for collection, items in resources.items()} == {"vms": 2, "networks": 1, "disks": 2, "storages": 2}


# --- bad input -------------------------------------------------------------------------------------------------------


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def bad_archives(folder: Path, ovf_text, pack) -> dict[str, str]:
    """Makes one bad archive of each sort; name -> what is to be said of it."""
    good = {"web.ovf": ovf_text(), "web-disk1.vmdk": b"x" * 4096}
    pack(folder / "cut.ova", good)
    os.truncate(folder / "cut.ova", (folder / "cut.ova").stat().st_size // 3)
    (folder / "noise.ova").write_bytes(os.urandom(4096))
    (folder / "empty.ova").touch()
    pack(folder / "packed.ova", good)
    with tarfile.open(folder / "gzip.ova", "w:gz") as archive:
        archive.add(folder / "packed.ova", "x")
    (folder / "packed.ova").unlink()
    pack(folder / "leading-out.ova", {"../evil.ovf": ovf_text(), "web-disk1.vmdk": b"x"})
    pack(folder / "absolute.ova", {**good, "/etc/cron.d/evil": b"x"})
    pack(folder / "link.ova", [*good.items(), link("web-disk2.vmdk", "/etc/passwd")])
    pack(folder / "no-descriptor.ova", {"web-disk1.vmdk": b"x"})
    pack(folder / "no-disk.ova", {"web.ovf": ovf_text()})
    pack(folder / "bad-xml.ova", {"web.ovf": b"<Envelope><oops"})
    pack(folder / "changed.ova", {**good, "web.mf": b"SHA256(web-disk1.vmdk)= 12\nSHA256(web.ovf)= " + b"0a" * 32})
    pack(folder / "many.ova", {f"f{number}": b"" for number in range(10_001)})
    pack(folder / "endless.ova", {"web.ovf": b" " * (8 * 2**20 + 1)})
    (folder / "folder.ova").mkdir()
    os.mkfifo(folder / "pipe.ova")
    (folder / "dangling.ova").symlink_to(folder / "nowhere")
    (folder / "beside.ovf").write_bytes(ovf_text("beside"))
    (folder / "outside.ovf").write_bytes(ovf_text("outside", disks={"../../etc/shadow": "1"}))
    return {
        "cut.ova": "is not complete: it ends after",
        "noise.ova": "is not an uncompressed tar archive",
        "empty.ova": "is not an uncompressed tar archive",
        "gzip.ova": "is not an uncompressed tar archive",
        "leading-out.ova": "leads out of the archive: '../evil.ovf'",
        "absolute.ova": "leads out of the archive: '/etc/cron.d/evil'",
        "link.ova": "neither a file nor a folder: 'web-disk2.vmdk'",
        "no-descriptor.ova": "holds no .ovf descriptor",
        "no-disk.ova": "names the disk file 'web-disk1.vmdk', which it does not hold",
        "bad-xml.ova": "not well-formed XML",
        "changed.ova": f"but its manifest says SHA256 {'0a' * 32}: it was damaged or changed after the export",
        "many.ova": "holds more than 10000 files",
        "endless.ova": "has a descriptor of 8388609 bytes",
        "pipe.ova": "is not a regular file",
        "dangling.ova": "cannot be read: no such file",
        "beside.ovf": "names the disk file 'beside-disk1.vmdk', which does not lie beside it",
        "outside.ovf": "names a disk file outside its own folder: '../../etc/shadow'",
    }


def test_each_bad_archive_is_one_sentence_and_hides_no_good_one(tmp_path, ovf_text, pack, vm_archive) -> None:
    expected = bad_archives(tmp_path, ovf_text, pack)
    vm_archive(tmp_path / "good.ova", "good")
    found = collect(tmp_path)
    said = dict(problem.split(" ", 1) for problem in found.problems)
    assert [vm["name"] for vm in found.resources["vms"]] == ["good"]
    assert said.keys() == expected.keys()
    for name, text in expected.items():
        assert text in said[name], f"{name} {said[name]}"
        assert "\n" not in said[name] and "Traceback" not in said[name]


def test_header_that_claims_to_be_huge_is_not_read(tmp_path) -> None:
    """A pax header of 1 TiB in a sparse file: reading it would take all memory."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**40
    (tmp_path / "forged.ova").write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    os.truncate(tmp_path / "forged.ova", 2**40)
    began = time.monotonic()
    assert "is not an uncompressed tar archive" in collect(tmp_path).problems[0]
    assert time.monotonic() - began < 60


def test_damaged_headers_never_raise(tmp_path, vm_archive) -> None:
    whole = vm_archive(tmp_path / "web.ova").read_bytes()
    for place in range(0, 512, 7):
        (tmp_path / "web.ova").write_bytes(whole[:place] + b"\xff\x80" + whole[place + 2 :])
        collect(tmp_path)


def test_names_that_are_not_utf8(tmp_path, vm_archive) -> None:
    os.rename(vm_archive(tmp_path / "x.ova"), os.fsencode(tmp_path) + b"/b\xfcro.ova")
    found = collect(tmp_path)
    assert (found.resources["vms"], found.problems) == ([], ["b\\xfcro.ova has a name that is not UTF-8: rename it"])


def test_empty_folder(tmp_path) -> None:
    assert collect(tmp_path).problems == [f"{tmp_path} holds no .ova or .ovf file"]


def test_folder_that_cannot_be_read(tmp_path, monkeypatch, vm_archive) -> None:
    with pytest.raises(SourceError) as refused:
        collect(tmp_path / "absent")
    assert str(refused.value) == f"the folder {tmp_path / 'absent'} cannot be read: no such file or directory"

    vm_archive(tmp_path / "web.ova")
    (tmp_path / "locked").mkdir()
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: real(path) if not str(path).endswith("locked") else denied())
    found = collect(tmp_path)
    assert found.problems == ["locked cannot be read: permission denied"]
    assert [vm["name"] for vm in found.resources["vms"]] == ["web"]


def denied() -> Any:
    raise PermissionError(13, "Permission denied")


def test_missing_disk_that_arrives_later_is_seen(tmp_path, ovf_text) -> None:
    cache: dict[str, Any] = {}
    (tmp_path / "web.ovf").write_bytes(ovf_text())
    assert not collect(tmp_path, cache).resources["vms"]
    (tmp_path / "web-disk1.vmdk").write_bytes(b"x")
    assert [vm["name"] for vm in collect(tmp_path, cache).resources["vms"]] == ["web"]


@pytest.mark.parametrize("line", ["SHA1(web.ovf)= {sha1}", "SHA256 (web.ovf) = {sha256}", "SHA512(web.ovf)={sha512}", "A(web.ovf)= 1", ""])
def test_manifests_that_know_the_descriptor(tmp_path, ovf_text, pack, line: str) -> None:
    """By any of the algorithms of exporters; what is no checksum says nothing."""
    text = ovf_text()
    manifest = line.format(**{name: hashlib.new(name, text).hexdigest().upper() for name in ("sha1", "sha256", "sha512")}).encode()
    pack(tmp_path / "web.ova", {"web.ovf": text, "web.mf": manifest, "web-disk1.vmdk": b"x"})
    assert (len(collect(tmp_path).resources["vms"]), collect(tmp_path).problems) == (1, [])


def test_manifest_beside_a_descriptor_is_looked_at_anew(tmp_path, ovf_text) -> None:
    cache: dict[str, Any] = {}
    (tmp_path / "web.ovf").write_bytes(ovf_text())
    (tmp_path / "web-disk1.vmdk").write_bytes(b"x")
    (tmp_path / "web.mf").write_bytes(b"SHA1(web.ovf)= " + b"0" * 40)
    [problem] = collect(tmp_path, cache).problems
    assert problem.startswith("web.ovf has the descriptor 'web.ovf' with the checksum ")
    (tmp_path / "web.mf").write_bytes(b"SHA1(web.ovf)= " + hashlib.sha1(ovf_text()).hexdigest().encode())
    assert collect(tmp_path, cache).problems == []


# --- speed -----------------------------------------------------------------------------------------------------------


def test_huge_archive_is_read_by_its_headers_alone(tmp_path, ovf_text) -> None:
    """100 GiB, sparse: reading it would take minutes."""
    descriptor = tarfile.TarInfo("web.ovf")
    descriptor.size = len(ovf_text())
    disk = tarfile.TarInfo("web-disk1.vmdk")
    disk.size = 100 * 2**30
    with open(tmp_path / "web.ova", "wb") as file:
        file.write(descriptor.tobuf() + ovf_text() + b"\0" * (-descriptor.size % 512))
        file.write(disk.tobuf(tarfile.GNU_FORMAT))
        file.truncate(file.tell() + disk.size + 1024)
    began = time.monotonic()
    assert vms(tmp_path)["web"]["disks"][0]["Name"] == "web-disk1.vmdk"
    assert time.monotonic() - began < 60


def test_five_hundred_archives_and_none_read_twice(tmp_path, vm_archive, monkeypatch) -> None:
    for number in range(500):
        vm_archive(tmp_path / f"vm{number:03}.ova", f"vm{number:03}")
    cache: dict[str, Any] = {}
    began = time.monotonic()
    first = collect(tmp_path, cache)
    assert time.monotonic() - began < 60
    assert len(first.resources["vms"]) == 500 and not first.problems

    os.utime(tmp_path / "vm007.ova", ns=(1, 1))
    (tmp_path / "vm008.ova").unlink()
    opened = []
    monkeypatch.setattr(ova, "_read", lambda appliance: opened.append(appliance.relative) or cache["vm009.ova"])
    collect(tmp_path, cache)
    assert opened == ["vm007.ova"]
    assert "vm008.ova" not in cache
