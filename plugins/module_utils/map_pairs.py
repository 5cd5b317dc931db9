# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of a NetworkMap or StorageMap: from what a task writes to entries of `spec.map`, checked against inventory items. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import matches
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import GLANCE
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import field

NETWORK, STORAGE = "NetworkMap", "StorageMap"
Entry = Mapping[str, Any]
_SOURCE_KEYS = {NETWORK: ("id", "name", "namespace", "type", "vlan"), STORAGE: ("id", "name", "namespace")}
#: Sources that no inventory lists.
_UNLISTED_NAMES = {"openstack": (GLANCE,)}
_VOLUME_MODES = ("Filesystem", "Block")
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany")
_LAST_VLAN = 4094
_SHOWN = 10


class Pair(NamedTuple):
    """One pair of a task; `path` is where the task wrote it, for error texts. destination: {} for one that goes away (`present` false)
    whatever it leads to. offload: `offloadPlugin` of a StorageMap."""

    path: str
    source: dict[str, str]
    destination: dict[str, str]
    offload: dict[str, Any] = {}
    present: bool = True

    def entry(self) -> dict[str, Any]:
        """As it stands in `spec.map`."""
        offload = {"offloadPlugin": self.offload} if self.offload else {}
        return {"source": self.source, "destination": self.destination, **offload}


# --- from options to pairs ------------------------------------------------------------------------------------------


def network_pairs(given: Sequence[Mapping[str, Any]], type: str = "") -> list[Pair]:
    """`type`: of the source provider, "" while it is not known. Raises TalkError naming the pair."""
    found = [_pair(path, item, NETWORK, type, _network) for path, item in _numbered(given)]
    # Several multus networks for one source are a pool that NICs are spread over (MTV 2.11.7 and newer).
    _refuse_twice(found, lambda pair: pair.destination.get("type") == "multus")
    return found


def storage_pairs(given: Sequence[Mapping[str, Any]], type: str = "") -> list[Pair]:
    """Like network_pairs."""
    found = []
    for path, item in _numbered(given):
        offload = _offload(f"{path}.offload_plugin", item.get("offload_plugin"), type)
        found.append(_pair(path, item, STORAGE, type, _storage)._replace(offload=offload))
    _refuse_twice(found, lambda pair: False)
    return found


PAIRS = {NETWORK: network_pairs, STORAGE: storage_pairs}


def _numbered(given: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"pairs[{number}]", item) for number, item in enumerate(given)]


def _pair(path: str, item: Mapping[str, Any], kind: str, type: str, destination: Callable[[str, Any], dict[str, str]]) -> Pair:
    present = item.get("state", "present") == "present"
    target = item.get("destination")
    if present and target is None:
        raise TalkError(f"{path}.destination: give the destination of this pair, or state absent to remove the pair.")
    source = _source(f"{path}.source", item["source"], kind, type)
    return Pair(path, source, {} if target is None else destination(f"{path}.destination", target), present=present)


def _source(path: str, given: Any, kind: str, type: str) -> dict[str, str]:
    if isinstance(given, str) and given:
        if type == "openshift" and kind == NETWORK:
            if given == "pod":
                return {"type": "pod"}
            namespace, slash, name = given.partition("/")
            if not (slash and namespace and name):
                raise TalkError(f"{path}: a network of an OpenShift provider is pod or NAMESPACE/NAME; this is {given!r}.")
            return {"namespace": namespace, "name": name}
        return {"name": given}
    reference = {k: str(v) for k, v in given.items() if v is not None} if isinstance(given, Mapping) else {}
    allowed = _SOURCE_KEYS[kind]
    if not set(reference) <= set(allowed) or not (reference.get("id") or reference.get("name") or reference.get("type")):
        raise TalkError(f"{path}: give a name, or a dictionary with id or name (keys: {', '.join(allowed)}); this is {given!r}.")
    if "vlan" in reference:
        _check_vlan(f"{path}.vlan", reference["vlan"], type)
    return reference


def _check_vlan(path: str, vlan: str, type: str) -> None:
    if type not in ("", "hyperv"):
        raise TalkError(f"{path}: only networks of a Hyper-V provider are told apart by VLAN; this provider is of type {type}.")
    if not re.fullmatch("[1-9][0-9]{0,3}", vlan) or int(vlan) > _LAST_VLAN:
        raise TalkError(f"{path}: a VLAN is a number from 1 to {_LAST_VLAN}; this is {vlan!r}.")


def _network(path: str, given: Any) -> dict[str, str]:
    if isinstance(given, str):
        if given in ("pod", "ignored"):
            return {"type": given}
        namespace, _slash, name = given.rpartition("/")
        given = {"type": "multus", "namespace": namespace, "name": name}
    fields = {k: v for k, v in given.items() if v} if isinstance(given, Mapping) else {}
    fields.setdefault("type", "multus" if fields.get("name") else "")
    accepted = "pod, ignored, NAMESPACE/NAME of a NetworkAttachmentDefinition, or a dictionary of type, namespace and name"
    if not set(fields) <= {"type", "namespace", "name"} or fields["type"] not in ("pod", "multus", "ignored"):
        raise TalkError(f"{path}: give {accepted}; this is {given!r}.")
    if fields["type"] == "multus" and not (fields.get("namespace") and fields.get("name")):
        raise TalkError(f"{path}: a network of type multus needs its namespace and name (NAMESPACE/NAME); this is {given!r}.")
    if fields["type"] != "multus" and len(fields) > 1:
        raise TalkError(f"{path}: only type multus takes a namespace and a name; this is {given!r}.")
    return fields


def _storage(path: str, given: Any) -> dict[str, str]:
    if isinstance(given, str):
        given = {"storage_class": given}
    fields = {k: v for k, v in given.items() if v is not None} if isinstance(given, Mapping) else {}
    if not set(fields) <= {"storage_class", "volume_mode", "access_mode"} or not fields.get("storage_class"):
        raise TalkError(
            f"{path}: give the name of a storage class, or a dictionary of storage_class, volume_mode and access_mode; this is {given!r}."
        )
    for key, accepted in (("volume_mode", _VOLUME_MODES), ("access_mode", _ACCESS_MODES)):
        if fields.get(key, accepted[0]) not in accepted:
            raise TalkError(f"{path}.{key}: {fields[key]!r} is not one of {', '.join(accepted)}.")
    return {field(k): v for k, v in fields.items()}


def _offload(path: str, given: Mapping[str, Any] | None, type: str) -> dict[str, Any]:
    """`offloadPlugin`; its options are checked by the module's argument spec already."""
    if not given:
        return {}
    if type not in ("", "vsphere"):
        raise TalkError(f"{path}: storage arrays copy disks of vSphere only; this provider is of type {type}.")
    return {
        field(name): {field(key): value for key, value in options.items() if value is not None}
        for name, options in given.items()
        if options is not None
    }


def _refuse_twice(pairs: Sequence[Pair], in_pool: Callable[[Pair], bool]) -> None:
    for number, pair in enumerate(pairs):
        for earlier in pairs[:number]:
            if pair.source != earlier.source:
                continue
            alike = not (in_pool(pair) and in_pool(earlier)) or pair.destination == earlier.destination
            if alike and (pair.present or earlier.present):
                raise TalkError(f"{pair.path}: its source {named(pair.source)} is mapped by {earlier.path} already.")


def named(source: Mapping[str, str]) -> str:
    text = source.get("id") or "/".join(source[k] for k in ("namespace", "name") if source.get(k)) or source.get("type", "")
    return repr(text) + (f" (VLAN {source['vlan']})" if source.get("vlan") else "")


# --- against the inventory ------------------------------------------------------------------------------------------


def check_sources(pairs: Sequence[Pair], type: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Every source is exactly one of `items` (an inventory collection), and none is meant twice. Raises TalkError with candidates.

    One that goes away need not exist (any more).
    """
    meant: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        if pair.source.get("type") == "pod" or pair.source.get("name") in _UNLISTED_NAMES.get(type, ()):
            continue
        found = items_of(pair.source, items)
        if len(found) != 1 and not (pair.present or found):
            continue
        if len(found) != 1:
            raise TalkError(f"{pair.path}.source: {_unclear(named(pair.source), found, items)}")
        earlier = meant.setdefault((found[0]["id"], pair.source.get("vlan", "")), pair)
        if earlier.source != pair.source:
            raise TalkError(f"{pair.path}: its source {named(pair.source)} is the same as {named(earlier.source)} of {earlier.path}.")


def check_destinations(kind: str, pairs: Sequence[Pair], items: Sequence[Mapping[str, Any]]) -> None:
    """Every destination is one of `items`: the NetworkAttachmentDefinitions or StorageClasses of the destination."""
    for pair in pairs:
        if not pair.present:
            continue
        wanted = {"name": pair.destination["storageClass"]} if kind == STORAGE else dict(pair.destination)
        if wanted.pop("type", "multus") == "multus" and not any(matches(item, wanted) for item in items):
            raise TalkError(f"{pair.path}.destination: {_unclear(named(wanted), [], items)}")


def items_of(source: Mapping[str, str], items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the source of a pair means."""
    if source.get("id"):
        return [item for item in items if item.get("id") == source["id"]]
    return [item for item in items if source.get("name") and matches(item, source)]


def _unclear(name: str, found: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> str:
    def label(item: Mapping[str, Any]) -> str:
        text = "/".join(item[k] for k in ("namespace", "name") if item.get(k))
        return f"{text} (id {item['id']})" if item.get("id") else text

    listed = found or items
    names = ", ".join(label(i) for i in listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
    if found:
        return f"{name} is not unique: {names}; give the id."
    return f"{name} does not exist there; there are: {names or 'none'}."


# --- into an existing map -------------------------------------------------------------------------------------------


def patched(current: Sequence[Entry], pairs: Sequence[Pair], items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of a map after single pairs of it were added, replaced or removed; the others stay as and where they are.

    The pairs of a source replace all entries of it. items: the source's inventory collection, so that a name and an id can mean the
    same; [] when it could not be read, names and ids are then compared as they are.
    """
    full = [(pair, full_source(pair.source, items)) for pair in pairs]
    written: list[dict[str, Any]] = []
    done: set[int] = set()
    for entry in current:
        source = full_source(entry.get("source") or {}, items)
        mine = [(number, pair) for number, (pair, wanted) in enumerate(full) if _same(source, wanted)]
        wanted = [(number, pair) for number, pair in mine if pair.present]
        if not mine:
            written.append(dict(entry))
        elif not wanted:
            gone = any(not pair.destination or pair.destination == entry.get("destination") for _number, pair in mine)
            written += [] if gone else [dict(entry)]
        else:
            # The source stays as it is written: by id or by name is all the same.
            written += [{**pair.entry(), "source": entry["source"]} for number, pair in wanted if number not in done]
            done.update(number for number, _pair in wanted)
    return written + [pair.entry() for number, pair in enumerate(pairs) if pair.present and number not in done]


def full_source(source: Mapping[str, str], items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A source with the id and the name that the inventory has for it."""
    found = items_of(source, items)
    known = {key: found[0][key] for key in ("id", "name", "namespace") if found[0].get(key)} if len(found) == 1 else {}
    return {**source, **known}


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    if one.get("vlan") != other.get("vlan"):
        return False
    if one.get("id") and other.get("id"):
        return one["id"] == other["id"]
    return all((one.get(key) or "") == (other.get(key) or "") for key in ("name", "namespace", "type"))
