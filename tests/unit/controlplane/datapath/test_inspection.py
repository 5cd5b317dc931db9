"""The program of inspection pods, with tools that are only acted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import inspection
from ansible_collections.vmshift.mtv.controlplane.datapath.inspection import InspectionFailed, Look, Request
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts, NotMounted
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

ASKED = {"VM_MOREF": "vm-1", "SNAPSHOT_MOREF": "snapshot-2"}
URL = "https://vc.example/sdk"
FOUND = """<?xml version="1.0"?><operatingsystems><operatingsystem>
<root>/dev/sda1</root><name>linux</name><distro>debian</distro><major_version>12</major_version><arch>x86_64</arch>
<mountpoints><mountpoint dev="/dev/sda1">/</mountpoint></mountpoints></operatingsystem></operatingsystems>"""
ROOM = "at /\nbsize: 1024\nbfree: {}\nfiles: 1000\nffree: 900\nmounted\n/dev/sda1: /"


def connection(folder: Path, **content: str) -> Mounts:
    folder.mkdir(exist_ok=True)
    for name, text in {"url": URL, "user": "admin", "password": "geheim", **content}.items():
        (folder / name).write_text(text)
    return Mounts([Mount("/etc/secret", str(folder), "Secret", True)])


@pytest.mark.parametrize(
    ("content", "ca", "insecure"),
    [({}, "", False), ({"ca.crt": "PEM"}, "PEM", False), ({"cacert": "PEM"}, "PEM", False), ({"insecureSkipVerify": "true"}, "", True)],
)
def test_what_is_asked_for(tmp_path: Path, content: dict[str, str], ca: str, insecure: bool) -> None:
    found = Request.of({**ASKED, "V2V_RootDisk": "/dev/sda2"}, connection(tmp_path / "secret", **content))
    assert found == Request(Endpoint(URL, "admin", "geheim", ca=ca, insecure=insecure), "vm-1", "snapshot-2", "/dev/sda2", 1800.0)
    assert "geheim" not in repr(found)


@pytest.mark.parametrize(
    ("asked", "content", "said"),
    [
        ({"VM_MOREF": "vm-1"}, {}, "the environment of the pod lacks SNAPSHOT_MOREF"),
        (ASKED, {"password": ""}, "the Secret at /etc/secret lacks password"),
        ({**ASKED, "VMSHIFT_INSPECTION_DEADLINE": "soon"}, {}, "VMSHIFT_INSPECTION_DEADLINE is 'soon'; a number of seconds is needed"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, asked: dict[str, str], content: dict[str, str], said: str) -> None:
    with pytest.raises(InspectionFailed) as refused:
        Request.of(asked, connection(tmp_path / "secret", **content))
    assert str(refused.value) == said


def test_a_pod_without_its_secret() -> None:
    with pytest.raises(NotMounted):
        Request.of(ASKED, Mounts([]))


class Acted:
    """`virt-inspector` and `guestfish` of a PATH of their own; each notes how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.scratch = folder / "bin", folder / "scratch"
        self.bin.mkdir()
        self.scratch.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        self.set("virt-inspector", FOUND)
        self.set("guestfish", ROOM.format(200 << 10))

    def set(self, tool: str, output: str, *, complaint: str = "", code: int = 0, also: str = "") -> None:
        (self.bin / f"{tool}.out").write_text(output)
        (self.bin / f"{tool}.err").write_text(complaint)
        script = f'#!/bin/sh\necho "$@" > "$0.called"\n{also}\ncat "$0.out"\ncat "$0.err" >&2\nexit {code}\n'
        (self.bin / tool).write_text(script)
        (self.bin / tool).chmod(0o755)

    def called(self, tool: str) -> str:
        path = self.bin / f"{tool}.called"
        return path.read_text() if path.exists() else ""

    async def judge(self, given: dict[str, str] | None = None, keys: tuple[str, ...] = (), root: str = "") -> Any:
        look = Look([self.scratch / "overlay0", self.scratch / "overlay1"], self.scratch, os.environ, 30)
        request = Request(Endpoint(URL, "u", "geheim"), "vm-1", "snapshot-2", root, 30)
        return await inspection._judge(look, request, given or {}, keys)


@pytest.fixture
def acted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Acted:
    return Acted(tmp_path, monkeypatch)


def ids(told: Any) -> list[str]:
    return [concern["id"] for concern in told["all_concerns"]]


async def test_a_guest_that_can_be_converted(acted: Acted) -> None:
    told = await acted.judge()
    assert (told["passed"], ids(told)) == (True, [])
    assert told["os_info"]["distro"] == "debian"
    disks = f"--format=qcow2 -a {acted.scratch}/overlay0 --format=qcow2 -a {acted.scratch}/overlay1"
    assert acted.called("virt-inspector") == f"--no-applications --no-icon {disks}\n"
    assert acted.called("guestfish") == f"--ro {disks} -f {acted.scratch}/look\n"
    assert "-mount-ro /dev/sda1 /\n" in (acted.scratch / "look").read_text()


async def test_what_is_seen_in_its_file_systems_is_judged(acted: Acted) -> None:
    table = "echo '/dev/disk/by-path/pci-1 /home ext4' > fstab"  # guestfish downloads it into the folder it runs in
    acted.set("guestfish", ROOM.format(50 << 10), also=table)
    assert ids(await acted.judge()) == ["not-enough-space", "fstab-by-path"]


async def test_nothing_is_looked_into_where_there_is_no_system(acted: Acted) -> None:
    acted.set("virt-inspector", "<operatingsystems/>")
    assert ids(await acted.judge()) == ["os-not-found"]
    assert ids(await acted.judge(root="/dev/sdb1")) == ["os-not-found"]
    assert acted.called("guestfish") == ""


@pytest.mark.parametrize(
    "complaint", ["virt-inspector: could not read key from user", "virt-inspector: could not find key to open LUKS encrypted /dev/sda1."]
)
async def test_encrypted_disks_without_the_key(acted: Acted, complaint: str) -> None:
    acted.set("virt-inspector", "", complaint=complaint, code=1)
    told = await acted.judge(keys=("--key", "/dev/sda1:file:/k"))
    assert ids(told) == ["disk-encrypted"]
    assert told["all_concerns"][0]["category"] == "Critical"
    assert acted.called("virt-inspector").endswith("--key /dev/sda1:file:/k\n")


async def test_disks_that_clevis_opens_are_not_inspected(acted: Acted) -> None:
    acted.set("virt-inspector", "", complaint="virt-inspector: could not read key from user", code=1)
    told = await acted.judge({"V2V_NBDE_CLEVIS": "true"}, keys=("--key", "/dev/sda:clevis"))
    assert [concern["category"] for concern in told["all_concerns"]] == ["Warning"]
    assert "--key" not in acted.called("virt-inspector")  # which does not know that word


async def test_a_tool_that_fails_says_why(acted: Acted) -> None:
    acted.set("virt-inspector", "half of it", complaint="libguestfs: error: no appliance", code=1)
    with pytest.raises(inspection.tools.ToolFailed, match="exit code 1: libguestfs: error: no appliance$"):
        await acted.judge()


def test_a_program_that_fails_leaves_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMSHIFT_POD_DIR", str(tmp_path))
    monkeypatch.delenv("VM_MOREF", raising=False)
    (tmp_path / "mounts.json").write_text("[]")
    assert inspection.main() == 1
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {"error": "the environment of the pod lacks VM_MOREF and SNAPSHOT_MOREF"}
    assert (tmp_path / "termination-message").read_text() == result["error"]
