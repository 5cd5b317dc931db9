# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a whole vCenter or ESXi host through one PropertyCollector: first all of it in pages, then what changed since."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.properties import DERIVED, PROPERTIES
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Session, explained, words

T = TypeVar("T")

PAGE = 250  # objects in one answer


class _Uncollected:
    """Counts who wants no garbage collection now, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._was_on = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold off the collection of cycles: pyvmomi makes very many objects of an answer, which are searched for them in vain."""
        with self._lock:
            if self._users == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._was_on:
                    gc.enable()


uncollected = _Uncollected()


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

    def once(self) -> Iterator[list[Change]]:
        """Everything, in pages, without listening for changes: less to transfer than the first `pages`. Raises SourceError."""
        from pyVmomi import vmodl

        collector = self._session.content.propertyCollector
        options = vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=self._page)
        with self._told():
            token, begun = "", False
            while token or not begun:
                begun = True
                with uncollected():
                    if token:
                        answer = collector.ContinueRetrievePropertiesEx(token)
                    else:
                        answer = self._specified(lambda wanted: collector.RetrievePropertiesEx([wanted], options))
                    objects = answer.objects if answer else []
                    changes = [self._found(found) for found in objects if self._type_of(found.obj) in self._paths]
                    token = answer.token if answer else ""
                    del answer, objects
                yield changes

    def pages(self, wait: int = 0) -> Iterator[list[Change]]:
        """What is new or changed since the last call; everything at the first. Waits up to `wait` seconds for a change.

        Raises SourceError. After one the reader begins anew with everything.
        """
        from pyVmomi import vmodl

        options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=wait, maxObjectUpdates=self._page)
        with self._told():
            if self._collector is None:
                self._collector = collector = self._session.content.propertyCollector.CreatePropertyCollector()
                self._specified(lambda wanted: collector.CreateFilter(wanted, False))
            truncated = True
            while truncated:
                with uncollected():
                    answer = self._collector.WaitForUpdatesEx(self._version, options)
                    if answer is None:
                        return
                    self._version, truncated = answer.version, bool(answer.truncated)
                    changes = [change for update in answer.filterSet for found in update.objectSet for change in self._changes(found)]
                    del answer
                yield changes

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong, as a SourceError; the reader begins anew then."""
        from pyVmomi import vmodl

        url = self._session.endpoint.url
        try:
            with explained(self._session.endpoint):
                yield
        except SourceError:
            self.close()
            raise
        except vmodl.MethodFault as error:
            self.close()
            raise SourceError(f"{url} cannot be read: {words(error)}", DATA) from error
        except (AttributeError, KeyError, TypeError) as error:  # pyvmomi has no error of its own for what it does not know
            self.close()
            raise SourceError(f"{url} tells what the installed pyvmomi does not understand: {error}", DATA) from error

    def _specified(self, use: Callable[[Any], T]) -> T:
        """Use a specification of all objects and properties, less those properties that this version of vSphere does not know."""
        from pyVmomi import vim, vmodl

        content, query = self._session.content, vmodl.query.PropertyCollector
        if self._view is None:
            types = [managed_type(name) for name in self._paths]
            self._view = content.viewManager.CreateContainerView(content.rootFolder, types, True)
        traversal = query.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        objects = [query.ObjectSpec(obj=content.rootFolder)] if "Folder" in self._paths else []  # a view does not show what it is a view of
        objects.append(query.ObjectSpec(obj=self._view, skip=True, selectSet=[traversal]))
        while True:
            wanted = [query.PropertySpec(type=managed_type(name), pathSet=list(paths)) for name, paths in self._paths.items()]
            try:
                return use(query.FilterSpec(objectSet=objects, propSet=wanted))
            except vmodl.query.InvalidProperty as error:
                if not any(paths.pop(error.name, None) for paths in self._paths.values()):
                    raise

    @staticmethod
    def _type_of(managed: Any) -> str:
        name = str(managed._wsdlName)
        return DERIVED.get(name, name)

    def _found(self, found: Any) -> Change:
        type = self._type_of(found.obj)
        known = PROPERTIES[type]
        return Change(type, found.obj._moId, {p.name: known[p.name](p.val) for p in found.propSet if p.name in known})

    def _changes(self, update: Any) -> Iterator[Change]:
        type, id = self._type_of(update.obj), update.obj._moId
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
        for changes in reader.once():
            yield from changes


def managed_type(name: str) -> Any:
    """The class of pyvmomi for a type of managed object."""
    from pyVmomi import vim

    return vim.dvs.DistributedVirtualPortgroup if name == "DistributedVirtualPortgroup" else getattr(vim, name)
