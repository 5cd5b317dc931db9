"""Which VMs of a vCenter begin when: so many disks at a time by way of each ESXi host; who brings a shared disk before its other users.

Nothing is left to chance: the lab holds the disks back while the test looks who has begun.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.seed import sha256
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import TARGET, Plans

pytestmark = pytest.mark.skipif(bool(os.environ.get("KUBECONFIG")), reason="needs the embedded control plane and the lab")

MIB = 1 << 20
SMALL, QUORUM = Disk(size=MIB), "[LocalDS_0] node-1/node-1_1.vmdk"
#: One disk at a time by way of a host.
LIMIT = 1
NO_ROOM = f"Waiting to start migration: in-flight limit reached (max {LIMIT})."


def machine(name: str, host: int, *disks: Disk) -> Machine:
    return Machine(name, host=host, on=False, disks=disks, nics=(Nic(),))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    machines = [
        machine("one", 0, SMALL),
        machine("two", 0, SMALL, SMALL),
        machine("other", 1, SMALL),
        machine("another", 1, SMALL),
        machine("third", 0, SMALL),
        machine("fourth", 0, SMALL),
        machine("node-1", 0, SMALL, SMALL),
        machine("node-2", 1, SMALL, Disk(size=MIB, file=QUORUM)),
        machine("node-3", 1, SMALL, Disk(size=MIB, file=QUORUM)),
    ]
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), machines, while_process=os.getpid())
    for entry in machines:
        for disk in range(len(entry.disks)):
            lab.write(entry.name, disk, 0, f"{entry.name} {disk}".encode())
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def plans(lab: VSphere, serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    state = State(tmp_path_factory.mktemp("plane") / "state")
    serve_state(state)
    plans = Plans(state, lab)
    plans.apply("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"controller_max_vm_inflight": LIMIT})
    plans.furnish()
    yield plans
    lab.faults()
    lifetime.stop(state)


def hold(lab: VSphere) -> None:
    """No disk is given out until `lab.faults()`."""
    lab.faults({"path": "/folder", "hold": True})


def begun(plans: Plans, plan: str) -> set[str]:
    return {vm["name"] for vm in plans.vms(plan) if "started" in vm}


def waiting(plans: Plans, plan: str) -> dict[str, str]:
    """Why each VM waits that has not begun."""
    found = {vm["name"]: [c["message"] for c in vm.get("conditions") or () if c["type"] == "Pending"] for vm in plans.vms(plan)}
    return {name: messages[0] for name, messages in found.items() if messages}


def reading(vm: Any) -> tuple[str, str]:
    """From when to when a VM kept its host busy."""
    [copied] = [step for step in vm["pipeline"] if step["name"] == "DiskTransfer"]
    return vm["started"], copied["completed"]


def test_by_way_of_each_host_so_many_disks_are_read_at_a_time_as_the_limit_says(plans: Plans, lab: VSphere) -> None:
    """Also those of another plan. One with more disks than the limit is read alone."""
    hold(lab)
    plans.plan("hosts", "one", "two", "other", "another", skipGuestConversion=True)
    plans.plan("beside", "third", skipGuestConversion=True)
    plans.run("hosts")
    plans.until(lambda: lab.statistics()["held"] >= 2)
    plans.run("beside")
    plans.until(lambda: waiting(plans, "beside"))
    assert begun(plans, "hosts") == {"one", "other"}
    assert waiting(plans, "hosts") == {"two": NO_ROOM, "another": NO_ROOM}
    assert (begun(plans, "beside"), waiting(plans, "beside")) == (set(), {"third": NO_ROOM})
    lab.faults()
    for plan in ("hosts", "beside"):
        plans.succeeded(plan)
    vms = {vm["name"]: vm for plan in ("hosts", "beside") for vm in plans.vms(plan)}
    for host in (("one", "two", "third"), ("other", "another")):
        turns = sorted(reading(vms[name]) for name in host)
        assert all(ended <= next_began for (_began, ended), (next_began, _ended) in zip(turns, turns[1:], strict=False)), turns
    assert not any(waiting(plans, plan) for plan in ("hosts", "beside"))
    for name in vms:
        assert [sha256(path) for path in plans.volumes_of(name)] == [lab.sha256(name, disk) for disk in range(len(lab.vm(name)["disks"]))]


def test_a_disk_that_vms_share_is_brought_by_one_and_attached_to_the_others(plans: Plans, lab: VSphere) -> None:
    """The one that brings it begins first, wherever it stands in the plan; a later plan finds the disk, too."""
    hold(lab)
    plans.plan("busy", "fourth", skipGuestConversion=True)
    plans.run("busy")
    plans.until(lambda: lab.statistics()["held"])
    follower = {"name": "node-2", "migrateSharedDisks": False}
    plans.plan("cluster", vms=[follower, {"name": "node-1"}], skipGuestConversion=True)
    plans.run("cluster")
    plans.until(lambda: len(waiting(plans, "cluster")) == 2)
    shared = "Waiting to start migration: VM node-1 has yet to bring the disks that both share."
    assert waiting(plans, "cluster") == {"node-2": shared, "node-1": NO_ROOM}
    lab.faults()
    plans.succeeded("cluster")
    plans.plan("later", "node-3", skipGuestConversion=True, migrateSharedDisks=False)
    plans.run("later")
    plans.succeeded("later")

    vms = {vm["name"]: vm for plan in ("cluster", "later") for vm in plans.vms(plan)}
    assert vms["node-1"]["started"] <= vms["node-2"]["started"]
    volumes = {name: plans.volumes_of(name) for name in vms}
    assert len({own for own, _shared in volumes.values()}) == 3
    [quorum] = {shared for _own, shared in volumes.values()}
    assert sha256(quorum) == lab.sha256("node-1", 1)
    for name in vms:
        own, attached = plans.get("VirtualMachine", name, TARGET)["spec"]["template"]["spec"]["domain"]["devices"]["disks"]
        assert ("shareable" not in own, attached["shareable"], attached["cache"]) == (True, True, "none")
        assert sha256(volumes[name][0]) == lab.sha256(name, 0)
