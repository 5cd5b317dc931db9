"""Structural schemas at work: pruning, defaulting and validation, as kube-apiserver does for custom resources.

A schema is the plain OpenAPI v3 dict of a CustomResourceDefinition. It describes the whole object; the root's apiVersion,
kind and metadata are known without it and left alone here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import OBJECT_META
from ansible_collections.vmshift.mtv.controlplane.apiserver.validation import Cause, below, validate

__all__ = ["Cause", "apply_defaults", "prune", "validate"]

Schema = dict[str, Any]

_ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
_NOTHING: Schema = {}


def prune(schema: Schema, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    """Remove from `obj` the fields that `schema` does not know. Returns their paths, sorted: "spec.vms[0].disks".

    What `obj` shares with the stored object `old` (the very same lists and dictionaries) was pruned before.
    """
    return sorted(_prune(schema, obj, "", old, root=True))


def _prune(schema: Schema, value: Any, path: str, old: Any, root: bool = False) -> Iterator[str]:
    if value is old:
        return
    if isinstance(value, list):
        items = schema.get("items", _NOTHING)
        if items or not schema.get("x-kubernetes-preserve-unknown-fields"):
            for index, item in enumerate(value):
                yield from _prune(items, item, f"{path}[{index}]", below(old, index))
    elif isinstance(value, dict):
        embedded = schema.get("x-kubernetes-embedded-resource", False)
        for name in list(value):
            inner = f"{path}.{name}" if path else name
            if name in _ROOT_FIELDS and (root or embedded):
                if embedded and name == "metadata":
                    yield from _prune(OBJECT_META, value[name], inner, below(old, name))
                continue
            known = _schema_of(schema, name)
            if known is None:
                del value[name]
                yield inner
            elif known:
                yield from _prune(known, value[name], inner, below(old, name))


def _schema_of(schema: Schema, name: str) -> Schema | None:
    """The schema of field `name`: {} when anything may stand there, None when the field is unknown."""
    properties = schema.get("properties", _NOTHING)
    if name in properties:
        return properties[name] or _NOTHING
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        return others
    if others is True or schema.get("x-kubernetes-preserve-unknown-fields"):
        return _NOTHING
    return None


def apply_defaults(schema: Schema, obj: dict[str, Any], old: dict[str, Any] | None = None) -> None:
    """Fill the defaults of `schema` into what is there of `obj`: a default below an absent parent does not make the parent.

    A null where the schema allows none counts as absent: it takes the default, or goes. What `obj` shares with the stored object
    `old` has its defaults.
    """
    _default(schema, obj, old)


def _default(schema: Schema, value: Any, old: Any) -> None:
    if value is old:
        return
    if isinstance(value, dict):
        properties = schema.get("properties", _NOTHING)
        for name, field in properties.items():
            if value.get(name) is None and not (name in value and field.get("nullable")):
                if "default" in field:
                    value[name] = copy.deepcopy(field["default"])
                else:
                    value.pop(name, None)
            if name in value:
                _default(field, value[name], below(old, name))
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            _default_each(others, value, value.keys() - properties.keys(), old)
    elif isinstance(value, list) and "items" in schema:
        _default_each(schema["items"], value, range(len(value)), old)


def _default_each(schema: Schema, values: Any, keys: Any, old: Any) -> None:
    for key in keys:
        if values[key] is None and "default" in schema and not schema.get("nullable"):
            values[key] = copy.deepcopy(schema["default"])
        _default(schema, values[key], below(old, key))
