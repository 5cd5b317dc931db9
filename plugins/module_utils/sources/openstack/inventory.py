# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a project of an OpenStack cloud, in the shapes of MTV's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import Collected
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import items
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import TIMEOUT, Credentials, Session, connect

Object = dict[str, Any]

COLLECTIONS = ("regions", "projects", "images", "flavors", "vms", "snapshots", "volumes", "volumetypes", "networks", "subnets")
#: API versions of Nova: servers that name their flavor by id; flavors with what is special about them.
_SERVERS, _FLAVORS = "2.1", "2.61"
_PAGE = 500  # images


class OpenStackInventory:
    """Its session stays open between two looks. Of several threads one after the other reads or closes."""

    def __init__(self, credentials: Credentials, timeout: float = TIMEOUT) -> None:
        self._turn = threading.RLock()
        self._credentials = credentials
        self._timeout = timeout
        self._session: Session | None = None

    def collect(self) -> Collected:
        """Raises SourceError."""
        with self._turn:
            if self._session is None:
                self._session = connect(self._credentials, self._timeout)
            try:
                return Collected(read(self._session))
            except BaseException:
                self.close()
                raise

    def read_once(self) -> Collected:
        """The inventory, and the session closed. Raises SourceError."""
        with self._turn:
            try:
                return self.collect()
            finally:
                self.close()

    def close(self) -> None:
        with self._turn:
            session, self._session = self._session, None
        if session is not None:
            session.close()


def read(session: Session) -> dict[str, list[Object]]:
    """All collections, VMs after what they refer to: who takes them over in this order can judge each at once. Raises SourceError."""
    found: dict[str, list[Object]] = {}
    for name in sorted(COLLECTIONS, key=lambda name: name == "vms"):
        with session.talking(f"list {name}"):
            found[name] = _READERS[name](session)
    projects = {project["id"]: project for project in found["projects"]}
    for item in (*found["projects"], *found["vms"]):
        path = _path(item, projects)
        if path:
            item["path"] = path
    return found


def _path(item: Object, projects: Mapping[str, Object]) -> str:
    """Of a project its parents and it, of a VM its project and it; "" where a project is not known."""
    if "tenantID" in item:
        project = projects.get(item["tenantID"])
        return f"{_path(project, projects)}/{item['name']}" if project else ""
    parent = projects.get(item.get("parentID", ""))
    if item["isDomain"] or parent is None or item.get("parentID") == item["domainID"]:
        return str(item["name"])
    return f"{_path(parent, projects)}/{item['name']}"


def plain(resource: Any) -> Object:
    """A resource of the SDK under the names that the service gave."""
    found: Object = resource.to_dict(computed=False, headers=False, original_names=True)
    own = found.pop("properties", None)  # what the SDK has no name for
    return {**found, **(own if isinstance(own, Mapping) else {})}


def _listed(shape: Callable[[Mapping[str, Any]], Object], resources: Iterable[Any]) -> list[Object]:
    return [shape(plain(resource)) for resource in resources]


def _regions(session: Session) -> list[Object]:
    """The one that is named; all, where none is."""
    identity = session.cloud.identity
    named = session.credentials.region
    return _listed(items.region, [identity.get_region(named)] if named else identity.regions())


def _projects(session: Session) -> list[Object]:
    """The one that the session is for."""
    cloud = session.cloud
    own = cloud.current_project_id
    return [project for project in _listed(items.project, cloud.identity.user_projects(cloud.current_user_id)) if project["id"] == own]


def _images(session: Session) -> list[Object]:
    """As Glance tells of them: the SDK takes properties that it knows for numbers and truths, which are words."""
    from openstack.exceptions import raise_from_response

    found: list[Object] = []
    path = f"/images?limit={_PAGE}"
    while path:
        answer = session.cloud.image.get(path)
        raise_from_response(answer)
        told = answer.json()
        found += map(items.image, told["images"])
        path = str(told.get("next") or "").removeprefix("/v2")
    return found


def _servers(session: Session) -> list[Object]:
    from openstack.compute.v2.server import Server

    return _listed(items.vm, Server.list(session.cloud.compute, base_path="/servers/detail", microversion=_SERVERS))


def _flavors(session: Session) -> list[Object]:
    from openstack.compute.v2.flavor import Flavor

    found = Flavor.list(session.cloud.compute, base_path="/flavors/detail", microversion=_FLAVORS, is_public="none")
    return [items.flavor(plain(flavor), flavor.extra_specs or {}) for flavor in found]


_READERS: Mapping[str, Callable[[Session], list[Object]]] = {
    "regions": _regions,
    "projects": _projects,
    "images": _images,
    "flavors": _flavors,
    "vms": _servers,
    "snapshots": lambda session: _listed(items.snapshot, session.cloud.block_storage.snapshots()),
    "volumes": lambda session: _listed(items.volume, session.cloud.block_storage.volumes()),
    "volumetypes": lambda session: _listed(items.volume_type, session.cloud.block_storage.types()),
    "networks": lambda session: _listed(items.network, session.cloud.network.networks()),
    "subnets": lambda session: _listed(items.subnet, session.cloud.network.subnets()),
}
