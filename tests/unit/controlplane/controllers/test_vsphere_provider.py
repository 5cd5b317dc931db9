"""Providers of type vsphere against a vCenter: conditions as recorded, fingerprint, rotation, privileges, SSH keys."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers import provider as provider_module
from ansible_collections.vmshift.mtv.controlplane.controllers.provider import ProviderReconciler
from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere


@pytest.fixture(autouse=True)
def unharmed(vsphere: VSphere) -> Iterator[None]:
    """The vCenter is shared: a test's faults end with it."""
    yield
    vsphere.faults()
    vsphere.deny()


@pytest.fixture
def real(plane: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plane with an inventory that really reads."""
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])
    monkeypatch.setattr(provider_module, "SOON", 0.5)  # tests look again at once
    plane.inventory = Inventory(plane.api)
    plane.context = plane.context.__class__(plane.api, plane.context.state, plane.inventory)
    yield plane
    for provider in plane.api.list("Provider"):
        plane.inventory.drop(provider["metadata"]["uid"])


@pytest.fixture
def reconciler(real: Any) -> ProviderReconciler:
    return ProviderReconciler(real.context)


def look(reconciler: ProviderReconciler, name: str = "p") -> float | None:
    return asyncio.run(reconciler.reconcile("mig", name))


def encoded(**data: str) -> dict[str, str]:
    return {key.replace("ca_crt", "ca.crt"): base64.b64encode(value.encode()).decode() for key, value in data.items()}


def made(plane: Any, url: str, secret: str = "p", name: str = "p", **data: str) -> None:
    if data:
        plane.create("Secret", "mig", secret, data=encoded(**data))
    plane.create("Provider", "mig", name, spec={"type": "vsphere", "url": url, "secret": {"name": secret, "namespace": "mig"}})


def login(lab: VSphere, **other: str) -> dict[str, str]:
    return {"user": lab.user, "password": lab.password, "ca_crt": lab.ca, **other}


def status(plane: Any, name: str = "p") -> dict[str, Any]:
    return plane.api.get("Provider", "mig", name).get("status") or {}


def test_a_provider_becomes_ready(real: Any, reconciler: ProviderReconciler, vsphere: VSphere) -> None:
    made(real, vsphere.url, **login(vsphere))
    assert look(reconciler) == provider_module.LATER
    assert real.types("Provider", "mig", "p") == ["ConnectionTestSucceeded", "Validated", "InventoryCreated", "Ready"]
    assert status(real)["fingerprint"] == vsphere.thumbprint
    known = real.inventory.get(real.api.get("Provider", "mig", "p")["metadata"]["uid"])
    assert len(known.collection("vms")) == len(vsphere.vms)
    assert known.item("vms", vsphere.vm("no-tools")["id"])["toolsStatus"] != "toolsOk"


def test_an_esxi_host_is_a_source_of_its_own(real: Any, reconciler: ProviderReconciler, vsphere: VSphere, tmp_path: Any) -> None:
    from ansible_collections.vmshift.mtv.lab.vsphere.machines import Machine

    host = vsphere.__class__.start(tmp_path / "esxi", (Machine("alone"),), esxi=True)
    try:
        real.create("Secret", "mig", "p", data=encoded(**login(host)))
        reference = {"name": "p", "namespace": "mig"}
        spec = {"type": "vsphere", "url": host.url, "secret": reference, "settings": {"sdkEndpoint": "esxi"}}
        real.create("Provider", "mig", "p", spec=spec)
        look(reconciler)
        assert status(real)["phase"] == "Ready"
        known = real.inventory.get(real.api.get("Provider", "mig", "p")["metadata"]["uid"])
        assert [vm["name"] for vm in known.collection("vms")] == ["alone"]
    finally:
        host.stop()


def test_refused_credentials_are_tried_once_until_the_secret_changes(real: Any, reconciler: ProviderReconciler, vsphere: VSphere) -> None:
    made(real, vsphere.url, **login(vsphere, password="wrong"))
    logins = vsphere.statistics()["calls"].get("Login", 0)
    for _round in range(3):
        assert look(reconciler) is None
    assert vsphere.statistics()["calls"]["Login"] == logins + 1, "more tries could lock the account"
    found = real.conditions("Provider", "mig", "p")
    assert [(c["type"], c["category"], c["reason"]) for c in found] == [("ConnectionTestFailed", "Critical", "Tested")]
    assert "refuses the user name or password" in found[0]["message"] and "wrong" not in found[0]["message"]
    assert status(real)["phase"] == "ConnectionFailed"
    secret = real.api.get("Secret", "mig", "p")
    changed = real.api.patch("Secret", "mig", "p", {"data": encoded(password=vsphere.password)})
    assert real.keys(reconciler, "Secret", secret) == {("mig", "p")}
    look(reconciler)
    assert status(real)["phase"] == "Ready"
    assert status(real)["secretResourceVersion"] == changed["metadata"]["resourceVersion"]


def test_missing_privileges_are_a_warning(real: Any, reconciler: ProviderReconciler, vsphere: VSphere) -> None:
    vsphere.deny("Datastore.Browse", "VirtualMachine.Config.ChangeTracking")
    made(real, vsphere.url, **login(vsphere))
    look(reconciler)
    found = next(c for c in real.conditions("Provider", "mig", "p") if c["type"] == "InsufficientPrivileges")
    assert (found["category"], found["reason"]) == ("Warn", "PrivilegesNotGranted")
    assert "Datastore.Browse, VirtualMachine.Config.ChangeTracking" in found["suggestion"]
    assert status(real)["phase"] == "Ready"


def test_ssh_keys_are_made_once_and_go_with_the_provider(real: Any, reconciler: ProviderReconciler, vsphere: VSphere) -> None:
    made(real, vsphere.url, name="My.Provider".lower(), **login(vsphere))
    look(reconciler, "my.provider")
    keys = {s["metadata"]["name"]: s for s in real.api.list("Secret", "mig") if s["metadata"]["name"].startswith("offload")}
    assert set(keys) == {"offload-ssh-keys-my.provider-private", "offload-ssh-keys-my.provider-public"}
    private = base64.b64decode(keys["offload-ssh-keys-my.provider-private"]["data"]["private-key"])
    assert private.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert base64.b64decode(keys["offload-ssh-keys-my.provider-public"]["data"]["public-key"]).startswith(b"ssh-rsa ")
    look(reconciler, "my.provider")
    again = real.api.get("Secret", "mig", "offload-ssh-keys-my.provider-private")
    assert again["metadata"]["uid"] == keys["offload-ssh-keys-my.provider-private"]["metadata"]["uid"]
    real.api.delete("Provider", "mig", "my.provider")
    assert not [s for s in real.api.list("Secret", "mig") if s["metadata"]["name"].startswith("offload")]


def test_recorded_providers_get_the_recorded_conditions(real: Any, reconciler: ProviderReconciler, vsphere: VSphere, recorded: Any) -> None:
    """All of type vsphere but those of which the real controller says nothing at all: no Secret, or a url that is none."""
    secrets: dict[str, dict[str, str]] = {
        "good": {"user": vsphere.user, "password": vsphere.password, "insecureSkipVerify": "true"},
        "unreachable": {"user": "u", "password": "p", "insecureSkipVerify": "true"},
        "nouser": {"password": "p", "insecureSkipVerify": "true"},
        "emptysec": {"foo": "bar"},
        "wrongkeys": {"username": "u", "password": "p", "insecureSkipVerify": "true"},
        "noca": {"user": "u", "password": "p", "insecureSkipVerify": "false"},
        "badca": {"user": "u", "password": "p", "ca_crt": "no certificate"},
        "wrongpw": {"user": vsphere.user, "password": "wrong", "insecureSkipVerify": "true"},
    }
    for name, data in secrets.items():
        real.create("Secret", "mig", name, data=encoded(**data))
    checked = []
    for variant in recorded("provider-lifecycle/variants.json"):
        name, spec = variant["name"], variant["spec"]
        if spec["type"] != "vsphere" or variant["status"] is None:
            continue
        url = spec.get("url", "")
        url = vsphere.url if ":1899" in url else url
        reference = {"name": spec["secret"]["name"], "namespace": "mig"}
        real.create("Provider", "mig", name, spec={**spec, "url": url, "secret": reference})
        look(reconciler, name)
        assert told(status(real, name)) == told(variant["status"]), name
        assert status(real, name).get("fingerprint") == (vsphere.thumbprint if "fingerprint" in variant["status"] else None), name
        checked.append(name)
    assert len(checked) == 10


def told(status: dict[str, Any]) -> tuple[Any, ...]:
    """What programs look at; of sentences, those that are the same whatever went wrong."""
    conditions = {
        (c["type"], c["status"], c.get("reason"), c["category"], tuple(c.get("items") or ()), _fixed(c)) for c in status["conditions"]
    }
    return status["phase"], conditions


def _fixed(condition: dict[str, Any]) -> str:
    return "" if condition["type"] == "ConnectionTestFailed" else condition["message"]
