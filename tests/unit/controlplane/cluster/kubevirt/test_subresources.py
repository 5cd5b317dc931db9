"""Start, stop and restart as KubeVirt's API offers them, and what guests are asked."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import instances
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.subresources import Subresources


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "POLL", 0.02)
    monkeypatch.setattr(instances, "IDLE", 0.02)
    monkeypatch.setattr(instances.tools, "missing", lambda names: [])


def put(cluster: Any, verb: str, body: Any = None) -> Any:
    return Subresources(cluster.context).answer("PUT", "virtualmachines", verb, "tgt", "vm", body or {})


def ask(cluster: Any, what: str) -> Any:
    return Subresources(cluster.context).answer("GET", "virtualmachineinstances", what, "tgt", "vm", {})


def refused(cluster: Any, verb: str, body: Any = None) -> str:
    with pytest.raises(ApiError) as error:
        put(cluster, verb, body)
    assert error.value.code in (400, 409)
    return error.value.message


async def test_start_and_stop_set_the_run_strategy(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Halted")
    await cluster.shows(machine, "Stopped")
    assert refused(cluster, "stop") == 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "vm": VM is not running'
    assert put(cluster, "start") is None
    assert cluster.get(machine)["spec"]["runStrategy"] == "Always"
    await cluster.running()
    assert "VM is already running" in refused(cluster, "start")
    put(cluster, "stop")
    assert cluster.get(machine)["spec"]["runStrategy"] == "Halted"
    await cluster.shows(machine, "Stopped")


async def test_older_specs_have_running(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(running=False)
    await cluster.shows(machine, "Stopped")
    put(cluster, "start")
    assert cluster.get(machine)["spec"]["running"] is True
    assert "runStrategy" not in cluster.get(machine)["spec"]


async def test_a_restart_is_another_instance(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    first = cluster.instance()["metadata"]["uid"]
    put(cluster, "restart")
    await cluster.until(lambda: (cluster.instance() or {"metadata": {"uid": first}})["metadata"]["uid"] != first)
    await cluster.running()
    assert "stateChangeRequests" not in cluster.get(machine)["status"]
    await cluster.until(lambda: not folder.exists())
    assert cluster.get(machine)["spec"]["runStrategy"] == "Always"


async def test_manual_machines_are_started_and_stopped_by_requests(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Manual")
    await cluster.shows(machine, "Stopped")
    put(cluster, "start")
    await cluster.running()
    put(cluster, "restart")
    with pytest.raises(ApiError, match="stop/start already underway"):
        put(cluster, "restart")
    await cluster.until(lambda: "stateChangeRequests" not in cluster.get(machine)["status"])
    await cluster.running()
    put(cluster, "stop")
    await cluster.shows(machine, "Stopped")
    assert cluster.get(machine)["spec"]["runStrategy"] == "Manual"


async def test_a_stop_may_be_forced(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.vmshift.mtv.controlplane.cluster import images

    deaf = "trap '' TERM; echo '{\"state\": \"Running\"}' > guest.json; while :; do sleep 0.05; done"
    monkeypatch.setitem(images.IMAGES, images.LAUNCHER_IMAGE, lambda _container: ["sh", "-c", deaf])
    cluster.run()
    machine = cluster.machine(runStrategy="Always", template={"terminationGracePeriodSeconds": 600})
    await cluster.shows(machine, "Running")
    put(cluster, "stop")
    await cluster.shows(machine, "Stopping")
    assert "only supports manual stop requests with a shorter graceperiod" in refused(cluster, "stop")
    put(cluster, "stop", {"gracePeriod": 0})
    await cluster.shows(machine, "Stopped")


async def test_what_makes_no_sense_is_refused(cluster: Any) -> None:
    cluster.run()
    machine = cluster.machine(runStrategy="Halted")
    await cluster.shows(machine, "Stopped")
    assert "RunStategy Halted does not support manual restart requests" in refused(cluster, "restart")
    assert "only gracePeriod=0 is supported" in refused(cluster, "restart", {"gracePeriodSeconds": 5})
    assert "greater or equal to 0" in refused(cluster, "stop", {"gracePeriod": -1})
    with pytest.raises(ApiError, match='virtualmachines.kubevirt.io "none" not found'):
        Subresources(cluster.context).answer("PUT", "virtualmachines", "start", "tgt", "none", {})


async def test_without_guests_nothing_starts(plain_cluster: Any) -> None:
    plain_cluster.run()
    plain_cluster.machine(runStrategy="Halted")
    assert "start it with run_vms" in refused(plain_cluster, "start")


async def test_a_guest_is_asked_through_its_agent(cluster: Any) -> None:
    cluster.run()
    cluster.machine(runStrategy="Always")
    folder = await cluster.running()
    with pytest.raises(ApiError, match="VMI does not have guest agent connected"):
        ask(cluster, "guestosinfo")
    disks = [{"diskName": "vda1", "mountPoint": "/"}]
    cluster.tell(
        folder,
        state="Running",
        agent={"guestAgentVersion": "7.2", "os": {"id": "debian"}, "userList": [], "fsInfo": {"disks": disks}, "interfaces": []},
    )
    assert ask(cluster, "guestosinfo")["os"] == {"id": "debian"}
    assert "interfaces" not in ask(cluster, "guestosinfo")
    assert ask(cluster, "filesystemlist")["items"] == disks
    assert ask(cluster, "userlist")["items"] == []
