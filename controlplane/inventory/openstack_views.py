"""What the Inventory service shows of an OpenStack cloud: levels of detail, and the tree of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory

Object = dict[str, Any]

_BASE = ("id", "revision", "path", "name", "selfLink")
_VM_MORE = ("tenantID", "status", "hostID", "revisionValidated", "imageID", "flavorID", "addresses", "attachedVolumes", "concerns")
_VM_SOME = (*_BASE, *_VM_MORE)


def item_view(collection: str, item: Object, detail: int) -> Object:
    """An item of a list: VMs have three levels (0, 1, 2 and more), all else has two."""
    if collection == "vms" and detail == 1:
        return _only(item, _VM_SOME)
    return item if detail >= 1 else _only(item, _BASE)


def tree(known: ProviderInventory, detail: int) -> Object:
    """Projects, always in full, with their VMs."""
    vms: dict[str, list[Object]] = {}
    for vm in known.collection("vms"):
        node: Object = {"kind": "VM", "object": item_view("vms", vm, detail), "children": None}
        vms.setdefault(vm["tenantID"], []).append(node)
    projects = known.collection("projects")
    children = [{"kind": "Project", "object": project, "children": vms.get(project["id"])} for project in projects]
    return {"kind": "", "object": None, "children": children or None}


def _only(item: Object, keys: tuple[str, ...]) -> Object:
    return {key: item[key] for key in keys if key in item}
