"""What is done to guests after their conversion."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.customization import KEEP_ADDRESSES, Customization
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts

MAC = "00:50:56:AA:BB:CC"
STATIC = {"V2V_staticIPs": f"{MAC}:ip:192.0.2.7,192.0.2.1,24"}


def scripts(folder: Path, *names: str) -> Mounts:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("echo")
    return Mounts([Mount("/mnt/dynamic_scripts", str(folder), "ConfigMap", True)])


def options(tmp_path: Path, environment: dict[str, str], mounts: Mounts, system: str = "debian12") -> list[str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Customization(environment, mounts, [tmp_path / "v"], system).argv(scratch)


def test_a_guest_of_which_nothing_is_wanted_is_left_alone(tmp_path: Path) -> None:
    assert options(tmp_path, {}, Mounts([])) == []
    assert Customization(STATIC, Mounts([]), [], "win2k19").argv(tmp_path) == []  # virt-v2v keeps its addresses


def test_linux_guests_keep_their_addresses(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    assert options(tmp_path, STATIC, Mounts([])) == [
        "--upload",
        f"{scratch}/macToIP:/tmp/macToIP",
        "--run",
        str(KEEP_ADDRESSES),
        "--delete",
        "/tmp/macToIP",
    ]
    assert (scratch / "macToIP").read_text() == f"{MAC}:ip:192.0.2.7,192.0.2.1,24\n"


def test_scripts_of_the_plan_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    mounts = scripts(folder, "10_linux_run_b.sh", "2_linux_run_a.sh", "3_linux_firstboot.sh", "1_win_firstboot.ps1", "readme.txt")
    assert options(tmp_path, {}, mounts) == [
        "--run",
        f"{folder}/2_linux_run_a.sh",
        "--firstboot",
        f"{folder}/3_linux_firstboot.sh",
        "--run",
        f"{folder}/10_linux_run_b.sh",
    ]
    assert Customization({}, mounts, [], "").warnings == ["readme.txt is not run: its name is none of those of scripts"]


def test_windows_scripts_run_when_the_guest_boots_first(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "s", tmp_path / "scratch"
    mounts = scripts(folder, "2_win_firstboot_join.ps1", "1_linux_run.sh")
    environment = {"V2V_multipleIPsPerNic": "true", **STATIC}
    assert options(tmp_path, environment, mounts, "win2k19") == [
        "--upload",
        f"{scratch}/0_win_firstboot_addresses.ps1:/Windows/Temp/0_win_firstboot_addresses.ps1",
        "--firstboot",
        f"{scratch}/0_win_firstboot_addresses.bat",
        "--upload",
        f"{folder}/2_win_firstboot_join.ps1:/Windows/Temp/2_win_firstboot_join.ps1",
        "--firstboot",
        f"{scratch}/2_win_firstboot_join.bat",
    ]
    assert "2_win_firstboot_join.ps1" in (scratch / "2_win_firstboot_join.bat").read_text()
    addresses = (scratch / "0_win_firstboot_addresses.ps1").read_text()
    assert "-IPAddress '192.0.2.7' -PrefixLength 24" in addresses
    assert "'00-50-56-AA-BB-CC'" in addresses


async def test_what_goes_wrong_is_a_warning(tmp_path: Path, tool: Callable[[str, str], None]) -> None:
    tool("virt-customize", f'printf "%s\\n" "$@" > {tmp_path}/argv; echo "no shell in the guest"; exit 1')
    changes = Customization(STATIC, Mounts([]), [tmp_path / "a", tmp_path / "b"], "debian12")
    await changes.run(tmp_path, os.environ, 20, lambda _line: None)
    assert changes.warnings == ["Guest customization failed: virt-customize ended with exit code 1: no shell in the guest"]
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[:7] == ["--no-network", "--format", "raw", "-a", f"{tmp_path}/a", "-a", f"{tmp_path}/b"]


async def test_a_guest_that_clevis_opens_has_the_network(tmp_path: Path, tool: Callable[[str, str], None]) -> None:
    tool("virt-customize", f'printf "%s\\n" "$@" > {tmp_path}/argv')
    changes = Customization({**STATIC, "V2V_NBDE_CLEVIS": "true"}, Mounts([]), [tmp_path / "a"], "debian12")
    await changes.run(tmp_path, os.environ, 20, lambda _line: None)
    argv = (tmp_path / "argv").read_text().splitlines()
    assert "--no-network" not in argv
    assert "/dev/sda1:clevis" in argv


CONFIGURATIONS = {
    "ifcfg": ("etc/sysconfig/network-scripts/ifcfg-ens192", 'TYPE=Ethernet\nDEVICE="ens192"\nIPADDR=192.0.2.7\nPREFIX=24'),
    "ifcfg without a device": ("etc/sysconfig/network/ifcfg-ens192", "IPADDR='192.0.2.7/24'\n"),
    "NetworkManager": (
        "etc/NetworkManager/system-connections/x.nmconnection",
        "[connection]\ninterface-name=ens192\n[ipv4]\naddress1=192.0.2.7/24,192.0.2.1\n",
    ),
    "networkd": ("etc/systemd/network/10.network", "[Match]\nName=ens192\n[Network]\nAddress=192.0.2.7/24\n"),
    "interfaces": (
        "etc/network/interfaces",
        "auto lo\niface lo inet loopback\niface eth9 inet static\n  address 192.0.2.77\niface ens192 inet static\n\taddress 192.0.2.7/24\n",
    ),
    "netplan": (
        "etc/netplan/50.yaml",
        "network:\n  version: 2\n  ethernets:\n    eth9:\n      dhcp4: true\n    ens192:\n      addresses:\n        - 192.0.2.7/24\n",
    ),
    "netplan in one line": ("etc/netplan/50.yaml", 'network:\n  ethernets:\n    ens192:\n      addresses: ["192.0.2.7/24"]\n'),
}


def keep(root: Path, *lines: str) -> str:
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp/macToIP").write_text("\n".join(lines))
    ended = subprocess.run(
        ["sh", str(KEEP_ADDRESSES)], env={"ROOT": str(root), "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    rules = root / "etc/udev/rules.d/70-persistent-net.rules"
    return rules.read_text() if rules.exists() else ended.stdout


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_nic_of_an_address_keeps_its_name(tmp_path: Path, kind: str) -> None:
    path, content = CONFIGURATIONS[kind]
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(content)
    rule = 'SUBSYSTEM=="net",ACTION=="add",ATTR{address}=="00:50:56:aa:bb:cc",NAME="ens192"\n'
    assert keep(tmp_path, f"{MAC}:ip:192.0.2.7,192.0.2.1,24") == rule


def test_an_address_that_the_guest_does_not_know_is_told(tmp_path: Path) -> None:
    assert keep(tmp_path, f"{MAC}:ip:192.0.2.7,192.0.2.1,24", f"{MAC}:ip:192.0.2.70") == (
        "no configuration of the guest has the address 192.0.2.7\nno configuration of the guest has the address 192.0.2.70\n"
    )


def test_rules_that_the_guest_has_are_kept(tmp_path: Path) -> None:
    rules = tmp_path / "etc/udev/rules.d/70-persistent-net.rules"
    rules.parent.mkdir(parents=True)
    rules.write_text("own")
    assert keep(tmp_path, f"{MAC}:ip:192.0.2.7") == "own"
