"""Migrations from another cluster: a second control plane, reached over its API and the servers of its exports only. With a third one
as their destination, nothing but the management is where the plan is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import openshift
from ansible_collections.vmshift.mtv.lab.openshift import MIB, Disk, Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import MERGE_PATCH
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import path_of
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import HOST, PLANS, TARGET, Plans

pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs several embedded control planes")

Object = dict[str, Any]
SOURCE = openshift.NAMESPACE
CLOUD_INIT = {"name": "setup", "cloudInitNoCloud": {"secretRef": {"name": "web-setup"}}}
#: Large enough to be met while it is copied.
LARGE = 256 * MIB

MACHINES = (
    Machine(
        "web",
        (Disk("web-root", guest=True), Disk("web-data", mode="Block")),
        template={"volumes": [CLOUD_INIT], "terminationGracePeriodSeconds": 3},
    ),
    Machine("large", (Disk("large-data", LARGE),), strategy="RerunOnFailure", mac="02:00:00:00:20:02"),
    Machine("small", (Disk("small-data"),), strategy="Always", mac="02:00:00:00:20:03"),
    Machine("typed", (Disk("typed-data"),), mac="02:00:00:00:20:04", spec={"instancetype": {"name": "tiny"}}),
)


class Source(Plans):
    """The cluster that VMs come from."""

    facts: Object

    def exports(self) -> list[Object]:
        return self.list("VirtualMachineExport", SOURCE)

    def left(self) -> list[str]:
        """What a migration has made here."""
        kinds = ("VirtualMachineExport", "Pod", "Service", "ConfigMap")
        found = [f"{kind} {obj['metadata']['name']}" for kind in kinds for obj in self.list(kind, SOURCE)]
        return found + [f"Secret {s['metadata']['name']}" for s in self.list("Secret", SOURCE) if s["metadata"]["name"] != "web-setup"]

    def sums_of(self, name: str) -> list[str]:
        [vm] = [vm for vm in self.facts["vms"] if vm["name"] == name]
        return [disk["sha256"] for disk in vm["disks"]]

    def strategy(self, name: str) -> str:
        return self.get("VirtualMachine", name, SOURCE)["spec"]["runStrategy"]


def started(tmp_path_factory: pytest.TempPathFactory, serve_state: Any, name: str, *options: str) -> State:
    state = State(tmp_path_factory.mktemp(name) / "state")
    serve_state(state, *options)
    return state


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, serve_state: Any) -> Iterator[Source]:
    found = Source(started(tmp_path_factory, serve_state, "source"), None)  # type: ignore[arg-type]
    found.apply("Namespace", SOURCE, "")
    found.apply("Secret", "web-setup", SOURCE, stringData={"userdata": "#cloud-config\n"}, type="Opaque")
    tiny = {"cpu": {"guest": 2}, "memory": {"guest": "128Mi"}}
    body = {"apiVersion": "instancetype.kubevirt.io/v1beta1", "kind": "VirtualMachineClusterInstancetype", "metadata": {"name": "tiny"}}
    path = "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes"
    found.cluster.request("POST", path, body={**body, "spec": tiny})
    found.facts = openshift.furnish(found.state, MACHINES)
    yield found
    lifetime.stop(found.state)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, serve_state: Any) -> Iterator[Plans]:
    """A third cluster."""
    found = Plans(started(tmp_path_factory, serve_state, "there"), None)  # type: ignore[arg-type]
    yield found
    lifetime.stop(found.state)


@pytest.fixture(scope="module")
def here(source: Source, there: Plans, tmp_path_factory: pytest.TempPathFactory, serve_state: Any) -> Iterator[Plans]:
    """The cluster that has MTV, and starts guests."""
    found = Plans(started(tmp_path_factory, serve_state, "here", "--run-vms"), None)  # type: ignore[arg-type]
    found.apply("Namespace", PLANS, "")
    for name, facts in (("source", source.facts), ("there", openshift.access(there.state))):
        found.apply("Secret", name, data=openshift.secret_data(facts))
        found.apply("Provider", name, spec={"type": "openshift", "url": facts["url"], "secret": {"name": name, "namespace": PLANS}})
    for name in ("source", "there"):
        found.until(lambda name=name: found.is_true("Provider", name, "Ready"))
    for suffix, destination in (("", HOST), ("-there", {"name": "there", "namespace": PLANS})):
        pair = {"source": {"name": "source", "namespace": PLANS}, "destination": destination}
        network = {"source": {"type": "pod"}, "destination": {"type": "pod"}}
        storage = {"source": {"name": openshift.STORAGE_CLASS}, "destination": {"storageClass": "vmshift-local"}}
        found.apply("NetworkMap", f"net{suffix}", spec={"provider": pair, "map": [network]})
        found.apply("StorageMap", f"sto{suffix}", spec={"provider": pair, "map": [storage]})
    yield found
    lifetime.stop(found.state)


def plan(here: Plans, name: str, vm: str, *, to: str = "", ready: bool = True, **spec: Any) -> None:
    suffix, destination = (f"-{to}", {"name": to, "namespace": PLANS}) if to else ("", HOST)
    body = {
        "provider": {"source": {"name": "source", "namespace": PLANS}, "destination": destination},
        "map": {kind: {"name": f"{short}{suffix}", "namespace": PLANS} for kind, short in (("network", "net"), ("storage", "sto"))},
        "targetNamespace": TARGET,
        "vms": [{"name": vm, "namespace": SOURCE}],
        **spec,
    }
    here.apply("Plan", name, spec=body)
    if ready:
        here.until(lambda: here.is_true("Plan", name, "Ready"))


def disks(cluster: Plans, vm: str) -> list[str]:
    """Sums of the disks of a target VM, in their order."""
    machine = cluster.get("VirtualMachine", vm, TARGET)
    names = [
        v["persistentVolumeClaim"]["claimName"] for v in machine["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v
    ]
    claims = [cluster.get("PersistentVolumeClaim", name, TARGET) for name in names]
    return [openshift.sha256(cluster.state.volume(claim["spec"]["volumeName"])) for claim in claims]


def importer_of(folder: Path) -> int | None:
    """The process of an importer's pod, beside its supervisor."""
    for pid in supervisor.processes_of(folder):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_text()
            if "datapath.importer" in line and supervisor.__file__ not in line:
                return pid
    return None


def test_a_vm_arrives_as_it_was_and_boots(here: Plans, source: Source) -> None:
    plan(here, "web", "web")
    here.run("web")
    vm = here.succeeded("web")
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "DiskTransfer", "VirtualMachineCreation"]
    assert [task["name"] for task in vm["pipeline"][1]["tasks"]] == [f"{SOURCE}/web-root", f"{SOURCE}/web-data"]
    assert disks(here, "web") == source.sums_of("web")
    root = here.state.volume(here.get("PersistentVolumeClaim", "web-root", TARGET)["spec"]["volumeName"])
    assert root.stat().st_blocks * 512 < root.stat().st_size  # holes are holes
    machine, original = here.get("VirtualMachine", "web", TARGET), source.get("VirtualMachine", "web", SOURCE)
    guest, guest_there = machine["spec"]["template"]["spec"], original["spec"]["template"]["spec"]
    assert (guest["domain"], guest["networks"], guest["volumes"][2]) == (guest_there["domain"], guest_there["networks"], CLOUD_INIT)
    assert here.get("Secret", "web-setup", TARGET)["data"] == source.get("Secret", "web-setup", SOURCE)["data"]
    assert (machine["spec"]["runStrategy"], source.left()) == ("Halted", [])
    helpers = [obj["metadata"]["name"] for kind in ("Secret", "ConfigMap", "DataVolume", "Pod") for obj in here.list(kind)]
    assert helpers == ["web-setup"]

    here.apply("VirtualMachine", "web", TARGET, spec={"runStrategy": "Always"})
    [pod] = here.until(lambda: [p for p in here.list("Pod") if p.get("status", {}).get("phase") == "Running"])
    console = here.state.pod(pod["metadata"]["uid"])
    here.until(lambda: any("LAB-GUEST-UP" in log.read_text(errors="replace") for log in console.glob("*log*") if log.is_file()))
    here.apply("VirtualMachine", "web", TARGET, spec={"runStrategy": "Halted"})


def test_it_moves_on_from_here_to_another_cluster(here: Plans, there: Plans) -> None:
    """The cluster with MTV is the source now."""
    pair = {"source": HOST, "destination": {"name": "there", "namespace": PLANS}}
    network = {"source": {"type": "pod"}, "destination": {"type": "ignored"}}
    storage = {"source": {"name": "vmshift-local"}, "destination": {"storageClass": "vmshift-immediate"}}
    here.apply("NetworkMap", "net-onward", spec={"provider": pair, "map": [network]})
    here.apply("StorageMap", "sto-onward", spec={"provider": pair, "map": [storage]})
    maps = {"network": {"name": "net-onward", "namespace": PLANS}, "storage": {"name": "sto-onward", "namespace": PLANS}}
    vms = [{"name": "web", "namespace": TARGET}]
    plan(here, "onward", "web", provider=pair, map=maps, vms=vms, targetNamespace="onward", pvcNameTemplate="{{.VmName}}-{{.DiskIndex}}")
    here.run("onward")
    here.succeeded("onward")
    guest = there.get("VirtualMachine", "web", "onward")["spec"]["template"]["spec"]
    assert (guest["networks"], [v["persistentVolumeClaim"]["claimName"] for v in guest["volumes"][:2]]) == ([], ["web-0", "web-1"])
    claims = [there.get("PersistentVolumeClaim", name, "onward") for name in ("web-0", "web-1")]
    assert [openshift.sha256(there.state.volume(claim["spec"]["volumeName"])) for claim in claims] == disks(here, "web")
    here.until(lambda: not here.list("VirtualMachineExport") and not here.list("Service"))


def test_an_instance_type_of_the_source_is_what_the_vm_has(here: Plans, source: Source) -> None:
    plan(here, "typed", "typed")
    here.run("typed")
    here.succeeded("typed")
    machine = here.get("VirtualMachine", "typed", TARGET)
    domain = machine["spec"]["template"]["spec"]["domain"]
    assert "instancetype" not in machine["spec"]
    assert (domain["cpu"]["sockets"], domain["memory"]["guest"]) == (2, "128Mi")
    assert disks(here, "typed") == source.sums_of("typed")


def test_from_one_cluster_to_another_through_the_deaths_of_all_who_work_on_it(
    here: Plans, there: Plans, source: Source, serve_state: Callable[..., Any]
) -> None:
    """The importer is killed in the middle of its copy, then the control plane with the plan, then the source's."""
    plan(here, "large", "large", to="there")
    here.run("large")
    folder, importer = stopped_importer(there)
    with kept_pod(there, folder.name):
        copied, result = len((folder / "journal").read_text().splitlines()), folder / "result.json"
        assert not result.exists()
        os.kill(importer, signal.SIGKILL)
        os.kill(lifetime.holder(here.state), signal.SIGKILL)
        os.kill(lifetime.holder(source.state), signal.SIGKILL)
        serve_state(here.state, "--run-vms")
        there.until(result.exists)
        kept = json.loads(result.read_text())["kept"]
    here.until(lambda: here.vm("large")["phase"] in ("CopyDisks", "CreateVM"))
    assert not here.ended("large")
    assert not there.list("VirtualMachine")  # of what it is made only the source can tell
    assert kept >= (copied - 5) * MIB > 0
    serve_state(source.state)
    vm = here.succeeded("large")
    assert vm["restorePowerState"] == "On"
    assert disks(there, "large") == source.sums_of("large")
    assert there.get("VirtualMachine", "large", TARGET)["spec"]["runStrategy"] == "Always"
    assert [
        obj["metadata"]["name"] for kind in ("DataVolume", "PersistentVolumeClaim") for obj in here.list(kind) if "large" in str(obj)
    ] == []
    original = source.get("VirtualMachine", "large", SOURCE)
    assert (original["spec"]["runStrategy"], original["metadata"].get("annotations") or {}) == ("Halted", {})
    source.until(lambda: not source.left())


def stopped_importer(cluster: Plans) -> tuple[Path, int]:
    """Folder and process of the importer, stopped in the midst of its copy. Looked for without the API, which would take too long."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for folder in cluster.state.pods.iterdir():
            if (pid := importer_of(folder)) is not None:
                _halt_in_copy(folder / "journal", pid)
                return folder, pid
    raise AssertionError("no importer was started")


def _halt_in_copy(journal: Path, pid: int) -> None:
    """Let a process go on for a moment at a time until its journal tells of some pieces."""
    os.kill(pid, signal.SIGSTOP)
    while not journal.exists() or len(journal.read_text().splitlines()) <= 8:
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)


@contextlib.contextmanager
def kept_pod(cluster: Plans, uid: str) -> Iterator[None]:
    """A pod stays, with all that it wrote, until the end of the context."""
    [pod] = [pod for pod in cluster.list("Pod") if pod["metadata"]["uid"] == uid]
    path = path_of("Pod", TARGET, pod["metadata"]["name"])

    def hold(finalizers: list[str] | None) -> None:
        cluster.cluster.request("PATCH", path, body={"metadata": {"finalizers": finalizers}}, content_type=MERGE_PATCH)

    hold(["vmshift.example/kept"])
    try:
        yield
    finally:
        hold(None)


def test_a_quota_holds_it_up_and_canceled_it_leaves_nothing(here: Plans, there: Plans, source: Source) -> None:
    there.apply("Namespace", TARGET, "")
    there.apply("ResourceQuota", "none", TARGET, spec={"hard": {"requests.storage": str(LARGE * 2)}})
    there.apply("ResourceQuota", "none", TARGET, spec={"hard": {"requests.storage": "1Mi"}})
    plan(here, "held", "small", to="there")
    here.run("held")
    here.until(lambda: "ErrExceededQuota" in json.dumps(here.vm("held")["pipeline"]))
    assert (source.strategy("small"), [e["status"]["phase"] for e in source.exports()]) == ("Halted", ["Ready"])
    here.apply("Migration", "held", spec={"cancel": [{"id": here.vm("held")["id"], "name": "small"}]})
    here.until(lambda: here.is_true("Plan", "held", "Canceled"))
    source.until(lambda: not source.left())
    assert source.strategy("small") == "Always"
    assert not source.get("VirtualMachine", "small", SOURCE)["metadata"].get("annotations")
    kinds = ("DataVolume", "Secret", "ConfigMap")
    assert [obj["metadata"]["name"] for kind in kinds for obj in there.list(kind)] == []


def test_a_plan_that_is_deleted_leaves_no_export(here: Plans, source: Source) -> None:
    plan(here, "gone", "small", to="there")
    here.run("gone")
    here.until(lambda: "ErrExceededQuota" in json.dumps(here.vm("gone")["pipeline"]))
    assert source.exports()
    here.delete("Plan", "gone", PLANS)
    source.until(lambda: not source.left())


def test_an_export_that_has_expired_ends_it_and_another_attempt_makes_another_one(here: Plans, there: Plans, source: Source) -> None:
    """The quota keeps the importer waiting until the export is gone, as after twelve hours."""
    plan(here, "late", "small", to="there")
    here.run("late")
    here.until(lambda: "ErrExceededQuota" in json.dumps(here.vm("late")["pipeline"]))
    source.delete("VirtualMachineExport", "small", SOURCE)
    source.until(lambda: not source.left())
    there.delete("ResourceQuota", "none")
    here.until(lambda: here.ended("late"))
    assert here.is_true("Plan", "late", "Failed")
    [reason] = here.vm("late")["error"]["reasons"]
    assert reason.startswith("The VirtualMachineExport shop/small at the source is gone: it has expired")
    here.apply("Migration", "again", spec={"plan": {"name": "late", "namespace": PLANS}})
    here.until(lambda: here.is_true("Plan", "late", "Succeeded"))
    assert disks(there, "small") == source.sums_of("small")
    source.until(lambda: not source.left())


def test_what_cannot_be_migrated_is_said_before_anything_is_done(here: Plans, source: Source) -> None:
    """Live migrations, networks and storage without a pair; a disk whose name is taken."""
    conditions: Callable[[str], dict[str, Object]] = lambda name: {  # noqa: E731
        c["type"]: c for c in here.get("Plan", name).get("status", {}).get("conditions") or ()
    }
    plan(here, "live", "web", ready=False, type="live", targetNamespace="elsewhere")
    refused = here.until(lambda: conditions("live").get("MigrationTypeNotValid"))
    assert "live" in refused["message"].lower() and "cold" in refused["message"]
    pair = {"source": {"name": "source", "namespace": PLANS}, "destination": HOST}
    other = {"source": {"name": "vmshift-local"}, "destination": {"storageClass": "vmshift-local"}}
    here.apply("NetworkMap", "empty", spec={"provider": pair, "map": []})
    here.apply("StorageMap", "other", spec={"provider": pair, "map": [other]})
    maps = {"network": {"name": "empty", "namespace": PLANS}, "storage": {"name": "other", "namespace": PLANS}}
    plan(here, "unmapped", "web", ready=False, map=maps, targetNamespace="elsewhere")
    here.until(lambda: {"VMNetworksNotMapped", "VMStorageNotMapped"} <= conditions("unmapped").keys())
    here.apply("Namespace", "taken", "")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    here.apply("PersistentVolumeClaim", "web-data", "taken", spec=spec)
    plan(here, "taken", "web", targetNamespace="taken")
    here.run("taken")
    here.until(lambda: here.is_true("Plan", "taken", "Failed"))
    [reason] = here.vm("taken")["error"]["reasons"]
    assert reason.startswith("PersistentVolumeClaim taken/web-data already exists")
    assert source.left() == []
