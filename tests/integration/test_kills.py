"""A control plane killed in every phase of a real migration: nothing half-done is taken for done, and what was lost can be run again."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import guests

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="nobody kills a cluster")

PLAYBOOK = "playbooks/migrate.yml"
TARGET = "killed-target"
GUEST = "kill-guest"


class Victim:
    """A control plane of its own, to be killed and started again; `process` is the present one."""

    def __init__(self, state: State, start: Callable[[State], Any]) -> None:
        self.state, self._start = state, start
        self.process = start(state)
        config.load_kube_config(str(state.kubeconfig))
        self.core, self.objects = client.CoreV1Api(), client.CustomObjectsApi()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = self._start(self.state)

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def list(self, group: str, version: str, plural: str) -> list[dict[str, Any]]:
        return self.objects.list_namespaced_custom_object(group, version, TARGET, plural)["items"]

    def machines(self) -> list[dict[str, Any]]:
        return self.list("kubevirt.io", "v1", "virtualmachines")

    def volumes(self) -> list[dict[str, Any]]:
        return self.list("cdi.kubevirt.io", "v1beta1", "datavolumes")

    def conversion(self) -> Path | None:
        """The folder of the pod that converts, once it runs."""
        pods = self.core.list_namespaced_pod(TARGET, label_selector="forklift.app=virt-v2v").items
        return next((self.state.pod(pod.metadata.uid) for pod in pods if pod.status.phase == "Running"), None)

    def processes(self) -> list[int]:
        return [pid for folder in self.state.pods.iterdir() for pid in supervisor.processes_of(folder)]


def until(condition: Callable[[], Any], seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
    return found


def log_of(folder: Path) -> str:
    path = folder / supervisor.LOG_FILE
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> guests.Facts:
    return guests.guest_ova(tmp_path_factory.mktemp("killed-export"), name=GUEST)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[[State], Any]) -> Iterator[Victim]:
    found = Victim(State(tmp_path_factory.mktemp("killed") / "state"), serve_state)
    yield found
    lifetime.stop(found.state)
    for folder in found.state.pods.iterdir():
        supervisor.end_processes(folder)
    shutil.rmtree(found.state.root)


@pytest.fixture(scope="module")
def request_document(guest: guests.Facts) -> dict[str, Any]:
    return {
        "name": "killed",
        "namespace": "konveyor-forklift",
        "source_provider": {"name": "killed-export", "type": "ova", "url": f"localhost:{Path(guest.ova).parent}"},
        "target_namespace": TARGET,
        "network_map": {"pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"pairs": [{"source": f"{GUEST}-disk{n}.vmdk", "destination": "vmshift-local"} for n in (1, 2)]},
        "vms": [{"name": GUEST}],
    }


@pytest.fixture(scope="module")
def lost(victim: Victim, launch: Callable[..., Any], request_document: dict[str, Any]) -> Any:
    """The output of a play whose conversion was killed together with the control plane."""
    with launch(PLAYBOOK, {"kubeconfig": str(victim.state.kubeconfig), "migration_request": request_document}) as running:
        folder = until(victim.conversion)
        victim.kill()
        supervisor.end_processes(folder)
        assert not victim.processes()
        victim.start()
        output, _none = running.communicate(timeout=120)
    assert running.returncode == 2, output
    return output


@pytest.fixture(scope="module")
def retried(victim: Victim, lost: str, launch: Callable[..., Any], request_document: dict[str, Any]) -> str:
    """The output of a play that runs it again, under a control plane killed in each phase."""
    assert victim.machines() == []
    again = {"kubeconfig": str(victim.state.kubeconfig), "migration_request": {**request_document, "on_failure": "retry"}}
    old = {volume["metadata"]["uid"] for volume in victim.volumes()}
    with launch(PLAYBOOK, again) as running:
        until(lambda: [volume for volume in victim.volumes() if volume["metadata"]["uid"] not in old])
        victim.kill_and_start()
        folder = until(victim.conversion)
        victim.kill_and_start()
        until(lambda: "Converting" in log_of(folder))
        assert victim.machines() == []
        victim.kill()
        until((folder / supervisor.EXIT_FILE).exists)
        victim.start()
        until(victim.machines)
        victim.kill_and_start()
        output, _none = running.communicate(timeout=120)
    assert running.returncode == 0, output
    return output


def test_a_conversion_that_was_lost_fails_its_vm_with_the_reason(lost: str) -> None:
    assert f"VM {GUEST}" in lost
    assert "failed in step ImageConversion" in lost
    assert "its supervisor was killed, or the machine was restarted" in lost


def test_a_retry_under_a_control_plane_that_is_killed_again_and_again_ends_well(retried: str) -> None:
    assert "Succeeded" in retried


def test_the_data_disk_is_complete(retried: str, victim: Victim, guest: guests.Facts) -> None:
    (machine,) = victim.machines()
    claims = [v["persistentVolumeClaim"]["claimName"] for v in machine["spec"]["template"]["spec"]["volumes"]]
    found = victim.core.read_namespaced_persistent_volume_claim(claims[1], TARGET)
    with victim.state.volume(found.spec.volume_name).open("rb") as disk:
        assert hashlib.sha256(disk.read(guest.data_disk_bytes)).hexdigest() == guest.data_disk_sha256


def test_one_conversion_was_enough_and_nothing_is_left(retried: str, victim: Victim) -> None:
    (pod,) = victim.core.list_namespaced_pod(TARGET).items
    assert pod.status.phase == "Succeeded"
    assert [folder.name for folder in victim.state.pods.iterdir()] == [pod.metadata.uid]
    assert len(list(victim.state.volumes.iterdir())) == 2
    assert victim.processes() == []


def test_the_log_of_the_control_plane_has_no_traceback(retried: str, victim: Victim) -> None:
    assert "Traceback" not in (victim.state.run / "controlplane.log").read_text()
