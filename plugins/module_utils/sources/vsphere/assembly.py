# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a vCenter, put together from what was read of its objects: items, and what they know of each other. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.items import BUILDERS
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import Change

Object = dict[str, Any]

COLLECTIONS = ("folders", "datacenters", "clusters", "hosts", "networks", "datastores", "vms")


class Assembly:
    """Items by collection and ID. An item that changes is replaced, never altered, so that whoever holds the old one can compare.

    `tpm_known`: whether the API tells of TPMs.
    """

    def __init__(self, tpm_known: bool = True) -> None:
        self._tpm_known = tpm_known
        self._records: dict[str, dict[str, Any]] = {}
        self._types: dict[str, str] = {}
        self._items: dict[str, dict[str, Object]] = {name: {} for name in COLLECTIONS}
        self._tags: Mapping[str, list[Object]] = {}
        self._listed: dict[str, list[Object]] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.values is None:
                self._records.pop(change.id, None)
                kind = self._types.pop(change.id, change.type)
                self._items[BUILDERS[kind][0]].pop(change.id, None)
            else:
                record = self._records.setdefault(change.id, {})
                record.update(change.values)
                self._types[change.id] = change.type
                self._build(change.id, {path: value for path, value in record.items() if value is not None})
            self._listed = {}

    def tag(self, tags: Mapping[str, list[Object]]) -> None:
        """Take over which tags VMs have, by ID of the VM."""
        if tags != self._tags:
            self._tags = tags
            self._listed = {}

    def resources(self) -> dict[str, list[Object]]:
        """All items by collection. Of what did not change since the last call the very same objects."""
        if not self._listed:
            self._relate()
            self._listed = {name: list(items.values()) for name, items in self._items.items()}
        return self._listed

    def _build(self, id: str, record: Object) -> None:
        kind = self._types[id]
        collection, builder = BUILDERS[kind]
        before = self._items[collection].get(id)
        item = builder(id, record, self._tpm_known) if kind == "VirtualMachine" else builder(id, record)
        if before is not None:
            item["path"] = before["path"]
        self._items[collection][id] = item

    def _relate(self) -> None:
        """Fill in paths, and for VMs which disks are shared, on which networks their cards are, and their tags."""
        paths = _Paths(self._records)
        for items in self._items.values():
            for id, item in items.items():
                path = paths.of(id)
                if item["path"] != path:
                    items[id] = {**item, "path": path}
        vms = self._items["vms"]
        shared = shared_files(vms.values())
        names = {(kind, network["key"]): id for id, network in self._items["networks"].items() for kind in _named_by(network)}
        for id, vm in vms.items():
            disks = vm["disks"]
            if any(disk["shared"] != (disk["file"] in shared) for disk in disks):
                disks = [{**disk, "shared": disk["file"] in shared} for disk in disks]
            nics = vm["nics"]
            if any(isinstance(nic["network"], list) for nic in nics):
                nics = [{**nic, "network": _network(nic["network"], names)} for nic in nics]
            tags = self._tags.get(id, [])
            if disks is not vm["disks"] or nics is not vm["nics"] or tags != vm["tags"]:
                vms[id] = {**vm, "disks": disks, "nics": nics, "tags": tags}


class _Paths:
    """Paths of objects: names from the datacenter on. The root folder, which has no parent, is in no path but its own."""

    def __init__(self, records: Mapping[str, Any]) -> None:
        self._records = records
        self._known: dict[str, str] = {}

    def of(self, id: str) -> str:
        if id not in self._known:
            record = self._records.get(id) or {}
            self._known[id] = f"{self._above((record.get('parent') or {}).get('id', ''))}/{record.get('name') or ''}"
        return self._known[id]

    def _above(self, id: str) -> str:
        record = self._records.get(id)
        if not record or not (record.get("parent") or {}).get("id"):
            return ""
        return self.of(id)


def shared_files(vms: Iterable[Object]) -> set[str]:
    """Files of disks that belong to more than one VM."""
    once: set[str] = set()
    again: set[str] = set()
    for vm in vms:
        files = {disk["file"] for disk in vm["disks"] if disk["file"]}
        again |= files & once
        once |= files
    return again


def _named_by(network: Object) -> tuple[str, ...]:
    return {"DvPortGroup": ("key",), "OpaqueNetwork": ("opaque",)}.get(network.get("variant", ""), ())


def _network(named: list[str], names: Mapping[tuple[str, str], str]) -> Object:
    kind, name = named
    if not name:
        return {"kind": "", "id": ""}
    return {"kind": "Network", "id": name if kind == "id" else names.get((kind, name), name)}
