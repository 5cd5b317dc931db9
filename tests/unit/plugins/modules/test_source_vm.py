"""source_vm against the lab's vCenter: idempotent, exact, and nothing done that was not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import PRECOPY_NAME, Machine


@pytest.fixture
def change(run: Any, vsphere: Any) -> Any:
    login = {"url": vsphere.url, "user": vsphere.user, "password": vsphere.password, "ca_cert": vsphere.ca}
    yield lambda **params: run("source_vm", kubeconfig="OMIT", **{**login, **params})
    vsphere.faults()


@pytest.fixture
def machine(vsphere: Any) -> Any:
    with vsphere.session() as session:
        yield lambda name: Machine(session, vsphere.vm(name)["id"])


def test_tracking_is_switched_once(change: Any, machine: Any) -> None:
    predicted = change(vms=["independent"], change_tracking=True, check_mode=True)
    assert machine("independent").change_tracking()[0] is False
    done, again = (change(vms=["independent"], change_tracking=True) for _unused in range(2))
    assert (predicted["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert predicted["vms"] == done["vms"] == again["vms"]
    assert done["diff"]["before"]["vms"][0]["change_tracking"] == {"vm": False, "scsi0:0": False, "scsi0:1": False}
    assert change(vms=["independent"], change_tracking=False)["vms"][0]["change_tracking"]["vm"] is False


def test_only_the_snapshots_of_mtv_go_unless_all_are_to(change: Any, machine: Any) -> None:
    uefi = machine("uefi")
    for name in ("own", PRECOPY_NAME, PRECOPY_NAME):
        uefi.wait(uefi.create_snapshot(name))
    predicted = change(vms=["uefi"], remove_snapshots="mtv", check_mode=True)
    assert len(uefi.snapshots()) == 3
    done = change(vms=["uefi"], remove_snapshots="mtv")
    assert predicted["vms"][0]["snapshots"] == done["vms"][0]["snapshots"] == ["own"]
    assert change(vms=["uefi"], remove_snapshots="mtv")["changed"] is False
    assert change(vms=["uefi"])["vms"][0]["snapshots"] == ["own"]
    assert change(vms=["uefi"], remove_snapshots="all")["vms"][0]["snapshots"] == []


def test_power_by_the_guest_and_back(change: Any) -> None:
    off = [change(vms=["web-1"], power_state="off") for _unused in range(2)]
    on = [change(vms=["web-1"], power_state="on") for _unused in range(2)]
    assert [result["changed"] for result in (*off, *on)] == [True, False, True, False]
    assert (off[0]["vms"][0]["power_state"], on[1]["vms"][0]["power_state"]) == ("poweredOff", "poweredOn")


def test_a_guest_that_cannot_shut_down_is_an_error_unless_it_is_forced(change: Any, vsphere: Any) -> None:
    vsphere.faults({"method": "ShutdownGuest", "fault": "VMware Tools is not running"})
    refused = change(vms=["web-1"], power_state="off")
    assert refused["failed"] and "cannot shut down its guest: VMware Tools is not running" in refused["msg"]
    assert change(vms=["web-1"], power_state="off", force=True)["changed"]
    change(vms=["web-1"], power_state="on")


def test_a_guest_that_takes_too_long(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "shut_down", lambda _self: None)
    result = change(vms=["web-1"], power_state="off", shutdown_timeout=0)
    assert result["failed"] and "did not shut down within 0 s: wait longer (shutdown_timeout)" in result["msg"]


def test_many_at_once(change: Any) -> None:
    result = change(vms=[{"folder": "/DC0/vm/misc", "power_state": "off"}], exclude=["diskless"], change_tracking=True, check_mode=True)
    assert {vm["name"] for vm in result["vms"]} == {"independent", "cluster-node", "uefi", "with-usb"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vms": ["nobody"]}, "nobody"),
        ({"vms": ["twin"]}, "twin"),
        ({"vms": [{"namespace": "x"}]}, "vms[0]: 'namespace' is not known"),
        ({"vms": ["web-1"], "power_state": "suspended"}, "power_state"),
    ],
)
def test_what_makes_no_sense_changes_nothing(change: Any, given: dict[str, Any], said: str) -> None:
    result = change(**given)
    assert result["failed"] and said in result["msg"]
