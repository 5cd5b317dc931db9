"""NetworkMap: which source network goes to the pod network, to a NAD, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.maps import MapReconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]


class NetworkMapReconciler(MapReconciler):
    kind = "NetworkMap"
    what = "network"
    component = "networkMap"
    collection = 0
    distinct = True

    def source(self, inventory: ProviderInventory, collection: str, ref: Object) -> Object:
        if ref.get("type") == "pod" and not ref.get("id") and not ref.get("name"):
            return {"type": "pod"}  # the pod network of an OpenShift source is in no inventory
        return super().source(inventory, collection, ref)

    def validate_destinations(self, obj: Object, inventory: ProviderInventory, conditions: Conditions) -> None:
        missing: list[str] = []
        ambiguous: list[str] = []
        for pair in obj["spec"].get("map") or ():
            destination = pair.get("destination") or {}
            if destination.get("type") != "multus":
                continue
            name, namespace = destination.get("name") or "", destination.get("namespace") or ""
            if not namespace:
                ambiguous.append(name)
            elif not inventory.find("networkattachmentdefinitions", {"name": name, "namespace": namespace}):
                missing.append(f"{namespace}/{name}")
        if missing:
            conditions.set("DestinationNetworkNotValid", CRITICAL, "Destination network (NAD) not found.", reason="NotFound", items=missing)
        if ambiguous:
            message = "Destination network (NAD) namespace required."
            conditions.set("DestinationNetworkNotValid", CRITICAL, message, reason="Ambiguous", items=ambiguous)
