"""Disks fetched by volume populators, from a real ovirt-imageio: killed control planes and pods, a quota, a wrong map.

A disk is bound only when it is whole; nothing temporary is left, neither here nor at the engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from lives import Lives
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="nobody kills a cluster")

NAMESPACE, PLAN, VM, TARGET = "konveyor-forklift", "killed", "web-1", "populated"
PLAYBOOK = "playbooks/migrate.yml"
SEED = int(os.environ.get("KILLS_SEED", "7"))
#: Each is a write or deed that the control plane does not outlive: until disks are fetched …
DEATHS_BEFORE: tuple[dict[str, str], ...] = (
    {"made": "Migration"},
    {"phase": "WaitForPowerOff"},
    {"phase": "CreateDataVolumes"},
    {"made": "OvirtVolumePopulator"},
    {"made": "Pod"},
    {"phase": "CopyDisks"},
)
#: … and from when the volumes change hands on.
DEATHS_AFTER: tuple[dict[str, Any], ...] = (
    {"rebound": True},
    {"gone": "PersistentVolumeClaim"},  # a temporary one
    {"phase": "CreateVM"},
    {"made": "VirtualMachine"},
    {"phase": "Completed"},
)
COPYING = 2  # deaths at some write while disks are fetched
RATE = 3 << 20  # bytes per second, so that it takes a while to fetch a disk


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OVirt]:
    lab = OVirt.start(tmp_path_factory.mktemp("engine"), while_process=os.getpid())
    yield lab
    lab.stop()


def provider(engine: OVirt) -> dict[str, Any]:
    secret = {"user": engine.user, "password": engine.password, "ca_cert": engine.ca}
    return {"name": "engine", "type": "ovirt", "url": engine.url, "secret": secret}


NETWORKS = [{"source": "ovirtmgmt", "destination": "pod"}, {"source": "storage-net", "destination": "ignored"}]
STORAGES = [{"source": name, "destination": "vmshift-local"} for name in ("data-nfs", "data-block")]


def test_killed_at_each_step(engine: OVirt, tmp_path: Path, environment: dict[str, str], serve_state: Callable[..., Any]) -> None:
    state = State(tmp_path / "state")
    serve_state(state)
    maps: dict[str, Any] = {"name": PLAN, "source": "engine"}
    tasks: list[tuple[str, dict[str, Any]]] = [
        ("provider", provider(engine)),
        ("network_map", {**maps, "pairs": NETWORKS}),
        ("storage_map", {**maps, "pairs": STORAGES}),
        (
            "plan",
            {
                **maps,
                "network_map": PLAN,
                "storage_map": PLAN,
                "target_namespace": TARGET,
                "vms": [{"name": VM}],
                "target_power_state": "off",
            },
        ),
    ]
    for module, params in tasks:
        result = run_module(module, {"kubeconfig": str(state.kubeconfig), "namespace": NAMESPACE, **params})
        assert not result.get("failed"), result
    lifetime.stop(state)
    disks = engine.vm(VM)["disks"]
    sums, sizes = [disk["sha256"] for disk in disks], [disk["size"] for disk in disks]
    lives = Lives(state, sums, PLAN, NAMESPACE, random.Random(SEED), environment, sizes=sizes)
    engine.transfers(rate=RATE)
    try:
        _die(lives)
        assert not lives.live({}, 120)
        print(lives.deaths)
        assert lives.outcome() == ("Succeeded", []), lives.deaths
        lives.assert_whole()
        assert len(lives.stored().of("VirtualMachine")) == 1
        assert lives.left() == []
        assert "Traceback" not in lives.log()
        assert _temporary(lives) == []
        assert engine.statistics()["transfers"] == []
    finally:
        engine.transfers()
        lives.end()
        for folder in state.pods.iterdir():
            supervisor.end_processes(folder)


def _die(lives: Lives) -> None:
    for death in DEATHS_BEFORE:
        assert lives.live({**death, "when": lives.dice.choice(("before", "after"))}, 120), death
        lives.assert_whole()
    for _unused in range(COPYING):
        assert lives.live({"commit": lives.dice.randrange(1, 4), "when": lives.dice.choice(("before", "after"))}, 120)
        lives.assert_whole()
    for death in DEATHS_AFTER:
        assert lives.live({**death, "when": lives.dice.choice(("before", "after"))}, 120), death
        lives.assert_whole()


def _temporary(lives: Lives) -> list[str]:
    """Of what is there for the time of a transfer only."""
    found = lives.stored()
    left = [obj["metadata"]["name"] for kind in ("OvirtVolumePopulator", "Secret", "ConfigMap") for obj in found.of(kind)]
    left = [name for name in left if name.startswith((PLAN, *(claim["metadata"]["name"] for claim in found.of("OvirtVolumePopulator"))))]
    left += [pod["metadata"]["name"] for pod in found.of("Pod")]
    for claim in found.of("PersistentVolumeClaim"):
        if claim["metadata"]["name"].startswith("prime-") or "populate-target-protection" in str(claim["metadata"].get("finalizers")):
            left.append(claim["metadata"]["name"])
    return left


class Victim:
    """A control plane that a playbook migrates with, seen from outside."""

    def __init__(self, state: State) -> None:
        self.state = state
        config.load_kube_config(str(state.kubeconfig))
        self.core, self.objects = client.CoreV1Api(), client.CustomObjectsApi()

    def fetching(self) -> list[Path]:
        """Folders of populator pods that have fetched some of their disk, and not all."""
        found = []
        for pod in self.core.list_namespaced_pod(TARGET).items:
            folder = self.state.pod(pod.metadata.uid)
            with contextlib.suppress(OSError, ValueError):
                told = json.loads((folder / "progress.json").read_text())
                if pod.metadata.name.startswith("populate-") and 0 < told["done"] < told["total"]:
                    found.append(folder)
        return found

    def step(self, name: str) -> dict[str, Any]:
        plans = self.objects.list_namespaced_custom_object("forklift.konveyor.io", "v1beta1", NAMESPACE, "plans")["items"]
        vms = [vm for plan in plans for vm in plan.get("status", {}).get("migration", {}).get("vms") or ()]
        return next((step for vm in vms for step in vm["pipeline"] if step["name"] == name), {})

    def claims(self) -> list[Any]:
        return self.core.list_namespaced_persistent_volume_claim(TARGET).items


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[Victim]:
    state = State(tmp_path_factory.mktemp("populated") / "state")
    serve_state(state)
    yield Victim(state)
    lifetime.stop(state)
    for folder in state.pods.iterdir():
        supervisor.end_processes(folder)


def request_document(engine: OVirt, storages: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "name": "shop",
        "namespace": NAMESPACE,
        "source_provider": provider(engine),
        "target_namespace": TARGET,
        "network_map": {"pairs": NETWORKS},
        "storage_map": {"pairs": storages},
        "vms": [{"name": VM}],
        "plan": {"target_power_state": "off"},
    }


def test_a_plan_whose_map_lacks_a_storage_domain_is_not_made(engine: OVirt, victim: Victim) -> None:
    common = {"kubeconfig": str(victim.state.kubeconfig), "namespace": NAMESPACE}
    maps: dict[str, Any] = {"name": "half", "source": "engine", **common}
    for module, params in (
        ("provider", {**provider(engine), **common}),
        ("network_map", {**maps, "pairs": NETWORKS}),
        ("storage_map", {**maps, "pairs": STORAGES[:1]}),
    ):
        result = run_module(module, params)
        assert not result.get("failed"), result
    plan = {**maps, "network_map": "half", "storage_map": "half", "target_namespace": TARGET, "vms": [{"name": VM}]}
    refused = run_module("plan", plan)
    assert refused["failed"] and "data-block" in refused["msg"] and VM in refused["msg"], refused


def test_a_quota_that_grows_and_killed_pods_hold_a_playbook_up_and_no_more(
    engine: OVirt, victim: Victim, launch: Callable[..., Any]
) -> None:
    sizes = [disk["size"] for disk in engine.vm(VM)["disks"]]
    engine.transfers(rate=RATE)
    engine.change(VM, status="up")
    victim.core.create_namespace({"metadata": {"name": TARGET}})
    # The claims fit, and one of their temporary ones.
    room = sum(sizes) * 10 // 9 + max(sizes) * 10 // 9 + (8 << 20)
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"requests.storage": str(room)}}}
    victim.core.create_namespaced_resource_quota(TARGET, quota)
    variables = {"kubeconfig": str(victim.state.kubeconfig), "migration_request": request_document(engine, STORAGES)}
    with launch(PLAYBOOK, variables) as running:
        reason = until(lambda: "exceeded quota: small" in (found := victim.step("DiskTransfer").get("reason", "")) and found)
        assert reason.startswith("PopulatorPVCCreationError;")
        victim.core.patch_namespaced_resource_quota("small", TARGET, {"spec": {"hard": {"requests.storage": str(room * 2)}}})
        folders = until(victim.fetching)
        engine.transfers()
        for folder in folders:
            for pid in supervisor.processes_of(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        until(lambda: any((claim.metadata.annotations or {}).get("recreations") for claim in victim.claims()))
        output, _none = running.communicate(timeout=180)
    assert running.returncode == 0, output[-6000:]
    assert "volume populators (OvirtVolumePopulator) copy the disks, because the target is the local cluster" in output
    _assert_told(output)
    sums = {disk["id"]: disk["sha256"] for disk in engine.vm(VM)["disks"]}
    found = {claim.metadata.annotations["forklift.konveyor.io/disk-source"]: claim for claim in victim.claims()}
    assert found.keys() == sums.keys()
    for disk in engine.vm(VM)["disks"]:
        volume = victim.state.volume(found[disk["id"]].spec.volume_name)
        assert volume.stat().st_size == disk["size"] and engine.sha256(disk["id"]) == sums[disk["id"]] == _sum(volume)
    assert engine.statistics()["transfers"] == []


def _assert_told(output: str) -> None:
    """The role, and each numbered step with the object that proves it."""
    assert "vmshift.mtv.populator_migration : Show what proves each step" in output
    proofs = {1: "OvirtVolumePopulator", 3: "PersistentVolume", 6: "PersistentVolumeClaim", 7: "VirtualMachine"}
    lines = [line.strip().strip('",') for line in output.split("Show what proves each step")[1].splitlines()]
    for number in range(1, 9):
        told = [line for line in lines if line.startswith(f"{number} ")]
        assert told and all(" done " in line or " skipped " in line for line in told), (number, told)
        if number in proofs and number != 1:
            assert all(proofs[number] in line for line in told), told


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
