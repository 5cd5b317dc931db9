"""What the Inventory service shows of an oVirt engine: levels of detail, the tree of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory

Object = dict[str, Any]

_BASE = ("id", "revision", "path", "name", "description", "selfLink")
_VM_SOME = (*_BASE, "cluster", "status", "host", "revisionValidated", "nics", "diskAttachments", "concerns")


def item_view(collection: str, item: Object, detail: int) -> Object:
    """An item of a list or a tree: VMs have three levels (0, 1, 2 and more), all else has two."""
    if collection == "vms" and detail == 1:
        return {key: item[key] for key in _VM_SOME if key in item}
    return item if detail >= 1 else {key: item[key] for key in _BASE if key in item}


def tree(known: ProviderInventory, detail: int) -> Object:
    """Datacenters, clusters, hosts, VMs; a VM that runs nowhere is below its cluster."""

    def node(kind: str, collection: str, item: Object, children: list[Object] | None) -> Object:
        return {"kind": kind, "object": item_view(collection, item, detail), "children": children or None}

    def vms(cluster: Object, host: str) -> list[Object]:
        return [node("VM", "vms", vm, None) for vm in known.collection("vms") if (vm["cluster"], vm["host"]) == (cluster["id"], host)]

    def hosts(cluster: Object) -> list[Object]:
        found = [host for host in known.collection("hosts") if host["cluster"] == cluster["id"]]
        return [node("Host", "hosts", host, vms(cluster, host["id"])) for host in found] + vms(cluster, "")

    def clusters(datacenter: Object) -> list[Object]:
        found = [cluster for cluster in known.collection("clusters") if cluster["dataCenter"] == datacenter["id"]]
        return [node("Cluster", "clusters", cluster, hosts(cluster)) for cluster in found]

    children = [node("DataCenter", "datacenters", center, clusters(center)) for center in known.collection("datacenters")]
    return {"kind": "", "object": None, "children": children}
