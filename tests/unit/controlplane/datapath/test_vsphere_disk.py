"""Disks out of the lab's vCenter: real bytes, real snapshots, real tracking of changed blocks."""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import replace

import pytest

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.controlplane.datapath import transfer, vsphere_disk
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.controlplane.datapath.vsphere_disk import Request, Unreadable
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import PRECOPY_NAME, Machine

MIB = 1 << 20
BLOCK = 64 << 10


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.01)


@pytest.fixture
def lab(own_vsphere):
    yield own_vsphere
    own_vsphere.faults()


@pytest.fixture
def session(lab):
    with lab.session() as session:
        yield session


class Copying:
    """One disk of a VM of the lab, and a volume for it."""

    def __init__(self, lab, session, folder, name, number):
        self.lab, self.folder, self.name, self.number = lab, folder, name, number
        self.machine = Machine(session, lab.vm(name)["id"])
        facts = lab.vm(name)["disks"][number]
        self.size, self.file = facts["size"], facts["file"]
        uuid = session.read([session.object("VirtualMachine", self.machine.id)], ["config.uuid"])[self.machine.id]["config.uuid"]
        self.request = Request(lab.endpoint(), uuid, facts["file"])
        self.volume = folder / "volume"
        self.volume.touch()
        os.truncate(self.volume, self.size + MIB)
        self.said = []

    def snapshot(self):
        task = self.machine.create_snapshot(PRECOPY_NAME)
        self.machine.wait(task)
        return self.machine.task(task).result

    def remove(self, snapshot):
        self.machine.wait(self.machine.remove_snapshot(snapshot))

    def change_id(self, snapshot):
        return self.machine.disks(snapshot)[self.number].change_id

    def write(self, offset, data):
        self.write_all({offset: data})

    def write_all(self, writes):
        """As the guest would: {offset: data}."""
        with self.lab.extents(self.name)[self.number].open("r+b") as file:
            for offset, data in writes.items():
                file.seek(offset)
                file.write(data)

    def served(self):
        """Bytes of this VM's extents that were sent so far."""
        return sum(count for path, count in self.lab.statistics()["served"].items() if f"/{self.name}" in path and "-flat" in path)

    def copy(self, current="", previous="", **other):
        request = replace(self.request, current=current, previous=previous, **other)
        return vsphere_disk.copy(request, self.volume, self.folder, lambda _totals: None, self.said.append)

    def sums(self):
        """(of the volume, of the disk as it is now)"""
        content = self.volume.read_bytes()
        assert not any(content[self.size :])
        return hashlib.sha256(content[: self.size]).hexdigest(), self.lab.sha256(self.name, self.number)


@pytest.fixture
def copying(lab, session, tmp_path):
    return lambda name, number=0: Copying(lab, session, tmp_path, name, number)


class TestWhole:
    def test_of_a_vm_that_is_off(self, copying):
        web = copying("web-2")
        copied = web.copy()
        assert len(set(web.sums())) == 1
        assert (copied.totals.read, copied.full) == (web.size, "")
        assert web.volume.stat().st_blocks * 512 < web.size / 4  # the guest's disk is mostly holes

    def test_at_a_snapshot_only_what_is_in_use_is_read(self, copying):
        db = copying("db-1", 1)
        db.write(7 * MIB, b"before")
        then = db.lab.sha256("db-1", 1)
        snapshot = db.snapshot()
        db.write(7 * MIB, b"after the snapshot")
        used = sum(length for _offset, length in db.machine.used_areas(snapshot, db.machine.disks(snapshot)[1]))
        before = db.served()
        copied = db.copy(snapshot)
        assert db.sums()[0] == then
        assert copied.totals.read == used < db.size / 4
        assert db.served() - before <= used * 1.05 + BLOCK
        db.remove(snapshot)

    def test_of_a_vm_without_tracking(self, copying):
        usb = copying("with-usb")
        snapshot = usb.snapshot()
        assert usb.copy(snapshot).totals.read == usb.size
        assert len(set(usb.sums())) == 1
        usb.remove(snapshot)

    def test_not_all_of_it_may_be_told_where_other_snapshots_are_left(self, copying):
        db = copying("db-1", 2)
        older, snapshot = db.snapshot(), db.snapshot()
        assert db.copy(snapshot).totals.read == db.size
        db.remove(snapshot)
        db.remove(older)


class TestChanges:
    def test_only_what_has_changed_is_read(self, copying):
        db = copying("db-1", 1)
        spots = random.Random(7).sample(range(db.size // BLOCK), 300)
        db.write(spots[0] * BLOCK, b"soon to be zeros")
        first = db.snapshot()
        db.copy(first)
        change_id = db.change_id(first)
        db.remove(first)
        db.write_all({spot * BLOCK + 17: random.Random(spot).randbytes(1000) for spot in spots})
        db.write(spots[0] * BLOCK, bytes(BLOCK))  # zeros are a change, too
        second = db.snapshot()
        before = db.served()
        copied = db.copy(second, change_id)
        assert len(set(db.sums())) == 1
        assert copied.totals.read == 300 * BLOCK
        assert db.served() - before <= 300 * BLOCK * 1.05 + BLOCK
        assert copied.full == ""
        db.remove(second)

    def test_nothing_has_changed(self, copying):
        db = copying("db-1", 2)
        first = db.snapshot()
        db.copy(first)
        change_id = db.change_id(first)
        db.remove(first)
        second = db.snapshot()
        assert db.copy(second, change_id).totals.wanted == 0
        assert len(set(db.sums())) == 1
        db.remove(second)

    def test_tracking_that_was_reset_makes_a_full_copy_that_says_so(self, copying):
        db = copying("db-1", 1)
        first = db.snapshot()
        db.copy(first)
        change_id = db.change_id(first)
        db.remove(first)
        db.write(30 * MIB, bytes(MIB))
        db.write(31 * MIB, b"x" * MIB)
        for enabled in (False, True):
            db.machine.set_change_tracking(enabled)
        with db.volume.open("r+b") as file:  # of an area that is not in use now
            file.seek(40 * MIB)
            file.write(b"stale")
        second = db.snapshot()
        copied = db.copy(second, change_id)
        assert "the whole disk is copied again" in copied.full
        assert "changeId" in copied.full
        assert copied.full in db.said
        assert len(set(db.sums())) == 1
        db.remove(second)


class TestInterruptions:
    def test_a_connection_that_breaks_off(self, copying):
        web = copying("web-1", 0)
        snapshot = web.snapshot()
        web.lab.faults({"path": "/folder", "query": "dsName", "skip": 2, "times": 3, "after": MIB})
        web.copy(snapshot)
        assert len(set(web.sums())) == 1
        web.remove(snapshot)

    def test_a_source_that_goes_and_comes_back(self, copying):
        web = copying("web-2")
        web.lab.faults({"path": "/folder", "skip": 20, "drop": True})
        with pytest.raises(SourceGone, match="cannot be read"):
            web.copy()
        web.lab.faults()
        before = web.served()
        copied = web.copy()
        assert len(set(web.sums())) == 1
        assert copied.totals.kept >= 10 * transfer.PIECE
        assert copied.totals.read + copied.totals.kept == web.size
        assert web.served() - before <= copied.totals.read + BLOCK
        assert any("an earlier attempt" in line for line in web.said)

    def test_an_interrupted_copy_of_changes_goes_on(self, copying):
        db = copying("db-1", 1)
        first = db.snapshot()
        db.copy(first)
        change_id = db.change_id(first)
        db.remove(first)
        db.write_all({spot * MIB: b"x" for spot in range(40)})
        second = db.snapshot()
        db.lab.faults({"path": "/folder", "skip": 20, "drop": True})
        with pytest.raises(SourceGone):
            db.copy(second, change_id)
        db.lab.faults()
        copied = db.copy(second, change_id)
        assert copied.totals.kept >= 10 * BLOCK
        assert len(set(db.sums())) == 1
        db.remove(second)

    def test_a_session_that_has_run_out(self, copying):
        web = copying("web-2")
        web.lab.faults({"path": "/folder", "skip": 6, "times": 2, "status": 401, "fault": "expired"})
        web.copy()
        assert len(set(web.sums())) == 1

    def test_a_disk_that_is_written_to_meanwhile(self, copying, monkeypatch):
        off = copying("independent")
        real = transfer.Transfer.copy

        def copy(self, wanted):
            totals = real(self, wanted)
            off.write(0, b"the VM was powered on")
            return totals

        monkeypatch.setattr(transfer.Transfer, "copy", copy)
        with pytest.raises(Unreadable, match="was written to while it was copied"):
            off.copy()


class TestRefusals:
    def test_what_is_not_there(self, copying):
        web = copying("web-2")
        with pytest.raises(Unreadable, match=r"no disk \[LocalDS_0\] none.vmdk"):
            web.copy(backing_file="[LocalDS_0] none.vmdk")
        with pytest.raises(Unreadable, match="no snapshot-1 "):
            web.copy("snapshot-1")
        with pytest.raises(SourceError, match="has no VM with the UUID"):
            web.copy(uuid="0" * 8)

    def test_a_wrong_password_is_not_shown(self, copying):
        web = copying("web-2")
        with pytest.raises(SourceError) as refused:
            web.copy(endpoint=replace(web.request.endpoint, password="s3cret"))
        assert refused.value.kind == AUTH
        assert "s3cret" not in refused.value.message

    def test_a_server_that_nobody_vouches_for(self, copying):
        web = copying("web-2")
        with pytest.raises(SourceError, match="not trusted"):
            web.copy(endpoint=replace(web.request.endpoint, ca=""))
        web.copy(endpoint=replace(web.request.endpoint, ca="", thumbprint=web.lab.thumbprint))

    def test_a_volume_that_is_too_small(self, copying):
        web = copying("web-2")
        os.truncate(web.volume, web.size - 512)
        with pytest.raises(Unreadable, match="its volume holds only"):
            web.copy()

    def test_a_disk_in_delta_files(self, copying):
        sparse = copying("golden-image")
        descriptor = sparse.lab.file(sparse.file).with_name("golden-image.vmdk")
        text = descriptor.read_text()
        descriptor.write_text(text.replace("VMFS", "SESPARSE"))
        with pytest.raises(SourceError, match=r"is not in one flat file \(SESPARSE\).*Remove snapshots"):
            sparse.copy()
        descriptor.write_text(text)
