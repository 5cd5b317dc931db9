"""What the Inventory service shows of a vCenter: lists, levels of detail, network adapters of hosts, trees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory

Object = dict[str, Any]

_BASE = ("id", "variant", "parent", "path", "revision", "name", "selfLink")
_VM_SOME = (*_BASE, "revisionValidated", "isTemplate", "powerState", "host", "networks", "disks", "concerns")
#: Kinds of tree nodes by collection.
_KINDS = {"folders": "Folder", "datacenters": "Datacenter", "clusters": "Cluster", "hosts": "Host", "vms": "VM"}
_COLLECTIONS = {kind: collection for collection, kind in _KINDS.items()}


def item_view(collection: str, item: Object, detail: int) -> Object:
    """An item of a list: VMs always in full, all else as a base or in full."""
    return item if collection == "vms" or detail >= 1 else _only(item, _BASE)


def node_view(collection: str, item: Object, detail: int) -> Object:
    """The object of a tree node: VMs have three levels there."""
    if collection == "vms" and detail == 1:
        return _only(item, _VM_SOME)
    return item if detail >= 1 else _only(item, _BASE)


def listed(known: ProviderInventory, collection: str, items: Iterable[Object]) -> list[Object]:
    """Without templates and what stands for VMs that are gone, distributed switches, and what hosts without a cluster lie in."""
    if collection == "vms":
        return [vm for vm in items if is_migratable(vm)]
    if collection == "networks":
        return [network for network in items if network.get("variant") != "DvSwitch"]
    if collection == "clusters":
        return [cluster for cluster in items if cluster.get("variant") != "ComputeResource"]
    return [completed(known, collection, item) for item in items]


def is_migratable(vm: Object) -> bool:
    return not vm["isTemplate"] and bool(vm["uuid"] or vm["instanceUuid"] or vm["host"])


def completed(known: ProviderInventory, collection: str, item: Object) -> Object:
    """An item with what is only put together when it is shown: hosts have network adapters then."""
    if collection != "hosts":
        return item
    return {**item, "networkAdapters": network_adapters(known, item)}


def network_adapters(known: ProviderInventory, host: Object) -> list[Object]:
    """The addresses of a host, with the speed of the card behind each."""
    found = []
    speeds = {card["key"]: card["linkSpeed"] for card in host["networking"]["pNICs"]}
    for card in host["networking"]["vNICs"]:
        name, cards = _uplink(known, host, card)
        speed = next((speeds[key] for key in cards if key in speeds), 0)
        address = {key: card[key] for key in ("ipAddress", "subnetMask", "mtu")}
        found.append({"name": name, **address, "linkSpeed": speed})
    return found


def _uplink(known: ProviderInventory, host: Object, card: Object) -> tuple[str, list[str]]:
    """The name of the port group that a host's card is in, and the keys of the physical cards behind it."""
    networking = host["networking"]
    if not card["dPortGroup"]:
        groups = [group for group in networking["portGroups"] if group["name"] == card["portGroup"]]
        switches = [switch for switch in networking["switches"] for group in groups if switch["key"] == group["vSwitch"]]
        return card["portGroup"], [key for switch in switches for key in switch["pNICs"]]
    for network in known.collection("networks"):
        if network.get("key") == card["dPortGroup"]:
            switch = known.item("networks", network["dvSwitch"]["id"]) if network.get("dvSwitch") else None
            members = [member for member in (switch or {}).get("host") or [] if member["Host"]["id"] == host["id"]]
            return network["name"], [f"key-vim.host.PhysicalNic-{name}" for member in members for name in member["PNIC"]]
    return card["dPortGroup"], []


def tree(known: ProviderInventory, name: str, detail: int) -> Object:
    """ "vm": datacenters, folders, VMs. "host": datacenters, folders, clusters, hosts, VMs. Roots of the folders are left out."""
    builder = _Tree(known, detail)
    children = [builder.datacenter(datacenter, name) for datacenter in known.collection("datacenters")]
    return {"kind": "", "object": None, "children": children}


class _Tree:
    def __init__(self, known: ProviderInventory, detail: int) -> None:
        self._known = known
        self._detail = detail
        self._vms: dict[str, list[Object]] = {}
        for vm in known.collection("vms"):
            if is_migratable(vm):
                self._vms.setdefault(vm["host"], []).append(vm)

    def datacenter(self, datacenter: Object, name: str) -> Object:
        folder = self._known.item("folders", datacenter["vms" if name == "vm" else "clusters"]["id"])
        return self._node("datacenters", datacenter, self._in_folder(folder) if folder else [])

    def _in_folder(self, folder: Object) -> list[Object]:
        nodes = []
        for child in folder["children"]:
            collection = _COLLECTIONS.get(child["kind"], "")
            item = self._known.item(collection, child["id"]) if collection else None
            if item is None or (collection == "vms" and not is_migratable(item)):
                continue
            nodes.append(self._node(collection, item, self._below(collection, item)))
        return nodes

    def _below(self, collection: str, item: Object) -> list[Object] | None:
        if collection == "folders":
            return self._in_folder(item)
        if collection == "clusters":
            hosts = [self._known.item("hosts", host["id"]) for host in item["hosts"]]
            return [self._node("hosts", host, self._on_host(host)) for host in hosts if host]
        return None

    def _on_host(self, host: Object) -> list[Object]:
        return [self._node("vms", vm, None) for vm in self._vms.get(host["id"], ())]

    def _node(self, collection: str, item: Object, children: list[Object] | None) -> Object:
        # Datacenters are always shown in full.
        detail = 1 if collection == "datacenters" else self._detail
        return {"kind": _KINDS[collection], "object": node_view(collection, item, detail), "children": children or None}


def _only(item: Object, keys: tuple[str, ...]) -> Object:
    return {key: item[key] for key in keys if key in item}
