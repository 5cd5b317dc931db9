"""Field ownership: metadata.managedFields, and server-side apply, which rests on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, Conflict
from ansible_collections.vmshift.mtv.controlplane.apiserver.fieldsets import (
    Changes,
    Path,
    Shape,
    fields_of,
    from_tree,
    merged,
    text,
    to_tree,
    without,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.objectmeta import now

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]

_NOBODYS = frozenset(
    (
        "name",
        "generateName",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
    )
)


@dataclass
class Manager:
    """One entry of managedFields: who owns which fields, by applying or by updating, the object or its status."""

    name: str
    operation: str  # Apply, Update
    subresource: str
    api_version: str
    time: str
    fields: set[Path]

    @classmethod
    def read(cls, entry: Object) -> Manager:
        return cls(
            entry.get("manager", ""),
            entry.get("operation", "Update"),
            entry.get("subresource", ""),
            entry.get("apiVersion", ""),
            entry.get("time", ""),
            set(from_tree(entry.get("fieldsV1") or {})),
        )

    def written(self) -> Object:
        entry: Object = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version, "time": self.time}
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": to_tree(self.fields)}
        return {**entry, "subresource": self.subresource} if self.subresource else entry

    def is_(self, name: str, operation: str, subresource: str) -> bool:
        return (self.name, self.operation, self.subresource) == (name, operation, subresource)

    def __str__(self) -> str:
        told = f'"{self.name}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return told if self.operation == "Apply" else f"{told} using {self.api_version} at {self.time}"


def track_update(kind: Kind, old: Object | None, new: Object, manager: str, subresource: str = "") -> list[Object]:
    """The managedFields of `new`, which `manager` made from `old`: what it changed is its own, and nobody else's, from now on."""
    before = (old or {}).get("metadata", {}).get("managedFields", [])
    given = new["metadata"].get("managedFields")
    entries = before if given is None else [entry for entry in given if entry]  # [{}] gives up all ownership
    changes = Changes().compare(Shape.of(kind), _owned(old or {}), _owned(new))
    if not changes.changed and not changes.removed:
        return entries
    managers = [Manager.read(entry) for entry in entries]
    own = next((m for m in managers if m.is_(manager, "Update", subresource)), None)
    if own is None:
        own = Manager(manager, "Update", subresource, kind.api_version, "", set())
        managers.append(own)
    for other in managers:
        other.fields -= changes.removed if other is own else changes.removed | changes.changed
    own.fields |= changes.changed
    own.api_version, own.time = kind.api_version, now()
    return _written(managers)


def apply(kind: Kind, live: Object | None, config: Object, manager: str, *, force: bool, subresource: str = "") -> Object:
    """`live` after server-side apply of `config` by `manager`, with its managedFields. Raises ApiError 409 with the conflicts."""
    shape = Shape.of(kind)
    config = _applicable(kind, config, subresource)
    wanted = set(fields_of(shape, _owned(config)))
    managers = [Manager.read(entry) for entry in (live or {}).get("metadata", {}).get("managedFields", [])]
    own = next((m for m in managers if m.is_(manager, "Apply", subresource)), None)
    others = [m for m in managers if m is not own]
    result = merged(shape, live, config) if live else config
    if own:
        theirs = set().union(*(other.fields for other in others))
        result = without(shape, result, own.fields - wanted - theirs, wanted | theirs)
    if live:
        changes = Changes().compare(shape, _owned(live), _owned(result))
        _settle_conflicts(others, changes.changed & wanted, force)
        for other in others:
            other.fields -= changes.removed
    if own is None or own.fields != wanted or own.api_version != kind.api_version:
        own = Manager(manager, "Apply", subresource, kind.api_version, now(), wanted)
    entries = _written([own, *others])
    return {**result, "metadata": {**result["metadata"], "managedFields": entries}}


def _settle_conflicts(others: Iterable[Manager], changed: set[Path], force: bool) -> None:
    conflicts = [(other, path) for other in others for path in sorted(other.fields & changed)]
    if conflicts and not force:
        raise _conflict(conflicts)
    for other, path in conflicts:
        other.fields.discard(path)


def _conflict(conflicts: list[tuple[Manager, Path]]) -> ApiError:
    causes = [{"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": text(path)} for manager, path in conflicts]
    if len(conflicts) == 1:
        message = f"Apply failed with 1 conflict: conflict with {conflicts[0][0]}: {text(conflicts[0][1])}"
    else:
        lists: dict[str, list[str]] = {}
        for manager, path in conflicts:
            lists.setdefault(f"conflicts with {manager}:", []).append(f"- {text(path)}")
        told = "\n".join("\n".join((who, *fields)) for who, fields in sorted(lists.items()))
        message = f"Apply failed with {len(conflicts)} conflicts: {told}"
    return Conflict(message, {"causes": causes})


def _applicable(kind: Kind, config: Object, subresource: str) -> Object:
    """The part of an applied configuration that the endpoint writes."""
    if subresource:
        identity = {key: value for key, value in config["metadata"].items() if key in ("name", "namespace", "uid", "resourceVersion")}
        return {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": identity, **_pick(config, subresource)}
    return {key: value for key, value in config.items() if key != "status"} if kind.status else config


def _pick(obj: Object, field: str) -> Object:
    return {field: obj[field]} if field in obj else {}


def _owned(obj: Object) -> Object:
    """`obj` without what no manager owns."""
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _NOBODYS}
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    return {**({"metadata": metadata} if metadata else {}), **rest}


def _written(managers: Iterable[Manager]) -> list[Object]:
    kept = [manager for manager in managers if manager.fields]
    return [m.written() for m in sorted(kept, key=lambda m: (m.operation, m.time, m.name, m.subresource))]
