"""A control plane without a network: the real API over a temporary store, and an inventory of plain data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.context import Context
from ansible_collections.vmshift.mtv.controlplane.controllers.admission import webhooks
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

FORKLIFT = "forklift.konveyor.io/v1beta1"
API_VERSIONS = {
    **dict.fromkeys(
        ("Provider", "Host", "NetworkMap", "StorageMap", "Plan", "Migration", "Hook", "OVAProviderServer", "ForkliftController"), FORKLIFT
    ),
    "StorageClass": "storage.k8s.io/v1",
    "NetworkAttachmentDefinition": "k8s.cni.cncf.io/v1",
    "VirtualMachine": "kubevirt.io/v1",
    "VirtualMachineInstance": "kubevirt.io/v1",
}
LIVE = {
    "networkattachmentdefinitions": "NetworkAttachmentDefinition",
    "storageclasses": "StorageClass",
    "vms": "VirtualMachine",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}


class Items:
    """The inventory of one provider: collections of plain data, or (for the host) what the API has."""

    def __init__(self, collections: dict[str, list[Object]] | None = None, api: Api | None = None) -> None:
        self.collections = collections or {}
        self.api = api
        self.loaded = True
        self.problems: list[str] = []

    def collection(self, name: str) -> list[Object]:
        if self.api is None or name not in LIVE:
            return self.collections.get(name, [])
        return [
            {"id": o["metadata"]["uid"], "name": o["metadata"]["name"], "namespace": o["metadata"].get("namespace", ""), "object": o}
            for o in self.api.list(LIVE[name])
        ]

    def find(self, collection: str, ref: Object) -> list[Object]:
        items = self.collection(collection)
        if ref.get("id"):
            return [item for item in items if item["id"] == ref["id"]]
        name, namespace = ref.get("name", ""), ref.get("namespace", "")
        found = [i for i in items if name in (i["name"], i.get("path")) or i.get("path", "").endswith("/" + name)]
        return [i for i in found if not namespace or i.get("namespace") == namespace]


class FakeInventory:
    """Stands for the inventory of all providers; `failures` (by provider name) are raised by test(), `broken` by load()."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.known: dict[str, Items] = {}
        self.data: dict[str, Items] = {}
        self.failures: dict[str, Exception] = {}
        self.broken: dict[str, Exception] = {}
        self.tested: list[str] = []
        self.loads: list[str] = []
        self.subscribers: list[Callable[[str, str, Object | None], None]] = []

    async def test(self, provider: Object, secret: Object) -> None:
        name = provider["metadata"]["name"]
        self.tested.append(name)
        if name in self.failures:
            raise self.failures[name]

    async def load(self, provider: Object, secret: Object) -> None:
        name = provider["metadata"]["name"]
        self.loads.append(name)
        if name in self.broken:
            raise self.broken[name]
        self.known[provider["metadata"]["uid"]] = self.data.get(name) or Items()

    def get(self, uid: str) -> Items | None:
        return self.known.get(uid)

    def drop(self, uid: str) -> None:
        self.known.pop(uid, None)

    def subscribe(self, callback: Callable[[str, str, Object | None], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def changed(self, uid: str, collection: str) -> None:
        for callback in self.subscribers:
            callback(uid, collection, None)


class Plane:
    """What tests do with a control plane."""

    def __init__(self, api: Api, context: Context, inventory: FakeInventory) -> None:
        self.api, self.context, self.inventory = api, context, inventory

    def namespace(self, *names: str) -> None:
        for name in names:
            if not self.api.find("Namespace", "", name):
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def create(self, kind: str, namespace: str, name: str, **fields: Any) -> Object:
        """An object of `kind`; its namespace is made when it is not there."""
        meta = {"name": name, **fields.pop("metadata", {})}
        if namespace:
            self.namespace(namespace)
            meta["namespace"] = namespace
        return self.api.create({"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind, "metadata": meta, **fields})

    def ready(self, obj: Object) -> Object:
        """`obj` with a Ready condition, as its controller would write it."""
        conditions = [{"type": "Ready", "status": "True", "category": "Required", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        status = {"conditions": conditions, "observedGeneration": obj["metadata"]["generation"]}
        return self.api.update_status({**obj, "status": {**obj.get("status", {}), **status}})

    def provider(self, namespace: str, name: str, type: str, items: Items | None = None, url: str = "https://source.example") -> Object:
        """A Provider that is Ready, with `items` as its inventory."""
        secret = {"name": name, "namespace": namespace} if url else {}
        provider = self.ready(self.create("Provider", namespace, name, spec={"type": type, "url": url, "secret": secret}))
        self.inventory.known[provider["metadata"]["uid"]] = items or Items()
        return provider

    def host(self) -> Object:
        found = self.api.find("Provider", self.context.namespace, "host")
        return found or self.provider(self.context.namespace, "host", "openshift", Items(api=self.api), url="")

    def conditions(self, kind: str, namespace: str, name: str) -> list[Object]:
        """Conditions without their times."""
        status = self.api.get(kind, namespace, name).get("status") or {}
        return [without_time(condition) for condition in status.get("conditions", [])]

    def types(self, kind: str, namespace: str, name: str) -> list[str]:
        return [condition["type"] for condition in self.conditions(kind, namespace, name)]

    def keys(self, reconciler: Reconciler, kind: str, obj: Object) -> set[Key]:
        """The keys that a change of `obj` makes `reconciler` look at."""
        return set(reconciler.triggers()[kind](obj))


def without_time(condition: Object) -> Object:
    return {key: value for key, value in condition.items() if key != "lastTransitionTime"}


def reference(obj: Object) -> Object:
    return {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    state = State(tmp_path / "state")
    state.prepare()
    store = Store(state.store)
    api = Api(store, Registry())
    inventory = FakeInventory(api)
    context = Context(api, state, inventory)  # type: ignore[arg-type]
    api.admission.extend(webhooks(context))
    plane = Plane(api, context, inventory)
    plane.namespace(context.namespace)
    yield plane
    store.close()


@pytest.fixture
def new_items() -> type[Items]:
    return Items


@pytest.fixture
def golden() -> Path:
    """The folder of recorded scenarios of the real controllers, where it is at hand; else the test is skipped."""
    above = [parent / "shared" / "golden" / "scenarios" for parent in Path(__file__).resolve().parents]
    for place in (*above, Path(os.environ.get("VMSHIFT_GOLDEN") or os.devnull)):
        if place.is_dir():
            return place
    pytest.skip("no recordings at hand")


@pytest.fixture
def recorded(golden: Path) -> Callable[[str], Any]:
    """Recorded behaviour: recorded("maps/variants.json")."""

    def read(name: str) -> Any:
        text = (golden / name).read_text()
        return [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else json.loads(text)

    return read
