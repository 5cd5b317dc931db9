"""Migrations from the lab's oVirt engine: real bytes by tickets of the real ovirt-imageio daemon, through volume populators."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ovirtsdk4")
pytest.importorskip("ovirt_imageio")

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Endpoint, connect
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import HOST, PLANS, TARGET, Plans

SLOW = 3 << 20  # bytes a second
pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs the embedded control plane and the lab")


class OVirtPlans(Plans):
    """One control plane that migrates from the engine to itself."""

    def furnish(self, destination: Any = None, suffix: str = "") -> None:
        lab: Any = self.lab
        self.apply("Namespace", PLANS, "")
        self.apply("Namespace", TARGET, "")
        self.apply("Secret", "engine", stringData={"user": lab.user, "password": lab.password, "ca.crt": lab.ca})
        secret = {"name": "engine", "namespace": PLANS}
        self.apply("Provider", "engine", spec={"type": "ovirt", "url": lab.url, "secret": secret})
        self.until(lambda: self.is_true("Provider", "engine", "Ready"))
        self.pair = {"source": secret, "destination": HOST}
        networks = [{"source": {"name": name}, "destination": {"type": "ignored"}} for name in ("ovirtmgmt", "storage-net", "mirrored")]
        storage = [{"source": {"name": name}, "destination": {"storageClass": "vmshift-local"}} for name in ("data-nfs", "data-block")]
        self.apply("NetworkMap", "net", spec={"provider": self.pair, "map": networks})
        self.apply("StorageMap", "sto", spec={"provider": self.pair, "map": storage})


@pytest.fixture(scope="module")
def plans(engine: OVirt, serve_state: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OVirtPlans]:
    state = State(tmp_path_factory.mktemp("plane") / "state")
    serve_state(state)
    plans = OVirtPlans(state, engine)  # type: ignore[arg-type]  # its own furnish knows this lab
    plans.furnish()
    yield plans
    lifetime.stop(state)


@pytest.fixture(autouse=True)
def unharmed(engine: OVirt) -> Iterator[None]:
    yield
    engine.faults()
    engine.transfers()
    engine.imageio(running=True)


def sums(lab: OVirt, vm: str) -> list[str]:
    return [disk["sha256"] for disk in lab.vm(vm)["disks"]]


def nothing_is_left(plans: OVirtPlans, lab: OVirt) -> None:
    """At the engine no transfer and no locked disk, here no temporary PVC and no populator pod."""
    plans.until(lambda: not lab.statistics()["transfers"])
    with connect(Endpoint(lab.url, lab.user, lab.password, lab.ca)) as session:
        disks = session.system.disks_service()
        plans.until(lambda: not [disk.name for disk in disks.list() if disk.status.value == "locked"])
    plans.until(lambda: not [claim for claim in plans.list("PersistentVolumeClaim") if claim["metadata"]["name"].startswith("prime-")])
    plans.until(lambda: not populators(plans))


def populators(plans: OVirtPlans) -> list[Any]:
    return [pod for pod in plans.list("Pod") if pod["metadata"]["name"].startswith("populate-")]


def reading(plans: OVirtPlans, plan: str) -> Any:
    """A populator pod of the plan, once some of its disk is there."""
    plan_uid = plans.get("Plan", plan)["metadata"]["uid"]

    def look() -> Any:
        own = [pod for pod in populators(plans) if pod["metadata"]["labels"].get("plan") == plan_uid]
        return next((pod for pod in own if (plans.state.pods / pod["metadata"]["uid"] / "progress.json").exists()), None)

    return plans.until(look)


def kill(plans: OVirtPlans, pod: Any) -> None:
    """The program of a pod, not what watches it."""
    for pid in supervisor.processes_of(plans.state.pods / pod["metadata"]["uid"]):
        with contextlib.suppress(FileNotFoundError):
            if b"ovirt_populator" in (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"supervisor")[0]:
                os.kill(pid, signal.SIGKILL)


def test_a_vm_that_runs_is_shut_down_and_its_disks_come_byte_by_byte(plans: OVirtPlans, engine: OVirt) -> None:
    plans.plan("web", "web-1")
    plans.run("web")
    vm = plans.succeeded("web")
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "DiskTransfer", "VirtualMachineCreation"]
    transfer = vm["pipeline"][1]
    assert [task["name"] for task in transfer["tasks"]] == [disk["id"] for disk in engine.vm("web-1")["disks"]]
    assert transfer["progress"] == {"completed": 320, "total": 320}
    assert vm["restorePowerState"] == "On"
    assert plans.sums("web") == sums(engine, "web-1")
    assert all(file.stat().st_blocks * 512 < file.stat().st_size / 2 for file in plans.volumes("web"))
    nothing_is_left(plans, engine)


def test_what_snapshots_hold_below_a_disk_comes_as_well(plans: OVirtPlans, engine: OVirt) -> None:
    plans.plan("chain", "snapshotted")
    plans.run("chain")
    plans.succeeded("chain")
    assert len(engine.chain(engine.vm("snapshotted")["disks"][0]["id"])) == 3
    assert plans.sums("chain") == sums(engine, "snapshotted")


def test_killed_programs_are_begun_anew(plans: OVirtPlans, engine: OVirt, serve_state: Callable[..., Any]) -> None:
    """The populator is killed in the middle, then the control plane."""
    engine.transfers(rate=SLOW)
    plans.plan("killed", "db-1")
    plans.run("killed")
    kill(plans, reading(plans, "killed"))
    plans.until(lambda: any("recreations" in (claim["metadata"].get("annotations") or {}) for claim in plans.list("PersistentVolumeClaim")))
    engine.transfers()
    os.kill(lifetime.holder(plans.state) or 0, signal.SIGKILL)
    serve_state(plans.state)
    plans.succeeded("killed")
    assert plans.sums("killed") == sums(engine, "db-1")
    nothing_is_left(plans, engine)


def test_a_canceled_migration_leaves_nothing_behind_and_can_be_run_again(plans: OVirtPlans, engine: OVirt) -> None:
    engine.transfers(rate=SLOW)
    plans.plan("again", "web-2")
    plans.run("again-1", plan="again")
    reading(plans, "again")
    plans.apply("Migration", "again-1", spec={"cancel": [{"id": engine.vm("web-2")["id"]}]})
    plans.until(lambda: plans.ended("again"))
    nothing_is_left(plans, engine)
    # This time the host is away for a moment.
    plans.run("again-2", plan="again")
    reading(plans, "again")
    engine.imageio(running=False)
    engine.transfers()
    engine.imageio(running=True)
    plans.until(lambda: plans.is_true("Migration", "again-2", "Succeeded"))
    assert plans.sums("again") == sums(engine, "web-2")
    nothing_is_left(plans, engine)


def test_a_plan_says_what_cannot_be(plans: OVirtPlans) -> None:
    body = {"provider": plans.pair, "map": plans.maps, "targetNamespace": TARGET}
    plans.apply("Plan", "bad", spec={**body, "vms": [{"name": "strange"}, {"name": "broken"}], "type": "warm"})

    def told() -> dict[str, Any]:
        return {condition["type"]: condition for condition in plans.get("Plan", "bad").get("status", {}).get("conditions") or ()}

    plans.until(lambda: "VMCriticalConcerns" in told())
    assert told()["WarmMigrationNotReady"]["message"] == "Warm migration from the source provider is not supported."
    assert "strange" in str(told()["VMStorageNotSupported"]["items"])
    assert "broken" in str(told()["VMCriticalConcerns"]["items"])
