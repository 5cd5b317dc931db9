"""A short notation for OpenAPI v3 schemas.

>>> obj("size", size=integer(minimum=0), color=choice("red blue", default="red"))

Schemas are shared between the places that use them: never change one in place.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def obj(required: str = "", /, **fields: Schema) -> Schema:
    """An object with these fields; `required` names some of them, separated by blanks."""
    schema: Schema = {"type": "object", "properties": fields}
    if required:
        schema["required"] = sorted(required.split())
    unknown = set(schema.get("required", ())) - fields.keys()
    if unknown:
        raise ValueError(f"required fields without schema: {sorted(unknown)}")
    return schema


def open_obj(required: str = "", /, **fields: Schema) -> Schema:
    """An object with these fields, and any others."""
    return {**obj(required, **fields), "x-kubernetes-preserve-unknown-fields": True}


def atomic(schema: Schema) -> Schema:
    """An object or list that server-side apply gives to one owner as a whole."""
    return {**schema, f"x-kubernetes-{'list' if schema['type'] == 'array' else 'map'}-type": "atomic"}


def array(items: Schema, **constraints: Any) -> Schema:
    return {"type": "array", "items": items, **constraints}


def keyed(items: Schema, *keys: str) -> Schema:
    """A list whose items are told apart by the fields `keys`."""
    return array(items, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def mapping(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def string(**constraints: Any) -> Schema:
    return {"type": "string", **constraints}


def integer(**constraints: Any) -> Schema:
    return {"type": "integer", **constraints}


def choice(values: str, **constraints: Any) -> Schema:
    """A string out of `values`, which are separated by blanks."""
    return string(enum=values.split(), **constraints)


def flag(default: bool) -> Schema:
    return {"type": "boolean", "default": default}


BOOLEAN: Schema = {"type": "boolean"}
STRING = string()
INTEGER = integer()
INT32 = integer(format="int32")
INT64 = integer(format="int64")
TIME = string(format="date-time")
STRINGS = array(STRING)
STRING_MAP = mapping(STRING)
INT_OR_STRING: Schema = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
QUANTITY: Schema = {
    **INT_OR_STRING,
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
}
QUANTITIES = mapping(QUANTITY)
ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
EMPTY: Schema = {"type": "object"}
