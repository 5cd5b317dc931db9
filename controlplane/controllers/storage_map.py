"""StorageMap: which StorageClass the disks of a source storage go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.maps import MapReconciler
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import GLANCE

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]


class StorageMapReconciler(MapReconciler):
    kind = "StorageMap"
    what = "storage"
    component = "storageMap"
    collection = 1
    distinct = False

    def source(self, inventory: ProviderInventory, collection: str, ref: Object) -> Object:
        """The image store of OpenStack is in no inventory."""
        if collection == "volumetypes" and ref.get("name") == GLANCE and not ref.get("id"):
            return {"name": GLANCE}
        return super().source(inventory, collection, ref)

    def validate_destinations(self, obj: Object, inventory: ProviderInventory, conditions: Conditions) -> None:
        """An empty class is the default one."""
        classes = [(pair.get("destination") or {}).get("storageClass") or "" for pair in obj["spec"].get("map") or ()]
        missing = [name for name in classes if name and not inventory.find("storageclasses", {"name": name})]
        if missing:
            conditions.set("DestinationStorageNotValid", CRITICAL, "Destination storage not valid.", reason="NotFound", items=missing)
