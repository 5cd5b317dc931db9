"""Provider: conditions and phases step by step, retries, secrets, servers of OVA providers, the end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers import provider as provider_module
from ansible_collections.vmshift.mtv.controlplane.controllers.ova_provider_server import OVAProviderServerReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.provider import ProviderReconciler
from ansible_collections.vmshift.mtv.controlplane.datapath.tools import TOOLS
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, SourceError

READY = ["ConnectionTestSucceeded", "Validated", "InventoryCreated", "Ready"]


@pytest.fixture(autouse=True)
def all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])


@pytest.fixture
def reconciler(plane: Any) -> ProviderReconciler:
    return ProviderReconciler(plane.context)


def look(reconciler: ProviderReconciler, name: str = "p") -> float | None:
    return asyncio.run(reconciler.reconcile("mig", name))


def secret(plane: Any, name: str = "p", **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return plane.create("Secret", "mig", name, data=encoded)


def made(plane: Any, type: str, url: str, name: str = "p", **spec: Any) -> dict[str, Any]:
    return plane.create("Provider", "mig", name, spec={"type": type, "url": url, "secret": {"name": name, "namespace": "mig"}, **spec})


def remote(plane: Any, **data: str) -> dict[str, Any]:
    secret(plane, **{"token": "t", **data})
    return made(plane, "openshift", "https://remote.example:6443")


def status(plane: Any, name: str = "p") -> dict[str, Any]:
    return plane.api.get("Provider", "mig", name).get("status") or {}


def statuses(plane: Any) -> Iterator[dict[str, Any]]:
    """Statuses as they are written from now on."""
    seen: list[dict[str, Any]] = []
    plane.api.subscribe(lambda _event, kind, obj: seen.append(obj.get("status") or {}) if kind == "Provider" else None)
    return iter(seen)


def test_openshift_provider_becomes_ready_by_the_recorded_steps(plane: Any, reconciler: ProviderReconciler) -> None:
    provider = remote(plane)
    written = statuses(plane)
    assert look(reconciler) == 30.0
    steps = [(s["phase"], [c["type"] for c in s["conditions"]]) for s in written]
    assert steps == [("Staging", READY[:2]), ("Ready", READY)]
    assert [c.get("reason") for c in plane.conditions("Provider", "mig", "p")] == ["Tested", "Completed", "Completed", None]
    version = plane.api.get("Secret", "mig", "p")["metadata"]["resourceVersion"]
    assert status(plane)["secretResourceVersion"] == version
    assert status(plane)["observedGeneration"] == provider["metadata"]["generation"]
    events = {e["reason"]: e["source"]["component"] for e in plane.api.list("Event", "mig")}
    assert events == dict.fromkeys(READY, "provider")


def test_host_provider_needs_no_secret(plane: Any, reconciler: ProviderReconciler) -> None:
    plane.create("Provider", "mig", "p", spec={"type": "openshift", "url": "", "secret": {}})
    look(reconciler)
    assert plane.types("Provider", "mig", "p") == READY
    assert "secretResourceVersion" not in status(plane)


@pytest.mark.parametrize(
    ("type", "url", "data", "condition", "reason", "items", "message"),
    [
        ("foo", "https://x", {}, "ProviderTypeNotSupported", "NotSupported", None, "The `type` must be: [openshift vsphere"),
        (
            "ec2",
            "https://x",
            {},
            "ProviderTypeNotSupported",
            "NotSupported",
            None,
            "The type `ec2` is not served by the embedded control plane, only: [",
        ),
        ("ova", "", {"url": "s:/e"}, "UrlNotValid", "NotSet", None, "The `url` is not valid."),
        ("ova", "/export", {"url": "s:/e"}, "UrlNotValid", "Malformed", None, "The NFS path is malformed"),
        ("openshift", "http://[::1", {"token": "t"}, "UrlNotValid", "Malformed", None, "The `url` is malformed: "),
        ("openshift", "remote.example", {"token": "t"}, "UrlNotValid", "Malformed", None, "it must be https://HOST[:PORT]"),
        ("openshift", "https://x", {}, "SecretNotValid", "DataErr", ["token"], "The `secret` is not valid."),
        ("ova", "s:/e", {}, "SecretNotValid", "DataErr", ["url"], "The `secret` is not valid."),
        ("ova", "s:/e", None, "SecretNotValid", "NotFound", None, "The `secret` is not valid."),
    ],
)
def test_bad_descriptions(
    plane: Any,
    reconciler: ProviderReconciler,
    type: str,
    url: str,
    data: dict[str, str] | None,
    condition: str,
    reason: str,
    items: list[str] | None,
    message: str,
) -> None:
    if data is not None:
        secret(plane, **data)
    made(plane, type, url)
    assert look(reconciler) is None
    found = next(c for c in plane.conditions("Provider", "mig", "p") if c["type"] == condition)
    assert (found["status"], found["category"], found["reason"], found.get("items")) == ("True", "Critical", reason, items)
    assert message in found["message"]
    assert status(plane)["phase"] == "ValidationFailed"
    assert "Ready" not in plane.types("Provider", "mig", "p")
    assert plane.inventory.tested == [] and plane.api.list("OVAProviderServer") == []


def test_secret_reference_without_a_namespace_is_not_set(plane: Any, reconciler: ProviderReconciler) -> None:
    secret(plane, token="t")
    made(plane, "openshift", "https://x", secret={"name": "p"})
    look(reconciler)
    assert [(c["type"], c["reason"]) for c in plane.conditions("Provider", "mig", "p")] == [("SecretNotValid", "NotSet")]


def test_secret_that_comes_later_makes_the_provider_ready(plane: Any, reconciler: ProviderReconciler) -> None:
    made(plane, "openshift", "https://x")
    look(reconciler)
    created = secret(plane, token="t")
    assert plane.keys(reconciler, "Secret", created) == {("mig", "p")}
    look(reconciler)
    assert plane.types("Provider", "mig", "p") == READY
    assert status(plane)["phase"] == "Ready"


def test_failed_connection_is_tried_again(plane: Any, reconciler: ProviderReconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    remote(plane)
    plane.inventory.failures["p"] = SourceError("cannot reach remote.example")
    assert look(reconciler) == 3.0
    assert plane.conditions("Provider", "mig", "p") == [
        {
            "type": "ConnectionTestFailed",
            "status": "True",
            "category": "Critical",
            "reason": "Tested",
            "message": "Connection test, failed: cannot reach remote.example",
        }
    ]
    assert status(plane)["phase"] == "ConnectionFailed"
    look(reconciler)
    assert plane.inventory.tested == ["p"], "the look that follows a status of its own does not test again"
    plane.inventory.failures.clear()
    monkeypatch.setattr(provider_module.time, "monotonic", lambda: 1e9)
    look(reconciler)
    assert plane.inventory.tested == ["p", "p"]
    assert plane.types("Provider", "mig", "p") == READY


def test_refused_credentials_are_not_tried_again_until_they_change(
    plane: Any, reconciler: ProviderReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret(plane, url="s:/e")
    made(plane, "ova", "s:/e")
    served(plane, reconciler)
    plane.inventory.failures["p"] = SourceError("401 Unauthorized", AUTH)
    assert look(reconciler) is None
    found = plane.conditions("Provider", "mig", "p")[-1]
    assert (found["type"], found["message"]) == ("ConnectionAuthFailed", "Connection auth failed, error: 401 Unauthorized")
    assert status(plane)["phase"] == "ConnectionFailed"
    monkeypatch.setattr(provider_module.time, "monotonic", lambda: 1e9)
    look(reconciler)
    assert plane.inventory.tested == ["p"]
    plane.inventory.failures.clear()
    plane.api.patch("Secret", "mig", "p", {"stringData": {"password": "right"}})
    look(reconciler)
    assert plane.inventory.tested == ["p", "p"]
    assert status(plane)["phase"] == "Ready"


def test_openshift_learns_of_a_bad_token_as_of_any_failure(plane: Any, reconciler: ProviderReconciler) -> None:
    remote(plane)
    plane.inventory.failures["p"] = SourceError("the server has asked for the client to provide credentials", AUTH)
    assert look(reconciler) == 3.0
    assert plane.types("Provider", "mig", "p") == ["ConnectionTestFailed"]


def test_rotated_secret_loads_the_inventory_again_and_the_provider_stays_ready(plane: Any, reconciler: ProviderReconciler) -> None:
    remote(plane)
    look(reconciler)
    plane.api.patch("Secret", "mig", "p", {"stringData": {"token": "new"}})
    written = statuses(plane)
    look(reconciler)
    assert plane.inventory.loads == ["p", "p"]
    assert {s["phase"] for s in written} == {"Ready"}
    assert status(plane)["secretResourceVersion"] == plane.api.get("Secret", "mig", "p")["metadata"]["resourceVersion"]


def test_restarted_control_plane_loads_without_losing_ready(plane: Any, reconciler: ProviderReconciler) -> None:
    remote(plane)
    look(reconciler)
    plane.inventory.known.clear()
    before = plane.api.get("Provider", "mig", "p")
    look(ProviderReconciler(plane.context))
    assert plane.inventory.loads == ["p", "p"]
    assert plane.api.get("Provider", "mig", "p") == before


def test_changed_url_drops_the_inventory_and_begins_anew(plane: Any, reconciler: ProviderReconciler) -> None:
    remote(plane)
    look(reconciler)
    plane.inventory.failures["p"] = SourceError("cannot reach other.example")
    plane.api.patch("Provider", "mig", "p", {"spec": {"url": "https://other.example"}})
    look(reconciler)
    assert plane.inventory.known == {}
    assert plane.types("Provider", "mig", "p") == ["ConnectionTestFailed"]
    assert status(plane)["observedGeneration"] == 2


def test_inventory_that_cannot_be_loaded_is_a_condition(plane: Any, reconciler: ProviderReconciler) -> None:
    remote(plane)
    plane.inventory.broken["p"] = SourceError("the answer is no JSON", "data")
    assert look(reconciler) == 3.0
    found = plane.conditions("Provider", "mig", "p")[-1]
    assert (found["type"], found["category"]) == ("InventoryError", "Critical")
    assert found["message"] == "The inventory cannot be loaded: the answer is no JSON"
    assert "Ready" not in plane.types("Provider", "mig", "p")


def test_what_of_the_source_cannot_be_read_is_a_warning_and_goes_when_it_is_repaired(
    plane: Any, reconciler: ProviderReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = remote(plane)["metadata"]["uid"]
    look(reconciler)
    items = plane.inventory.get(uid)
    items.problems = [f"{number}.ova is damaged" for number in range(7)]
    assert look(reconciler) == 30.0
    found = next(c for c in plane.conditions("Provider", "mig", "p") if c["type"] == "InventoryIncomplete")
    assert found["category"] == "Warn"
    assert found["message"] == "Not in the inventory: " + "; ".join(items.problems[:5]) + "; and 2 more."
    assert "Ready" in plane.types("Provider", "mig", "p")
    looked_at: list[Any] = []
    monkeypatch.setattr(reconciler, "enqueue", looked_at.append)
    plane.inventory.changed(uid, "vms")
    assert looked_at == []
    plane.inventory.changed(uid, "problems")
    assert looked_at == [("mig", "p")]
    items.problems = []
    look(reconciler)
    assert "InventoryIncomplete" not in plane.types("Provider", "mig", "p")


def test_slow_load_is_announced(plane: Any, reconciler: ProviderReconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_module, "SLOW_LOAD", 0.01)
    load = plane.inventory.load

    async def slow(provider: dict[str, Any], secret: dict[str, Any]) -> None:
        await asyncio.sleep(0.1)
        await load(provider, secret)

    monkeypatch.setattr(plane.inventory, "load", slow)
    remote(plane)
    written = statuses(plane)
    look(reconciler)
    assert [[c["type"] for c in s["conditions"]][2:] for s in written] == [[], ["LoadInventory"], ["InventoryCreated", "Ready"]]


def served(plane: Any, reconciler: ProviderReconciler) -> dict[str, Any]:
    """Let the server of provider p come up: its objects, its volume bound."""
    look(reconciler)
    [server] = plane.api.list("OVAProviderServer")
    servers = OVAProviderServerReconciler(plane.context)
    asyncio.run(servers.reconcile(server["metadata"]["namespace"], server["metadata"]["name"]))
    [claim] = plane.api.list("PersistentVolumeClaim")
    plane.api.update_status({**claim, "status": {"phase": "Bound"}})
    asyncio.run(servers.reconcile(server["metadata"]["namespace"], server["metadata"]["name"]))
    return server


def test_ova_provider_waits_for_its_server(plane: Any, reconciler: ProviderReconciler) -> None:
    secret(plane, url="s:/e")
    provider = made(plane, "ova", "s:/e")
    assert provider["metadata"]["finalizers"] == ["forklift/ova-provider"]
    written = statuses(plane)
    assert look(reconciler) == 3.0
    [server] = plane.api.list("OVAProviderServer")
    assert plane.keys(reconciler, "OVAProviderServer", server) == {("mig", "p")}
    servers = OVAProviderServerReconciler(plane.context)
    asyncio.run(servers.reconcile(server["metadata"]["namespace"], server["metadata"]["name"]))
    look(reconciler)
    served(plane, reconciler)
    look(reconciler)
    steps = [(s["phase"], [c.get("message") for c in s["conditions"]][:1], "service" in s) for s in written]
    validated = "Validation has been completed."
    assert steps == [
        ("Staging", ["Waiting for OVA inventory service to be created."], False),
        ("Staging", ["Waiting for OVA inventory service to become ready."], True),
        ("Staging", [validated], True),
        ("Ready", [validated], True),
    ]
    assert plane.types("Provider", "mig", "p") == ["Validated", "ConnectionTestSucceeded", "InventoryCreated", "Ready"]
    [service] = plane.api.list("Service", plane.context.namespace)
    expected = {"kind": "Service", "namespace": plane.context.namespace, "name": service["metadata"]["name"]}
    assert status(plane)["service"] == expected


def test_changed_ova_provider_gets_a_new_server(plane: Any, reconciler: ProviderReconciler) -> None:
    secret(plane, url="s:/e")
    made(plane, "ova", "s:/e")
    old = served(plane, reconciler)
    look(reconciler)
    plane.api.patch("Provider", "mig", "p", {"spec": {"url": "s:/other"}})
    look(reconciler)
    servers = plane.api.list("OVAProviderServer")
    left = [s["metadata"]["uid"] for s in servers if not s["metadata"].get("deletionTimestamp")]
    assert len(left) == 1 and left != [old["metadata"]["uid"]]


def test_deleted_ova_provider_takes_its_server_along(plane: Any, reconciler: ProviderReconciler) -> None:
    secret(plane, url="s:/e")
    provider = made(plane, "ova", "s:/e")
    server = served(plane, reconciler)
    look(reconciler)
    gone: list[str] = []
    plane.api.subscribe(lambda event, kind, _obj: gone.append(kind) if event == "DELETED" and kind != "Event" else None)
    plane.api.delete("Provider", "mig", "p")
    look(reconciler)
    assert plane.inventory.get(provider["metadata"]["uid"]) is None
    asyncio.run(OVAProviderServerReconciler(plane.context).reconcile(server["metadata"]["namespace"], server["metadata"]["name"]))
    for kind in ("Provider", "OVAProviderServer", "Service", "Deployment", "PersistentVolumeClaim", "PersistentVolume"):
        assert plane.api.list(kind) == [], kind
    assert set(gone) == {"Provider", "OVAProviderServer", "Service", "Deployment", "PersistentVolumeClaim", "PersistentVolume"}


def test_deleted_provider_is_forgotten(plane: Any, reconciler: ProviderReconciler) -> None:
    provider = remote(plane)
    look(reconciler)
    assert plane.inventory.get(provider["metadata"]["uid"])
    plane.api.delete("Provider", "mig", "p")
    assert look(reconciler) is None
    assert plane.inventory.get(provider["metadata"]["uid"]) is None


def test_missing_tools_warn_and_name_the_packages(plane: Any, reconciler: ProviderReconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [TOOLS[name] for name in names])
    secret(plane, url="s:/e")
    made(plane, "ova", "s:/e")
    served(plane, reconciler)
    look(reconciler)
    found = next(c for c in plane.conditions("Provider", "mig", "p") if c["type"] == "ConversionToolMissing")
    assert found["category"] == "Warn"
    assert "Not installed on this machine: virt-v2v, qemu-img." in found["message"]
    assert "qemu-img: package qemu-utils (Debian, Ubuntu) or qemu-img (Fedora, RHEL)" in found["items"]
    assert "Ready" in plane.types("Provider", "mig", "p")


def test_recorded_descriptions_get_the_recorded_status(plane: Any, reconciler: ProviderReconciler, recorded: Any) -> None:
    """Those of the types served here, or of no type at all."""
    secret(plane, "good", user="u", password="p")
    secret(plane, "notok", url="u")
    checked = []
    for variant in recorded("provider-lifecycle/variants.json"):
        name = variant["name"]
        if name not in ("type-unknown", "ocp-notoken", "host-other-ns"):
            continue
        spec = {**variant["spec"], "secret": {**variant["spec"]["secret"], **({"namespace": "mig"} if variant["spec"]["secret"] else {})}}
        plane.create("Provider", "mig", name, spec=spec)
        look(reconciler, name)
        found, expected = status(plane, name), variant["status"]
        for condition in [*found["conditions"], *expected["conditions"]]:
            condition.pop("lastTransitionTime")
            # The recording is of a later version, which knows one type more.
            condition["message"] = condition["message"].replace(" nutanix]", "]")
        assert found == expected, name
        checked.append(name)
    assert len(checked) == 3
