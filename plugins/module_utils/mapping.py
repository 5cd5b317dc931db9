# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMs use of their source, and whether maps do them justice. Pure: inventory VMs and map pairs in, sentences about problems out.

What VMs and collections look like per provider type: facts 5.3. What a map must name of them: facts 5.3, last paragraph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, NamedTuple

VM = Mapping[str, Any]
Pair = Mapping[str, Any]
#: Name of a collection of the source's inventory -> id -> item.
Items = Callable[[str], Mapping[str, Mapping[str, Any]]]

SHOWN = 5
#: The image store of OpenStack, which no inventory lists (facts 1.3).
GLANCE = "glance"


class Source(NamedTuple):
    """A network or storage on the source side. As in MTV's references `id` wins over `name`."""

    id: str = ""
    name: str = ""
    namespace: str = ""
    type: str = ""

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return repr(name or self.id or self.type)


class Use(NamedTuple):
    """A network or storage, and the names of the VMs that use it."""

    source: Source
    vms: list[str]


def no_items(_collection: str) -> Mapping[str, Mapping[str, Any]]:
    return {}


def used_networks(provider_type: str, vms: Iterable[VM], items: Items = no_items) -> list[Use]:
    """Each network that VMs (in full detail) use, in the order of first use; [] for types that are not known here."""
    return _used(NETWORKS.get(provider_type, _nothing), vms, items)


def used_storages(provider_type: str, vms: Iterable[VM], items: Items = no_items) -> list[Use]:
    return _used(STORAGES.get(provider_type, _nothing), vms, items)


def gaps(
    provider_type: str, vms: Iterable[VM], network_pairs: Sequence[Pair], storage_pairs: Sequence[Pair] | None, items: Items = no_items
) -> list[str]:
    """One sentence per network or storage that some VM uses and no pair maps; [] when all are mapped or the type is not known here.

    vms: inventory VMs in full detail. pairs: `spec.map` of a NetworkMap and a StorageMap; no storage is to be mapped without those.
    """
    chosen = list(vms)
    return [
        _gap(what, use, mapped.sources)
        for what, uses, mapped in (
            ("network", used_networks(provider_type, chosen, items), Mapped(network_pairs)),
            ("storage", used_storages(provider_type, chosen, items) if storage_pairs is not None else [], Mapped(storage_pairs or ())),
        )
        for use in uses
        if not unclear(provider_type, use.source) and mapped.pair_of(use.source) is None
    ]


def pod_clashes(provider_type: str, vms: Iterable[VM], network_pairs: Sequence[Pair], items: Items = no_items) -> list[str]:
    """One sentence per VM with several interfaces on the pod network: a VM can have one.

    MTV notices them only when the map names its networks by id (recorded: with names such a plan is Ready).
    """
    nics, mapped, found = NICS.get(provider_type, _nothing), Mapped(network_pairs), []
    for vm in vms:
        sources = [source for source in nics(vm, items) if _to_pod(mapped.pair_of(source))]
        if len(sources) > 1:
            names = ", ".join(map(str, sources))
            found.append(f"VM {vm['name']!r} has {len(sources)} interfaces ({names}) that are mapped to the pod network")
    return found


def one_pod_network(clashes: Sequence[str]) -> str:
    """What pod_clashes found, as an error."""
    listed = [*clashes[:SHOWN], *([f"and {len(clashes) - SHOWN} VMs more"] if len(clashes) > SHOWN else [])]
    advice = "map all but one of them to NetworkAttachmentDefinitions (NAMESPACE/NAME), or to ignored"
    return f"A VM can have one interface on the pod network. {'; '.join(listed)}: {advice}."


def unclear(provider_type: str, used: Source) -> bool:
    """OpenStack tells the networks and volume types of a VM by name; one that several have has no id here."""
    return provider_type == "openstack" and not used.id and used.name != GLANCE


class Mapped:
    """The pairs of a map, found by what they mean. There may be as many of them as VMs."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.sources = [_source_of(pair) for pair in pairs]
        self._pairs = pairs
        self._places: dict[tuple[str, str], list[int]] = {}
        for place, source in enumerate(self.sources):
            for key in (("id", source.id), ("name", source.name), ("name", source.name.rpartition("/")[2]), ("type", source.type)):
                self._places.setdefault(key, []).append(place)

    def pair_of(self, used: Source) -> Pair | None:
        """The pair that MTV takes for it: the first that means it."""
        keys = (key for key in (("id", used.id), ("name", used.name), ("type", used.type)) if key[1])
        places = {place for key in keys for place in self._places.get(key, ())}
        return next((self._pairs[place] for place in sorted(places) if _same(used, self.sources[place])), None)


def _nothing(_vm: VM, _items: Items) -> list[Source]:
    return []


def _used(collect: Collect, vms: Iterable[VM], items: Items) -> list[Use]:
    users: dict[Source, list[str]] = {}
    for vm in vms:
        for source in dict.fromkeys(collect(vm, items)):
            users.setdefault(source, []).append(vm["name"])
    return [Use(source, names) for source, names in users.items()]


def _gap(what: str, use: Use, mapped: list[Source]) -> str:
    id_part = f" (id {use.source.id})" if use.source.id else ""
    known = ", ".join(map(str, mapped[:SHOWN])) or "nothing"
    return f"{what} {use.source}{id_part} of VM {told(use.vms)} is not in the {what} map, which maps {known}"


def told(vms: Sequence[str]) -> str:
    """`'app1', 'app2' and 3 more`."""
    return ", ".join(map(repr, vms[:SHOWN])) + (f" and {len(vms) - SHOWN} more" if len(vms) > SHOWN else "")


def _source_of(pair: Pair) -> Source:
    source = pair.get("source") or {}
    return Source(*(source.get(field) or "" for field in Source._fields))


def _same(used: Source, mapped: Source) -> bool:
    if mapped.id and (used.id or not mapped.name):
        return mapped.id == used.id
    if mapped.name:
        # `DC/network/VM Network` names it by the end of its path, which the used one does not know; the last part must do.
        return used.name in (mapped.name, mapped.name.rpartition("/")[2]) and mapped.namespace in ("", used.namespace)
    return bool(mapped.type) and mapped.type == used.type


def _to_pod(pair: Pair | None) -> bool:
    return bool(pair) and ((pair or {}).get("destination") or {}).get("type") == "pod"


# --- what a VM uses, per provider type ------------------------------------------------------------------------------


def _in(collection: str, id: str, items: Items) -> list[Source]:
    """The item with this id; [] for none, as of an interface without a network."""
    return [Source(id, str(items(collection).get(id, {}).get("name") or ""))] if id else []


def _named_in(collection: str, name: str, items: Items) -> list[Source]:
    """The item with this name; without an id unless just one has it."""
    found = [item["id"] for item in items(collection).values() if item.get("name") == name]
    return [Source(found[0] if len(found) == 1 else "", name)]


def _ids(parts: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return [(part.get(key) or {}).get("id") or "" for part in parts]


def _flat(lists: Iterable[list[Source]]) -> list[Source]:
    return [source for sources in lists for source in sources]


def _ova_networks(vm: VM, _items: Items) -> list[Source]:
    return [Source(network.get("ID", ""), network.get("Name", "")) for network in vm.get("networks") or []]


def _ova_nics(vm: VM, items: Items) -> list[Source]:
    """A NIC names its network."""
    known = {network.name: network for network in _ova_networks(vm, items)}
    names = [nic.get("Network") or "" for nic in vm.get("nics") or []]
    return [known.get(name, Source(name=name)) for name in names if name]


def _ova_storages(vm: VM, _items: Items) -> list[Source]:
    """Every disk is its own storage: MTV matches each disk's id."""
    return [Source(disk.get("ID", ""), disk.get("Name", "")) for disk in vm.get("disks") or []]


def _vsphere_networks(vm: VM, items: Items) -> list[Source]:
    return _flat(_in("networks", network.get("id") or "", items) for network in vm.get("networks") or [])


def _nics_with_network(vm: VM, items: Items) -> list[Source]:
    return _flat(_in("networks", id, items) for id in _ids(vm.get("nics") or [], "network"))


def _disks_on(collection: str) -> Collect:
    def storages(vm: VM, items: Items) -> list[Source]:
        return _flat(_in(collection, id, items) for id in _ids(vm.get("disks") or [], "datastore"))

    return storages


def _ovirt_nics(vm: VM, items: Items) -> list[Source]:
    """A NIC has a profile, which belongs to a network; one without has no network."""
    profiles = [items("nicprofiles").get(nic.get("profile") or "", {}) for nic in vm.get("nics") or []]
    return _flat(_in("networks", profile.get("network") or "", items) for profile in profiles)


def _ovirt_storages(vm: VM, items: Items) -> list[Source]:
    """Direct LUNs lie in no storage domain."""
    disks = [items("disks").get(attached.get("disk") or "", {}) for attached in vm.get("diskAttachments") or []]
    return _flat(_in("storagedomains", disk.get("storageDomain") or "", items) for disk in disks if disk.get("storageType") != "lun")


def _openstack_networks(vm: VM, items: Items) -> list[Source]:
    return _flat(_named_in("networks", name, items) for name in vm.get("addresses") or {})


def _openstack_storages(vm: VM, items: Items) -> list[Source]:
    volumes = [items("volumes").get(attached.get("ID") or "", {}) for attached in vm.get("attachedVolumes") or []]
    types = _flat(_named_in("volumetypes", volume["volumeType"], items) for volume in volumes if volume.get("volumeType"))
    return [*types, Source(name=GLANCE)] if vm.get("imageID") else types


def _ec2_networks(vm: VM, items: Items) -> list[Source]:
    interfaces = (vm.get("object") or {}).get("NetworkInterfaces") or []
    return _flat(_in("networks", interface.get("SubnetId") or "", items) for interface in interfaces)


def _ec2_storages(vm: VM, items: Items) -> list[Source]:
    """The storages of EC2 are the types of volumes."""
    mappings = (vm.get("object") or {}).get("BlockDeviceMappings") or []
    volumes = [items("volumes").get((mapping.get("Ebs") or {}).get("VolumeId") or "", {}) for mapping in mappings]
    return _flat(_in("storages", (volume.get("object") or {}).get("VolumeType") or "", items) for volume in volumes)


def _openshift_networks(vm: VM, _items: Items) -> list[Source]:
    return [_openshift_network(network, vm.get("namespace", "")) for network in _template(vm).get("networks") or []]


def _openshift_network(network: Mapping[str, Any], vm_namespace: str) -> Source:
    if "pod" in network:
        return Source(type="pod")
    namespace, _slash, name = _attachment(network).rpartition("/")
    return Source(name=name, namespace=namespace or vm_namespace)


def _attachment(network: Mapping[str, Any]) -> str:
    return (network.get("multus") or {}).get("networkName", "")


def _openshift_storages(vm: VM, items: Items) -> list[Source]:
    """The storage classes of the claims of its volumes."""
    names = [
        (volume.get("persistentVolumeClaim") or {}).get("claimName") or (volume.get("dataVolume") or {}).get("name")
        for volume in _template(vm).get("volumes") or []
    ]
    wanted = {(vm.get("namespace"), name) for name in names if name}
    if not wanted:
        return []
    claims = [claim for claim in items("persistentvolumeclaims").values() if (claim.get("namespace"), claim.get("name")) in wanted]
    classes = [((claim.get("object") or {}).get("spec") or {}).get("storageClassName") for claim in claims]
    return _flat(_named_in("storageclasses", name, items) for name in classes if name)


def _template(vm: VM) -> Mapping[str, Any]:
    return (((vm.get("object") or {}).get("spec") or {}).get("template") or {}).get("spec") or {}


Collect = Callable[[VM, Items], list[Source]]
#: Provider type -> what a VM uses. Types without an entry are left to the validation of the Plan.
NETWORKS: dict[str, Collect] = {
    "vsphere": _vsphere_networks,
    "ovirt": _ovirt_nics,
    "openstack": _openstack_networks,
    "ova": _ova_networks,
    "openshift": _openshift_networks,
    "hyperv": _nics_with_network,
    "ec2": _ec2_networks,
}
#: Provider type -> the network of each interface of a VM.
NICS: dict[str, Collect] = {**NETWORKS, "vsphere": _nics_with_network, "ova": _ova_nics}
STORAGES: dict[str, Collect] = {
    "vsphere": _disks_on("datastores"),
    "ovirt": _ovirt_storages,
    "openstack": _openstack_storages,
    "ova": _ova_storages,
    "openshift": _openshift_storages,
    "hyperv": _disks_on("storages"),
    "ec2": _ec2_storages,
}
