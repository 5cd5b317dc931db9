"""Providers of type ovirt against an engine."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import provider as provider_module
from ansible_collections.vmshift.mtv.controlplane.controllers.provider import ProviderReconciler
from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

READY = ["ConnectionTestSucceeded", "Validated", "InventoryCreated", "Ready"]


@pytest.fixture
def real(plane: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plane with an inventory that really reads."""
    monkeypatch.setattr(provider_module, "SOON", 0.5)  # tests look again at once
    plane.inventory = Inventory(plane.api)
    plane.context = plane.context.__class__(plane.api, plane.context.state, plane.inventory)
    yield plane
    for provider in plane.api.list("Provider"):
        plane.inventory.drop(provider["metadata"]["uid"])


@pytest.fixture
def reconciler(real: Any) -> ProviderReconciler:
    return ProviderReconciler(real.context)


def look(reconciler: ProviderReconciler) -> float | None:
    return asyncio.run(reconciler.reconcile("mig", "p"))


def encoded(**data: str) -> dict[str, str]:
    return {key.replace("ca_crt", "ca.crt"): base64.b64encode(value.encode()).decode() for key, value in data.items()}


def made(plane: Any, url: str, **data: str) -> None:
    plane.create("Secret", "mig", "p", data=encoded(**data))
    plane.create("Provider", "mig", "p", spec={"type": "ovirt", "url": url, "secret": {"name": "p", "namespace": "mig"}})


def login(lab: OVirt, **other: str) -> dict[str, str]:
    return {"user": lab.user, "password": lab.password, "ca_crt": lab.ca, **other}


def phase(plane: Any) -> str:
    return str((plane.api.get("Provider", "mig", "p").get("status") or {}).get("phase"))


def test_a_provider_becomes_ready(real: Any, reconciler: ProviderReconciler, ovirt: OVirt) -> None:
    made(real, ovirt.url, **login(ovirt))
    assert look(reconciler) == provider_module.LATER
    assert (real.types("Provider", "mig", "p"), phase(real)) == (READY, "Ready")
    known = real.inventory.get(real.api.get("Provider", "mig", "p")["metadata"]["uid"])
    assert len(known.collection("vms")) == len(ovirt.vms)


def test_refused_credentials_are_tried_once_until_the_secret_changes(real: Any, reconciler: ProviderReconciler, ovirt: OVirt) -> None:
    made(real, ovirt.url, **login(ovirt, password="not-this"))
    logins = ovirt.statistics()["calls"].get("POST login", 0)
    for _round in range(3):
        assert look(reconciler) is None
    assert ovirt.statistics()["calls"]["POST login"] == logins + 1, "more tries could lock the account"
    (found,) = real.conditions("Provider", "mig", "p")
    assert (found["type"], found["category"], found["reason"]) == ("ConnectionAuthFailed", "Critical", "Tested")
    assert "refuses the credentials" in found["message"] and "not-this" not in found["message"]
    assert phase(real) == "ConnectionFailed"
    changed = real.api.patch("Secret", "mig", "p", {"data": encoded(password=ovirt.password)})
    look(reconciler)
    assert phase(real) == "Ready"
    assert real.api.get("Provider", "mig", "p")["status"]["secretResourceVersion"] == changed["metadata"]["resourceVersion"]


def test_a_ca_is_asked_for_unless_certificates_are_not_verified(real: Any, reconciler: ProviderReconciler, ovirt: OVirt) -> None:
    made(real, ovirt.url, user=ovirt.user, password=ovirt.password)
    look(reconciler)
    (found,) = real.conditions("Provider", "mig", "p")
    assert (found["type"], found["reason"], found["items"]) == ("SecretNotValid", "DataErr", ["ca.crt"])
    real.api.patch("Secret", "mig", "p", {"data": encoded(insecureSkipVerify="true")})
    look(reconciler)
    assert real.types("Provider", "mig", "p") == ["ConnectionInsecure", *READY]


def test_a_certificate_of_somebody_else_is_refused_and_tried_again(
    real: Any, reconciler: ProviderReconciler, ovirt: OVirt, other_ca: str
) -> None:
    made(real, ovirt.url, **login(ovirt, ca_crt=other_ca))
    assert look(reconciler) == provider_module.SOON
    (found,) = real.conditions("Provider", "mig", "p")
    assert found["type"] == "ConnectionTestFailed" and "cannot be verified" in found["message"]
    assert phase(real) == "ConnectionFailed"
