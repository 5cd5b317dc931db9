"""Migrations to another cluster: a second control plane with ports and a state folder of its own, reached over its API only."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

pytest.importorskip("pyVmomi")
import yaml
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import encrypted, guests
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.vsphere.machines import ONE, Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.seed import sha256
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, Plans

MIB = 1 << 20
CONVERSION = 600.0  # seconds it may take, on a machine that does much else
pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs two embedded control planes and the lab")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    small = Machine("small", disks=(Disk(size=24 * MIB), Disk(size=40 * MIB, datastore="LocalDS_1")), nics=(Nic(),))
    locked = Machine("locked", on=False, disks=(Disk("encrypted"), Disk("data")), nics=(Nic(),))
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), [*ONE, small, locked], while_process=os.getpid())
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def there(lab: VSphere, serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The cluster that VMs go to."""
    state = State(tmp_path_factory.mktemp("there") / "state")
    serve_state(state)
    yield Plans(state, lab)
    lifetime.stop(state)


@pytest.fixture(scope="module")
def plans(lab: VSphere, there: Plans, serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The cluster that has MTV. Of the other one it has what a user gives it: URL, token and authority."""
    state = State(tmp_path_factory.mktemp("here") / "state")
    serve_state(state, VMSHIFT_PRECOPY_MINUTE="1")
    plans = Plans(state, lab, there)
    given = yaml.safe_load(there.state.kubeconfig.read_text())
    token = given["users"][0]["user"]["token"]
    plans.apply("Namespace", PLANS, "")
    authority = (there.state.pki / "ca.crt").read_text()
    plans.apply("Secret", "there", stringData={"token": token, "ca.crt": authority})
    reference = {"name": "there", "namespace": PLANS}
    plans.apply("Provider", "there", spec={"type": "openshift", "url": given["clusters"][0]["cluster"]["server"], "secret": reference})
    plans.until(lambda: plans.is_true("Provider", "there", "Ready"))
    plans.apply("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"controller_precopy_interval": 2})
    plans.furnish(destination=reference)
    yield plans
    lifetime.stop(state)


def trace(plans: Plans, plan: str, **more: Any) -> dict[str, Any]:
    result = run_module("migration_trace", {"kubeconfig": str(plans.state.kubeconfig), "namespace": PLANS, "plan": plan, **more})
    assert not result.get("failed"), result
    return result


def nothing_is_here(plans: Plans) -> None:
    kinds = ("VirtualMachine", "PersistentVolumeClaim", "DataVolume", "Pod")
    assert {kind: plans.list(kind) for kind in kinds} == {kind: [] for kind in kinds}


def test_disks_of_a_machine_that_is_switched_off_are_copied_there(plans: Plans, lab: VSphere) -> None:
    plans.plan("cold", "small", skipGuestConversion=True)
    plans.run("cold")
    vm = plans.succeeded("cold")
    nothing_is_here(plans)
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "DiskTransfer", "VirtualMachineCreation"]
    assert vm["restorePowerState"] == "On"
    assert plans.sums("cold") == [lab.sha256("small", disk) for disk in (0, 1)]
    blind = trace(plans, "cold")
    assert {line["object"]["kind"] for line in blind["trace"] if line["object"]} == {"Plan"}
    seen = trace(plans, "cold", destination_kubeconfig=str(plans.there.state.kubeconfig))
    assert {line["state"] for line in seen["trace"]} <= {"done", "skipped"}, seen["table"]
    kinds = {line["object"]["kind"] for line in seen["trace"] if line["object"]}
    assert {"PersistentVolumeClaim", "PersistentVolume", "VirtualMachine"} <= kinds, kinds
    assert seen["workflow"]["name"] == "raw_copy" and seen["warnings"] == []
    [astray] = trace(plans, "cold", destination_kubeconfig=str(plans.state.kubeconfig))["warnings"]
    assert re.fullmatch(r"destination_kubeconfig leads to \S+, the destination there of the plan to \S+: are they one cluster\?", astray)


def test_an_encrypted_guest_that_is_switched_off_is_copied_and_converted_there(plans: Plans, lab: VSphere) -> None:
    """Its keys go along, and do not stay there."""
    plans.apply("Secret", "keys", stringData={"root": encrypted.PASSPHRASE})
    plans.plan("locked", vms=[{"name": "locked", "luks": {"name": "keys", "namespace": PLANS}}])
    plans.run("locked")
    vm = plans.succeeded("locked", CONVERSION)
    nothing_is_here(plans)
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "DiskTransfer", "ImageConversion", "VirtualMachineCreation"]
    assert vm["operatingSystem"] == "debian12"
    left = [secret for secret in plans.there.list("Secret") if (secret["metadata"].get("labels") or {}).get("isLUKS")]
    assert left == []
    root, data = plans.volumes("locked")
    assert sha256(data) == lab.sha256("locked", 1)
    assert guests.guest_disks("encrypted")[2].payload.encode() not in root.read_bytes(), "it is still encrypted"
    read = ["guestfish", "--ro", "--key", f"/dev/sda2:key:{encrypted.PASSPHRASE}", "-a", root, "-i", "cat", "/root/payload"]
    text = run([*read, ":", "cat", "/etc/initramfs-tools/modules"], env=libguestfs_environment())
    assert guests.guest_disks("encrypted")[2].payload in text
    assert "virtio_blk" in text


def inspections(plans: Plans, kind: str) -> list[Any]:
    return [
        found for found in plans.list(kind, PLANS) if (found["metadata"].get("labels") or {}).get("conversion-type") == "DeepInspection"
    ]


def test_a_guest_is_inspected_and_copied_there_while_it_runs_and_converted_there(plans: Plans, lab: VSphere, serve_state: Any) -> None:
    """The control plane is killed while the guest is inspected; the inspection goes on."""
    plans.plan("warm", "web-1", type="warm", targetPowerState="off")
    plans.run("warm")
    [begun] = plans.until(lambda: [c for c in inspections(plans, "Conversion") if c.get("status", {}).get("stage") == "PodRunning"])
    [pod] = inspections(plans, "Pod")
    assert pod["metadata"]["labels"]["forklift.app"] == "deep-inspection"
    assert plans.vm("warm")["phase"] == "PreflightInspection"
    os.kill(lifetime.holder(plans.state), signal.SIGKILL)
    serve_state(plans.state, VMSHIFT_PRECOPY_MINUTE="1")
    plans.until(lambda: plans.ended("warm") or inspections(plans, "Conversion")[0]["status"].get("inspectionResult"), CONVERSION)
    [ended] = inspections(plans, "Conversion")
    assert ended["metadata"]["uid"] == begun["metadata"]["uid"]
    assert [found["metadata"]["uid"] for found in inspections(plans, "Pod")] == [pod["metadata"]["uid"]]
    found = ended["status"]["inspectionResult"]
    assert found["allChecksPassed"] is True
    assert found["osInfo"] == {"name": "linux", "distro": "debian", "version": "12", "arch": "x86_64"}
    assert found["mountpoints"] == [{"device": "/dev/sda1", "mountPoint": "/"}]
    assert [(entry["device"], entry["type"]) for entry in found["filesystems"]] == [("/dev/sda1", "ext4")]

    plans.until(lambda: (plans.vm("warm").get("warm") or {}).get("successes", 0) >= 1)
    lab.write("web-1", 1, 3 * MIB, b"between the copies")
    plans.cut_over("warm")
    vm = plans.succeeded("warm", CONVERSION)
    nothing_is_here(plans)
    assert [(step["name"], step["phase"]) for step in vm["pipeline"]][:3] == [
        ("Initialize", "Completed"),
        ("PreflightInspection", "Completed"),
        ("DiskTransfer", "Completed"),
    ]
    assert "InspectionHasConcerns" not in [condition["type"] for condition in vm["conditions"]]
    assert [inspections(plans, kind) for kind in ("Conversion", "Secret")] == [[], []]

    root, data = plans.volumes("warm")
    assert sha256(data) == lab.sha256("web-1", 1)
    read = ["guestfish", "--ro", "-a", root, "-m", "/dev/sda1", "cat", "/root/payload", ":", "cat", "/etc/initramfs-tools/modules"]
    text = run(read, env=libguestfs_environment())
    assert guests.guest_disks()[2].payload in text
    assert "virtio_blk" in text
