"""Sessions with an engine, and what lies in it: against the lab's."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import inventory as inventory_module
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.inventory import OVirtInventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Endpoint, authorities, connect, try_connection

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt


@pytest.fixture
def endpoint(ovirt: OVirt) -> Endpoint:
    return Endpoint(ovirt.url, ovirt.user, ovirt.password, ovirt.ca)


def refused(endpoint: Endpoint) -> SourceError:
    with pytest.raises(SourceError) as caught:
        try_connection(endpoint, timeout=10)
    assert endpoint.password not in caught.value.message
    return caught.value


def test_logs_in_with_the_url_of_the_engine_alone(endpoint: Endpoint) -> None:
    try_connection(replace(endpoint, url=endpoint.url.removesuffix("/ovirt-engine/api")))


def test_tells_refused_credentials_from_all_else(endpoint: Endpoint) -> None:
    error = refused(replace(endpoint, password="not-this"))
    assert error.kind == AUTH and "refuses the credentials of admin@internal" in error.message


def test_verifies_the_certificate(endpoint: Endpoint, other_ca: str) -> None:
    error = refused(replace(endpoint, ca=other_ca))
    assert error.kind == CONNECTION and "certificate" in error.message and "cannot be verified" in error.message
    assert refused(replace(endpoint, ca="")).kind == CONNECTION
    try_connection(replace(endpoint, ca="", insecure=True))


@pytest.mark.parametrize("ca", ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_says_what_is_no_certificate(endpoint: Endpoint, ca: str) -> None:
    error = refused(replace(endpoint, ca=ca))
    assert error.kind == DATA and "not in PEM format" in error.message


def test_says_where_nobody_listens(endpoint: Endpoint) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = refused(replace(endpoint, url=f"https://127.0.0.1:{taken.getsockname()[1]}/ovirt-engine/api"))
    assert error.kind == CONNECTION and "cannot be reached" in error.message


@pytest.mark.parametrize("url", ["http://engine/ovirt-engine/api", "engine.example", "https://[::1"])
def test_says_what_is_no_url(endpoint: Endpoint, url: str) -> None:
    assert refused(replace(endpoint, url=url)).kind == DATA


def test_knows_the_authority_of_the_hosts(endpoint: Endpoint) -> None:
    assert authorities(endpoint).strip() == endpoint.ca.strip()
    assert authorities(replace(endpoint, insecure=True)) == ""


def test_goes_on_after_its_session_has_ended(ovirt: OVirt, endpoint: Endpoint) -> None:
    with connect(endpoint) as session:
        ovirt.end_sessions()
        assert session.system.vms_service().list()


@pytest.fixture
def inventory(endpoint: Endpoint) -> Any:
    made = OVirtInventory(endpoint)
    yield made
    made.close()


def reads(lab: OVirt) -> int:
    return int(lab.statistics()["calls"].get("GET vms", 0))


def test_reads_again_only_when_something_has_changed(ovirt: OVirt, inventory: OVirtInventory) -> None:
    inventory.collect()
    before = reads(ovirt)
    inventory.collect()
    assert reads(ovirt) == before
    ovirt.change("web-2", description="changed")
    (vm,) = [vm for vm in inventory.collect().resources["vms"] if vm["name"] == "web-2"]
    assert vm["description"] == "changed" and reads(ovirt) == before + 1
    inventory.collect()
    assert reads(ovirt) == before + 1


def test_reads_now_and_then_all_the_same(ovirt: OVirt, inventory: OVirtInventory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_module, "READ_EVERY", 0.0)
    inventory.collect()
    before = reads(ovirt)
    inventory.collect()
    assert reads(ovirt) == before + 1


def test_begins_anew_after_a_failure(ovirt: OVirt, inventory: OVirtInventory) -> None:
    ovirt.faults({"path": "disks", "status": 503, "detail": "the database is away"})
    with pytest.raises(SourceError, match="the database is away") as caught:
        inventory.collect()
    assert caught.value.kind == CONNECTION
    assert inventory.collect().resources["disks"]


def test_what_it_makes_of_the_machines(ovirt: OVirt, inventory: OVirtInventory) -> None:
    found = inventory.read_once().resources
    vms = {vm["name"]: vm for vm in found["vms"]}
    web, strange = vms["web-1"], vms["strange"]
    disks = {disk["id"]: disk for disk in found["disks"]}
    assert [disks[attached["disk"]]["provisionedSize"] for attached in web["diskAttachments"]] == [
        disk["size"] for disk in ovirt.vm("web-1")["disks"]
    ]
    assert [attached["bootable"] for attached in web["diskAttachments"]] == [True, False]
    assert web["nics"][0]["ipAddress"] == [{"address": "192.168.30.21", "version": "v4"}, {"address": "fe80::1", "version": "v6"}]
    assert (web["path"], web["cpuCores"], web["memory"], web["guest"]["distribution"]) == (
        "Default/Default/web-1",
        2,
        512 << 20,
        "Debian GNU/Linux",
    )
    assert strange["hostDevices"] == [{"capability": "usb_device", "product": "Token", "vendor": "Keys Inc."}]
    assert [(dog["action"], dog["model"]) for dog in strange["watchDogs"]] == [("reset", "i6300esb")]
    lun = disks[strange["diskAttachments"][1]["disk"]]
    assert (lun["storageType"], lun["storageDomain"], lun["lunStorage"]["LogicalUnits"]["logicalUnit"][0]["port"]) == ("lun", "", "3260")
    assert [snapshot["description"] for snapshot in vms["snapshotted"]["snapshots"]] == [
        "before the update",
        "after the update",
        "Active VM",
    ]
    assert {network["name"]: network["vlan"] for network in found["networks"]} == {"ovirtmgmt": "", "storage-net": "20", "mirrored": "30"}
    assert all(network["nicProfiles"] for network in found["networks"])
    assert {host["cpuCores"] for host in found["hosts"]} == {8}
    assert all(host["networkAttachments"] and host["nics"][0]["linkSpeed"] == 10_000 for host in found["hosts"])
