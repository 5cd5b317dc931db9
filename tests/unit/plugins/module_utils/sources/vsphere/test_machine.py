from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import FAILED, PRECOPY_NAME, SUCCESS, Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session

BLOCK = 64 << 10


@pytest.fixture
def vsphere(own_vsphere: VSphere) -> VSphere:
    """Its disks are written to."""
    return own_vsphere


@pytest.fixture
def session(vsphere: VSphere) -> Iterator[Session]:
    with vsphere.session() as session:
        yield session
    vsphere.faults()


@pytest.fixture
def machine(vsphere: VSphere, session: Session) -> Any:
    return lambda name: Machine(session, vsphere.vm(name)["id"])


def made(machine: Machine, name: str = PRECOPY_NAME) -> str:
    """The ID of a new snapshot."""
    task = machine.create_snapshot(name)
    machine.wait(task)
    return machine.task(task).result


def removed(machine: Machine, snapshot: str) -> None:
    machine.wait(machine.remove_snapshot(snapshot))


class TestPower:
    def test_the_guest_is_shut_down_and_the_vm_powered_on_again(self, machine: Any) -> None:
        web = machine("web-1")
        web.shut_down()
        assert web.power_state() == "poweredOff"
        web.shut_down()  # nothing to do
        web.power_on()
        web.power_on()
        assert web.power_state() == "poweredOn"

    def test_the_plug_is_pulled(self, machine: Any) -> None:
        off = machine("no-tools")
        off.power_off()
        off.power_off()
        assert off.power_state() == "poweredOff"
        off.power_on()

    def test_what_vsphere_refuses_is_told_with_the_name_of_the_vm(self, vsphere: VSphere, machine: Any) -> None:
        vsphere.faults({"method": "ShutdownGuest", "times": 1, "fault": "VMware Tools is not running"})
        with pytest.raises(SourceError, match="the VM db-1 cannot shut down its guest: VMware Tools is not running") as refused:
            machine("db-1").shut_down()
        assert refused.value.kind == DATA

    def test_a_lost_connection_is_another_thing(self, vsphere: VSphere, machine: Any) -> None:
        vsphere.faults({"method": "ShutdownGuest", "drop": True})
        with pytest.raises(SourceError) as refused:
            machine("db-1").shut_down()
        assert refused.value.kind == CONNECTION


class TestSnapshots:
    def test_made_listed_and_removed(self, machine: Any) -> None:
        untracked = machine("untracked")
        before = untracked.snapshots()
        assert [(found.name, found.parent) for found in before] == [("before the update", ""), ("after the update", before[0].id)]
        id = made(untracked)
        assert [(found.id, found.name) for found in untracked.snapshots()[2:]] == [(id, PRECOPY_NAME)]
        removed(untracked, id)
        assert untracked.snapshots() == before
        assert untracked.remove_snapshot(id) == ""

    def test_tasks_tell_what_has_become_of_them(self, vsphere: VSphere, machine: Any) -> None:
        twin = machine("a/twin")
        task = twin.create_snapshot("one", "the first")
        twin.wait(task)
        assert [(twin.task(task).state, twin.task(task).result)] == [(SUCCESS, found.id) for found in twin.snapshots()]
        assert twin.snapshots()[0].description == "the first"
        vsphere.faults({"method": "RemoveSnapshot_Task", "times": 1, "fault": "the disk is busy"})
        [snapshot] = twin.snapshots()
        failing = twin.remove_snapshot(snapshot.id)
        with pytest.raises(SourceError, match="the disk is busy"):
            twin.wait(failing)
        assert (twin.task(failing).state, twin.task(failing).error) == (FAILED, "the disk is busy")
        removed(twin, snapshot.id)


class TestDisks:
    def test_places_sizes_and_files(self, machine: Any) -> None:
        disks = machine("db-1").disks()
        assert [(disk.slot, disk.base == disk.file) for disk in disks] == [("scsi0:0", True), ("scsi0:1", True), ("scsi0:2", True)]
        assert disks[1].size == 64 << 20

    def test_disks_at_a_snapshot_keep_their_files_when_the_vm_goes_on(self, machine: Any) -> None:
        with_usb = machine("with-usb")
        [before] = with_usb.disks()
        id = made(with_usb)
        [now], [then] = with_usb.disks(), with_usb.disks(id)
        assert (then.file, now.file, now.base) == (before.file, before.file.replace(".vmdk", "-000001.vmdk"), before.file)
        assert with_usb.files(now.key) == {now.file, then.file}
        removed(with_usb, id)

    def test_changed_areas_come_whole_however_many_there_are(self, vsphere: VSphere, machine: Any) -> None:
        db = machine("db-1")
        first = made(db)
        then = db.disks(first)[1]
        removed(db, first)
        wanted = [(block * BLOCK, BLOCK) for block in range(200, 700, 2)]
        for offset, _length in wanted:
            vsphere.write("db-1", 1, offset, b"\xa5")
        second = made(db)
        now = db.disks(second)[1]
        assert list(db.changed_areas(second, now, then.change_id)) == wanted
        assert {offset for offset, _length in wanted} <= {
            offset + part for offset, length in db.used_areas(second, now) for part in range(0, length, BLOCK)
        }
        removed(db, second)

    def test_a_change_id_of_the_past_is_worth_nothing(self, machine: Any) -> None:
        db = machine("db-1")
        first = made(db)
        then = db.disks(first)[0]
        removed(db, first)
        for enabled in (False, True):
            db.set_change_tracking(enabled)
        second = made(db)
        with pytest.raises(SourceError, match="cannot tell what has changed.*changeId") as refused:
            list(db.changed_areas(second, db.disks(second)[0], then.change_id))
        assert refused.value.kind == DATA
        removed(db, second)

    def test_tracking_of_the_vm_and_of_its_disks(self, machine: Any) -> None:
        independent = machine("independent")
        assert independent.change_tracking() == (False, {"scsi0:0": False, "scsi0:1": False})
        independent.set_change_tracking(True)
        assert independent.change_tracking() == (True, {"scsi0:0": True, "scsi0:1": True})
        independent.set_change_tracking(False)
        assert independent.change_tracking() == (False, {"scsi0:0": False, "scsi0:1": False})


class TestPlaces:
    def test_found_by_uuid(self, vsphere: VSphere, session: Session, machine: Any) -> None:
        id = vsphere.vm("uefi")["id"]
        uuid = session.read([session.object("VirtualMachine", id)], ["config.uuid"])[id]["config.uuid"]
        found = Machine.by_uuid(session, uuid)
        assert found.id == id
        assert found.datacenter() == "DC0"
        with pytest.raises(SourceError, match="has no VM with the UUID 00000000"):
            Machine.by_uuid(session, "00000000-0000-0000-0000-000000000000")

    def test_a_vm_that_is_gone(self, session: Session) -> None:
        with pytest.raises(SourceError, match="vm-999"):
            Machine(session, "vm-999").power_state()
