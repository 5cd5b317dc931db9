"""The objects of an OVA provider server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import ova_server_objects as objects
from ansible_collections.vmshift.mtv.controlplane.controllers.ova_provider_server import OVAProviderServerReconciler

BELONGINGS = ("PersistentVolume", "PersistentVolumeClaim", "Deployment", "Service")


@pytest.fixture
def provider(plane: Any) -> dict[str, Any]:
    spec = {"type": "ova", "url": "filer.example:/exports/ova", "secret": {"name": "src", "namespace": "mig"}}
    return plane.create("Provider", "mig", "src", spec=spec)


@pytest.fixture
def server(plane: Any, provider: dict[str, Any]) -> dict[str, Any]:
    return plane.api.create(objects.server(provider, plane.context.namespace))


def look(plane: Any, server: dict[str, Any]) -> None:
    meta = server["metadata"]
    asyncio.run(OVAProviderServerReconciler(plane.context).reconcile(meta["namespace"], meta["name"]))


def one(plane: Any, kind: str) -> dict[str, Any]:
    [found] = plane.api.list(kind)
    return found


def test_server_is_deployed_once(plane: Any, provider: dict[str, Any], server: dict[str, Any]) -> None:
    look(plane, server)
    look(plane, server)
    uid = server["metadata"]["uid"]
    labels = {"app": "forklift", "subapp": "ova-server", "provider": provider["metadata"]["uid"], "ova-server": uid}
    for kind in BELONGINGS:
        found = one(plane, kind)
        assert found["metadata"]["labels"] == labels, kind
        assert found["metadata"]["name"].startswith("src-"), kind
        owners = [(o["kind"], o["uid"], o["blockOwnerDeletion"]) for o in found["metadata"].get("ownerReferences", [])]
        assert owners == ([] if kind == "PersistentVolume" else [("OVAProviderServer", uid, True)]), kind
    assert one(plane, "PersistentVolume")["spec"]["nfs"] == {"server": "filer.example", "path": "/exports/ova"}
    assert one(plane, "PersistentVolumeClaim")["spec"]["volumeName"] == one(plane, "PersistentVolume")["metadata"]["name"]
    found = one(plane, "OVAProviderServer")
    assert found["metadata"]["finalizers"] == ["forklift/ova-provider"]
    service = one(plane, "Service")["metadata"]
    expected = {"kind": "Service", "name": service["name"], "namespace": service["namespace"]}
    assert found["status"] == {"phase": "Ready", "service": expected}


def test_deployment_is_available_when_the_share_is_bound(plane: Any, server: dict[str, Any]) -> None:
    look(plane, server)
    assert not objects.is_available(one(plane, "Deployment"))
    claim = plane.api.update_status({**one(plane, "PersistentVolumeClaim"), "status": {"phase": "Bound"}})
    assert plane.keys(OVAProviderServerReconciler(plane.context), "PersistentVolumeClaim", claim) == {
        (server["metadata"]["namespace"], server["metadata"]["name"])
    }
    look(plane, server)
    deployment = one(plane, "Deployment")
    assert deployment["status"]["availableReplicas"] == 1
    assert {c["type"]: c["status"] for c in deployment["status"]["conditions"]} == {"Available": "True", "Progressing": "True"}
    look(plane, server)
    assert one(plane, "Deployment") == deployment


def test_server_of_another_provider_of_that_name_is_left_alone(plane: Any, provider: dict[str, Any], server: dict[str, Any]) -> None:
    plane.api.patch("Provider", "mig", "src", {"metadata": {"finalizers": None}})
    plane.api.delete("Provider", "mig", "src")
    plane.create("Provider", "mig", "src", spec=provider["spec"])
    look(plane, server)
    assert plane.api.list("PersistentVolume") == []


def test_volume_goes_before_the_server(plane: Any, server: dict[str, Any]) -> None:
    look(plane, server)
    order: list[str] = []
    plane.api.subscribe(lambda event, kind, _obj: order.append(kind) if event == "DELETED" else None)
    plane.api.delete("OVAProviderServer", server["metadata"]["namespace"], server["metadata"]["name"], propagation="Foreground")
    look(plane, server)
    assert order.index("PersistentVolume") < order.index("OVAProviderServer")
    assert set(order) >= {*BELONGINGS, "OVAProviderServer"}


def test_objects_are_those_of_the_recording(plane: Any, recorded: Any) -> None:
    """What Forklift itself writes: specs without what an API server fills in."""
    born = {}
    for event in recorded("ova/trace.jsonl"):
        if event["event"] == "ADDED" and event["t"] < 5:
            born.setdefault(event["kind"], event["object"])
    provider = born["Provider"]
    server = {**objects.server(provider, "konveyor-forklift")}
    assert contains(born["OVAProviderServer"], server)
    server = born["OVAProviderServer"]
    volume = objects.persistent_volume(server, provider["spec"]["url"])
    claim = objects.claim(server, born["PersistentVolume"])
    deployment = objects.deployment(server, born["PersistentVolumeClaim"])
    deployment["spec"]["template"]["spec"]["containers"][0].pop("image")  # the registry's name was replaced
    for made in (volume, claim, deployment, objects.service(server)):
        assert contains(born[made["kind"]], made), made["kind"]


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part
