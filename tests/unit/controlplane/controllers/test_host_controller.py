"""Host: what is wrong with it, what vCenter thinks of it, and whether its address and credentials work."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import host as host_module
from ansible_collections.vmshift.mtv.controlplane.controllers.host import RETEST, HostReconciler
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, SourceError

ESXI = {"id": "host-23", "name": "DC0_H0", "status": "green", "inMaintenance": False, "thumbprint": "AB:CD"}
WELL = ["Validated", "ConnectionTestSucceeded", "Ready"]


class Login:
    """Stands for the ESXi hosts: `refuses` maps an address to the words of its refusal."""

    def __init__(self) -> None:
        self.refuses: dict[str, str] = {}
        self.tried: list[tuple[str, str, str]] = []

    async def __call__(self, address: str, secret: dict[str, Any], thumbprint: str) -> None:
        self.tried.append((address, base64.b64decode(secret["data"]["user"]).decode(), thumbprint))
        if address in self.refuses:
            raise SourceError(self.refuses[address], AUTH)


@pytest.fixture
def login() -> Login:
    return Login()


@pytest.fixture
def reconciler(plane: Any, login: Login) -> HostReconciler:
    return HostReconciler(plane.context, login)


@pytest.fixture
def vcenter(plane: Any, new_items: Any) -> dict[str, Any]:
    twins = [{**ESXI, "id": id, "name": "twin"} for id in ("host-1", "host-2")]
    return plane.provider("mig", "vc", "vsphere", new_items({"hosts": [dict(ESXI), *twins]}))


def made(plane: Any, data: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in (data or {"user": "root", "password": "x"}).items()}
    if not plane.api.find("Secret", "mig", "hs"):
        plane.create("Secret", "mig", "hs", data=encoded)
    where = {"provider": {"name": "vc", "namespace": "mig"}, "secret": {"name": "hs", "namespace": "mig"}}
    return plane.create("Host", "mig", "h", spec={**where, "ipAddress": "10.0.0.5", "id": "host-23", **spec})


def look(reconciler: HostReconciler, name: str = "h") -> float | None:
    return asyncio.run(reconciler.reconcile("mig", name))


def test_a_host_becomes_ready(plane: Any, vcenter: Any, reconciler: HostReconciler, login: Login) -> None:
    host = made(plane)
    assert look(reconciler) is None
    assert plane.types("Host", "mig", "h") == WELL
    assert login.tried == [("10.0.0.5", "root", "AB:CD")]
    assert plane.api.get("Host", "mig", "h")["status"]["observedGeneration"] == host["metadata"]["generation"]
    assert {e["reason"]: e["source"]["component"] for e in plane.api.list("Event", "mig")} == dict.fromkeys(WELL, "host")


@pytest.mark.parametrize(
    ("spec", "data", "expected"),
    [
        ({"provider": {"name": "no", "namespace": "mig"}}, None, ("ProviderNotValid", "NotFound", None)),
        ({"provider": {"name": "vc"}}, None, ("ProviderNotValid", "NotSet", None)),
        ({"provider": {"name": "host", "namespace": "konveyor-forklift"}}, None, ("TypeNotValid", "TypeErr", None)),
        ({"id": ""}, None, ("RefNotValid", "NotSet", None)),
        ({"id": "host-9"}, None, ("RefNotValid", "NotFound", None)),
        ({"id": "", "name": "twin"}, None, ("RefNotValid", "Ambiguous", None)),
        ({"ipAddress": ""}, None, ("IpNotValid", "NotSet", None)),
        ({"secret": {"name": "hs"}}, None, ("SecretNotValid", "NotSet", None)),
        ({"secret": {"name": "no", "namespace": "mig"}}, None, ("SecretNotValid", "NotFound", None)),
        ({}, {"password": "x"}, ("SecretNotValid", "DataErr", ["user"])),
        ({}, {"ip": "x"}, ("SecretNotValid", "DataErr", ["user", "password"])),
    ],
)
def test_what_is_wrong_blocks_it_and_nobody_is_asked(
    plane: Any, vcenter: Any, reconciler: HostReconciler, login: Login, spec: Any, data: Any, expected: Any
) -> None:
    plane.host()
    made(plane, data=data, **spec)
    look(reconciler)
    found, validated = plane.conditions("Host", "mig", "h")
    assert (found["type"], found["reason"], found.get("items")) == expected
    assert found["category"] == "Critical"
    assert validated["type"] == "Validated"
    assert login.tried == []


def test_a_provider_that_is_not_ready_is_waited_for(plane: Any, vcenter: Any, reconciler: HostReconciler) -> None:
    made(plane)
    plane.api.update_status({**plane.api.get("Provider", "mig", "vc"), "status": {"conditions": []}})
    look(reconciler)
    assert plane.types("Host", "mig", "h") == ["ProviderNotReady", "Validated"]
    assert plane.keys(reconciler, "Provider", vcenter) == {("mig", "h")}
    plane.ready(plane.api.get("Provider", "mig", "vc"))
    look(reconciler)
    assert plane.types("Host", "mig", "h") == WELL


@pytest.mark.parametrize(
    ("state", "types"),
    [
        ({"inMaintenance": True}, ["Validated", "InMaintenance", "ConnectionTestSucceeded"]),
        ({"status": "yellow"}, ["Validated", "HostStatusNotGreen", "ConnectionTestSucceeded", "Ready"]),
        ({"status": "red"}, ["Validated", "HostStatusNotGreen", "NotHealthy", "ConnectionTestSucceeded"]),
    ],
)
def test_the_state_of_the_host_counts(plane: Any, vcenter: Any, reconciler: HostReconciler, state: Any, types: list[str]) -> None:
    plane.inventory.get(vcenter["metadata"]["uid"]).collections["hosts"][0].update(state)
    made(plane)
    look(reconciler)
    assert plane.types("Host", "mig", "h") == types
    if state.get("status"):
        assert plane.conditions("Host", "mig", "h")[1]["message"] == f'Host overallStatus is "{state["status"]}" (expected green).'


def test_a_refusal_is_told_and_tried_again_later_or_with_other_credentials(
    plane: Any, vcenter: Any, reconciler: HostReconciler, login: Login
) -> None:
    login.refuses["10.0.0.5"] = "the password is wrong"
    made(plane)
    assert look(reconciler) == RETEST
    failed = plane.conditions("Host", "mig", "h")[1]
    assert failed["message"] == "Could not connect to the ESXi host, please check credentials. Error: the password is wrong"
    assert (failed["type"], failed["category"], failed["reason"]) == ("ConnectionTestFailed", "Critical", "Tested")
    look(reconciler)
    assert len(login.tried) == 1, "the look that the status leads to is no reason for another login"
    secret = plane.api.patch("Secret", "mig", "hs", {"data": {"user": base64.b64encode(b"admin").decode()}})
    assert plane.keys(reconciler, "Secret", secret) == {("mig", "h")}
    login.refuses.clear()
    assert look(reconciler) is None
    assert plane.types("Host", "mig", "h") == WELL
    assert login.tried[-1][1] == "admin"


def test_a_refusal_does_not_last_for_ever(
    plane: Any, vcenter: Any, reconciler: HostReconciler, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "FRESH", 0.0)
    login.refuses["10.0.0.5"] = "not now"
    made(plane)
    look(reconciler)
    login.refuses.clear()
    look(reconciler)
    assert plane.types("Host", "mig", "h") == WELL


def test_news_of_the_hosts_of_its_provider_make_it_look_again(plane: Any, vcenter: Any, reconciler: HostReconciler) -> None:
    made(plane)
    looked_at: list[Any] = []
    reconciler.enqueue = looked_at.append  # type: ignore[method-assign]
    plane.inventory.changed(vcenter["metadata"]["uid"], "vms")
    plane.inventory.changed("another", "hosts")
    assert looked_at == []
    plane.inventory.changed(vcenter["metadata"]["uid"], "hosts")
    assert looked_at == [("mig", "h")]


def test_every_recorded_host_gets_the_recorded_status(
    plane: Any, new_items: Any, recorded: Any, reconciler: HostReconciler, login: Login
) -> None:
    plane.host()
    plane.provider("konveyor-forklift", "vc", "vsphere", new_items({"hosts": [dict(ESXI)]}))
    login.refuses["127.0.0.1:1"] = 'Post "https://127.0.0.1:1/sdk": dial tcp 127.0.0.1:1: connect: connection refused'
    plane.create("Secret", "hosts", "hs", data={"user": "cm9vdA==", "password": "eA=="})
    plane.create("Secret", "hosts", "hs-nouser", data={"password": "eA=="})
    variants = recorded("hosts/variants.json")
    assert len(variants) == 10
    for variant in variants:
        plane.create("Host", "hosts", variant["name"], spec=variant["spec"])
        asyncio.run(reconciler.reconcile("hosts", variant["name"]))
        status = plane.api.get("Host", "hosts", variant["name"])["status"]
        if variant["status"] is None:  # the recorded controllers say nothing at all; here it is said
            assert status["conditions"][0]["type"] in ("SecretNotValid", "TypeNotValid")
            continue
        for condition in [*status["conditions"], *variant["status"]["conditions"]]:
            condition.pop("lastTransitionTime")
        assert status == variant["status"], variant["name"]
