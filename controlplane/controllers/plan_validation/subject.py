"""What a plan consists of, found and at hand for the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import MAP_COLLECTIONS, provider_type

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]
Index = dict[tuple[str, str], Object]  # inventory items by namespace and name


@dataclass(frozen=True)
class Subject:
    """A plan with what it refers to. Inventories are loaded. There is no storage map when the plan only converts."""

    context: Context
    plan: Object
    conditions: Conditions
    source: Object
    destination: Object
    network_map: Object
    storage_map: Object | None
    source_inventory: ProviderInventory
    destination_inventory: ProviderInventory
    _items: dict[str, dict[str, Object]] = field(default_factory=dict)

    @property
    def api(self) -> Api:
        return self.context.api

    @property
    def spec(self) -> Object:
        return self.plan["spec"]

    @property
    def type(self) -> str:
        return self.spec.get("type") or ""

    @property
    def warm(self) -> bool:
        return bool(self.spec.get("warm")) or self.type == "warm"

    @property
    def target_namespace(self) -> str:
        return self.spec["targetNamespace"]

    @property
    def source_type(self) -> str:
        return provider_type(self.source)

    @cached_property
    def _statuses(self) -> dict[tuple[str, str], Object]:
        vms = ((self.plan.get("status") or {}).get("migration") or {}).get("vms") or ()
        return {(key, vm[key]): vm for key in ("id", "name") for vm in vms if vm.get(key)}

    def status_of(self, ref: references.Ref) -> Object | None:
        """The entry of `status.migration.vms` for a VM."""
        key = "id" if ref.get("id") else "name"
        return self._statuses.get((key, ref.get(key) or ""))

    @cached_property
    def destination_vms(self) -> Index:
        return index(self.destination_inventory.collection("vms"))

    def source_items(self, collection: str) -> Mapping[str, Object]:
        """Items of the source's inventory by id."""
        if collection not in self._items:
            self._items[collection] = {item["id"]: item for item in self.source_inventory.collection(collection)}
        return self._items[collection]

    @cached_property
    def source_claims(self) -> Index:
        """PersistentVolumeClaims of an OpenShift source."""
        return index(self.source_inventory.collection("persistentvolumeclaims"))

    @cached_property
    def source_classes(self) -> Index:
        """StorageClasses of an OpenShift source; their namespace is ""."""
        return index(self.source_inventory.collection("storageclasses"))

    @cached_property
    def _network_sources(self) -> list[tuple[Object, list[Object]]]:
        """Each pair of the network map, and what its source means."""
        collection = MAP_COLLECTIONS[self.source_type][0]
        found = []
        for pair in self.network_map["spec"].get("map") or ():
            source = pair.get("source") or {}
            named = source.get("id") or source.get("name")
            items = self.source_inventory.find(collection, source) if named else []
            found.append((pair, [references.resolved({}, item) for item in items] if named else [{"type": source.get("type")}]))
        return found

    def network_pairs(self, network: references.Ref) -> Iterator[Object]:
        """Pairs of the network map for one network of the source, whichever way they name it."""
        return (pair for pair, meant in self._network_sources if any(same(network, item) for item in meant))

    def network_is_mapped(self, network: references.Ref) -> bool:
        return any(same(network, ref) for ref in references_of(self.network_map))

    def storage_is_mapped(self, storage: references.Ref) -> bool:
        return self.storage_map is None or any(same(storage, ref) for ref in references_of(self.storage_map))


def index(items: Iterable[Object]) -> Index:
    return {(item.get("namespace", ""), item["name"]): item for item in items}


def references_of(mapping: Object) -> list[Object]:
    return (mapping.get("status") or {}).get("references") or []


def same(one: references.Ref, other: references.Ref) -> bool:
    """Both mean the same: by id where both have one, else by name, namespace and type."""
    if one.get("id") and other.get("id"):
        return one["id"] == other["id"]
    return all((one.get(key) or "") == (other.get(key) or "") for key in ("name", "namespace", "type"))
