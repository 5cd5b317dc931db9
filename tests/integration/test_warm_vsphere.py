"""Warm migrations from the lab's vCenter, with real snapshots, real tracking of changed blocks and real bytes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyVmomi")
import quick_guests
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Machine as SourceVm
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, TARGET, Plans

MIB = 1 << 20
BLOCK = 64 << 10
#: A minute of controller_precopy_interval takes so many seconds.
MINUTE = {"VMSHIFT_PRECOPY_MINUTE": "1"}
pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs the embedded control plane and the lab")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    disks = (Disk(size=24 * MIB), Disk(size=40 * MIB, datastore="LocalDS_1"))
    machines = [Machine(f"app-{n}", disks=disks, nics=(Nic(),), tracked=True) for n in range(10)]
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), machines, while_process=os.getpid())
    yield lab
    lab.stop()


def refuses(state: State) -> Path:
    """While this file is there, guests cannot be converted."""
    return state.root.parent / "refuses"


def variables(state: State) -> dict[str, str]:
    return {**MINUTE, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_REFUSES=str(refuses(state)))}


@pytest.fixture(scope="module")
def plans(lab: VSphere, serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    state = State(tmp_path_factory.mktemp("plane") / "state")
    serve_state(state, **variables(state))
    plans = Plans(state, lab)
    plans.apply("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"controller_precopy_interval": 2})
    plans.furnish()
    yield plans
    lifetime.stop(state)


@pytest.fixture(autouse=True)
def no_faults(lab: VSphere) -> Any:
    yield
    lab.faults()


def write(lab: VSphere, vm: str, disk: int, *writes: tuple[int, bytes]) -> None:
    with lab.extents(vm)[disk].open("r+b") as file:
        for offset, data in writes:
            file.seek(offset)
            file.write(data)


def served(lab: VSphere, vm: str) -> int:
    return sum(count for path, count in lab.statistics()["served"].items() if f"/{vm}/" in path and "-flat" in path)


def raw(plans: Plans, name: str, vm: str, **spec: Any) -> None:
    """A warm plan whose guest is not converted: all of its bytes can be compared."""
    plans.plan(name, vm, type="warm", skipGuestConversion=True, **spec)


def rounds(plans: Plans, plan: str) -> list[Any]:
    return (plans.vm(plan).get("warm") or {}).get("precopies") or []


def to_the_second_snapshot(plans: Plans, lab: VSphere, plan: str) -> None:
    """Run a plan until its second copy begins: the vCenter holds back the snapshot for it, until there are other `lab.faults()`."""
    lab.faults({"method": "CreateSnapshot_Task", "skip": 1, "hold": True})
    plans.run(plan)
    plans.until(lambda: lab.statistics()["held"])


def in_copying_paused(plans: Plans, plan: str, successes: int) -> None:
    plans.until(lambda: (plans.vm(plan).get("warm") or {}).get("successes", 0) >= successes)


def test_rounds_and_cutover(plans: Plans, lab: VSphere) -> None:
    """Writes between the rounds arrive; each round reads what has changed and little more; the source is off and without snapshots."""
    for disk in (0, 1):
        write(lab, "app-0", disk, (3 * MIB, b"a" * MIB), (20 * MIB, b"b" * 100))
    raw(plans, "warm", "app-0")
    begun = plans.version("warm")
    to_the_second_snapshot(plans, lab, "warm")
    before = served(lab, "app-0")
    write(lab, "app-0", 0, *((n * MIB, b"round 2") for n in range(10)))
    write(lab, "app-0", 1, (39 * MIB, b"x" * BLOCK))
    lab.faults()
    plans.until(lambda: len(rounds(plans, "warm")) >= 2 and rounds(plans, "warm")[1].get("end"))
    changed = 11 * BLOCK
    assert changed <= served(lab, "app-0") - before <= changed * 1.05 + BLOCK
    write(lab, "app-0", 0, (5 * MIB, b"at the end"))
    plans.cut_over("warm")
    vm = plans.succeeded("warm")
    assert [lab.sha256("app-0", disk) for disk in (0, 1)] == plans.sums("warm")

    found = rounds(plans, "warm")
    assert len({entry["snapshot"] for entry in found}) == len(found) >= 3
    assert all(entry["createTaskId"] and entry["removeTaskId"] for entry in found)
    assert [len(entry.get("deltas", ())) for entry in found] == [2] * (len(found) - 1) + [0]
    assert all(delta["deltaId"] for entry in found[:-1] for delta in entry["deltas"])
    assert vm["warm"]["successes"] == len(found) - 1
    assert vm["restorePowerState"] == "On"
    steps = {step["name"]: step for step in vm["pipeline"]}
    assert list(steps) == ["Initialize", "DiskTransfer", "Cutover", "VirtualMachineCreation", "WaitForFinalSnapshotConsolidation"]
    assert {step["phase"] for step in steps.values()} == {"Completed"}
    assert [task["annotations"]["Precopy"] for task in steps["Cutover"]["tasks"]] == [str(len(found))] * 2
    assert [task["progress"] for task in steps["Cutover"]["tasks"]] == [{"completed": 24, "total": 24}, {"completed": 40, "total": 40}]
    phases = plans.phases("warm", begun)
    known = iter(phases)
    assert all(phase in known for phase in ("CopyDisks", "CopyingPaused", "CopyDisks", "CopyingPaused", "Finalize", "Completed")), phases
    with lab.session() as session:
        source = SourceVm(session, lab.vm("app-0")["id"])
        assert (source.power_state(), source.snapshots()) == ("poweredOff", [])


def assert_it_waits_for_a_cutover(plans: Plans, plan: str) -> None:
    """The trace of a live run: copied once, and now one copy follows the other until somebody gives a time."""
    given = {"kubeconfig": str(plans.state.kubeconfig), "namespace": PLANS, "plan": plan}

    def traced() -> Any:
        found = run_module("migration_trace", given)
        [loop] = [line for line in found["trace"] if line["step"] == "precopies"]
        return found if "cutover" in loop["hint"] else None  # else it is making the next copy just now

    found = plans.until(traced)
    assert found["workflow"]["name"] == "warm", found
    states = {step: {line["state"] for line in found["trace"] if line["step"] == step} for step in {t["step"] for t in found["trace"]}}
    assert [states[step] for step in ("data_volume", "claim", "volume", "importer")] == [{"done"}] * 4, found["table"]
    assert states["precopies"] == {"active"}, found["table"]
    assert states["final_copy"] == states["virtual_machine"] == {"waiting"}, found["table"]


def test_cutover_of_one_vm(plans: Plans, lab: VSphere) -> None:
    """The cutover of a VM of its own goes before that of the plan."""
    raw(plans, "single", "app-1")
    given = {"kubeconfig": str(plans.state.kubeconfig), "namespace": PLANS, "plan": "single", "progress": False}
    assert run_module("migration", {**given, "cutover": "2099-01-01T00:00:00Z", "wait": False})["changed"]
    plans.until(lambda: plans.vm("single").get("id"))
    own = [{"vm": "app-1", "cutover": "2020-01-01T00:00:00Z"}]
    ended = run_module("migration", {**given, "vm_cutover": own, "allow_past_cutover": True, "wait_timeout": 300})
    assert ended.get("outcome") == "Succeeded", ended
    plans.succeeded("single")
    assert len(rounds(plans, "single")) == 2
    assert [lab.sha256("app-1", disk) for disk in (0, 1)] == plans.sums("single")


def test_tracking_that_is_reset_makes_a_full_copy_and_says_so(plans: Plans, lab: VSphere) -> None:
    raw(plans, "reset", "app-2")
    to_the_second_snapshot(plans, lab, "reset")
    with lab.session() as session:
        source = SourceVm(session, lab.vm("app-2")["id"])
        for enabled in (False, True):
            source.set_change_tracking(enabled)
    write(lab, "app-2", 0, (7 * MIB, b"after the reset"))
    lab.faults()
    plans.cut_over("reset")
    vm = plans.succeeded("reset")
    warnings = [reason for step in vm["pipeline"] for reason in step.get("warning", {}).get("reasons", ())]
    assert any("the whole disk is copied again" in warning for warning in warnings), vm
    assert [lab.sha256("app-2", disk) for disk in (0, 1)] == plans.sums("reset")


def test_faults_on_the_way(plans: Plans, lab: VSphere) -> None:
    """The importer is killed midway, the source drops connections, the final snapshot cannot be removed."""
    raw(plans, "faults", "app-3")
    write(lab, "app-3", 1, *((n * MIB, os.urandom(MIB)) for n in range(30)))
    disk = "/folder/app-3/app-3_1-flat.vmdk"
    lab.faults({"path": disk, "skip": 3, "hold": True})  # it is looked at, and two pieces are copied
    plans.run("faults", cutover="2020-01-01T00:00:00Z")
    folder = plans.until(lambda: importer_that_has_copied(plans, 2))
    kill_importer(folder)
    lab.faults({"path": disk, "skip": 1, "hold": True})
    plans.until(lambda: plans.vm("faults").get("warm", {}).get("failures") == 1)
    plans.until(lambda: "an earlier attempt has copied" in (folder / supervisor.LOG_FILE).read_text())
    dropped = [{"path": disk, "times": 2, "after": MIB}]
    lab.faults(*dropped, {"method": "RemoveSnapshot_Task", "skip": 1, "fault": "the disk is busy"})
    vm = plans.succeeded("faults")
    steps = {step["name"]: step for step in vm["pipeline"]}
    warned = [reason for step in steps.values() for reason in step.get("warning", {}).get("reasons", ())]
    assert any("could not be removed" in reason and "the disk is busy" in reason for reason in warned), vm
    assert [lab.sha256("app-3", disk) for disk in (0, 1)] == plans.sums("faults")


def importer_that_has_copied(plans: Plans, pieces: int) -> Path | None:
    """The folder of an importer's pod whose journal has so many pieces."""
    pods = [pod for pod in plans.list("Pod") if pod["metadata"]["name"].startswith("importer-")]
    folders = [plans.state.pod(pod["metadata"]["uid"]) for pod in pods]
    journals = {folder: folder / "journal" for folder in folders}
    found = [folder for folder, journal in journals.items() if journal.exists() and len(journal.read_text().splitlines()) > pieces]
    return found[0] if found else None


def kill_importer(folder: Path) -> None:
    killed = 0
    for pid in supervisor.processes_of(folder):
        if b"importer" in (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"supervisor")[0]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    assert killed == 1


def test_a_killed_control_plane_goes_on(plans: Plans, lab: VSphere, serve_state: Any) -> None:
    raw(plans, "killed", "app-4")
    asked_for_a_snapshot, asked_for_a_disk = ({"method": "CreateSnapshot_Task"}, {"path": "/folder"})
    for held, phase in ((asked_for_a_snapshot, "CreateInitialSnapshot"), (asked_for_a_disk, "CopyDisks")):
        lab.faults({**held, "hold": True})
        if phase == "CreateInitialSnapshot":
            plans.run("killed")
        plans.until(lambda phase=phase: plans.vm("killed")["phase"] == phase and lab.statistics()["held"])
        kill_control_plane(plans, serve_state)
    lab.faults()
    plans.until(lambda: plans.vm("killed")["phase"] == "CopyingPaused")
    kill_control_plane(plans, serve_state)
    in_copying_paused(plans, "killed", 1)
    assert_it_waits_for_a_cutover(plans, "killed")
    plans.cut_over("killed")
    plans.succeeded("killed")
    assert [lab.sha256("app-4", disk) for disk in (0, 1)] == plans.sums("killed")
    with lab.session() as session:
        assert SourceVm(session, lab.vm("app-4")["id"]).snapshots() == []


def kill_control_plane(plans: Plans, serve_state: Any) -> None:
    os.kill(lifetime.holder(plans.state), signal.SIGKILL)
    serve_state(plans.state, **variables(plans.state))


def test_a_vm_that_is_deleted_between_two_copies_fails_and_says_so(plans: Plans, lab: VSphere) -> None:
    raw(plans, "deleted", "app-5")
    to_the_second_snapshot(plans, lab, "deleted")
    with lab.session() as session:
        source = SourceVm(session, lab.vm("app-5")["id"])
        source.power_off()
        session.wait(session.object("VirtualMachine", source.id).Destroy_Task())
    lab.faults()
    plans.until(lambda: plans.ended("deleted"))
    assert plans.is_true("Plan", "deleted", "Failed")
    assert f"has no {source.id} (any more)" in plans.vm("deleted")["error"]["reasons"][0]
    assert "app-5" not in {vm["metadata"]["name"] for vm in plans.list("VirtualMachine")}


def claims_of(plans: Plans, plan: str) -> set[str]:
    own = f"/api/v1/namespaces/{TARGET}/persistentvolumeclaims?labelSelector=plan-name%3D{plan}"
    return {claim["metadata"]["uid"] for claim in plans.cluster.request("GET", own)["items"]}


def test_a_conversion_that_failed_is_resumed_with_the_disks_that_were_copied(plans: Plans, lab: VSphere) -> None:
    """Nothing is read from the source again, and nobody asks whether it runs."""
    refuses(plans.state).touch()
    plans.plan("resumed", "app-9", type="warm", runPreflightInspection=False, preserveStaticIPs=False)
    plans.run("resumed-1", "resumed", cutover="2020-01-01T00:00:00Z")
    plans.until(lambda: plans.ended("resumed"))
    failed = plans.vm("resumed")
    assert "could not detect the source guest" in str(failed["error"]["reasons"]) and failed["disksCopied"], failed
    assert plans.is_true("Plan", "resumed", "ConversionResumable")
    claims, read = claims_of(plans, "resumed"), served(lab, "app-9")

    refuses(plans.state).unlink()
    given = {"kubeconfig": str(plans.state.kubeconfig), "namespace": PLANS, "plan": "resumed", "progress": False, "wait_timeout": 300}
    ended = run_module("migration", {**given, "retry": True, "resume_conversion": True})
    assert ended.get("outcome") == "Succeeded", ended
    vm = plans.vm("resumed")
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "ImageConversion", "VirtualMachineCreation"]
    assert vm["restorePowerState"] == failed["restorePowerState"] == "On"
    assert served(lab, "app-9") == read
    assert [lab.sha256("app-9", disk) for disk in (0, 1)] == plans.sums("resumed")
    assert claims_of(plans, "resumed") == claims
    traced = run_module("migration_trace", {"kubeconfig": given["kubeconfig"], "namespace": PLANS, "plan": "resumed"})
    states = {line["step"]: line["state"] for line in traced["trace"]}
    done = dict.fromkeys(("source_off", "filled_claim", "conversion_pod", "conversion", "virtual_machine"), "done")
    assert states == {**done, "power_on": "skipped"}, traced["table"]
    assert not run_module("migration", {**given, "retry": True})["changed"]


@pytest.fixture
def use_role(plans: Plans, play: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run a role for plans, as a playbook of a user does."""
    defaults = {"group/vmshift.mtv.mtv": {"kubeconfig": str(plans.state.kubeconfig)}}

    def run(role: str, *names: str, fails: bool = False, **more: Any) -> Any:
        variables = {f"{role}_plans": names, f"{role}_namespace": PLANS, **{f"{role}_{key}": value for key, value in more.items()}}
        book = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "roles": [f"vmshift.mtv.{role}"]}
        (tmp_path / "book.yml").write_text(json.dumps([book]))
        return play(str(tmp_path / "book.yml"), variables, fails=fails)

    return run


def test_the_role_cuts_over_several_plans_at_one_time(plans: Plans, lab: VSphere, use_role: Callable[..., Any]) -> None:
    """No plan is given a time while one of them has not begun; then each is, before the first is waited for."""
    waves = {"wave-7": "app-7", "wave-8": "app-8"}
    for plan, vm in waves.items():
        raw(plans, plan, vm)
    plans.run("wave-7-1", "wave-7")
    plans.until(lambda: plans.vm("wave-7").get("id"))
    refused = use_role("cutover", *waves, fails=True)
    assert "wave-8: no migration of this plan has begun" in " ".join(refused.output.split())
    assert "cutover" not in plans.get("Migration", "wave-7-1")["spec"]

    use_role("warm_migration", *waves, interval=1)
    for vm in waves.values():
        write(lab, vm, 1, (11 * MIB, b"after the first copy"))
    ended = use_role("cutover", *waves)
    assert ended.output.index("TASK [vmshift.mtv.cutover : Wait for the end]") > ended.output.rindex(
        "changed: [localhost] => (item=wave-8)"
    )
    for plan, vm in waves.items():
        assert f"{plan}: 1 of 1 VMs migrated." in ended.output
        plans.succeeded(plan)
        assert [lab.sha256(vm, disk) for disk in (0, 1)] == plans.sums(plan)
    assert ended.changed == 1, "the time of each plan, in one task"
    assert use_role("cutover", *waves).changed == 0


@pytest.fixture(scope="module")
def request_document() -> dict[str, Any]:
    """A request for a warm migration whose provider is there already."""
    return {
        "name": "whole",
        "namespace": PLANS,
        "source_provider": {"name": "vc"},
        "target_namespace": TARGET,
        "network_map": {"pairs": [{"source": network, "destination": "ignored"} for network in ("VM Network", "DC0_DVPG0")]},
        "storage_map": {"auto": True},
        "vms": [{"name": "app-6"}],
        "plan": {"type": "warm", "skip_guest_conversion": True, "target_power_state": "off"},
    }


@pytest.fixture(scope="module")
def migrate(plans: Plans, play: Callable[..., Any], request_document: dict[str, Any]) -> Callable[..., Any]:
    """The playbook with the request and more in it."""

    def run(*options: str, **more: Any) -> Any:
        variables = {"kubeconfig": str(plans.state.kubeconfig), "warm_migration_interval": 1}
        return play("playbooks/migrate.yml", {**variables, "migration_request": {**request_document, **more}}, *options)

    return run


def test_one_request_begins_waits_tries_again_and_cuts_over(plans: Plans, lab: VSphere, migrate: Callable[..., Any]) -> None:
    predicted = migrate("--check", cutover="now")
    assert predicted.changed > 0
    assert "whole" not in {plan["metadata"]["name"] for plan in plans.list("Plan", PLANS)}

    begun = migrate()
    said = " ".join(begun.output.split())
    assert "warm migration: plan.type is warm; CDI copies the disks while the VMs run" in said
    assert "no guest is converted, because plan.skip_guest_conversion is true" in said
    assert "To cut over, run this again with cutover: now" in said
    assert plans.vm("whole")["warm"]["successes"] >= 1
    assert not plans.ended("whole")
    assert migrate().changed == 0, "a second run attaches to the migration"

    plans.apply("Migration", "whole-1", spec={"cancel": [{"id": lab.vm("app-6")["id"]}]})
    plans.until(lambda: plans.ended("whole"))
    reported = migrate(cutover="now", on_failure="report")
    assert reported.changed == 0
    assert "The last run of Plan mig/whole was canceled" in reported.output

    write(lab, "app-6", 0, (9 * MIB, b"after the first copy"))
    ended = migrate(cutover="now", on_failure="retry")
    assert "Succeeded" in ended.output
    assert ended.changed == 2, "a new migration, and its time"
    plans.succeeded("whole")
    assert [lab.sha256("app-6", disk) for disk in (0, 1)] == plans.sums("whole")
    assert migrate(cutover="now").changed == 0
    assert_downtime_is_from_the_cutover_to_the_vm(plans, "whole")


def assert_downtime_is_from_the_cutover_to_the_vm(plans: Plans, plan: str) -> None:
    path = plans.state.root.parent / "report.json"
    given = {"kubeconfig": str(plans.state.kubeconfig), "namespace": PLANS, "name": plan, "json": str(path)}
    assert not run_module("migration_report", given).get("failed")
    [reported] = json.loads(path.read_text())["plans"]
    [vm] = reported["vms"]
    steps = {step["name"]: step for step in plans.vm(plan)["pipeline"]}
    begun, made = (
        datetime.fromisoformat(steps[name][key]) for name, key in (("Cutover", "started"), ("VirtualMachineCreation", "completed"))
    )
    assert vm["downtime"] == (made - begun).total_seconds()
    assert 0 <= vm["downtime"] < vm["duration"], "most of it was copied while the VM ran"  # whole seconds
