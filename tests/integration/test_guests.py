"""Guests that really run: a full Debian with its agent, and one of a few bytes under a control plane that is killed."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import ClusterError
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest, make_guest, until

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the guests' disks lie on this machine")

NAMESPACE = "killed-guests"
# cli; hlt; jmp to hlt: a guest that does nothing, not even look at its power button
SECTOR = bytes.fromhex("faf4ebfd").ljust(510, b"\0") + b"\x55\xaa"


def tpm_resets(state: Path) -> int:
    """How often the TPM with that state was started, this time included: resetCount of the answer to TPM2_ReadClock."""
    address = state.with_suffix(".sock")
    argv = ["swtpm", "socket", "--tpm2", "--tpmstate", f"backend-uri=file://{state}", "--server", f"type=unixio,path={address}"]
    with subprocess.Popen([*argv, "--flags", "not-need-init,startup-clear"]) as process:
        try:
            until(address.exists)
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(address))
                line.sendall(bytes.fromhex("80010000000a00000181"))
                answer = line.recv(4096)
        finally:
            process.kill()
    address.unlink(missing_ok=True)
    return struct.unpack(">HIIQQII?", answer)[5]


# A full guest


def test_the_agent_tells_what_the_guest_is(debian: Guest) -> None:
    until(lambda: debian.instance()["status"].get("interfaces", [{}])[0].get("ipAddress"), told=debian.instance)
    status = debian.instance()["status"]
    assert debian.conditions()["AgentConnected"] == "True" and debian.conditions()["Ready"] == "True"
    assert status["guestOSInfo"]["id"] == "debian" and status["guestOSInfo"]["kernelRelease"]
    (interface,) = status["interfaces"]
    assert (interface["ipAddress"], interface["interfaceName"], interface["infoSource"]) == ("10.0.2.15", "eth0", "domain, guest-agent")
    told = debian.ask("guestosinfo")
    assert told["hostname"] == "lab-debian"
    assert "guest-ping" in [c["name"] for c in told["supportedCommands"] if c["enabled"]]
    assert debian.ask("filesystemlist")["items"][0]["mountPoint"] == "/"


def test_ssh_leads_into_the_guest_which_sees_its_hardware_and_nobody_else(debian: Guest) -> None:
    assert debian.ssh("cat /sys/class/net/eth0/address") == "00:50:56:8a:0a:01"
    assert debian.ssh("lsblk -dno NAME") == "vda"
    assert debian.ssh("cat /sys/class/dmi/id/sys_vendor") == "KubeVirt"
    host, port = debian.ssh_address()
    reach = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>/dev/null && echo reached || echo no"
    assert debian.ssh(reach.format("10.0.2.2", port)) == "no"  # this machine
    assert debian.ssh(reach.format("192.0.2.1", 80)) == "no"


def test_an_agent_that_stops_is_no_longer_connected(debian: Guest) -> None:
    debian.ssh("systemctl stop qemu-guest-agent")
    until(lambda: "AgentConnected" not in debian.conditions(), told=debian.conditions)
    assert debian.instance()["status"]["guestOSInfo"] == {}
    with pytest.raises(ClusterError, match="VMI does not have guest agent connected"):
        debian.ask("guestosinfo")
    debian.ssh("systemctl start qemu-guest-agent")
    until(lambda: debian.conditions().get("AgentConnected") == "True", told=debian.conditions)


# One of a few bytes, for what control planes go through


class Victim:
    """A control plane that is killed, and its guest."""

    def __init__(self, folder: Path, start: Callable[..., Any]) -> None:
        self.state, self._start = State(folder), start
        self.start()

    def start(self) -> None:
        self.process = self._start(self.state, "--run-vms")
        self.guest = Guest(self.state.kubeconfig, NAMESPACE, "quiet")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def machines(self) -> list[int]:
        """QEMU's processes."""
        pids = [pid for folder in self.state.pods.iterdir() for pid in supervisor.processes_of(folder)]
        return [pid for pid in pids if _name(pid).startswith("qemu")]


def _name(pid: int) -> str:
    """Of a process; "" when it has just ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[Victim]:
    found = Victim(tmp_path_factory.mktemp("killed-guests") / "state", serve_state)
    found.guest.core.create_namespace({"metadata": {"name": NAMESPACE}})

    def fill(disk: Path) -> None:
        with disk.open("r+b") as file:
            file.write(SECTOR)

    make_guest(
        found.state.kubeconfig,
        found.state.volume,
        fill,
        NAMESPACE,
        "quiet",
        size=1 << 20,
        memory="32Mi",
        spec={"terminationGracePeriodSeconds": 1},
        devices={"tpm": {"persistent": True}},
    )
    until(lambda: found.guest.machine().get("status", {}).get("printableStatus") == "Running")
    yield found
    lifetime.stop(found.state)
    processes.stop_all(found.state.pods, 0.1)
    shutil.rmtree(found.state.root, ignore_errors=True)


def test_a_guest_outlives_a_killed_control_plane_and_is_found_again(victim: Victim) -> None:
    (before,) = victim.machines()
    instance = victim.guest.instance()["metadata"]["uid"]
    victim.kill()
    assert victim.machines() == [before]
    victim.start()
    until(lambda: victim.guest.machine()["status"]["printableStatus"] == "Running")
    time.sleep(1)  # for a second one that must not come
    assert victim.machines() == [before]
    assert victim.guest.instance()["metadata"]["uid"] == instance


def test_a_guest_killed_with_its_control_plane_is_started_once(victim: Victim) -> None:
    before = victim.machines()
    victim.kill()
    for folder in victim.state.pods.iterdir():
        supervisor.end_processes(folder)
    victim.start()
    until(lambda: victim.machines() and victim.machines() != before, told=victim.guest.machine)
    until(lambda: victim.guest.machine()["status"]["printableStatus"] == "Running")
    assert len(victim.machines()) == 1


def test_restart_is_another_qemu_on_the_same_disk(victim: Victim) -> None:
    (before,) = victim.machines()
    victim.guest.switch("restart")
    (after,) = until(lambda: [pid for pid in victim.machines() if pid != before])
    assert supervisor.start_time(before) is None and after


def test_a_persistent_tpm_remembers_each_start_and_goes_with_its_machine(victim: Victim, tmp_path: Path) -> None:
    """The firmware starts the TPM up, which counts that; the guest has been started three times by now."""
    (claim,) = victim.guest.core.list_namespaced_persistent_volume_claim(NAMESPACE, label_selector="persistent-state-for=quiet").items
    assert [owner.kind for owner in claim.metadata.owner_references] == ["VirtualMachine"]
    kept = victim.state.volume(claim.spec.volume_name)

    def resets() -> int:
        shutil.copyfile(kept, tmp_path / "tpm")
        return tpm_resets(tmp_path / "tpm") - 1  # without the one by which it was asked

    until(lambda: resets() == 3, told=resets)


def test_what_a_killed_control_plane_leaves_is_ended_by_the_module(victim: Victim, play: Callable[..., Any], tmp_path: Path) -> None:
    playbook = tmp_path / "remove.yml"
    playbook.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - vmshift.mtv.control_plane: {state: '{{ to }}', state_dir: '{{ folder }}', wait_timeout: 120}\n"
    )
    victim.kill()
    assert victim.machines()
    variables = {"folder": str(victim.state.root)}
    assert play(str(playbook), {**variables, "to": "stopped"}, "--check").changed == 1
    assert victim.machines()
    assert play(str(playbook), {**variables, "to": "stopped"}).changed == 1
    assert victim.machines() == []
    assert play(str(playbook), {**variables, "to": "stopped"}).changed == 0
    victim.start()
    until(victim.machines)
    victim.kill()
    assert play(str(playbook), {**variables, "to": "absent"}).changed == 1
    assert not victim.state.root.exists()
