# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a cluster (OpenShift or Kubernetes with KubeVirt), as MTV's inventory shows them: a common base and the raw object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Collection:
    """A collection of the inventory and the Kubernetes resource behind it."""

    name: str
    kind: str
    api_version: str
    plural: str
    namespaced: bool = True

    @property
    def built_in(self) -> bool:
        """A kind of Kubernetes itself: its objects come without apiVersion and kind."""
        return self.api_version in ("v1", "storage.k8s.io/v1")

    @property
    def path(self) -> str:
        """The path of the list over all namespaces on an API server."""
        prefix = "/api/" if "/" not in self.api_version else "/apis/"
        return f"{prefix}{self.api_version}/{self.plural}"


COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection("namespaces", "Namespace", "v1", "namespaces", namespaced=False),
        Collection("storageclasses", "StorageClass", "storage.k8s.io/v1", "storageclasses", namespaced=False),
        Collection("networkattachmentdefinitions", "NetworkAttachmentDefinition", "k8s.cni.cncf.io/v1", "network-attachment-definitions"),
        Collection("vms", "VirtualMachine", "kubevirt.io/v1", "virtualmachines"),
        Collection("instancetypes", "VirtualMachineInstancetype", "instancetype.kubevirt.io/v1beta1", "virtualmachineinstancetypes"),
        Collection(
            "clusterinstancetypes",
            "VirtualMachineClusterInstancetype",
            "instancetype.kubevirt.io/v1beta1",
            "virtualmachineclusterinstancetypes",
            namespaced=False,
        ),
        Collection("persistentvolumeclaims", "PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
        Collection("datavolumes", "DataVolume", "cdi.kubevirt.io/v1beta1", "datavolumes"),
        Collection("kubevirts", "KubeVirt", "kubevirt.io/v1", "kubevirts"),
    )
}
#: Read with "vms": a running VM carries its instance.
INSTANCES = Collection("instances", "VirtualMachineInstance", "kubevirt.io/v1", "virtualmachineinstances")


def base(obj: Object) -> dict[str, Any]:
    """The keys that every item has, whatever the detail level."""
    meta = obj["metadata"]
    return {
        "id": meta["uid"],
        "uid": meta["uid"],
        "version": meta.get("resourceVersion", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
    }


def items(collection: Collection, objects: Iterable[Object], instances: Iterable[Object] = ()) -> list[dict[str, Any]]:
    """Full items of a collection. `instances`: VirtualMachineInstances, for VirtualMachines."""
    running = {(o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in instances}
    found = []
    for obj in objects:
        item = {**base(obj), "object": _as_listed(collection, obj)}
        instance = running.get((obj["metadata"].get("namespace"), obj["metadata"]["name"]))
        if instance:
            item["instance"] = _as_listed(INSTANCES, instance)
        found.append(item)
    return found


def _as_listed(collection: Collection, obj: Object) -> Object:
    if collection.built_in:
        return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    return {"apiVersion": collection.api_version, "kind": collection.kind, **obj}
