"""What the Inventory service shows of an item at each detail level, and of a provider."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.inventory import openstack_views, ovirt_views, vsphere_views
from ansible_collections.vmshift.mtv.controlplane.inventory.items import COLLECTIONS, ProviderInventory, Snapshot
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import openshift

Object = dict[str, Any]

MAX_DETAIL = 10
#: Trees of each provider type, as the last part of their routes.
TREES = {"vsphere": ("host", "vm"), "openstack": ("project",), "ovirt": ("cluster",), "openshift": ("namespace",)}
#: Types that show a VM with all it refers to.
WORKLOADS = ("vsphere", "openstack", "ovirt", "ova")

_OVA_BASE = ("id", "variant", "name", "path", "selfLink")
_OVA_VM_BRIEF = ("id", "variant", "name", "selfLink")
_OVA_VM_SOME = (*_OVA_BASE, "revisionValidated", "networks", "disks", "concerns")
_OPENSHIFT_BASE = ("id", "uid", "version", "namespace", "name", "path", "selfLink")
#: Counters of a provider: key -> collection.
_COUNTERS = {
    "ova": {"vmCount": "vms", "networkCount": "networks", "diskCount": "disks", "storageCount": "storages"},
    "vsphere": {
        "datacenterCount": "datacenters",
        "clusterCount": "clusters",
        "hostCount": "hosts",
        "vmCount": "vms",
        "networkCount": "networks",
        "datastoreCount": "datastores",
    },
    "openstack": {
        "regionCount": "regions",
        "projectCount": "projects",
        "vmCount": "vms",
        "imageCount": "images",
        "volumeCount": "volumes",
        "volumeTypeCount": "volumetypes",
        "networkCount": "networks",
    },
    "ovirt": {
        "datacenterCount": "datacenters",
        "clusterCount": "clusters",
        "hostCount": "hosts",
        "vmCount": "vms",
        "networkCount": "networks",
        "storageDomainCount": "storagedomains",
    },
    "openshift": {"vmCount": "vms", "networkCount": "networkattachmentdefinitions", "storageClassCount": "storageclasses"},
}


def item_view(type: str, collection: str, item: Object, detail: int) -> Object:
    """An item of a list: VMs of OVA files have three levels (0, 1, 2 and more), all else has two."""
    if type == "ova" and collection == "vms":
        if detail == 1:
            return {**_only(item, _OVA_VM_SOME), "networks": None}  # MTV fills networks in only at full detail
        return _only(item, _OVA_VM_BRIEF) if detail < 1 else item
    if type == "vsphere":
        return vsphere_views.item_view(collection, item, detail)
    if type == "openstack":
        return openstack_views.item_view(collection, item, detail)
    if type == "ovirt":
        return ovirt_views.item_view(collection, item, detail)
    if detail >= 1:
        return item
    return _only(item, _OPENSHIFT_BASE if type == "openshift" else _OVA_BASE)


def listed(known: ProviderInventory, collection: str) -> list[Object]:
    """The items that a list shows, in full."""
    items = known.collection(collection)
    return vsphere_views.listed(known, collection, items) if known.type == "vsphere" else items


def single(known: ProviderInventory, collection: str, item: Object) -> Object:
    """An item that was asked for by its ID."""
    return vsphere_views.completed(known, collection, item) if known.type == "vsphere" else item


def tree(known: ProviderInventory, name: str, detail: int) -> Object:
    """The tree of a TREES route."""
    if name == "namespace":
        return namespace_tree(known, detail)
    builders = {"project": openstack_views.tree, "cluster": ovirt_views.tree}
    return builders[name](known, detail) if name in builders else vsphere_views.tree(known, name, detail)


def provider_view(provider: Object, known: ProviderInventory | None, detail: int) -> Object:
    """A provider; from detail 1 on with its object and with counts (0 while its inventory is not loaded)."""
    type = provider["spec"].get("type", "")
    base = openshift.base(provider)
    view: Object = {**base, "selfLink": f"providers/{type}/{base['uid']}"}
    if detail < 1:
        return view
    meta = {key: value for key, value in provider["metadata"].items() if key != "managedFields"}
    view |= {"type": type, "object": {**provider, "metadata": meta}}
    if type == "ova":
        view |= {"apiVersion": "", "product": ""}
    if type == "vsphere":
        view |= {"apiVersion": "", "product": "", "instanceUuid": "", **(known.about if isinstance(known, Snapshot) else {})}
    for counter, collection in _COUNTERS.get(type, {}).items():
        view[counter] = len(known.collection(collection)) if known else 0
    if type == "vsphere" and known:
        view["networkCount"] = len(listed(known, "networks"))  # without switches
    if type == "openshift":
        view["networkCount"] += 1  # the pod network
    return view


def namespace_tree(known: ProviderInventory, detail: int) -> Object:
    """Namespaces with the VMs in them; those without VMs are left out."""
    vms: dict[str, list[Object]] = {}
    for vm in known.collection("vms"):
        path = f"{vm['namespace']}/{vm['id']}"
        leaf: Object = {"kind": "VM", "object": {**item_view("openshift", "vms", vm, detail), "path": path}, "children": None}
        vms.setdefault(vm["namespace"], []).append(leaf)
    namespaces: list[Object] = [
        {"kind": "Namespace", "object": {**namespace, "path": namespace["name"]}, "children": vms[namespace["name"]]}
        for namespace in known.collection("namespaces")
        if namespace["name"] in vms
    ]
    return {"kind": "", "object": None, "children": namespaces}


def schema(types: Iterable[str]) -> Object:
    """The routes, as `/schema` lists them."""
    paths = ["/providers", "/providers/"]
    for type in types:
        root = f"/providers/{type}"
        paths += [root, f"{root}/", f"{root}/:provider"]
        for collection in COLLECTIONS.get(type, ()):
            path = f"{root}/:provider/{collection}"
            paths += [path, f"{path}/", f"{path}/:{_PARAMETERS.get(collection, collection.removesuffix('s'))}"]
        paths += [f"{root}/:provider/{path}" for path in _EXTRA.get(type, ())]
        paths += [f"{root}/:provider/tree/{name}" for name in TREES.get(type, ())]
    return {"paths": [*paths, "/schema", "/aap/job-templates"]}


_PARAMETERS = {
    "networkattachmentdefinitions": "network",
    "storageclasses": "sc",
    "persistentvolumeclaims": "pvc",
    "datavolumes": "dv",
    "nicprofiles": "profile",
    "diskprofiles": "profile",
}
_EXTRA = dict.fromkeys(WORKLOADS, ("workloads/:vm",))


def _only(item: Object, keys: tuple[str, ...]) -> Object:
    return {key: item[key] for key in keys if key in item}
