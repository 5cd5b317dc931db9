"""The items of one provider: a snapshot of a source, or the live objects of this cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.plugins.module_utils import concerns
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import Collected, openshift, ova
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import inventory as openstack
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import workload as openstack_workload
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import inventory as ovirt
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import workload as ovirt_workload
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import inventory as vsphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import workload

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import Collector

Object = dict[str, Any]

#: Collections of each provider type that is read here.
COLLECTIONS: Mapping[str, tuple[str, ...]] = {
    "vsphere": vsphere.COLLECTIONS,
    "openstack": openstack.COLLECTIONS,
    "ovirt": ovirt.COLLECTIONS,
    "ova": ova.COLLECTIONS,
    "openshift": tuple(openshift.COLLECTIONS),
}
#: Types whose items tell how often they changed.
_WITH_REVISIONS = frozenset({"vsphere", "openstack", "ovirt"})
#: Types whose items lie in a tree: the name "a/b/c" means those called c whose path ends like that.
PATHS = frozenset({"vsphere", "openstack", "ovirt"})
#: Type -> what a workload has as whole objects beside the VM itself.
_SURROUNDINGS = {"vsphere": workload.surroundings, "ovirt": ovirt_workload.surroundings}

#: What is told to have changed, in the place of a collection, when other parts of a source than before cannot be read or used.
PROBLEMS = "problems"


class ProviderInventory:
    """What the inventory knows of one provider. Items are in full detail, as the Inventory service emits them; read only."""

    def __init__(self, provider: Object) -> None:
        self.provider = provider
        self.type: str = provider["spec"].get("type", "")
        self.uid: str = provider["metadata"]["uid"]
        self.problems: list[str] = []
        self.missing_privileges: list[str] = []
        self.ready = asyncio.Event()

    @property
    def loaded(self) -> bool:
        """The source was read completely at least once."""
        return self.ready.is_set()

    def collection(self, name: str) -> list[Object]:
        """All items of a collection ("vms", "networks", …). Raises KeyError for one that this type does not have."""
        raise NotImplementedError

    def item(self, collection: str, id: str) -> Object | None:
        return next((item for item in self.collection(collection) if item["id"] == id), None)

    def find(self, collection: str, ref: Mapping[str, Any]) -> list[Object]:
        """What a reference {id, name, namespace} means: id wins; several when a name is ambiguous."""
        if ref.get("id"):
            item = self.item(collection, ref["id"])
            return [item] if item else []
        namespace, name = ref.get("namespace") or "", ref.get("name") or ""
        if self.type == "openshift" and not namespace and "/" in name:
            namespace, _unused, name = name.partition("/")
        if self.type in PATHS and "/" in name:
            return [item for item in self.named(collection, name.rpartition("/")[2]) if has_path(item, name)]
        return [item for item in self.named(collection, name) if not namespace or item.get("namespace", namespace) == namespace]

    def named(self, collection: str, name: str) -> list[Object]:
        return [item for item in self.collection(collection) if item["name"] == name]

    def workload(self, vm_id: str) -> Object:
        """A VM with all that it refers to, as validation rules and builders get it. Raises KeyError."""
        vm = self.item("vms", vm_id)
        if vm is None:
            raise KeyError(vm_id)
        return {**workload.without_path(vm), "selfLink": self.link("workloads", vm_id), **self.surroundings(vm)}

    def surroundings(self, vm: Object) -> Object:
        """Keys of a VM that a workload has as whole objects."""
        if self.type == "openstack":
            return openstack_workload.surroundings(vm, self)
        around = _SURROUNDINGS.get(self.type)
        return around(vm, self.item) if around else {}

    def link(self, collection: str, id: str) -> str:
        return f"providers/{self.type}/{self.uid}/{collection}/{id}"


def has_path(item: Mapping[str, Any], name: str) -> bool:
    """The path of an item ends with `name`, "a/b/c"."""
    return f"/{item.get('path', '').strip('/')}".endswith(f"/{name.strip('/')}")


class Snapshot(ProviderInventory):
    """A source as it was read last."""

    def __init__(self, provider: Object, collector: Collector) -> None:
        super().__init__(provider)
        self.collector = collector
        self._read: dict[str, list[Object]] = {name: [] for name in COLLECTIONS[self.type]}
        self._items: dict[str, dict[str, Object]] = {name: {} for name in COLLECTIONS[self.type]}
        self._named: dict[str, dict[str, list[Object]]] = {name: {} for name in COLLECTIONS[self.type]}
        self._revisions: dict[str, dict[str, int]] = {name: {} for name in COLLECTIONS[self.type]}
        self.about: Object = {}

    def collection(self, name: str) -> list[Object]:
        return list(self._items[name].values())

    def item(self, collection: str, id: str) -> Object | None:
        return self._items[collection].get(id)

    def named(self, collection: str, name: str) -> list[Object]:
        return self._named[collection].get(name, [])

    def revision(self, vm_id: str) -> int:
        """How often the VM was seen changed; 1 for a new one, 0 for an unknown one."""
        return self._revisions["vms"].get(vm_id, 0)

    def update(self, collected: Collected) -> list[tuple[str, Object | None]]:
        """Take over a new reading: changed VMs get a new revision and are validated. Returns (collection, VM or None) that changed."""
        self.problems, self.about, self.missing_privileges = collected.problems, collected.about, collected.missing_privileges
        changes: list[tuple[str, Object | None]] = []
        for name, read in collected.resources.items():
            if read != self._read[name]:
                changes += self._replace(name, read)
                self._read[name] = read
        return changes

    def _replace(self, name: str, read: list[Object]) -> list[tuple[str, Object | None]]:
        old, before = self._items[name], {item["id"]: item for item in self._read[name]}
        new: dict[str, Object] = {}
        changes: list[tuple[str, Object | None]] = []
        for item in read:
            id = item["id"]
            if before.get(id) == item:
                new[id] = old[id]
                continue
            revision = self._revisions[name].get(id, 0) + 1
            self._revisions[name][id] = revision
            revisions = {"revision": revision} if self.type in _WITH_REVISIONS else {}
            new[id] = {**item, **revisions, "selfLink": self.link(name, id)}
            if name == "vms":
                self._validate(new[id], revision)
                changes.append((name, new[id]))
        named: dict[str, list[Object]] = {}
        for item in new.values():
            named.setdefault(item["name"], []).append(item)
        self._items[name], self._named[name] = new, named  # whole: other threads look things up
        self._revisions[name] = {id: revision for id, revision in self._revisions[name].items() if id in new}
        if name != "vms" or old.keys() - new.keys():
            changes.append((name, None))
        return changes

    def _validate(self, vm: Object, revision: int) -> None:
        if concerns.rules_version(self.type):
            answer = concerns.validate(self.type, {**vm, **self.surroundings(vm)})
            vm.update(concerns=answer["concerns"], policyVersion=answer["rules_version"], revisionValidated=revision)


class Live(ProviderInventory):
    """The cluster that this control plane is: each look is at its present objects."""

    def __init__(self, provider: Object, api: Api, only_namespace: str = "") -> None:
        super().__init__(provider)
        self._api = api
        self._only = only_namespace
        self.ready.set()

    def collection(self, name: str) -> list[Object]:
        collection = openshift.COLLECTIONS[name]
        instances = self._objects(openshift.INSTANCES) if name == "vms" else []
        found = openshift.items(collection, self._objects(collection), instances)
        return [{**item, "selfLink": self.link(name, item["id"])} for item in found]

    def _objects(self, collection: openshift.Collection) -> list[Object]:
        kind = self._api.registry.by_kind(collection.api_version, collection.kind)
        if kind is None:  # not installed here
            return []
        if self._only and collection.kind == "Namespace":
            namespace = self._api.find(kind, None, self._only)
            return [namespace] if namespace else []
        return self._api.list(kind, self._only if self._only and collection.namespaced else None)
