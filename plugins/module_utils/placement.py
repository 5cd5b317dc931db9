# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the VMs of a source lie: folder, cluster, host, datastore, tag; and whether they run. Pure.

What VMs and collections look like per provider type: facts 5.3. A new type is an entry in PLACES and POWER_STATES.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.catalog import Catalog, Item

VM = Mapping[str, Any]
#: Name of a collection of the inventory -> its items.
Read = Callable[[str], Iterable[Item]]

#: Words that need nothing but the VM itself.
PLAIN_WORDS = ("name", "id", "path", "regex", "query")


class Placement:
    """`Placement("vsphere", vms, read)`. Reads and indexes only what is asked for, and that once.

    Without a provider type it knows the plain words and `namespace`.
    """

    def __init__(self, provider_type: str, vms: Iterable[VM], read: Read) -> None:
        self.type = provider_type
        self.vms = list(vms)
        self._read = read
        self._collections: dict[str, dict[str, Item]] = {}
        self._catalogs: dict[str, Catalog] = {}
        self._members: dict[str, dict[str, set[str]]] = {}

    def items(self, collection: str) -> dict[str, Item]:
        """Id -> item of a collection of the inventory."""
        if collection not in self._collections:
            self._collections[collection] = {item["id"]: item for item in self._read(collection)}
        return self._collections[collection]

    def catalog(self, word: str) -> Catalog:
        """The places of one kind, to look names up."""
        if word not in self._catalogs:
            self._catalogs[word] = Catalog(PLACES[self.type][word].items(self))
        return self._catalogs[word]

    def members(self, word: str) -> dict[str, set[str]]:
        """Id of a place (power state: `on`, `off`, `suspended`) -> ids of the VMs in it."""
        if word not in self._members:
            places_of = self._power_state if word == "power_state" else PLACES[self.type][word].of_vm
            found: dict[str, set[str]] = {}
            for vm in self.vms:
                for place in places_of(self, vm):
                    found.setdefault(place, set()).add(vm["id"])
            self._members[word] = found
        return self._members[word]

    @staticmethod
    def _power_state(placement: Placement, vm: VM) -> list[str]:
        said = POWER_STATES[placement.type](vm)
        state = _STATES.get(str(said).lower())
        return [state] if state else []


def known_words(provider_type: str) -> tuple[str, ...]:
    """The words that a selector of VMs may use for this provider type ("" for a list of VMs without one)."""
    namespace = ("namespace",) if provider_type in ("", "openshift") else ()
    power = ("power_state",) if provider_type in POWER_STATES else ()
    return (*PLAIN_WORDS, *namespace, *PLACES.get(provider_type, {}), *power)


class Place(NamedTuple):
    """One kind of place: all there are, and ids of those that a VM lies in."""

    items: Callable[[Placement], Iterable[Item]]
    of_vm: Callable[[Placement, VM], Iterable[str]]


def _folders(placement: Placement) -> list[Item]:
    """Folders, and datacenters, which lie between the outermost folders and those of VMs."""
    return [*placement.items("folders").values(), *placement.items("datacenters").values()]


def _folders_of(placement: Placement, vm: VM) -> list[str]:
    chain: list[str] = []
    above = vm.get("parent")
    while above and above.get("id") and above["id"] not in chain:
        chain.append(above["id"])
        folder = placement.items("folders").get(above["id"]) or placement.items("datacenters").get(above["id"]) or {}
        above = folder.get("parent")
    return chain


def _hosts_of(_placement: Placement, vm: VM) -> list[str]:
    return [vm["host"]] if vm.get("host") else []


def _cluster_of_host(placement: Placement, vm: VM) -> list[str]:
    cluster = placement.items("hosts").get(vm.get("host") or "", {}).get("cluster")
    return [cluster] if cluster else []


def _cluster_of_vm(_placement: Placement, vm: VM) -> list[str]:
    return [vm["cluster"]] if vm.get("cluster") else []


def _datastores_of_disks(_placement: Placement, vm: VM) -> list[str]:
    return [disk["datastore"]["id"] for disk in vm.get("disks") or [] if (disk.get("datastore") or {}).get("id")]


def _domains_of_disks(placement: Placement, vm: VM) -> list[str]:
    disks = [placement.items("disks").get(attached.get("disk") or "", {}) for attached in vm.get("diskAttachments") or []]
    return [disk["storageDomain"] for disk in disks if disk.get("storageDomain")]


def _vsphere_tags(placement: Placement) -> list[Item]:
    """The path of a tag is `CATEGORY:NAME`. The inventory tells the id of the category only."""
    tags = {tag["id"]: tag for vm in placement.vms for tag in vm.get("tags") or []}
    return [{"id": id, "name": tag["name"], "path": f"{tag.get('categoryID', '')}:{tag['name']}"} for id, tag in tags.items()]


def _vsphere_tags_of(_placement: Placement, vm: VM) -> list[str]:
    return [tag["id"] for tag in vm.get("tags") or []]


def _openstack_tags(placement: Placement) -> list[Item]:
    return [{"id": tag, "name": tag} for tag in sorted({tag for vm in placement.vms for tag in vm.get("tags") or []})]


def _openstack_tags_of(_placement: Placement, vm: VM) -> list[str]:
    return vm.get("tags") or []


def _all(collection: str) -> Callable[[Placement], Iterable[Item]]:
    def items(placement: Placement) -> Iterable[Item]:
        return placement.items(collection).values()

    return items


#: Provider type -> word -> the places it means.
PLACES: dict[str, dict[str, Place]] = {
    "vsphere": {
        "folder": Place(_folders, _folders_of),
        "cluster": Place(_all("clusters"), _cluster_of_host),
        "host": Place(_all("hosts"), _hosts_of),
        "datastore": Place(_all("datastores"), _datastores_of_disks),
        "tag": Place(_vsphere_tags, _vsphere_tags_of),
    },
    "ovirt": {
        "cluster": Place(_all("clusters"), _cluster_of_vm),
        "host": Place(_all("hosts"), _hosts_of),
        "datastore": Place(_all("storagedomains"), _domains_of_disks),
    },
    "openstack": {"tag": Place(_openstack_tags, _openstack_tags_of)},
    "hyperv": {
        "cluster": Place(_all("clusters"), _cluster_of_host),
        "host": Place(_all("hosts"), _hosts_of),
        "datastore": Place(_all("storages"), _datastores_of_disks),
    },
}


def _said_power_state(vm: VM) -> Any:
    return vm.get("powerState")


def _said_status(vm: VM) -> Any:
    return vm.get("status")


def _said_printable_status(vm: VM) -> Any:
    return ((vm.get("object") or {}).get("status") or {}).get("printableStatus")


#: Provider type -> what the source says about a VM's power. OVA files have none.
POWER_STATES: dict[str, Callable[[VM], Any]] = {
    "vsphere": _said_power_state,
    "ovirt": _said_status,
    "openstack": _said_status,
    "openshift": _said_printable_status,
    "hyperv": _said_power_state,
    "ec2": _said_power_state,
}
#: The words of all types, in lower case. A state on the way from one to another is none of these.
_STATES = {
    **dict.fromkeys(("poweredon", "up", "active", "running", "on"), "on"),
    **dict.fromkeys(("poweredoff", "down", "shutoff", "stopped", "off"), "off"),
    "suspended": "suspended",
}
