"""What NetworkMap and StorageMap share: their providers, their source references, and when to look at them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, REQUIRED, WARN, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import MAP_COLLECTIONS, READY, conditions_of, provider_type

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]


class MapReconciler(Reconciler):
    """Resolves the pairs of a map in the inventories of its two providers (facts 2.4)."""

    what: ClassVar[str]  # "network" or "storage"
    component: ClassVar[str]  # who the events come from
    collection: ClassVar[int]  # place of the source collection in MAP_COLLECTIONS
    distinct: ClassVar[bool]  # status.references lists each source once

    def __init__(self, context: Context) -> None:
        self.context = context
        context.inventory.subscribe(self._inventory_changed)

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Provider": lambda provider: references.referring_to(self.context.api, self.kind, "provider", provider)}

    def _inventory_changed(self, provider_uid: str, collection: str, _item: Object | None) -> None:
        """Of a source its networks (storages) concern a map, of a destination its NADs (StorageClasses)."""
        if not any(collection == collections[self.collection] for collections in MAP_COLLECTIONS.values()):
            return
        for key in references.referring_to_provider(self.context.api, self.kind, provider_uid):
            self.enqueue(key)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        obj = self.context.api.find(self.kind, namespace, name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        conditions = Conditions(conditions_of(obj))
        fields: Object = {}
        source, destination = references.provider_pair(self.context.api, obj["spec"]["provider"], conditions)
        if source and destination and not conditions.blocked:
            found = self._sources(obj, source, conditions)
            fields["references"] = found or None
            self.validate_destinations(obj, references.loaded(self.context, destination), conditions)
        if not conditions.blocked:
            conditions.set(READY, REQUIRED, f"The {self.what} map is ready.")
        report(self.context.api, obj, conditions, self.component, fields)
        return None

    def validate_destinations(self, obj: Object, inventory: ProviderInventory, conditions: Conditions) -> None:
        """Stage what is wrong with the destinations of the pairs."""
        raise NotImplementedError

    def _sources(self, obj: Object, provider: Object, conditions: Conditions) -> list[Object]:
        """The sources that are known; the others are staged. Of several findings the last one shows, as in Forklift."""
        inventory = references.loaded(self.context, provider)
        collection = MAP_COLLECTIONS[provider_type(provider)][self.collection]
        found: list[Object] = []
        unknown: list[str] = []
        ambiguous: list[str] = []
        unset = False
        for pair in obj["spec"].get("map") or ():
            ref = pair.get("source") or {}
            try:
                if not any(ref.get(key) for key in ("id", "name", "type")):
                    unset = True
                    continue
                resolved = self.source(inventory, collection, ref)
            except references.Missing:
                unknown.append(references.text(ref))
            except references.Ambiguous:
                ambiguous.append(references.text(ref))
            else:
                if not (self.distinct and resolved in found):
                    found.append(resolved)
        self._stage(conditions, unset, unknown, ambiguous)
        return found

    def source(self, inventory: ProviderInventory, collection: str, ref: Object) -> Object:
        """What `ref` means, as it goes into status.references. Raises Missing, Ambiguous."""
        return references.resolved(ref, references.resolve(inventory, collection, ref))

    def _stage(self, conditions: Conditions, unset: bool, unknown: list[str], ambiguous: list[str]) -> None:
        type = f"Source{self.what.capitalize()}NotValid"
        if unset:
            conditions.set(type, CRITICAL, f"Source {self.what}: either `ID` or `Name` required.", reason="NotSet")
        if unknown:
            conditions.set(type, WARN, f"Source {self.what} not found.", reason="NotFound", items=unknown)
        if ambiguous:
            conditions.set(type, CRITICAL, f"Source {self.what} has ambiguous ref.", reason="Ambiguous", items=ambiguous)
