"""Guests in claims that somebody else has filled, as the vendor of a storage does: nothing is copied, what is there is converted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyVmomi")
import yaml

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import guests
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.vsphere.machines import ONE, Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.seed import copy_sparse, sha256
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, TARGET, Plans

CONVERSION = 600.0  # seconds it may take, on a machine that does much else
pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs the embedded control plane and the lab")
if not shutil.which("virt-v2v-in-place"):
    pytest.skip("virt-v2v-in-place is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    locked = Machine("locked", on=False, disks=(Disk("encrypted"),), nics=(Nic(),))
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), [*ONE, locked], while_process=os.getpid())
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def plans(lab: VSphere, serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    state = State(tmp_path_factory.mktemp("plane") / "state")
    serve_state(state)
    plans = Plans(state, lab)
    plans.furnish()
    plans.apply("Namespace", TARGET, "")
    yield plans
    lifetime.stop(state)


def fill(plans: Plans, lab: VSphere, vm: str) -> None:
    """What the vendor of a storage does: a claim for each disk, with its bytes."""
    known = lab.vm(vm)
    with lab.session() as session:
        uuid = session.object("VirtualMachine", known["id"]).config.uuid
    for number, (disk, extent) in enumerate(zip(known["disks"], lab.extents(vm), strict=True)):
        name, size = f"{vm}-{number}", str(disk["size"])
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "vmshift-immediate", "resources": {"requests": {"storage": size}}}
        plans.apply("PersistentVolumeClaim", name, TARGET, spec=spec)
        plans.until(lambda name=name: plans.get("PersistentVolumeClaim", name, TARGET)["status"].get("phase") == "Bound")
        copy_sparse(extent, plans.state.volume(plans.get("PersistentVolumeClaim", name, TARGET)["spec"]["volumeName"]))
        labels, annotations = {"vmID": known["id"], "vmUUID": uuid}, {"forklift.konveyor.io/disk-source": disk["file"]}
        plans.cluster.request(
            "PATCH",
            f"/api/v1/namespaces/{TARGET}/persistentvolumeclaims/{name}",
            body={"metadata": {"labels": labels, "annotations": annotations}},
            content_type="application/merge-patch+json",
        )


def test_one_request_converts_what_somebody_else_has_copied(plans: Plans, lab: VSphere, play: Callable[..., Any]) -> None:
    """The source is shut down, the guest is converted in its claims, the VM has them; nothing was read from the source's disks."""
    document = {
        "name": "given",
        "namespace": PLANS,
        "source_provider": {"name": "vc"},
        "target_namespace": TARGET,
        "network_map": {"name": "net"},
        "vms": [{"name": "web-1"}],
        "plan": {"type": "conversion", "target_power_state": "off"},
    }
    variables = {"kubeconfig": str(plans.state.kubeconfig), "migration_request": document}
    refused = play("playbooks/migrate.yml", variables, fails=True)
    assert "Missing required PVCs for conversion-only mode" in " ".join(refused.output.split()), refused.output

    fill(plans, lab, "web-1")
    done = play("playbooks/migrate.yml", variables)
    why = "conversion without a copy: plan.type is conversion; somebody else has copied the disks; virt-v2v converts the guests in them"
    assert why in " ".join(done.output.split())
    vm = plans.succeeded("given", CONVERSION)
    assert [step["name"] for step in vm["pipeline"]] == ["Initialize", "ImageConversion", "VirtualMachineCreation"]
    assert vm["restorePowerState"] == "On"
    assert lab.statistics()["served"] == {}
    assert play("playbooks/migrate.yml", variables).changed == 0

    root, data = plans.volumes("given")
    machine = plans.get("VirtualMachine", "web-1", TARGET)
    claims = [plans.get("PersistentVolumeClaim", f"web-1-{number}", TARGET) for number in (0, 1)]
    assert [root, data] == [plans.state.volume(claim["spec"]["volumeName"]) for claim in claims]
    owners = [owner["uid"] for claim in claims for owner in claim["metadata"]["ownerReferences"]]
    assert owners == [machine["metadata"]["uid"]] * 2
    assert sha256(data) == lab.sha256("web-1", 1)
    read = ["guestfish", "--ro", "-a", root, "-m", "/dev/sda1", "cat", "/root/payload", ":", "cat", "/etc/initramfs-tools/modules"]
    text = run(read, env=libguestfs_environment())
    assert guests.guest_disks()[2].payload in text
    assert "virtio_blk" in text


def test_the_trace_shows_the_claims(plans: Plans, play: Callable[..., Any], tmp_path: Path) -> None:
    asked = {"plan": "given", "namespace": PLANS, "kubeconfig": str(plans.state.kubeconfig)}
    states = "traced.trace | map(attribute='step') | zip(traced.trace | map(attribute='state')) | map('join', '=')"
    shown = {"msg": f"{{{{ {states} | join(' ') }}}}"}
    tasks = [{"vmshift.mtv.migration_trace": asked, "register": "traced"}, {"ansible.builtin.debug": shown}]
    playbook = tmp_path / "trace.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    told = play(str(playbook), {}).output
    steps = "source_off filled_claim filled_claim conversion_pod conversion virtual_machine"
    assert " ".join(f"{step}=done" for step in steps.split()) in told


def test_a_passphrase_that_opens_nothing_is_told_in_one_sentence(plans: Plans, lab: VSphere) -> None:
    fill(plans, lab, "locked")
    plans.apply("Secret", "keys", stringData={"root": "a wrong one"})
    vms = [{"name": "locked", "luks": {"name": "keys", "namespace": PLANS}}]
    plans.plan("locked", type="conversion", vms=vms)
    plans.run("locked")
    plans.until(lambda: plans.ended("locked"), CONVERSION)
    assert plans.is_true("Plan", "locked", "Failed")
    _pod, why = plans.vm("locked")["error"]["reasons"]
    assert why == "No passphrase of the Secret with the keys of the VM opens /dev/sda2, which is encrypted."
    left = plans.get("PersistentVolumeClaim", "locked-0", TARGET)
    assert sha256(plans.state.volume(left["spec"]["volumeName"])) == lab.sha256("locked")
