# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NetworkMap and StorageMap: from pairs as a task writes them to `spec.map`, checked against what the providers really have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    MAP_COLLECTIONS,
    blockers,
    describe_conditions,
    object_reference,
    provider_type,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService, matches
from ansible_collections.vmshift.mtv.plugins.module_utils.references import destination_provider, exists, source_provider
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_absent, ensure_present
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_gone, wait_ready

NETWORK, STORAGE = "NetworkMap", "StorageMap"
_SOURCE_KEYS = {NETWORK: ("id", "name", "namespace", "type", "vlan"), STORAGE: ("id", "name", "namespace")}
#: Sources that no inventory lists: the pod network of OpenShift, the image store of OpenStack.
_UNLISTED_NAMES = {"openstack": ("glance",)}
_VOLUME_MODES = ("Filesystem", "Block")
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany")
_PENDING = {"SourceProviderNotReady", "DestinationProviderNotReady"}
_SHOWN = 10


class Pair(NamedTuple):
    """One entry of `spec.map`; `path` is where the task wrote it, for error texts."""

    path: str
    source: dict[str, str]
    destination: dict[str, str]


# --- pure: from options to pairs ------------------------------------------------------------------------------------


def network_pairs(given: Sequence[Mapping[str, Any]], type: str = "") -> list[Pair]:
    """`type`: of the source provider. Raises TalkError naming the pair."""
    found = [
        Pair(path, _source(f"{path}.source", item["source"], NETWORK, type), _network(f"{path}.destination", item["destination"]))
        for path, item in _numbered(given)
    ]
    _refuse_twice(found, lambda pair: not _is_pool_member(pair))
    return found


def storage_pairs(given: Sequence[Mapping[str, Any]], type: str = "") -> list[Pair]:
    """Like network_pairs."""
    found = [
        Pair(path, _source(f"{path}.source", item["source"], STORAGE, type), _storage(f"{path}.destination", item["destination"]))
        for path, item in _numbered(given)
    ]
    _refuse_twice(found, lambda pair: True)
    return found


PAIRS = {NETWORK: network_pairs, STORAGE: storage_pairs}


def _numbered(given: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"pairs[{number}]", item) for number, item in enumerate(given)]


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
    return reference


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
    names = {"storage_class": "storageClass", "volume_mode": "volumeMode", "access_mode": "accessMode"}
    return {names[k]: v for k, v in fields.items()}


def _is_pool_member(pair: Pair) -> bool:
    # Several multus networks for one source are a pool that NICs are spread over (MTV 2.11.7 and newer).
    return pair.destination["type"] == "multus"


def _refuse_twice(pairs: Sequence[Pair], decisive: Any) -> None:
    for number, pair in enumerate(pairs):
        for earlier in pairs[:number]:
            if pair.source == earlier.source and (decisive(pair) or decisive(earlier) or pair.destination == earlier.destination):
                raise TalkError(f"{pair.path}: its source {_named(pair.source)} is mapped by {earlier.path} already.")


def _named(source: Mapping[str, str]) -> str:
    return repr(source.get("id") or "/".join(source[k] for k in ("namespace", "name") if source.get(k)) or source.get("type", ""))


# --- against the inventory ------------------------------------------------------------------------------------------


def check_sources(pairs: Sequence[Pair], type: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Every source is exactly one of `items` (an inventory collection), and none is meant twice. Raises TalkError with candidates."""
    meant: dict[str, Pair] = {}
    for pair in pairs:
        if pair.source.get("type") == "pod" or pair.source.get("name") in _UNLISTED_NAMES.get(type, ()):
            continue
        found = [i for i in items if (i.get("id") == pair.source["id"] if pair.source.get("id") else matches(i, pair.source))]
        if len(found) != 1:
            raise TalkError(f"{pair.path}.source: {_unclear(_named(pair.source), found, items)}")
        earlier = meant.setdefault(found[0]["id"], pair)
        if earlier.source != pair.source:
            raise TalkError(f"{pair.path}: its source {_named(pair.source)} is the same as {_named(earlier.source)} of {earlier.path}.")


def check_destinations(kind: str, pairs: Sequence[Pair], items: Sequence[Mapping[str, Any]]) -> None:
    """Every destination is one of `items`: the NetworkAttachmentDefinitions or StorageClasses of the destination."""
    for pair in pairs:
        wanted = {"name": pair.destination["storageClass"]} if kind == STORAGE else dict(pair.destination)
        if wanted.pop("type", "multus") == "multus" and not any(matches(item, wanted) for item in items):
            raise TalkError(f"{pair.path}.destination: {_unclear(_named(wanted), [], items)}")


def _unclear(name: str, found: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> str:
    def label(item: Mapping[str, Any]) -> str:
        text = "/".join(item[k] for k in ("namespace", "name") if item.get(k))
        return f"{text} (id {item['id']})" if item.get("id") else text

    listed = found or items
    names = ", ".join(label(i) for i in listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
    if found:
        return f"{name} is not unique: {names}; give the id."
    return f"{name} does not exist there; there are: {names or 'none'}."


# --- the object -----------------------------------------------------------------------------------------------------


def present(module: Any, cluster: Cluster, kind: str, key: str) -> dict[str, Any]:
    """Bring the map about. `key`: what the module returns it as."""
    params, check_mode = module.params, module.check_mode
    PAIRS[kind](params["pairs"])  # whatever is wrong with the pairs alone is said before anything is asked
    source = source_provider(cluster, params["source"], params["namespace"], check_mode=check_mode)
    destination = destination_provider(cluster, params["destination"], params["namespace"], check_mode=check_mode)
    pairs = PAIRS[kind](params["pairs"], provider_type(source))
    if exists(source) and exists(destination):
        _check_inventory(module, cluster, kind, pairs, source, destination)
    metadata = {k: params[k] for k in ("name", "namespace", "labels", "annotations") if params[k] is not None}
    spec = {
        "provider": {"source": object_reference(source), "destination": object_reference(destination)},
        "map": [{"source": p.source, "destination": p.destination} for p in pairs],
    }
    result = ensure_present(cluster, {"kind": kind, "metadata": metadata, "spec": spec}, check_mode=check_mode)
    outcome = {"changed": result.changed, "diff": result.diff, key: result.object}
    if params["wait"] and not check_mode:
        with reporting(changed=result.changed, diff=result.diff):
            outcome[key] = wait_ready(cluster, result.object or {}, timeout=params["wait_timeout"], failure=_failed)
    return outcome


def absent(module: Any, cluster: Cluster, kind: str, key: str) -> dict[str, Any]:
    params = module.params
    result = ensure_absent(cluster, kind, params["namespace"], params["name"], check_mode=module.check_mode)
    if params["wait"] and not module.check_mode and result.method:
        target = target_of({"kind": kind, "metadata": {"namespace": params["namespace"], "name": params["name"]}})
        with reporting(changed=result.changed):
            wait_gone(cluster, [target], timeout=params["wait_timeout"])
    return {"changed": result.changed, "diff": result.diff, key: None}


def _check_inventory(
    module: Any, cluster: Cluster, kind: str, pairs: Sequence[Pair], source: Mapping[str, Any], destination: Mapping[str, Any]
) -> None:
    """Say which source or destination does not exist, if the inventory can be asked; MTV itself only warns, or says it in the Plan."""
    column = 0 if kind == NETWORK else 1
    type = provider_type(source)
    service = InventoryService(cluster, module.params["inventory_url"], destination["metadata"]["namespace"])
    try:
        if type in MAP_COLLECTIONS:
            check_sources(pairs, type, service.get(source, MAP_COLLECTIONS[type][column], detail=0))
        there = service.get(destination, MAP_COLLECTIONS["openshift"][column], detail=0)
    except InventoryError as error:
        cluster.warn(f"The pairs were not checked against the inventory: {error}")
        return
    try:
        check_destinations(kind, pairs, there)
    except TalkError as error:
        # A task before this one may make it.
        if not module.check_mode:
            raise
        cluster.warn(str(error))


def _failed(seen: dict[str, Any]) -> str | None:
    found = blockers(seen)
    # A provider that is not ready yet may become so.
    return describe_conditions(found) if any(c.get("type") not in _PENDING for c in found) else None
