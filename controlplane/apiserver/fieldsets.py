"""Sets of fields of an object, as managedFields write them, and how lists and maps of a kind divide into fields.

A field is a path of elements: "f:spec" a map key, 'k:{"name":"a"}' an item of a list known by its keys, 'v:"x"' a value of
a set. Lists that the schema does not divide, and maps it calls atomic, are one field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Path = tuple[str, ...]
Schema = dict[str, Any]

_NOTHING: Schema = {}
_METADATA: Schema = {
    "properties": {
        "finalizers": {"x-kubernetes-list-type": "set"},
        "ownerReferences": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]},
    }
}


@dataclass(frozen=True)
class Shape:
    """What the schema (and the merge keys of core kinds) say about one place in an object."""

    schema: Schema
    merge_keys: Mapping[str, str] = field(default_factory=dict)
    path: str = ""

    @classmethod
    def of(cls, kind: Kind) -> Shape:
        schema = kind.schema or _NOTHING
        return cls({**schema, "properties": {**schema.get("properties", _NOTHING), "metadata": _METADATA}}, kind.merge_keys or {})

    def parts(self, value: Any) -> dict[str, tuple[Shape, Any]] | None:
        """The fields directly below `value`: element -> (shape, value). None when `value` is one field as a whole."""
        if isinstance(value, dict) and self.schema.get("x-kubernetes-map-type") != "atomic":
            return {f"f:{name}": (self._child(name), child) for name, child in value.items()}
        if isinstance(value, list):
            return self._items(value)
        return None

    def _child(self, name: str) -> Shape:
        properties = self.schema.get("properties", _NOTHING)
        below = properties.get(name) or self.schema.get("additionalProperties")
        return Shape(below if isinstance(below, dict) else _NOTHING, self.merge_keys, f"{self.path}.{name}" if self.path else name)

    def _items(self, values: list[Any]) -> dict[str, tuple[Shape, Any]] | None:
        keys = self._list_keys()
        if keys is None:
            return None
        shape = Shape(self.schema.get("items") or _NOTHING, self.merge_keys, self.path)
        parts: dict[str, tuple[Shape, Any]] = {}
        for item in values:
            if not keys:
                parts[f"v:{_compact(item)}"] = (shape, item)
            elif isinstance(item, dict) and all(key in item for key in keys):
                parts[f"k:{_compact({key: item[key] for key in keys})}"] = (shape, item)
            else:  # an item without its key cannot be told from others
                return None
        return parts if len(parts) == len(values) else None

    def _list_keys(self) -> tuple[str, ...] | None:
        """() for a set, None for an atomic list."""
        list_type = self.schema.get("x-kubernetes-list-type")
        if list_type == "map":
            return tuple(self.schema.get("x-kubernetes-list-map-keys", ()))
        if list_type:
            return () if list_type == "set" else None
        key = self.merge_keys.get(self.path)
        return None if key is None else (key,) if key else ()


def fields_of(shape: Shape, value: Any, path: Path = ()) -> Iterator[Path]:
    """Every field that `value` has."""
    parts = shape.parts(value)
    if not parts:
        yield path
        return
    for element, (below, child) in parts.items():
        inner = (*path, element)
        if element[0] in "kv":
            yield inner
        if element[0] != "v":
            yield from fields_of(below, child, inner)


@dataclass
class Changes:
    """What differs between two states of an object."""

    changed: set[Path] = field(default_factory=set)  # added or with another value
    removed: set[Path] = field(default_factory=set)

    def compare(self, shape: Shape, old: Any, new: Any, path: Path = ()) -> Changes:
        if old == new:
            return self
        before, after = shape.parts(old), shape.parts(new)
        if before is None or after is None:
            self.changed.add(path)
            self.removed.update(fields_of(shape, old, path) if before else ())
            self.changed.update(fields_of(shape, new, path) if after else ())
            self.removed -= self.changed
            return self
        for element in before.keys() | after.keys():
            inner = (*path, element)
            if element not in after:
                self.removed.update((inner, *fields_of(*before[element], inner)))
            elif element not in before:
                self.changed.update((inner,) if element[0] in "kv" else ())
                self.changed.update(fields_of(*after[element], inner) if element[0] != "v" else ())
            elif element[0] != "v":
                self.compare(after[element][0], before[element][1], after[element][1], inner)
        return self


def without(shape: Shape, value: Any, gone: set[Path], kept: set[Path], path: Path = ()) -> Any:
    """`value` less the fields `gone`; a container that this empties goes too, unless it is in `kept`."""
    parts = shape.parts(value)
    if not parts:
        return value
    left: dict[str, Any] = {}
    for element, (below, child) in parts.items():
        inner = (*path, element)
        if inner in gone and not any(other[: len(inner)] == inner for other in kept):
            continue
        rest = without(below, child, gone, kept, inner)
        if rest or not child or inner in kept or not isinstance(child, (dict, list)):
            left[element] = rest
    return {element[2:]: child for element, child in left.items()} if isinstance(value, dict) else list(left.values())


def merged(shape: Shape, live: Any, config: Any) -> Any:
    """`live` with the fields of `config` on top; items that only `live` has stay."""
    ours, theirs = shape.parts(live), shape.parts(config)
    if ours is None or theirs is None or type(live) is not type(config):
        return config
    together = {element: child for element, (_shape, child) in ours.items()}
    for element, (below, child) in theirs.items():
        together[element] = merged(below, together[element], child) if element in together else child
    return {element[2:]: child for element, child in together.items()} if isinstance(live, dict) else list(together.values())


def to_tree(paths: Iterable[Path]) -> dict[str, Any]:
    """FieldsV1. A field that is owned itself beside fields below it is marked "."."""
    tree: dict[str, Any] = {}
    members = set(paths)
    for path in sorted(members):
        node = tree
        for depth, element in enumerate(path, 1):
            node = node.setdefault(element, {})
            if path[:depth] in members and depth < len(path):
                node.setdefault(".", {})
    return tree


def from_tree(tree: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for element, below in tree.items():
        if element == ".":
            yield path
        elif below:
            yield from from_tree(below, (*path, element))
        else:
            yield (*path, element)


def text(path: Path) -> str:
    """A field as messages write it: .spec.containers[name="a"].image"""
    told = ""
    for element in path:
        kind, rest = element[0], element[2:]
        if kind == "f":
            told += f".{rest}"
        elif kind == "v":
            told += f"[={rest}]"
        else:
            told += "[" + ",".join(f"{key}={_compact(value)}" for key, value in json.loads(rest).items()) + "]"
    return told


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
