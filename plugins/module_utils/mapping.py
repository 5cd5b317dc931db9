# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the maps cover what the VMs use? Pure: inventory VMs and map pairs in, sentences about gaps out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple

SHOWN = 5


class Source(NamedTuple):
    """A network or storage on the source side. As in MTV's references `id` wins over `name`."""

    id: str = ""
    name: str = ""
    namespace: str = ""
    type: str = ""

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return repr(name or self.id or self.type)


def gaps(
    provider_type: str, vms: Iterable[Mapping[str, Any]], network_pairs: list[Mapping[str, Any]], storage_pairs: list[Mapping[str, Any]]
) -> list[str]:
    """One sentence per network or storage that some VM uses and no pair maps; [] when all are mapped or the type is not known here.

    vms: inventory VMs in full detail. pairs: `spec.map` of a NetworkMap and a StorageMap.
    """
    found: list[str] = []
    chosen = list(vms)
    for what, collect, pairs in (
        ("network", NETWORKS.get(provider_type), network_pairs),
        ("storage", STORAGES.get(provider_type), storage_pairs),
    ):
        if collect is None:
            continue
        mapped = [_source_of(pair) for pair in pairs]
        users: dict[Source, list[str]] = {}
        for vm in chosen:
            for source in dict.fromkeys(collect(vm)):
                if not any(_same(source, known) for known in mapped):
                    users.setdefault(source, []).append(vm["name"])
        found += [_gap(what, source, names, mapped) for source, names in users.items()]
    return found


def _gap(what: str, source: Source, vms: list[str], mapped: list[Source]) -> str:
    of = ", ".join(map(repr, vms[:SHOWN])) + (f" and {len(vms) - SHOWN} more" if len(vms) > SHOWN else "")
    id_part = f" (id {source.id})" if source.id else ""
    return f"{what} {source}{id_part} of VM {of} is not in the {what} map, which maps {', '.join(map(str, mapped[:SHOWN])) or 'nothing'}"


def _source_of(pair: Mapping[str, Any]) -> Source:
    source = pair.get("source") or {}
    return Source(*(source.get(field) or "" for field in Source._fields))


def _same(used: Source, mapped: Source) -> bool:
    if mapped.id or mapped.type:
        return (mapped.id, mapped.type) == (used.id if mapped.id else "", used.type)
    return mapped.name == used.name and mapped.namespace in ("", used.namespace)


def _ova_networks(vm: Mapping[str, Any]) -> list[Source]:
    return [Source(network.get("ID", ""), network.get("Name", "")) for network in vm.get("networks") or []]


def _ova_storages(vm: Mapping[str, Any]) -> list[Source]:
    """Every disk is its own storage: MTV matches each disk's id."""
    return [Source(disk.get("ID", ""), disk.get("Name", "")) for disk in vm.get("disks") or []]


def _openshift_networks(vm: Mapping[str, Any]) -> list[Source]:
    template = ((vm.get("object") or {}).get("spec") or {}).get("template") or {}
    return [_openshift_network(network, vm.get("namespace", "")) for network in (template.get("spec") or {}).get("networks") or []]


def _openshift_network(network: Mapping[str, Any], vm_namespace: str) -> Source:
    if "pod" in network:
        return Source(type="pod")
    namespace, _slash, name = _attachment(network).rpartition("/")
    return Source(name=name, namespace=namespace or vm_namespace)


def _attachment(network: Mapping[str, Any]) -> str:
    return (network.get("multus") or {}).get("networkName", "")


Collect = Callable[[Mapping[str, Any]], list[Source]]
#: Provider type -> what a VM uses. Types without an entry are left to the validation of the Plan.
NETWORKS: dict[str, Collect] = {"ova": _ova_networks, "openshift": _openshift_networks}
STORAGES: dict[str, Collect] = {"ova": _ova_storages}
