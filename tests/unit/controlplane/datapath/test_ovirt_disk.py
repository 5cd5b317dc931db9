"""Disks out of the lab's engine: real bytes, by tickets of the real ovirt-imageio daemon."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import threading
import time
import urllib.parse

import pytest

pytest.importorskip("ovirtsdk4")
pytest.importorskip("ovirt_imageio")

from ansible_collections.vmshift.mtv.controlplane.datapath import ovirt_disk, patience, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import transfers
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Endpoint
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import Image

SLOW = 4 << 20  # bytes a second


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(patience, "PAUSE", 0.05)


@pytest.fixture
def lab(own_ovirt):
    yield own_ovirt
    own_ovirt.faults()
    own_ovirt.transfers()
    own_ovirt.imageio(running=True)


class Copying:
    """The disk of a VM of the lab, and a volume for it that holds something else."""

    def __init__(self, lab, folder, vm, number=0):
        self.lab, self.folder = lab, folder
        self.facts = lab.vm(vm)["disks"][number]
        self.volume = folder / "volume"
        self.endpoint = Endpoint(lab.url, lab.user, lab.password, lab.ca)
        self.said, self.told = [], []
        self.failure = None

    def take(self, size):
        self.volume.write_bytes(b"")
        os.truncate(self.volume, size)
        return self.volume

    def copy(self, tell=lambda totals: None):
        def both(totals):
            self.told.append(totals.done)
            tell(totals)

        return ovirt_disk.copy(self.endpoint, Image(self.facts["id"]), self.take, self.folder, both, self.said.append)

    def holds_all(self):
        return hashlib.sha256(self.volume.read_bytes()).hexdigest() == self.facts["sha256"]

    def left(self):
        """Image transfers that go on, and disks that are locked."""
        from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import connect

        with connect(self.endpoint) as session:
            locked = [disk.name for disk in session.system.disks_service().list() if disk.status.value == "locked"]
        return self.lab.statistics()["transfers"], locked

    def cut(self, after):
        """A `tell` that calls `after` once, when some of the disk is there."""
        once = []

        def tell(totals):
            if totals.read and not once:
                once.append(True)
                after()

        return tell


@pytest.fixture
def copying(lab, tmp_path):
    return lambda vm="web-2", number=0: Copying(lab, tmp_path, vm, number)


def until(look):
    for _unused in range(1000):
        if look():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


@pytest.mark.parametrize(("vm", "number"), [("web-2", 0), ("db-1", 1), ("db-1", 2)])
def test_copies_only_what_is_no_zeros(lab, copying, vm, number):
    lab.change(vm, status="down")
    disk = copying(vm, number)
    size, totals = disk.copy()
    assert size == disk.facts["size"] and disk.holds_all()
    assert totals.read == totals.wanted == disk.told[-1] < size / 8
    assert disk.volume.stat().st_blocks * 512 <= totals.read + (1 << 20)
    assert disk.left() == ([], [])


def test_goes_on_when_the_host_comes_back_without_its_tickets(lab, copying, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 11)
    lab.transfers(rate=SLOW)
    disk = copying()

    def restart():
        lab.imageio(running=False)
        threading.Timer(0.3, lab.imageio, kwargs={"running": True}).start()

    _size, totals = disk.copy(disk.cut(restart))
    assert disk.holds_all() and totals.read == totals.wanted
    assert "the image transfer was lost; a new one is begun" in disk.said
    assert disk.left() == ([], [])


def test_says_so_when_the_host_stays_away_and_leaves_nothing_behind(lab, copying):
    lab.transfers(rate=SLOW)
    disk = copying()
    with pytest.raises(SourceGone, match=r"^https://localhost:\d+ cannot be read: Connection refused$"):
        disk.copy(disk.cut(lambda: lab.imageio(running=False)))
    assert disk.left() == ([], [])


def test_does_not_mind_an_engine_that_is_away_while_its_host_serves(lab, copying):
    disk = copying()
    disk.copy(disk.cut(lambda: lab.faults({"path": "imagetransfers/[^/]+(/finalize)?", "status": 503, "times": 2})))
    assert disk.holds_all() and disk.left() == ([], [])


def test_ends_the_transfer_when_it_is_ended_itself(copying):
    disk = copying()

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.copy(disk.cut(stop))
    assert disk.left() == ([], [])


def test_a_thread_that_still_reads_when_the_copy_is_ended_begins_no_transfer(copying):
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import CaFile, connect

    disk = copying()
    authorities = CaFile(disk.endpoint.ca)
    with connect(disk.endpoint) as session:
        with ovirt_disk.Download(session, Image(disk.facts["id"]), authorities, disk.said.append) as download:
            download.reader().close()
        with pytest.raises(SourceGone, match="is over"):
            download.reader()
    authorities.close()
    assert disk.left() == ([], [])


@pytest.mark.parametrize("verb", ["finalize", "cancel"])
def test_an_end_that_was_asked_for_already_is_waited_for(lab, copying, verb):
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import connect

    disk = copying()
    with connect(disk.endpoint) as session:
        transfer = transfers.Transfer.begin(session, Image(disk.facts["id"]))
        getattr(session.system.image_transfers_service().image_transfer_service(transfer.id), verb)()
        getattr(transfer, verb)()
        assert transfer.phase() == {"finalize": "finished_success", "cancel": "finished_cleanup"}[verb]
    assert disk.left() == ([], [])


def test_extends_the_transfer_while_nothing_is_read(lab, copying, monkeypatch):
    monkeypatch.setattr(transfers, "INACTIVITY", 2)
    monkeypatch.setattr(ovirt_disk, "EXTEND_EVERY", 0.3)
    disk = copying()
    before = lab.statistics()["extensions"]
    disk.copy(disk.cut(lambda: until(lambda: lab.statistics()["extensions"] >= before + 12)))
    assert disk.holds_all() and "the image transfer was lost; a new one is begun" not in disk.said


def left_behind(disk):
    """Where the bytes are of a transfer that nobody will end."""
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import connect

    with connect(disk.endpoint) as session:
        return transfers.Transfer.begin(session, Image(disk.facts["id"])).urls[0]


def test_ends_the_transfer_that_a_killed_one_has_left(copying, monkeypatch):
    monkeypatch.setattr(transfers, "INACTIVITY", 3600)  # the engine would not
    monkeypatch.setattr(transfers, "SILENCE", 0.5)
    disk = copying()
    left_behind(disk)
    disk.copy()
    assert disk.holds_all() and "is locked" in disk.said[0]
    assert disk.said[1] == "nobody reads by the image transfer that an earlier attempt has left: it was canceled"
    assert disk.left() == ([], [])


def test_waits_for_a_transfer_that_was_asked_for_otherwise(copying, monkeypatch):
    disk = copying()
    with monkeypatch.context() as theirs:
        theirs.setattr(transfers, "INACTIVITY", 2)
        left_behind(disk)
    monkeypatch.setattr(transfers, "SILENCE", 0.0)
    disk.copy()
    assert disk.holds_all() and not [line for line in disk.said if "canceled" in line]


def test_leaves_a_transfer_alone_as_long_as_somebody_reads_by_it(copying, monkeypatch):
    """As of a disk that two VMs share."""
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import connect

    monkeypatch.setattr(transfers, "SILENCE", 0.0)
    disk = copying()
    url = urllib.parse.urlsplit(left_behind(disk))
    reader = http.client.HTTPSConnection(url.netloc, context=ssl.create_default_context(cadata=disk.endpoint.ca))
    reader.request("GET", url.path)
    answer = reader.getresponse()  # more than fits into what lies between, and it is not taken
    with connect(disk.endpoint) as session:
        until(lambda: any(transfer.active for transfer in session.system.image_transfers_service().list()))
        left = transfers._Left(session, disk.facts["id"])
        assert not any(left.canceled() for _unused in range(3))
        answer.close()
        reader.close()
        until(left.canceled)
    assert disk.left() == ([], [])


def test_takes_the_proxy_where_the_host_cannot_be_reached(lab, copying, monkeypatch):
    first = []
    monkeypatch.setattr(ovirt_disk, "_answers", lambda url: bool(first) or first.append(url))
    disk = copying()
    disk.copy()
    assert first and disk.holds_all()


@pytest.mark.parametrize(("fault", "what"), [("is attached to the running VM", "deaf"), ("there is no disk", "")])
def test_says_what_the_engine_refuses(lab, copying, fault, what):
    disk = copying(what or "web-2")
    if not what:
        lab.faults({"method": "POST", "path": "imagetransfers", "status": 404, "detail": fault})
    with pytest.raises(SourceError, match=fault):
        disk.copy()
    assert disk.left() == ([], [])


def test_says_who_is_refused(copying):
    disk = copying()
    disk.endpoint = Endpoint(disk.endpoint.url, disk.endpoint.user, "other", disk.endpoint.ca)
    with pytest.raises(SourceError) as caught:
        disk.copy()
    assert caught.value.kind == AUTH


def test_verifies_the_host_as_well(copying, other_ca):
    disk = copying()
    disk.endpoint = Endpoint(disk.endpoint.url, disk.endpoint.user, disk.endpoint.password, other_ca)
    with pytest.raises(SourceError, match="cannot be verified"):
        disk.copy()


@pytest.mark.parametrize(
    ("areas", "joined"),
    [
        ([], []),
        ([(0, 10)], [(0, 10)]),
        ([(0, 10), (10 + ovirt_disk.GAP, 5)], [(0, 15 + ovirt_disk.GAP)]),
        ([(0, 10), (11 + ovirt_disk.GAP, 5)], [(0, 10), (11 + ovirt_disk.GAP, 5)]),
    ],
)
def test_areas_with_next_to_nothing_between_them_are_read_at_once(areas, joined):
    assert list(ovirt_disk.joined(areas)) == joined
