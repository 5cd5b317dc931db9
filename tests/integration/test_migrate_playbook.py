"""The main job with real disks: one request document, the playbook killed while it waits, the bytes that arrive."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest, until

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the OVA export lies on this machine")

PLAYBOOK = "playbooks/migrate.yml"
NAMESPACE = "konveyor-forklift"
FORKLIFT = ("forklift.konveyor.io", "v1beta1")


@pytest.fixture(scope="module")
def request_document(plane: Any) -> dict[str, Any]:
    return {
        "name": "whole",
        "namespace": NAMESPACE,
        "source_provider": {"name": "whole-export", "type": "ova", "url": f"localhost:{plane.export}"},
        "target_namespace": "whole-target",
        "network_map": {"pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"auto": True},
        "vms": [{"name": "lab-guest"}],
    }


@pytest.fixture(scope="module")
def objects(plane: Any) -> client.CustomObjectsApi:
    config.load_kube_config(str(plane.kubeconfig))
    return client.CustomObjectsApi()


@pytest.fixture(scope="module")
def variables(plane: Any, request_document: dict[str, Any]) -> dict[str, Any]:
    return {"kubeconfig": str(plane.kubeconfig), "migration_request": request_document}


@pytest.fixture(scope="module")
def migrated(launch: Callable[..., Any], play: Callable[..., Any], variables: dict[str, Any], objects: client.CustomObjectsApi) -> Any:
    """A play that is killed while it waits, then the same play to its end."""
    with launch(PLAYBOOK, variables) as first:
        killed_while_waiting(first, objects)
    return play(PLAYBOOK, variables)


def killed_while_waiting(process: subprocess.Popen[str], objects: client.CustomObjectsApi) -> None:
    deadline = time.monotonic() + 120
    while not running(objects):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no migration was running after two minutes"
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def migrations(objects: client.CustomObjectsApi) -> list[dict[str, Any]]:
    found = objects.list_namespaced_custom_object(*FORKLIFT, NAMESPACE, "migrations")["items"]
    return [m for m in found if m["spec"]["plan"]["name"] == "whole"]


def running(objects: client.CustomObjectsApi) -> bool:
    return any(c["type"] == "Running" for m in migrations(objects) for c in m.get("status", {}).get("conditions", []))


@pytest.fixture(scope="module")
def volumes(plane: Any, migrated: Any, objects: client.CustomObjectsApi) -> list[Path]:
    """The files of the virtual machine's disks, in their order."""
    vm = objects.get_namespaced_custom_object("kubevirt.io", "v1", "whole-target", "virtualmachines", "lab-guest")
    names = [v["persistentVolumeClaim"]["claimName"] for v in vm["spec"]["template"]["spec"]["volumes"]]
    core = client.CoreV1Api(objects.api_client)
    claims = [core.read_namespaced_persistent_volume_claim(name, "whole-target") for name in names]
    return [plane.state.volume(claim.spec.volume_name) for claim in claims]


def test_the_second_run_attaches_to_the_migration_of_the_killed_one(migrated: Any, objects: client.CustomObjectsApi) -> None:
    (only,) = migrations(objects)
    assert {c["type"]: c["status"] for c in only["status"]["conditions"]}["Succeeded"] == "True"
    assert "Succeeded" in migrated.output


def test_while_it_waits_the_play_tells_the_steps_of_the_vm_in_plain_lines(migrated: Any) -> None:
    lines = re.findall(r"^\[whole-1 \d:\d\d:\d\d\] (.*)$", migrated.output, re.MULTILINE)
    assert any(re.match(r"lab-guest: (ImageConversion|DiskTransferV2v)", line) for line in lines), migrated.output
    assert re.match(r"lab-guest: Succeeded after \d:\d\d:\d\d$", lines[-1])
    assert "\r" not in migrated.output and "\x1b" not in migrated.output


def test_it_says_which_workflow_and_why(migrated: Any) -> None:
    why = "plan.type is not given, and MTV takes cold; the disks are copied and converted by virt-v2v, because the source is of type ova"
    assert f"cold migration: {why}" in " ".join(migrated.output.split())


def test_a_third_run_changes_nothing(migrated: Any, play: Callable[..., Any], variables: dict[str, Any]) -> None:
    assert play(PLAYBOOK, variables).changed == 0


def test_check_mode_predicts_no_change_after_success(migrated: Any, play: Callable[..., Any], variables: dict[str, Any]) -> None:
    assert play(PLAYBOOK, variables, "--check", "--diff").changed == 0


def test_the_data_disk_arrives_byte_by_byte_and_sparse(plane: Any, volumes: list[Path]) -> None:
    with volumes[1].open("rb") as disk:
        digest = hashlib.sha256(disk.read(plane.guest.data_disk_bytes)).hexdigest()
    assert digest == plane.guest.data_disk_sha256
    assert volumes[1].stat().st_blocks * 512 < plane.guest.data_disk_bytes / 2


def test_libguestfs_sees_the_planted_file_and_the_conversion(plane: Any, volumes: list[Path]) -> None:
    text = run(
        ["guestfish", "--ro", "-a", volumes[0], "-m", "/dev/sda1", "cat", "/root/payload", ":", "cat", "/etc/initramfs-tools/modules"],
        env=libguestfs_environment(),
    )
    assert plane.guest.payload in text
    assert "virtio_blk" in text


def test_the_conversion_log_is_in_the_api(objects: client.CustomObjectsApi, migrated: Any) -> None:
    core = client.CoreV1Api(objects.api_client)
    (pod,) = core.list_namespaced_pod("whole-target", label_selector="forklift.app=virt-v2v").items
    assert pod.status.phase == "Succeeded"
    assert "Converting" in core.read_namespaced_pod_log(pod.metadata.name, "whole-target")


def test_an_unknown_vm_is_refused_with_candidates_and_nothing_is_planned(
    play: Callable[..., Any], variables: dict[str, Any], request_document: dict[str, Any], objects: client.CustomObjectsApi
) -> None:
    wrong = {**request_document, "name": "wrong", "vms": [{"name": "lab-gues"}]}
    refused = play(PLAYBOOK, {**variables, "migration_request": wrong}, fails=True)
    assert "lab-gues" in refused.output
    assert "lab-guest" in refused.output
    plans = objects.list_namespaced_custom_object(*FORKLIFT, NAMESPACE, "plans")["items"]
    assert "wrong" not in [p["metadata"]["name"] for p in plans]


def test_a_wrong_key_in_the_request_is_told_with_its_path(
    play: Callable[..., Any], variables: dict[str, Any], request_document: dict[str, Any]
) -> None:
    wrong = {**request_document, "source_provider": {**request_document["source_provider"], "typ": "ova"}}
    refused = play(PLAYBOOK, {**variables, "migration_request": wrong}, fails=True)
    assert "source_provider" in refused.output
    assert "typ" in refused.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vms": []}, "migration_plan_request.vms: the list is empty"),
        ({"name": "Ein Plan"}, "migration_plan_request: name: this cannot be a name in Kubernetes"),
        ({"target_namespace": "no_underscores"}, "migration_plan_request: target_namespace: this cannot be a name"),
        ({"vms": [{"target_name": "x"}]}, "one of the following is required: name, id, path"),
    ],
)
def test_a_request_that_cannot_work_makes_nothing(
    change: dict[str, Any],
    said: str,
    play: Callable[..., Any],
    variables: dict[str, Any],
    request_document: dict[str, Any],
    objects: client.CustomObjectsApi,
) -> None:
    provider = {**request_document["source_provider"], "name": "never-made"}
    refused = play(PLAYBOOK, {**variables, "migration_request": {**request_document, "source_provider": provider, **change}}, fails=True)
    assert said in " ".join(refused.output.split())
    providers = objects.list_namespaced_custom_object(*FORKLIFT, NAMESPACE, "providers")["items"]
    assert "never-made" not in [p["metadata"]["name"] for p in providers]


def test_the_migrated_guest_boots_as_its_virtual_machine(plane: Any, migrated: Any, objects: client.CustomObjectsApi) -> None:
    """Last: from then on the guest writes its disks."""
    guest = Guest(plane.kubeconfig, "whole-target", "lab-guest")
    assert guest.machine()["status"]["printableStatus"] == "Stopped"
    guest.switch("start")
    line = guest.await_console("LAB-GUEST-UP")
    assert "disks=virtio_blk" in line and "nics=virtio_net" in line
    assert hashlib.sha256(plane.guest.payload.encode()).hexdigest() in line
    assert guest.machine()["status"]["printableStatus"] == "Running"
    guest.switch("stop", gracePeriod=0)
    until(lambda: guest.machine()["status"]["printableStatus"] == "Stopped")
