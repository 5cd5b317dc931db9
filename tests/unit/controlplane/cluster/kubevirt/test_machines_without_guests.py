"""VirtualMachines where nothing starts guests."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import machine_status


def _machine(plain_cluster: Any, **spec: Any) -> Any:
    template = {"spec": {"domain": {"devices": {}}}}
    return plain_cluster.make("kubevirt.io/v1", "VirtualMachine", "vm", spec={"template": template, **spec})


async def test_halted_machine_is_stopped(plain_cluster: Any) -> None:
    plain_cluster.run()
    machine = _machine(plain_cluster, runStrategy="Halted")
    status = await plain_cluster.until(lambda: plain_cluster.get(machine).get("status"))
    assert (status["printableStatus"], status["created"], status["ready"]) == ("Stopped", False, False)
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "False", "VMINotExists")


async def test_machine_that_should_run_says_that_it_does_not(plain_cluster: Any) -> None:
    plain_cluster.run()
    machine = _machine(plain_cluster, runStrategy="Always")
    status = await plain_cluster.until(lambda: plain_cluster.get(machine).get("status"))
    assert (status["printableStatus"], status["created"], status["ready"]) == ("ErrorUnschedulable", False, False)
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "GuestNotStarted")
    assert condition["message"] == "this control plane does not start guests (run_vms is off)"
    assert plain_cluster.api.list("VirtualMachineInstance") == []
    plain_cluster.api.patch("VirtualMachine", "tgt", "vm", {"spec": {"runStrategy": "Halted"}})
    await plain_cluster.until(lambda: plain_cluster.get(machine)["status"]["printableStatus"] == "Stopped")


async def test_status_is_written_once(plain_cluster: Any) -> None:
    plain_cluster.run()
    machine = _machine(plain_cluster, runStrategy="Halted")
    await plain_cluster.until(lambda: plain_cluster.get(machine).get("status"))
    before = plain_cluster.get(machine)["metadata"]["resourceVersion"]
    await plain_cluster.restart()
    await plain_cluster.settle(1.2)
    assert plain_cluster.get(machine)["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    ("spec", "strategy"),
    [({"running": True}, "Always"), ({"running": False}, "Halted"), ({}, "Halted"), ({"runStrategy": "Manual"}, "Manual")],
)
def test_strategy_of_older_and_newer_specs(spec: Any, strategy: str) -> None:
    assert machine_status.without_guests(spec)["runStrategy"] == strategy
    assert (machine_status.without_guests(spec)["printableStatus"] == "Stopped") is (strategy != "Always")
