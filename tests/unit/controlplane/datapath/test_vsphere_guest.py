"""A VM on the lab's vCenter as the guest of a conversion."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import vsphere_guest
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed
from ansible_collections.vmshift.mtv.controlplane.datapath.vsphere_guest import Request
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

HOST = "DC0/host/DC0_C0/DC0_C0_H0"


def secret(folder: Path, **content: str) -> Mounts:
    folder.mkdir(exist_ok=True)
    for name, text in {"accessKeyId": "admin", "secretKey": "geheim", **content}.items():
        (folder / name).write_text(text)
    return Mounts([Mount("/etc/secret", str(folder), "Secret", True)])


def environment(url: str, vm: str = "web-1") -> dict[str, str]:
    return {"V2V_libvirtURL": url, "V2V_vmName": vm}


@pytest.mark.parametrize(
    ("url", "endpoint", "place", "insecure"),
    [
        (
            "vpx://me%40here@vc.example:8443/DC0/host/Cluster%201/esx1?no_verify=1",
            "https://vc.example:8443/sdk",
            "DC0/host/Cluster 1/esx1",
            True,
        ),
        ("esx://root@[fd00::5]?cacert=/opt/ca-bundle.crt", "https://[fd00::5]/sdk", "", False),
    ],
)
def test_what_is_asked_for(tmp_path: Path, url: str, endpoint: str, place: str, insecure: bool) -> None:
    found = vsphere_guest.request(environment(url), secret(tmp_path, cacert="PEM"), 60)
    assert found == Request(Endpoint(endpoint, "admin", "geheim", ca="" if insecure else "PEM", insecure=insecure), place, "web-1", 60)
    assert "geheim" not in repr(found)


@pytest.mark.parametrize(
    ("wanted", "content", "said"),
    [
        ({"V2V_vmName": "x"}, {}, "the environment of the pod lacks V2V_libvirtURL"),
        (environment("qemu:///system"), {}, "V2V_libvirtURL is 'qemu:///system'; vpx://user@vcenter/… or esx://user@host is needed"),
        (environment("esx://root@host"), {"secretKey": ""}, "the Secret at /etc/secret lacks accessKeyId or secretKey"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, wanted: dict[str, str], content: dict[str, str], said: str) -> None:
    with pytest.raises(ConversionFailed) as refused:
        vsphere_guest.request(wanted, secret(tmp_path, **content), 60)
    assert str(refused.value) == said


def test_credentials_are_in_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    cookie = vsphere_guest._private(tmp_path / "cookie", "vmware_soap_session=geheim")
    argv = vsphere_guest.nbdkit(
        Endpoint("https://x/sdk", "u", "geheim", ca="PEM"), "https://x/folder/a", tmp_path / "s", cookie, tmp_path / "ca"
    )
    assert argv[-2:] == ["protocols=https", f"cainfo={tmp_path}/ca"]
    assert "geheim" not in " ".join(argv)
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o600
    insecure = vsphere_guest.nbdkit(
        Endpoint("https://x/sdk", "u", "p", insecure=True), "https://x/folder/a", tmp_path / "s", cookie, tmp_path / "ca"
    )
    assert insecure[-1] == "sslverify=false"


def request(lab: VSphere, vm: str = "web-1", place: str = HOST, **other: str) -> Request:
    return Request(Endpoint(**{"url": lab.url, "user": lab.user, "password": lab.password, "ca": lab.ca, **other}), place, vm, 60)


def contents(overlay: Path) -> str:
    raw = overlay.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(overlay), str(raw)], check=True)
    return hashlib.sha256(raw.read_bytes()).hexdigest()


@pytest.mark.parametrize("place", [HOST, "DC0/host/DC0_C0", ""])
async def test_disks_are_read_byte_for_byte(vsphere: VSphere, tmp_path: Path, place: str) -> None:
    [vm] = [vm for vm in vsphere.vms if vm["name"] == "web-1"]
    async with vsphere_guest.opened(request(vsphere, place=place), tmp_path, os.environ, print) as guest:
        assert guest.disks == [(disk["size"], number) for number, disk in enumerate(vm["disks"])]
        assert [contents(tmp_path / f"overlay{number}") for number in range(2)] == [disk["sha256"] for disk in vm["disks"]]
        domain = (tmp_path / "domain.xml").read_text()
    assert guest.argv == ["-i", "libvirtxml", f"{tmp_path}/domain.xml"]
    assert '<memory unit="MiB">512</memory>' in domain
    assert domain.count("<interface") == 2
    ended = subprocess.run(["qemu-img", "info", "--backing-chain", str(tmp_path / "overlay0")], capture_output=True, check=False)
    assert ended.returncode  # nobody shows the disk any more


@pytest.mark.parametrize(
    ("vm", "place", "said"),
    [
        ("web-9", HOST, 'has no VMs "web-9" on /DC0/host/DC0_C0/DC0_C0_H0 (one is needed)'),
        ("twin", "DC0/host/DC0_C0", 'has 2 VMs "twin" on /DC0/host/DC0_C0 (one is needed)'),
        ("web-1", "DC0/host/gone", "has no host /DC0/host/gone"),
    ],
)
async def test_a_vm_that_is_not_there_is_named(vsphere: VSphere, tmp_path: Path, vm: str, place: str, said: str) -> None:
    with pytest.raises(ConversionFailed) as refused:
        async with vsphere_guest.opened(request(vsphere, vm, place), tmp_path, os.environ, print):
            pass
    assert said in str(refused.value)


async def test_a_wrong_password_is_said_to_be_wrong(vsphere: VSphere, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        async with vsphere_guest.opened(request(vsphere, password="geheim"), tmp_path, os.environ, print):
            pass
    assert refused.value.kind == AUTH
    assert "geheim" not in refused.value.message


async def test_an_untrusted_server_is_not_read(vsphere: VSphere, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not trusted"):
        async with vsphere_guest.opened(request(vsphere, ca=""), tmp_path, os.environ, print):
            pass
