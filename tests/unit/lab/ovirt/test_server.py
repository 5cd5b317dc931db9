from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

sdk = pytest.importorskip("ovirtsdk4")
types = pytest.importorskip("ovirtsdk4.types")
imageio = pytest.importorskip("ovirt_imageio.client")


def connect(lab: OVirt, **credentials: str) -> Any:
    login = credentials or {"username": lab.user, "password": lab.password}
    return sdk.Connection(url=lab.url, ca_file=str(lab.folder / "ca.crt"), **login)


@pytest.fixture
def engine(own_ovirt: OVirt) -> Iterator[Any]:
    """The engine as its SDK sees it."""
    connection = connect(own_ovirt)
    yield connection.system_service()
    connection.close(logout=False)


def until(look: Callable[[], Any]) -> Any:
    """What `look` finds, as soon as it finds anything."""
    for _unused in range(2000):
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def gone(service: Any) -> bool:
    try:
        service.get()
    except sdk.NotFoundError:
        return True
    return False


def download(engine: Any, **what: Any) -> tuple[Any, str]:
    """The service of a new transfer, and where its bytes are."""
    services = engine.image_transfers_service()
    wanted = types.ImageTransfer(direction=types.ImageTransferDirection.DOWNLOAD, format=types.DiskFormat.RAW, **what)
    service = services.image_transfer_service(services.add(wanted).id)
    return service, until(lambda: service.get().transfer_url)


def content(lab: OVirt, url: str) -> bytes:
    client = imageio.ImageioClient(url, cafile=str(lab.folder / "ca.crt"))
    try:
        data = bytearray(client.size())
        client.read(0, data)
        return bytes(data)
    finally:
        client.close()


def disk_of(lab: OVirt, vm: str, number: int = 0) -> str:
    found: str = lab.vm(vm)["disks"][number]["id"]
    return found


def test_refuses_a_wrong_password_as_the_engine_does(own_ovirt: OVirt) -> None:
    connection = connect(own_ovirt, username=own_ovirt.user, password="wrong")
    with pytest.raises(sdk.AuthError, match="access_denied"):
        connection.authenticate()


def test_refuses_a_token_that_is_good_no_more(own_ovirt: OVirt, engine: Any) -> None:
    token = engine._connection.authenticate()
    assert engine.vms_service().list()
    own_ovirt.end_sessions()
    assert engine.vms_service().list()  # the SDK has logged in again
    with pytest.raises(sdk.AuthError):
        connect(own_ovirt, token=token).system_service().vms_service().list()


def test_follows_links_into_what_lies_below(engine: Any) -> None:
    (vm,) = engine.vms_service().list(search="name=web-1", follow="disk_attachments.disk,nics,snapshots")
    assert [(a.disk.format, a.disk.sparse, a.bootable) for a in vm.disk_attachments] == [
        (types.DiskFormat.COW, True, True),
        (types.DiskFormat.RAW, False, False),
    ]
    assert [ip.address for ip in vm.nics[0].reported_devices[0].ips] == ["192.168.30.21", "fe80::1"]
    assert [snapshot.description for snapshot in vm.snapshots] == ["Active VM"]


def test_searches_and_pages(engine: Any) -> None:
    vms = engine.vms_service()
    assert {vm.name for vm in vms.list(search="status=up")} == {"web-1", "db-1", "deaf"}
    assert {vm.name for vm in vms.list(search="name=TWIN and cluster=Edge")} == {"twin"}
    assert [len(vms.list(search=f"page {page}", max=5)) for page in (1, 2, 3, 4)] == [5, 5, 2, 0]
    with pytest.raises(sdk.Error, match="not understood"):
        vms.list(search="name like x")


def test_says_what_it_does_not_know(engine: Any) -> None:
    with pytest.raises(sdk.NotFoundError):
        engine.vms_service().vm_service("nothing").get()
    with pytest.raises(sdk.Error, match="not offered"):
        engine.vms_service().add(types.Vm(name="new"))


def test_tells_the_same_as_json(own_ovirt: OVirt, engine: Any) -> None:
    token = engine._connection.authenticate()
    url = f"{own_ovirt.url}/vms?search=name%3Dweb-1&follow=nics,disk_attachments"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=own_ovirt.ca)) as answer:
        (vm,) = json.load(answer)["vm"]
    assert (vm["name"], vm["memory"], vm["stateless"]) == ("web-1", "536870912", "false")
    assert len(vm["nics"]["nic"]) == 2
    assert vm["disk_attachments"]["disk_attachment"][0]["bootable"] == "true"
    assert vm["creation_time"] == 1767225600000
    assert {link["rel"] for link in vm["link"]} >= {"snapshots", "cdroms"}


def test_guests_shut_down_when_they_listen(engine: Any) -> None:
    ids = {vm.name: vm.id for vm in engine.vms_service().list()}
    for name in ("db-1", "deaf"):
        engine.vms_service().vm_service(ids[name]).shutdown()
    until(lambda: engine.vms_service().vm_service(ids["db-1"]).get().status == types.VmStatus.DOWN)
    assert engine.vms_service().vm_service(ids["deaf"]).get().status == types.VmStatus.UP
    engine.vms_service().vm_service(ids["db-1"]).start()
    until(lambda: engine.vms_service().vm_service(ids["db-1"]).get().status == types.VmStatus.UP)


@pytest.mark.parametrize(("vm", "number"), [("web-2", 0), ("db-1", 2)])
def test_serves_the_bytes_of_a_disk_by_tickets_of_the_real_daemon(own_ovirt: OVirt, engine: Any, vm: str, number: int) -> None:
    id = own_ovirt.vm(vm)["id"]
    if engine.vms_service().vm_service(id).get().status != types.VmStatus.DOWN:
        with pytest.raises(sdk.Error, match="running VM"):
            download(engine, disk=types.Disk(id=disk_of(own_ovirt, vm, number)))
        engine.vms_service().vm_service(id).stop()
        until(lambda: engine.vms_service().vm_service(id).get().status == types.VmStatus.DOWN)
    disk = disk_of(own_ovirt, vm, number)
    transfer, url = download(engine, disk=types.Disk(id=disk))
    with pytest.raises(sdk.Error, match="is locked"):
        download(engine, disk=types.Disk(id=disk))
    assert hashlib.sha256(content(own_ovirt, url)).hexdigest() == own_ovirt.vm(vm)["disks"][number]["sha256"] == own_ovirt.sha256(disk)
    transfer.finalize()
    until(lambda: transfer.get().phase == types.ImageTransferPhase.FINISHED_SUCCESS)
    assert engine.disks_service().disk_service(disk).get().status == types.DiskStatus.OK
    assert own_ovirt.statistics()["transfers"] == []


def test_snapshots_keep_what_was_there_and_fold_away(own_ovirt: OVirt, engine: Any) -> None:
    disk, vm = disk_of(own_ovirt, "web-1"), own_ovirt.vm("web-1")["id"]
    before = own_ovirt.sha256(disk)
    snapshots = engine.vms_service().vm_service(vm).snapshots_service()
    made = snapshots.add(types.Snapshot(description="first", persist_memorystate=False))
    first = snapshots.snapshot_service(made.id)
    until(lambda: first.get().snapshot_status == types.SnapshotStatus.OK)
    own_ovirt.write(disk, 3 << 20, b"\x5a" * 65536)
    second = snapshots.snapshot_service(snapshots.add(types.Snapshot(description="second", persist_memorystate=False)).id)
    until(lambda: second.get().snapshot_status == types.SnapshotStatus.OK)
    kept = {image.id: image.image_id for image in first.disks_service().list()}[disk]
    transfer, url = download(engine, snapshot=types.DiskSnapshot(id=kept))
    assert hashlib.sha256(content(own_ovirt, url)).hexdigest() == before
    transfer.finalize()
    delta = {image.id: image.image_id for image in second.disks_service().list()}[disk]
    transfer, url = download(engine, snapshot=types.DiskSnapshot(id=delta), shallow=True)
    client = imageio.ImageioClient(url, cafile=str(own_ovirt.folder / "ca.crt"))
    changed = [(extent.start, extent.length) for extent in client.extents() if not extent.hole]
    client.close()
    assert changed == [(3 << 20, 65536)]
    transfer.cancel()
    until(lambda: not own_ovirt.statistics()["transfers"])
    now = own_ovirt.sha256(disk)
    for service in (first, second):
        service.remove()
        until(lambda service=service: gone(service))
    assert own_ovirt.sha256(disk) == now != before
    assert len(own_ovirt.chain(disk)) == 1


def test_answers_who_cancels_before_the_disk_is_free(own_ovirt: OVirt, engine: Any) -> None:
    disk = engine.disks_service().disk_service(disk_of(own_ovirt, "uefi"))
    transfer, _url = download(engine, disk=types.Disk(id=disk_of(own_ovirt, "uefi")))
    transfer.cancel()
    with pytest.raises(sdk.Error, match="is over"):
        transfer.cancel()
    until(lambda: transfer.get().phase == types.ImageTransferPhase.FINISHED_CLEANUP)
    assert disk.get().status == types.DiskStatus.OK
    assert own_ovirt.statistics()["transfers"] == []


def test_gives_up_a_transfer_that_nobody_uses(own_ovirt: OVirt, engine: Any) -> None:
    disk = disk_of(own_ovirt, "uefi")
    transfer, _url = download(engine, disk=types.Disk(id=disk), inactivity_timeout=1)
    until(lambda: transfer.get().phase == types.ImageTransferPhase.FINISHED_FAILURE)
    assert engine.disks_service().disk_service(disk).get().status == types.DiskStatus.OK


def test_loses_transfers_with_the_daemon(own_ovirt: OVirt, engine: Any) -> None:
    transfer, url = download(engine, disk=types.Disk(id=disk_of(own_ovirt, "uefi")))
    own_ovirt.imageio(running=False)
    with pytest.raises(OSError):
        content(own_ovirt, url)
    own_ovirt.imageio(running=True)
    until(lambda: transfer.get().phase == types.ImageTransferPhase.FINISHED_FAILURE)


def test_fails_as_it_is_told_to(own_ovirt: OVirt, engine: Any) -> None:
    own_ovirt.faults({"method": "GET", "path": "networks", "status": 503, "detail": "not now"})
    with pytest.raises(sdk.Error, match="not now"):
        engine.networks_service().list()
    assert engine.networks_service().list()


def processes(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_leaves_no_process_behind_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    lab = OVirt.start(tmp_path / "engine")
    try:
        with connect(lab) as connection:
            lab.change("web-1", status="down")
            download(connection.system_service(), disk=types.Disk(id=disk_of(lab, "web-1")))
            assert len(processes(lab.folder)) == 3
    finally:
        os.kill(lab.pid, number)
        os.waitpid(lab.pid, 0)
    until(lambda: not processes(lab.folder))


def test_is_found_again_by_its_folder(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no oVirt lab was started"):
        OVirt.attach(tmp_path)


@pytest.mark.parametrize(
    ("daemon", "told"),
    [
        ("", r"No such file or directory: \S+/ovirt-imageio"),
        ("#!/bin/sh\necho Reading >&2\necho no certificate >&2\nexit 1\n", "no certificate"),
    ],
)
def test_a_daemon_that_cannot_be_started_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: str, told: str
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    if daemon:
        (tmp_path / "ovirt-imageio").write_text(daemon)
        (tmp_path / "ovirt-imageio").chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # the environment's, which `python` there does not find
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LabError, match=f"^the oVirt engine did not start: ovirt-imageio did not start: {told}$"):
        OVirt.start(tmp_path / "engine")
    assert not processes(tmp_path / "engine")
