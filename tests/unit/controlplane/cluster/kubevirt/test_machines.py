"""VirtualMachines whose guests are started: from the first start to the last disk, and through everything that gets in the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster import processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import instances, strategies
from ansible_collections.vmshift.mtv.controlplane.cluster.pods import log_path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "POLL", 0.02)
    monkeypatch.setattr(instances, "IDLE", 0.02)
    monkeypatch.setattr(instances, "RETRY", 0.1)
    monkeypatch.setattr(strategies, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(instances.tools, "missing", lambda names: [])


async def test_a_machine_runs_with_its_disk_and_tells_how_it_is(cluster: Any) -> None:
    cluster.run()
    cluster.claim("disk", "1Mi")
    machine = cluster.machine(claims=("disk",), runStrategy="Always")
    folder = await cluster.launcher()
    await cluster.shows(machine, "Starting")
    cluster.tell(folder, state="Running", ssh="127.0.0.1:2222")
    status = await cluster.shows(machine, "Running")
    assert (status["created"], status["ready"], status["runStrategy"]) == (True, True, "Always")
    instance = cluster.instance()
    assert instance["metadata"]["annotations"]["guest.vmshift.io/ssh"] == "127.0.0.1:2222"
    assert instance["metadata"]["ownerReferences"][0]["uid"] == machine["metadata"]["uid"]
    assert [entry["phase"] for entry in instance["status"]["phaseTransitionTimestamps"]][-1] == "Running"
    assert instance["status"]["nodeName"] == "localhost"
    assert instance["status"]["volumeStatus"] == [{"name": "vol-0", "target": "vda", "persistentVolumeClaimInfo": {"claimName": "disk"}}]
    (pod,) = cluster.launchers()
    assert pod["metadata"]["name"].startswith("virt-launcher-vm-")
    assert instance["status"]["activePods"] == {pod["metadata"]["uid"]: "localhost"}
    assert cluster.api.get("PersistentVolumeClaim", "tgt", "disk")["status"]["phase"] == "Bound"


async def test_what_the_agent_tells_shows_and_goes_with_the_agent(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    nics = [
        {"name": "eth0", "mac": "00:50:56:00:00:01", "addresses": ["10.0.2.15", "fe80::1"]},
        {"name": "docker0", "mac": "02:42:00:00:00:01", "addresses": []},
    ]
    told = {"os": {"id": "debian", "prettyName": "Debian"}, "interfaces": nics}
    cluster.tell(folder, state="Running", agent=told)
    await cluster.until(lambda: cluster.instance()["status"]["guestOSInfo"])
    status = cluster.instance()["status"]
    assert status["guestOSInfo"] == {"id": "debian", "prettyName": "Debian"}
    assert status["interfaces"][0] == {
        "name": "net-0",
        "mac": "00:50:56:00:00:01",
        "queueCount": 1,
        "linkState": "up",
        "infoSource": "domain, guest-agent",
        "interfaceName": "eth0",
        "ipAddress": "10.0.2.15",
        "ipAddresses": ["10.0.2.15", "fe80::1"],
    }
    assert status["interfaces"][1] == {"mac": "02:42:00:00:00:01", "infoSource": "guest-agent", "interfaceName": "docker0"}
    assert {c["type"]: c["status"] for c in status["conditions"]}["AgentConnected"] == "True"
    await cluster.until(lambda: "AgentConnected" in [c["type"] for c in cluster.get(machine)["status"]["conditions"]])
    cluster.tell(folder, state="Running")
    await cluster.until(lambda: "AgentConnected" not in [c["type"] for c in cluster.instance()["status"]["conditions"]])
    await cluster.until(lambda: "AgentConnected" not in [c["type"] for c in cluster.get(machine)["status"]["conditions"]])


async def test_readiness_may_wait_for_the_agent(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always", template={"readinessProbe": {"guestAgentPing": {}}})
    folder = await cluster.running()
    assert cluster.get(machine)["status"]["ready"] is False
    cluster.tell(folder, state="Running", agent={"os": {}, "interfaces": []})
    await cluster.until(lambda: cluster.get(machine)["status"]["ready"])


async def test_halting_shuts_the_guest_down_first(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    cluster.api.patch("VirtualMachine", "tgt", "vm", {"spec": {"runStrategy": "Halted"}})
    await cluster.shows(machine, "Stopped")
    assert cluster.instance() is None and cluster.launchers() == []
    await cluster.until(lambda: not folder.exists())


async def test_a_guest_that_does_not_shut_down_is_killed_after_its_grace(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.vmshift.mtv.controlplane.cluster import images

    deaf = "trap '' TERM; echo '{\"state\": \"Running\"}' > guest.json; while :; do sleep 0.05; done"
    monkeypatch.setitem(images.IMAGES, images.LAUNCHER_IMAGE, lambda _container: ["sh", "-c", deaf])
    cluster.run()
    machine = cluster.machine(runStrategy="Always", template={"terminationGracePeriodSeconds": 1})
    await cluster.shows(machine, "Running")
    cluster.api.patch("VirtualMachine", "tgt", "vm", {"spec": {"runStrategy": "Halted"}})
    await cluster.shows(machine, "Stopping")
    await cluster.shows(machine, "Stopped")


async def test_a_deleted_machine_goes_after_its_guest_and_its_disk_after_it(cluster: Any) -> None:
    cluster.run()
    cluster.claim("disk", "1Mi")
    machine = cluster.machine(claims=("disk",), runStrategy="Always")
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm", "uid": machine["metadata"]["uid"]}
    cluster.api.patch("PersistentVolumeClaim", "tgt", "disk", {"metadata": {"ownerReferences": [owner]}})
    folder = await cluster.running()
    order: list[str] = []
    shown: set[str] = set()

    def watch(event: str, kind: str, obj: Any) -> None:
        if event == "DELETED":
            order.append(kind)
        elif kind == "VirtualMachine":
            shown.add(obj["status"]["printableStatus"])

    cluster.api.subscribe(watch)
    cluster.api.delete("VirtualMachine", "tgt", "vm")
    await cluster.until(lambda: cluster.find(machine) is None and not list(cluster.state.volumes.iterdir()))
    assert "Terminating" in shown
    kinds = [
        kind for kind in order if kind in ("Pod", "VirtualMachineInstance", "VirtualMachine", "PersistentVolumeClaim", "PersistentVolume")
    ]
    assert kinds == ["Pod", "VirtualMachineInstance", "VirtualMachine", "PersistentVolumeClaim", "PersistentVolume"]
    await cluster.until(lambda: not folder.exists())


async def test_a_guest_that_powers_off_is_started_again_or_not_by_strategy(cluster: Any) -> None:
    cluster.run()
    cluster.machine("ever", runStrategy="Always")
    folder = await cluster.running("ever")
    first = cluster.instance("ever")["metadata"]["uid"]
    (folder / "end").write_text("0")
    await cluster.until(lambda: (cluster.instance("ever") or {"metadata": {"uid": first}})["metadata"]["uid"] != first)
    cluster.api.delete("VirtualMachine", "tgt", "ever")
    await cluster.until(lambda: not cluster.launchers())
    rerun = cluster.machine("rerun", runStrategy="RerunOnFailure")
    folder = await cluster.running("rerun")
    (folder / "end").write_text("0")
    await cluster.shows(rerun, "Stopped")
    assert cluster.instance("rerun")["status"]["phase"] == "Succeeded"


async def test_one_that_cannot_start_says_why_and_is_tried_again(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.vmshift.mtv.controlplane.cluster import images

    broken = "echo 'QEMU does not start: no disk' > termination-message; exit 1"
    monkeypatch.setitem(images.IMAGES, images.LAUNCHER_IMAGE, lambda _container: ["sh", "-c", broken])
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    await cluster.until(lambda: cluster.get(machine).get("status", {}).get("startFailure", {}).get("consecutiveFailCount", 0) >= 1)
    seen: list[str] = []

    def told() -> bool:
        conditions = cluster.get(machine)["status"]["conditions"]
        seen.extend(c["message"] for c in conditions if c["type"] == "Synchronized")
        return bool(seen)

    await cluster.until(told)
    assert seen[0] == "QEMU does not start: no disk"
    await cluster.shows(machine, "CrashLoopBackOff")
    await cluster.until(lambda: cluster.get(machine)["status"]["startFailure"]["consecutiveFailCount"] >= 2)


async def test_what_a_persistent_tpm_holds_is_on_a_claim_that_goes_with_the_machine(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances.shutil, "which", lambda name: name)
    cluster.run()
    for name, tpm in (("kept", {"persistent": True}), ("lost", {}), ("none", {"persistent": True, "enabled": False})):
        template = {"spec": {"domain": {"devices": {"tpm": tpm}}}}
        spec = {"template": template, "runStrategy": "Always"}
        machine = cluster.make("kubevirt.io/v1", "VirtualMachine", name, spec=spec)
        await cluster.until(lambda name=name: [p for p in cluster.launchers() if p["metadata"]["name"].startswith(f"virt-launcher-{name}")])
        claims = cluster.api.list("PersistentVolumeClaim", "tgt", {"persistent-state-for": name})
        (pod,) = [p for p in cluster.launchers() if p["metadata"]["name"].startswith(f"virt-launcher-{name}")]
        mounted = {v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"]}
        assert mounted == {claim["metadata"]["name"] for claim in claims} and len(claims) == (name == "kept")
        for claim in claims:
            assert [owner["uid"] for owner in claim["metadata"]["ownerReferences"]] == [machine["metadata"]["uid"]]
            assert pod["spec"]["containers"][0]["volumeMounts"] == [{"name": "vm-state", "mountPath": "/var/lib/libvirt/swtpm"}]


@pytest.mark.parametrize(
    ("domain", "reason", "said"),
    [
        ({"devices": {"tpm": {}}}, "TPMNotAvailable", "install the package swtpm"),
        ({"firmware": {"bootloader": {"efi": {}}}}, "FirmwareMissing", "ovmf"),
        ({"machine": {"type": "s390-ccw-virtio"}}, "NotSupported", 'the type "s390-ccw-virtio" is not available here'),
        ({"memory": {"guest": "4Pi"}}, "InsufficientMemory", "the guest needs 4.0 PiB, and this machine has"),
        ({"devices": {"disks": [{"name": "gone", "disk": {}}]}}, "NotSupported", 'the disk "gone" has no volume'),
    ],
)
async def test_what_is_missing_for_a_guest_is_said_before_it_is_started(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, domain: Any, reason: str, said: str
) -> None:
    monkeypatch.setattr(instances.shutil, "which", lambda _name: None)
    monkeypatch.setattr(instances.firmware, "find", lambda **_unused: None)
    cluster.run()
    template = {"spec": {"domain": domain}}
    machine = cluster.make("kubevirt.io/v1", "VirtualMachine", "vm", spec={"template": template, "runStrategy": "Always"})
    status = await cluster.shows(machine, "ErrorUnschedulable")
    (condition,) = [c for c in status["conditions"] if c["type"] == "Synchronized"]
    assert (condition["status"], condition["reason"]) == ("False", reason)
    assert said in condition["message"]
    assert cluster.launchers() == []
    cluster.api.patch("VirtualMachine", "tgt", "vm", {"spec": {"runStrategy": "Halted"}})
    await cluster.shows(machine, "Stopped")


async def test_a_missing_claim_is_waited_for(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(claims=("later",), runStrategy="Always")
    status = await cluster.shows(machine, "ErrorPvcNotFound")
    assert "PVC tgt/later does not exist" in [c["message"] for c in status["conditions"] if c["type"] == "Synchronized"]
    cluster.claim("later")
    await cluster.launcher()


# Restarts of the control plane


async def test_a_guest_goes_on_while_the_control_plane_is_killed_and_started_again(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    before = processes.look(folder)
    await cluster.restart()
    await cluster.until(lambda: (cluster.instance() or {}).get("status", {}).get("phase") == "Running")
    assert processes.look(folder) == before
    assert len(cluster.launchers()) == 1
    await cluster.settle()
    assert (await cluster.shows(machine, "Running"))["ready"]


async def test_a_guest_lost_while_the_control_plane_was_down_is_started_anew(cluster: Any) -> None:
    cluster.run()
    cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    first = cluster.instance()["metadata"]["uid"]
    await cluster.end()
    for pid in supervisor.processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await cluster.until_free(folder)
    cluster._open()
    cluster.run()
    await cluster.until(lambda: (cluster.instance() or {"metadata": {"uid": first}})["metadata"]["uid"] != first)
    await cluster.launcher()


async def test_guests_end_with_their_cluster_and_start_with_it(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    await cluster.end()
    assert await asyncio.to_thread(processes.stop_guests, cluster.state) == 1
    assert (folder / "asked").read_text() == "asked\n"
    assert supervisor.processes_of(folder) == []
    assert await asyncio.to_thread(processes.stop_guests, cluster.state) == 0
    cluster._open()
    cluster.run()
    await cluster.until(lambda: cluster.launchers() and cluster.folder(cluster.launchers()[0]) != folder)
    await cluster.running()
    await cluster.shows(machine, "Running")


async def test_a_control_plane_that_starts_no_guests_ends_those_it_finds(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    await cluster.end()
    cluster.guests = type(cluster.guests)(run=False)
    cluster._open()
    cluster.run()
    await cluster.until(lambda: not folder.exists() and cluster.instance() is None)
    status = await cluster.shows(machine, "ErrorUnschedulable")
    assert status["conditions"][0]["reason"] == "GuestNotStarted"
    assert "finalizers" not in cluster.get(machine)["metadata"]


async def test_a_launcher_that_is_deleted_takes_its_guest_along(cluster: Any) -> None:
    cluster.run()
    cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    first = cluster.instance()["metadata"]["uid"]
    (pod,) = cluster.launchers()
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await cluster.until(lambda: (cluster.instance() or {"metadata": {"uid": first}})["metadata"]["uid"] != first)
    await cluster.until(lambda: not folder.exists())


# Beside machines


async def test_the_serial_console_has_a_log_of_its_own(cluster: Any) -> None:
    cluster.run()
    cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    (folder / "guest-console-log").write_text("login:\n")
    (pod,) = cluster.launchers()
    path: Path | None = log_path(cluster.state, pod, "guest-console-log")
    assert path and path.read_text() == "login:\n"
    assert log_path(cluster.state, pod, None) == log_path(cluster.state, pod, "compute") == folder / "log"
    assert log_path(cluster.state, pod, "mounts.json") is None
    (state,) = pod["status"]["initContainerStatuses"]
    assert (state["name"], state["ready"]) == ("guest-console-log", True)


async def test_an_instance_of_somebody_else_is_left_alone(cluster: Any) -> None:
    cluster.run()
    alone = {"domain": {"devices": {}}, "volumes": []}
    cluster.make("kubevirt.io/v1", "VirtualMachineInstance", "vm", spec=alone)
    await cluster.launcher()
    machine = cluster.machine(runStrategy="Halted")
    await cluster.shows(machine, "Stopped")
    await cluster.settle()
    assert "deletionTimestamp" not in cluster.instance()["metadata"]
    cluster.api.delete("VirtualMachineInstance", "tgt", "vm")
    await cluster.until(lambda: cluster.instance() is None and not cluster.launchers())


async def test_a_name_taken_by_another_instance_is_told(cluster: Any) -> None:
    cluster.run()
    cluster.make("kubevirt.io/v1", "VirtualMachineInstance", "vm", spec={"domain": {"devices": {}}, "volumes": []})
    await cluster.launcher()
    cluster.machine(runStrategy="Always")
    await cluster.settle()
    with pytest.raises(ApiError):
        cluster.api.create(
            {
                "apiVersion": "kubevirt.io/v1",
                "kind": "VirtualMachineInstance",
                "metadata": {"name": "vm", "namespace": "tgt"},
                "spec": {"domain": {}},
            }
        )
