from __future__ import annotations

import http.client
import ssl
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Machine
from ansible_collections.vmshift.mtv.lab.vsphere.seed import sha256
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session, connect

vim = pytest.importorskip("pyVmomi").vim

BLOCK = 64 << 10


@pytest.fixture
def vsphere(own_vsphere: VSphere) -> VSphere:
    """Its disks are written to."""
    return own_vsphere


def fetch(lab: VSphere, url: str, headers: dict[str, str] | None = None) -> bytes:
    login = b64encode(f"{lab.user}:{lab.password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"} if headers is None else headers)
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=lab.ca)) as answer:
        content: bytes = answer.read()
    return content


def disks(holder: Any) -> list[Any]:
    """The disks of a VM or of a snapshot."""
    return [d for d in holder.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


def machine(lab: VSphere, session: Session, path: str) -> Any:
    return session.object("VirtualMachine", lab.vm(path)["id"])


def areas(vm: Any, snapshot: Any, disk: Any, change_id: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < disk.capacityInBytes:
        answer = vm.QueryChangedDiskAreas(snapshot, disk.key, offset, change_id)
        found += [(area.start, area.length) for area in answer.changedArea]
        offset = answer.startOffset + answer.length
    return found


class TestLogin:
    def test_only_the_right_password_logs_in(self, vsphere: VSphere) -> None:
        with pytest.raises(SourceError) as refused:
            connect(replace(vsphere.endpoint(), password="wrong"))
        assert refused.value.kind == AUTH
        assert "wrong" not in refused.value.message

    def test_the_certificate_is_checked_with_the_ca_or_by_its_thumbprint(self, vsphere: VSphere) -> None:
        with pytest.raises(SourceError) as refused:
            connect(replace(vsphere.endpoint(), ca=""))
        assert refused.value.kind == CONNECTION
        assert "not trusted" in refused.value.message
        connect(replace(vsphere.endpoint(), ca="", thumbprint=vsphere.thumbprint)).close()
        with pytest.raises(SourceError, match="not 00:00"):
            connect(replace(vsphere.endpoint(), ca="", thumbprint=":".join(["00"] * 20)))
        connect(replace(vsphere.endpoint(), ca="", insecure=True)).close()

    @pytest.mark.parametrize("url", ["/folder/web-web-2/web-2.vmdk?dcPath=DC0&dsName=LocalDS_0", "/rest/com/vmware/cis/tagging/tag"])
    def test_files_and_tags_are_for_those_who_log_in(self, vsphere: VSphere, url: str) -> None:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(vsphere, vsphere.url.removesuffix("/sdk") + url, {})

    def test_a_session_of_rest_needs_the_password(self, vsphere: VSphere) -> None:
        wrong = b64encode(f"{vsphere.user}:wrong".encode()).decode()
        request = urllib.request.Request(
            vsphere.url.removesuffix("/sdk") + "/rest/com/vmware/cis/session", b"", {"Authorization": f"Basic {wrong}"}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, context=ssl.create_default_context(cadata=vsphere.ca))

    def test_the_cookie_of_a_session_opens_files(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            url = session.file_url(vsphere.vm("web-2")["disks"][0]["file"], "DC0")
            assert b"VMFS" in fetch(vsphere, url, {"Cookie": session.cookie})


class TestMachines:
    def test_disks_hold_the_bytes_of_the_guest(self, vsphere: VSphere) -> None:
        facts = vsphere.vm("db-1")
        for number, disk in enumerate(facts["disks"]):
            assert vsphere.sha256("db-1", number) == disk["sha256"]
        with vsphere.session() as session:
            url = session.file_url(facts["disks"][2]["file"].replace(".vmdk", "-flat.vmdk"), "DC0")
        assert "dsName=LocalDS_1" in url
        assert len(fetch(vsphere, url)) == facts["disks"][2]["size"]

    def test_tools_tell_static_addresses(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            guest = machine(vsphere, session, "db-1").guest
        assert [(a.ipAddress, a.prefixLength, a.origin) for a in guest.net[0].ipConfig.ipAddress] == [
            ("192.168.20.31", 24, "manual"),
            ("fd00:20::31", 64, "manual"),
        ]
        assert guest.ipStack[0].ipRouteConfig.ipRoute[0].gateway.ipAddress == "192.168.20.1"
        assert guest.toolsRunningStatus == "guestToolsRunning"

    def test_unset_properties_are_none(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            assert machine(vsphere, session, "no-tools").snapshot is None

    def test_names_and_paths_find_machines(self, vsphere: VSphere) -> None:
        assert vsphere.vm("a/twin")["id"] != vsphere.vm("b/twin")["id"]
        with pytest.raises(KeyError, match="2 VMs"):
            vsphere.vm("twin")


class TestSnapshots:
    def test_a_snapshot_keeps_the_bytes_of_its_time(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            vm = machine(vsphere, session, "no-tools")
            before = vsphere.sha256("no-tools")
            first = session.wait(vm.CreateSnapshot_Task("first", "", False, False))
            vsphere.write("no-tools", 0, 1 << 20, b"between")
            between = vsphere.sha256("no-tools")
            second = session.wait(vm.CreateSnapshot_Task("second", "", False, False))
            vsphere.write("no-tools", 0, 2 << 20, b"after")
            after = vsphere.sha256("no-tools")

            def frozen(snapshot: Any) -> str:
                return sha256(vsphere.file(disks(snapshot)[0].backing.fileName))

            names = [disks(holder)[0].backing.fileName for holder in (first, second, vm)]
            assert [name.rpartition("/")[2] for name in names] == ["no-tools.vmdk", "no-tools-000001.vmdk", "no-tools-000002.vmdk"]
            assert frozen(first) == before
            assert frozen(second) == between
            assert len({before, between, after}) == 3

            session.wait(first.RemoveSnapshot_Task(False))
            assert disks(second)[0].backing.fileName.endswith("/no-tools.vmdk")
            assert frozen(second) == between
            assert vsphere.sha256("no-tools") == after

            session.wait(vm.RevertToCurrentSnapshot_Task(None, True))
            assert vsphere.sha256("no-tools") == between
            session.wait(vm.RemoveAllSnapshots_Task(True))
            assert disks(vm)[0].backing.fileName == vsphere.vm("no-tools")["disks"][0]["file"]
            assert vsphere.sha256("no-tools") == between
            assert vm.snapshot is None

    def test_the_current_snapshot_without_a_parent_can_go_while_others_stay(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            vm = machine(vsphere, session, "uefi")
            first = session.wait(vm.CreateSnapshot_Task("first", "", False, False))
            session.wait(vm.CreateSnapshot_Task("second", "", False, False))
            session.wait(first.RevertToSnapshot_Task(None, True))
            session.wait(first.RemoveSnapshot_Task(False))
            assert [node.name for node in vm.snapshot.rootSnapshotList] == ["second"]
            session.wait(vm.RemoveAllSnapshots_Task(True))
            assert vsphere.sha256("uefi") == vsphere.vm("uefi")["disks"][0]["sha256"]


class TestChangedBlocks:
    def test_areas_are_those_that_were_written(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            vm = machine(vsphere, session, "db-1")
            first = session.wait(vm.CreateSnapshot_Task("first", "", False, False))
            disk = disks(first)[1]
            allocated = areas(vm, first, disk, "*")
            content = vsphere.extents("db-1")[1].read_bytes()
            holes = bytearray(content)
            for start, length in allocated:
                holes[start : start + length] = bytes(length)
            assert not any(holes)
            assert sum(length for _start, length in allocated) <= 3 * ((1 << 20) + BLOCK)

            session.wait(first.RemoveSnapshot_Task(False))
            vsphere.write("db-1", 1, 10 * BLOCK + 5, b"x" * BLOCK)
            vsphere.write("db-1", 1, (64 << 20) - 3, b"end")
            second = session.wait(vm.CreateSnapshot_Task("second", "", False, False))
            vsphere.write("db-1", 1, 100 * BLOCK, b"later")
            last = (64 << 20) - BLOCK
            assert areas(vm, second, disk, disk.backing.changeId) == [(10 * BLOCK, 2 * BLOCK), (last, BLOCK)]
            assert areas(vm, None, disk, disks(second)[1].backing.changeId) == [(100 * BLOCK, BLOCK)]
            session.wait(second.RemoveSnapshot_Task(False))

    def test_many_areas_come_in_several_answers(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            vm = machine(vsphere, session, "db-1")
            before = session.wait(vm.CreateSnapshot_Task("before", "", False, False))
            disk = disks(before)[0]
            wanted = [(block * BLOCK, BLOCK) for block in range(1024, 2048, 2)]
            with vsphere.extents("db-1")[0].open("r+b") as file:
                for start, _length in wanted:
                    file.seek(start)
                    file.write(b"\xa5")
            after = session.wait(vm.CreateSnapshot_Task("after", "", False, False))
            assert areas(vm, after, disk, disk.backing.changeId) == wanted
            now = vsphere.sha256("db-1")
            session.wait(vm.RemoveAllSnapshots_Task(True))
            assert [d.backing.fileName for d in disks(vm)] == [d["file"] for d in vsphere.vm("db-1")["disks"]]
            assert vsphere.sha256("db-1") == now

    def test_ids_from_before_tracking_began_anew_are_refused(self, vsphere: VSphere) -> None:
        from pyVmomi import vmodl

        with vsphere.session() as session:
            vm = machine(vsphere, session, "cluster-node")
            untracked = session.wait(vm.CreateSnapshot_Task("untracked", "", False, False))
            disk = disks(untracked)[0]
            assert not disk.backing.changeId
            with pytest.raises(vim.fault.FileFault):
                vm.QueryChangedDiskAreas(untracked, disk.key, 0, "*")
            ids = []
            for _round in range(2):
                for on in (False, True):
                    session.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=on)))
                snapshot = session.wait(vm.CreateSnapshot_Task("tracked", "", False, False))
                ids.append(disks(snapshot)[0].backing.changeId)
            with pytest.raises(vmodl.fault.InvalidArgument):
                vm.QueryChangedDiskAreas(snapshot, disk.key, 0, ids[0])
            session.wait(vm.RemoveAllSnapshots_Task(True))


class TestFaults:
    def test_a_task_fails_as_often_as_asked(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            vm = machine(vsphere, session, "with-usb")
            snapshot = session.wait(vm.CreateSnapshot_Task("kept", "", False, False))
            vsphere.faults({"method": "RemoveSnapshot_Task", "times": 1, "fault": "the disk is busy"})
            with pytest.raises(SourceError, match="the disk is busy"):
                session.wait(snapshot.RemoveSnapshot_Task(False))
            session.wait(snapshot.RemoveSnapshot_Task(False))

    def test_a_file_ends_in_the_middle(self, vsphere: VSphere) -> None:
        with vsphere.session() as session:
            url = session.file_url(vsphere.vm("web-1")["disks"][1]["file"].replace(".vmdk", "-flat.vmdk"), "DC0")
        served = vsphere.statistics()["served"].get("/folder/web-web-1/web-1_1-flat.vmdk", 0)
        vsphere.faults({"path": "/folder", "times": 1, "after": 1 << 20})
        with pytest.raises(http.client.IncompleteRead):
            fetch(vsphere, url)
        assert vsphere.statistics()["served"]["/folder/web-web-1/web-1_1-flat.vmdk"] == served + (1 << 20)
        assert len(fetch(vsphere, url)) == 64 << 20

    def test_a_request_is_held_until_there_are_other_faults(self, vsphere: VSphere) -> None:
        with vsphere.session() as session, ThreadPoolExecutor(1) as pool:
            url = session.file_url(vsphere.vm("web-1")["disks"][1]["file"], "DC0")
            vsphere.faults({"path": "/folder", "hold": True})
            fetched = pool.submit(fetch, vsphere, url)
            while not vsphere.statistics()["held"]:
                assert not fetched.done()
                time.sleep(0.02)
            vsphere.faults()
            assert b"-flat.vmdk" in fetched.result(60)
            assert vsphere.statistics()["held"] == 0


class TestProcess:
    def test_it_ends_and_takes_its_files_along(self, vsphere: VSphere, tmp_path: Path) -> None:
        own = VSphere.start(tmp_path / "own", ())
        again = VSphere.attach(tmp_path / "own")
        assert again.facts() == own.facts()
        own.stop()
        assert not (tmp_path / "own/datastores").exists()
        with pytest.raises(SourceError):
            again.session()
        with pytest.raises(LabError, match="no vSphere lab"):
            VSphere.attach(tmp_path / "own")

    def test_a_program_that_does_not_start_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match="did not start"):
            VSphere.start(tmp_path, program=Path("/bin/false"))

    def test_another_program_is_started_like_vcsim(self, vsphere: VSphere, tmp_path: Path) -> None:
        """One that takes the password as vcsim does, and tells its URL as vcsim does."""
        program = tmp_path / "vcsim"
        program.write_text(
            f"""#!{sys.executable}
import os, subprocess, sys
given = sys.argv[1:]
at = given.index("-password")
os.environ["LAB_PASSWORD"] = given.pop(at + 1)
del given[at]
served = subprocess.Popen([{str(vcenter_program())!r}, *given, f"-while={{os.getpid()}}"], stdout=subprocess.PIPE, text=True)
url = served.stdout.readline().strip()
print("export GOVC_URL=" + url.replace("//", "//user:p%40ss@") + f" GOVC_SIM_PID={{served.pid}}", flush=True)
served.wait()
"""
        )
        program.chmod(0o755)
        lab = VSphere.start(tmp_path / "lab", (Machine("one"),), program=program)
        try:
            assert "@" not in lab.url
            with lab.session() as session:
                assert machine(lab, session, "one").name == "one"
        finally:
            lab.stop()

    def test_a_real_vcenter_is_only_told_about(self, vsphere: VSphere, tmp_path: Path) -> None:
        lab = VSphere.real(tmp_path / "real", vsphere.url, vsphere.user, vsphere.password, vsphere.ca)
        assert (lab.thumbprint, lab.pid, lab.vms) == (vsphere.thumbprint, 0, [])
        lab.stop()
        assert vsphere.session()
        with pytest.raises(SourceError):
            VSphere.real(tmp_path / "real", vsphere.url, vsphere.user, "wrong", vsphere.ca)

    def test_an_esxi_host_has_machines_too(self, vsphere: VSphere, tmp_path: Path) -> None:
        host = VSphere.start(tmp_path / "esxi", (Machine("alone"),), esxi=True)
        try:
            with host.session() as session:
                assert not session.is_vcenter
                assert machine(host, session, "alone").runtime.powerState == "poweredOn"
        finally:
            host.stop()


def test_a_vcenter_that_is_there_already_is_only_told_about(tmp_path: Path, vsphere: VSphere) -> None:
    """As `--vcenter URL` does; it is not ended with the lab."""
    lab = VSphere.real(tmp_path / "real", vsphere.url, vsphere.user, vsphere.password, vsphere.ca)
    assert (lab.pid, lab.vms, lab.thumbprint) == (0, [], vsphere.thumbprint)
    assert VSphere.attach(tmp_path / "real").url == vsphere.url
    lab.stop()
    with vsphere.session():
        pass
    with pytest.raises(SourceError) as caught:
        VSphere.real(tmp_path / "other", vsphere.url, vsphere.user, "a wrong one", vsphere.ca)
    assert caught.value.kind == AUTH
    assert not (tmp_path / "other").exists()


STOCK_VCSIM = """#!/bin/sh
# Takes what govmomi's own vcsim takes, and hands it to ours, which wants its password elsewhere.
password= argv=
while [ $# -gt 0 ]; do
  case $1 in
  -password) password=$2; shift ;;
  -username | -l) argv="$argv $1 $2"; shift ;;
  *) argv="$argv $1" ;;
  esac
  shift
done
LAB_PASSWORD=$password exec "PROGRAM" $argv
"""


def test_another_vcsim_is_told_what_any_vcsim_understands(tmp_path: Path) -> None:
    """As `--program PATH` does: no option of ours, and the password by vcsim's own."""
    program = tmp_path / "vcsim"
    program.write_text(STOCK_VCSIM.replace("PROGRAM", str(vcenter_program())))
    program.chmod(0o755)
    lab = VSphere.start(tmp_path / "lab", [Machine("one")], program=program)
    try:
        assert [vm["name"] for vm in lab.vms] == ["one"]
    finally:
        lab.stop()
