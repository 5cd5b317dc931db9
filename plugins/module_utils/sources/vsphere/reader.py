# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a whole vCenter or ESXi host through one PropertyCollector: first all of it in pages, then what changed since."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.properties import DERIVED, PROPERTIES
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session, explained, words

PAGE = 250  # objects in one answer


@dataclass(frozen=True)
class Change:
    """`values`: what is kept of the properties that are new or changed, by path; None for those that are unset now.

    Without values (None) the object is gone.
    """

    type: str
    id: str
    values: Mapping[str, Any] | None


class Reader:
    """Everything below the root folder. Not to be used by several threads at once. `types`: managed types to read, all by default."""

    def __init__(self, session: Session, types: tuple[str, ...] = tuple(PROPERTIES), page: int = PAGE) -> None:
        self._session = session
        self._paths = {type: dict(PROPERTIES[type]) for type in types}
        self._page = page
        self._version = ""
        self._collector: Any = None
        self._view: Any = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        for made in (self._collector, self._view):
            if made is not None:
                with contextlib.suppress(Exception):
                    getattr(made, "DestroyPropertyCollector" if made is self._collector else "DestroyView")()
        self._collector = self._view = None
        self._version = ""

    def pages(self, wait: int = 0) -> Iterator[list[Change]]:
        """What is new or changed since the last call; everything at the first. Waits up to `wait` seconds for a change.

        Raises SourceError. After one the reader begins anew with everything.
        """
        from pyVmomi import vmodl

        options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=wait, maxObjectUpdates=self._page)
        try:
            with explained(self._session.endpoint):
                if self._collector is None:
                    self._open()
                while True:
                    answer = self._collector.WaitForUpdatesEx(self._version, options)
                    if answer is None:
                        return
                    self._version = answer.version
                    yield [change for update in answer.filterSet for found in update.objectSet for change in self._changes(found)]
                    if not answer.truncated:
                        return
        except SourceError:
            self.close()
            raise
        except vmodl.MethodFault as error:
            self.close()
            raise SourceError(f"{self._session.endpoint.url} cannot be read: {words(error)}", DATA) from error

    def _open(self) -> None:
        """A view of everything and a filter on it, without the properties that this version of vSphere does not know."""
        from pyVmomi import vim, vmodl

        content = self._session.content
        self._view = content.viewManager.CreateContainerView(content.rootFolder, [self._type(name) for name in self._paths], True)
        self._collector = content.propertyCollector.CreatePropertyCollector()
        query = vmodl.query.PropertyCollector
        traversal = query.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        objects = [query.ObjectSpec(obj=content.rootFolder)] if "Folder" in self._paths else []  # a view does not show what it is a view of
        objects.append(query.ObjectSpec(obj=self._view, skip=True, selectSet=[traversal]))
        while True:
            wanted = [query.PropertySpec(type=self._type(name), pathSet=list(paths)) for name, paths in self._paths.items()]
            try:
                self._collector.CreateFilter(query.FilterSpec(objectSet=objects, propSet=wanted), False)
                return
            except vmodl.query.InvalidProperty as error:
                if not any(paths.pop(error.name, None) for paths in self._paths.values()):
                    raise

    @staticmethod
    def _type(name: str) -> Any:
        from pyVmomi import vim

        return vim.dvs.DistributedVirtualPortgroup if name == "DistributedVirtualPortgroup" else getattr(vim, name)

    def _changes(self, update: Any) -> Iterator[Change]:
        name = update.obj._wsdlName
        type, id = DERIVED.get(name, name), update.obj._moId
        if type not in self._paths:
            return
        if update.kind == "leave":
            yield Change(type, id, None)
            return
        known = PROPERTIES[type]
        values: dict[str, Any] = {}
        parts = []
        for change in update.changeSet:
            if change.name in known:
                values[change.name] = None if change.val is None or change.op == "remove" else known[change.name](change.val)
            else:  # part of a property, which is read anew as a whole
                parts += [path for path in known if change.name.startswith(f"{path}.") or change.name.startswith(f"{path}[")]
        if parts:
            values.update(self._read_again(update.obj, type, parts))
        yield Change(type, id, values)

    def _read_again(self, managed: Any, type: str, paths: list[str]) -> dict[str, Any]:
        try:
            found = self._session.read([managed], paths).get(managed._moId, {})
        except SourceError as error:
            if error.kind == CONNECTION:
                raise
            return {}  # gone meanwhile, which the next update tells
        return {path: PROPERTIES[type][path](found[path]) if path in found else None for path in paths}


def everything(session: Session, types: tuple[str, ...] = tuple(PROPERTIES), page: int = PAGE) -> Iterator[Change]:
    """All objects once, page by page, so that the memory it takes does not grow with their number. Raises SourceError."""
    with Reader(session, types, page) as reader:
        for changes in reader.pages():
            yield from changes
