from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import virtualmachines


def _machine(cluster: Any, **spec: Any) -> Any:
    template = {"spec": {"domain": {"devices": {}}}}
    return cluster.make("kubevirt.io/v1", "VirtualMachine", "vm", spec={"template": template, **spec})


async def test_halted_machine_is_stopped(cluster: Any) -> None:
    cluster.run()
    machine = _machine(cluster, runStrategy="Halted")
    status = await cluster.until(lambda: cluster.get(machine).get("status"))
    assert (status["printableStatus"], status["created"], status["ready"]) == ("Stopped", False, False)
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "False", "VMINotExists")


async def test_machine_that_should_run_says_that_it_does_not(cluster: Any) -> None:
    cluster.run()
    machine = _machine(cluster, runStrategy="Always")
    status = await cluster.until(lambda: cluster.get(machine).get("status"))
    assert (status["printableStatus"], status["created"], status["ready"]) == ("ErrorUnschedulable", False, False)
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "GuestNotStarted")
    assert condition["message"] == "this control plane does not start guests (run_vms is off)"
    assert cluster.api.list("VirtualMachineInstance") == []
    cluster.api.patch("VirtualMachine", "tgt", "vm", {"spec": {"runStrategy": "Halted"}})
    await cluster.until(lambda: cluster.get(machine)["status"]["printableStatus"] == "Stopped")


async def test_status_is_written_once(cluster: Any) -> None:
    cluster.run()
    machine = _machine(cluster, runStrategy="Halted")
    await cluster.until(lambda: cluster.get(machine).get("status"))
    before = cluster.get(machine)["metadata"]["resourceVersion"]
    await cluster.restart()
    await cluster.settle(1.2)
    assert cluster.get(machine)["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    ("spec", "strategy"),
    [({"running": True}, "Always"), ({"running": False}, "Halted"), ({}, "Halted"), ({"runStrategy": "Manual"}, "Manual")],
)
def test_strategy_of_older_and_newer_specs(spec: Any, strategy: str) -> None:
    assert virtualmachines.status(spec)["runStrategy"] == strategy
    assert (virtualmachines.status(spec)["printableStatus"] == "Stopped") is (strategy != "Always")
