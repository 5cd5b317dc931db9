"""The objects of the engine: the SDK's own types, under the paths that the API has for them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ovirtsdk4 import types

ROOT = "/ovirt-engine/api"

#: Path of a collection -> element of one object and of the list. Those below other objects are by their own last part.
TAGS = {
    "clusters": ("cluster", "clusters"),
    "datacenters": ("data_center", "data_centers"),
    "diskprofiles": ("disk_profile", "disk_profiles"),
    "disks": ("disk", "disks"),
    "events": ("event", "events"),
    "hosts": ("host", "hosts"),
    "imagetransfers": ("image_transfer", "image_transfers"),
    "networks": ("network", "networks"),
    "storagedomains": ("storage_domain", "storage_domains"),
    "vms": ("vm", "vms"),
    "vnicprofiles": ("vnic_profile", "vnic_profiles"),
    # below others
    "applications": ("application", "applications"),
    "cdroms": ("cdrom", "cdroms"),
    "diskattachments": ("disk_attachment", "disk_attachments"),
    "disksnapshots": ("disk_snapshot", "disk_snapshots"),
    "graphicsconsoles": ("graphics_console", "graphics_consoles"),
    "hostdevices": ("host_device", "host_devices"),
    "networkattachments": ("network_attachment", "network_attachments"),
    "nics": ("nic", "nics"),
    "numanodes": ("vm_numa_node", "vm_numa_nodes"),
    "permissions": ("permission", "permissions"),
    "reporteddevices": ("reported_device", "reported_devices"),
    "snapshots": ("snapshot", "snapshots"),
    "tags": ("tag", "tags"),
    "watchdogs": ("watchdog", "watchdogs"),
}
#: What lies below the objects of a collection: path -> attribute of the object.
BELOW = {
    "vms": {
        "applications": "applications",
        "cdroms": "cdroms",
        "diskattachments": "disk_attachments",
        "graphicsconsoles": "graphics_consoles",
        "hostdevices": "host_devices",
        "nics": "nics",
        "numanodes": "numa_nodes",
        "permissions": "permissions",
        "reporteddevices": "reported_devices",
        "snapshots": "snapshots",
        "tags": "tags",
        "watchdogs": "watchdogs",
    },
    "snapshots": {"disks": "disks"},
    "hosts": {"networkattachments": "network_attachments", "nics": "nics"},
    "networks": {"vnicprofiles": "vnic_profiles"},
    "datacenters": {"clusters": "clusters", "networks": "networks", "storagedomains": "storage_domains"},
    "clusters": {"networks": "networks"},
    "storagedomains": {"diskprofiles": "disk_profiles", "disks": "disks"},
    "disks": {"disksnapshots": "disk_snapshots"},
}
#: Objects that are there at the top of the API, whoever refers to them.
TOP = tuple(name for name in TAGS if name in BELOW or name in ("diskprofiles", "events", "imagetransfers", "vnicprofiles"))
#: Type -> path of its collection.
PATHS = {
    types.Cluster: "clusters",
    types.DataCenter: "datacenters",
    types.Disk: "disks",
    types.DiskProfile: "diskprofiles",
    types.Host: "hosts",
    types.ImageTransfer: "imagetransfers",
    types.Network: "networks",
    types.StorageDomain: "storagedomains",
    types.Vm: "vms",
    types.VnicProfile: "vnicprofiles",
}


class Fault(Exception):
    """What the engine refuses, as it tells it: an HTTP status and a sentence."""

    def __init__(self, status: int, detail: str, reason: str = "Operation Failed") -> None:
        super().__init__(detail)
        self.status, self.detail, self.reason = status, detail, reason


@dataclass
class Layer:
    """One file of a disk. All but the last are what a snapshot has kept."""

    id: str
    file: Path
    format: str  # as QEMU calls it
    snapshot: str = ""


@dataclass
class World:
    """`objects`: by path of their collection ("vms", "vms/ID/nics") and id; `layers`: the files of each disk, the oldest first;
    `deaf`: VMs whose guests do not listen; `changes`: counts what clients are to notice.
    """

    folder: Path
    objects: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: {} for name in TOP})
    layers: dict[str, list[Layer]] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, path: str, obj: Any, id: str = "") -> Any:
        """Put an object into a collection."""
        obj.id = id or obj.id or str(uuid.uuid4())
        obj.href = f"{ROOT}/{path}/{obj.id}"
        self.objects.setdefault(path, {})[obj.id] = obj
        return obj

    def all(self, path: str) -> list[Any]:
        """What a collection holds; those that follow from references are looked up. Raises Fault for what is no collection."""
        if path in self.objects:
            return list(self.objects[path].values())
        parent, _unused, name = path.rpartition("/")
        owner = self.get(parent) if parent else None
        if owner is None or name not in BELOW.get(kind_of(parent), {}):
            raise Fault(404, f"There is no collection {path}.", "Not Found")
        if isinstance(owner, types.Snapshot):
            return self._disks_of(parent)
        attribute = {"datacenters": "data_center", "networks": "network", "storagedomains": "storage_domain"}.get(kind_of(parent))
        if isinstance(owner, types.Cluster):
            return [network for network in self.all("networks") if network.data_center.id == owner.data_center.id]
        return [obj for obj in self.objects.get(name, {}).values() if attribute and owner.id in _referred(obj, attribute)]

    def get(self, path: str) -> Any:
        """The object at "vms/ID" or "vms/ID/nics/ID". Raises Fault."""
        collection, _unused, id = path.rpartition("/")
        found = next((obj for obj in self.all(collection) if obj.id == id), None)
        if found is None:
            raise Fault(404, f"Entity not found: {path}", "Not Found")
        return found

    def find(self, path: str, name: str) -> Any:
        return next(obj for obj in self.all(path) if obj.name == name)

    def disks_of(self, vm_id: str) -> list[Any]:
        return [self.get(f"disks/{attachment.disk.id}") for attachment in self.all(f"vms/{vm_id}/diskattachments")]

    def vm_of(self, disk_id: str) -> Any | None:
        """The VM that a disk is attached to."""
        return next((vm for vm in self.all("vms") if disk_id in {disk.id for disk in self.disks_of(vm.id)}), None)

    def _disks_of(self, snapshot_path: str) -> list[Any]:
        """The disks as a snapshot has kept them: with the ids of its images."""
        _unused, vm_id, _unused2, snapshot_id = snapshot_path.split("/")
        found = []
        for disk in self.disks_of(vm_id):
            layer = next((layer for layer in self.layers.get(disk.id, ()) if layer.snapshot == snapshot_id), None)
            if layer:
                kept = types.Disk(id=disk.id, name=disk.name, image_id=layer.id, provisioned_size=disk.provisioned_size)
                kept.href = f"{ROOT}/{snapshot_path}/disks/{disk.id}"
                found.append(kept)
        return found

    def tell(self, code: int, description: str, **about: Any) -> None:
        """Have an event in the log, which clients follow to learn of changes."""
        number = len(self.objects["events"]) + 1
        event = types.Event(
            code=code,
            description=description,
            index=number,
            severity=types.LogSeverity.NORMAL,
            time=datetime.now(timezone.utc),
            **about,
        )
        self.add("events", event, str(number))


def kind_of(path: str) -> str:
    """The collection that the object at a path is in: "nics" for "vms/ID/nics/ID"."""
    return path.split("/")[-2]


def reference(obj: Any) -> Any:
    """What other objects have of an object: id and href."""
    found = type(obj)(id=obj.id)
    found.href = obj.href
    return found


def references(objs: Iterable[Any]) -> list[Any]:
    return [reference(obj) for obj in objs]


def _referred(obj: Any, attribute: str) -> set[str]:
    """Ids that an object names in an attribute, or in the list of several."""
    one, several = getattr(obj, attribute, None), getattr(obj, f"{attribute}s", None)
    return {ref.id for ref in (*((one,) if one is not None else ()), *(several or ()))}
