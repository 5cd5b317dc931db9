# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of an oVirt engine in the shapes of MTV's inventory: read as a whole, and again when the engine's log tells of changes."""

from __future__ import annotations

import threading
import time
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import Collected
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import items
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import TIMEOUT, Endpoint, Session, connect, explained

Object = dict[str, Any]

COLLECTIONS = tuple(items.BUILDERS)
#: Not everything that changes is told in the log: sizes and what guests report are not.
READ_EVERY = 120.0  # seconds
#: Events that nothing changes with: somebody logs in or out, or is refused.
_IDLE_CODES = frozenset({30, 31, 114})
_VM_LINKS = "disk_attachments,host_devices,snapshots,watchdogs,cdroms,nics,numa_nodes"
#: What the path of an item begins with: collection -> (key, collection of what it names).
_PARENTS = {
    "clusters": ("dataCenter", "datacenters"),
    "hosts": ("cluster", "clusters"),
    "networks": ("dataCenter", "datacenters"),
    "nicprofiles": ("network", "networks"),
    "storagedomains": ("dataCenter", "datacenters"),
    "diskprofiles": ("storageDomain", "storagedomains"),
    "disks": ("storageDomain", "storagedomains"),
    "vms": ("cluster", "clusters"),
}


class OVirtInventory:
    """Of several threads one after the other reads or closes."""

    def __init__(self, endpoint: Endpoint, timeout: float = TIMEOUT) -> None:
        self._turn = threading.RLock()
        self._endpoint = endpoint
        self._timeout = timeout
        self._session: Session | None = None
        self._known: dict[str, list[Object]] = {}
        self._due = 0.0
        self._event = 0

    def read_once(self) -> Collected:
        """The inventory, and the session closed. Raises SourceError."""
        with self._turn:
            try:
                return self.collect()
            finally:
                self.close()

    def collect(self) -> Collected:
        """The inventory as it is now. Raises SourceError."""
        with self._turn:
            try:
                if self._session is None:
                    self._session, self._due = connect(self._endpoint, self._timeout), 0.0
                with explained(self._endpoint):
                    # The log first: what happens during the reading is told again.
                    changed = self._changed(self._session)
                    if changed or time.monotonic() >= self._due:
                        self._known = read(self._session)
                        self._due = time.monotonic() + READ_EVERY
                return Collected(self._known)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Log out; the next reading begins anew."""
        with self._turn:
            if self._session is not None:
                self._session.close()
            self._session = None

    def _changed(self, session: Session) -> bool:
        """Something has happened since the last look."""
        events = session.system.events_service()
        found = events.list(from_=self._event, max=100) if self._event else events.list(max=1)
        if not found:
            return not self._event
        first, self._event = not self._event, max(int(event.index or event.id) for event in found)
        return first or any(event.code not in _IDLE_CODES for event in found)


def read(session: Session) -> dict[str, list[Object]]:
    """All collections. Raises what the SDK raises."""
    system = session.system
    found = {
        "datacenters": system.data_centers_service().list(),
        "clusters": system.clusters_service().list(),
        "servercpus": _server_cpus(system),
        "hosts": system.hosts_service().list(follow="network_attachments,nics"),
        "networks": system.networks_service().list(follow="vnic_profiles"),
        "nicprofiles": system.vnic_profiles_service().list(),
        "storagedomains": system.storage_domains_service().list(),
        "diskprofiles": system.disk_profiles_service().list(),
        "disks": system.disks_service().list(),
        "vms": system.vms_service().list(follow=_VM_LINKS),
    }
    built = {name: [items.BUILDERS[name](obj) for obj in objs] for name, objs in found.items()}
    add_paths(built)
    return built


def _server_cpus(system: Any) -> list[Any]:
    """None on engines that do not tell."""
    from ovirtsdk4 import NotFoundError

    try:
        return [system.options_service().option_service("ServerCPUList").get()]
    except NotFoundError:
        return []


def add_paths(resources: dict[str, list[Object]]) -> None:
    """Put into each item where it lies: "DATACENTER/CLUSTER/VM"."""
    by_id = {name: {item["id"]: item for item in found} for name, found in resources.items()}

    def path(collection: str, item: Object) -> str:
        key, above = _PARENTS.get(collection, ("", ""))
        parent = by_id.get(above, {}).get(item.get(key, ""))
        return f"{path(above, parent)}/{item['name']}" if parent else item["name"]

    for collection, found in resources.items():
        for item in found:
            item["path"] = path(collection, item)
