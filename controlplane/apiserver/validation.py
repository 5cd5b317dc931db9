"""Validation of objects against structural schemas, in the words of kube-apiserver."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import formats

Schema = dict[str, Any]
_ABSENT: Any = object()
_COMBINATIONS = frozenset({"allOf", "anyOf", "oneOf", "not"})


@dataclass(frozen=True)
class Cause:
    """One thing wrong with one field: an entry of a Status object's details.causes."""

    field: str
    reason: str
    message: str


def validate(schema: Schema, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Cause]:
    """What is wrong with `obj`; empty when it is valid.

    `old` is the stored object on updates: rules about change (`self == oldSelf`) are checked with it. CEL rules other than
    those in TRANSITION_RULES are not evaluated.
    """
    return list(_check(schema, obj, "", _ABSENT if old is None else old))


def below(old: Any, key: Any) -> Any:
    """The part of a stored value in the same place; None when there is none."""
    if isinstance(old, dict):
        return old.get(key)
    return old[key] if isinstance(old, list) and key < len(old) else None


def _check(schema: Schema, value: Any, path: str, old: Any) -> Iterator[Cause]:
    if old is not _ABSENT and value == old:
        return  # what is stored is not judged again: a long status changes in a few places at a time
    if value is None:
        # The root of an object and a field without type accept anything.
        if not schema.get("nullable") and _types(schema):
            yield _wrong_type(path, ",".join(_types(schema)), "null")
        return
    mismatch = _type_mismatch(schema, value)
    if mismatch:
        yield _wrong_type(path, *mismatch)
    if "enum" in schema and value not in schema["enum"]:
        yield _unsupported(path, value, schema["enum"])
    if mismatch:
        return
    if not _COMBINATIONS.isdisjoint(schema):
        yield from _check_combinations(schema, value, path, old)
    if isinstance(value, dict):
        yield from _check_object(schema, value, path, old)
    elif isinstance(value, list):
        yield from _check_list(schema, value, path, old)
    elif isinstance(value, str):
        yield from _check_text(schema, value, path)
    elif not isinstance(value, bool):
        yield from _check_number(schema, value, path)
    if "x-kubernetes-validations" in schema and old not in (_ABSENT, None):
        yield from _check_transitions(schema, value, path, old)


def _check_object(schema: Schema, value: dict[str, Any], path: str, old: Any) -> Iterator[Cause]:
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")
    if len(value) < least:
        yield _invalid(path, len(value), f"{path} in body should have at least {least} properties")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    for name in schema.get("required", ()):
        if name not in value:
            yield Cause(_join(path, name), "FieldValueRequired", "Required value")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, item in value.items():
        field = properties.get(name, others)
        if isinstance(field, dict):
            before = old.get(name, _ABSENT) if isinstance(old, dict) else _ABSENT
            yield from _check(field, item, _join(path, name), before)


def _check_list(schema: Schema, value: list[Any], path: str, old: Any) -> Iterator[Cause]:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < least:
        yield _invalid(path, len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    for index, item in enumerate(value):
        # Rules about change do not hold for items: which one was which is not known. But the very same one was judged before.
        if not (isinstance(item, (dict, list)) and item is below(old, index)):
            yield from _check(schema.get("items", {}), item, f"{path}[{index}]", _ABSENT)
    yield from _check_list_type(schema, value, path)


def _check_list_type(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    """Lists that are sets or maps hold no two items of the same identity."""
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        identity = item
        if kind == "map":
            if not isinstance(item, dict):
                continue
            identity = {key: item[key] for key in schema.get("x-kubernetes-list-map-keys", ()) if key in item}
        shown = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        if shown in seen:
            yield Cause(f"{path}[{index}]", "FieldValueDuplicate", f"Duplicate value: {shown}")
        seen.add(shown)


def _check_text(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(value) < least:
        yield _invalid(path, value, f"{path} in body should be at least {least} chars long")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")
    pattern = schema.get("pattern")
    if pattern and not _pattern(pattern).search(value):
        yield _invalid(path, value, f"{path} in body should match '{pattern}'")
    wanted = schema.get("format")
    if wanted and not formats.matches(wanted, value):
        shown = _shown("" if wanted == "byte" else value)  # encoded bytes may be secret
        yield Cause(path, "FieldValueTypeInvalid", f"Invalid value: {shown}: {path} in body must be of type {wanted}: {shown}")


def _check_number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None:
        exclusive = schema.get("exclusiveMinimum", False)
        if value < least or (exclusive and value == least):
            yield _invalid(path, value, f"{path} in body should be greater than {'' if exclusive else 'or equal to '}{least}")
    if most is not None:
        exclusive = schema.get("exclusiveMaximum", False)
        if value > most or (exclusive and value == most):
            yield _invalid(path, value, f"{path} in body should be less than {'' if exclusive else 'or equal to '}{most}")
    if step and value % step:
        yield _invalid(path, value, f"{path} in body should be a multiple of {step}")


def _check_combinations(schema: Schema, value: Any, path: str, old: Any) -> Iterator[Cause]:
    """allOf, anyOf, oneOf, not. As in kube-apiserver, what they say about the whole names its field in the text only."""

    def holds(part: Schema) -> bool:
        return next(_check(part, value, path, old), None) is None

    def whole(rule: str) -> Cause:
        return Cause("<nil>", "FieldValueInvalid", f'Invalid value: "": "{path}" {rule}')

    for part in schema.get("allOf", ()):
        yield from _check(part, value, path, old)
    if "anyOf" in schema and not any(map(holds, schema["anyOf"])):
        yield whole("must validate at least one schema (anyOf)")
    if "oneOf" in schema:
        count = sum(map(holds, schema["oneOf"]))
        if count != 1:
            found = f"Found {count} valid alternatives" if count else "Found none valid"
            yield whole(f"must validate one and only one schema (oneOf). {found}")
    if "not" in schema and holds(schema["not"]):
        yield whole("must not validate the schema (not)")


# The CEL rules about change that the served kinds have: rule -> may `old` become `new`?
TRANSITION_RULES: dict[str, Callable[[Any, Any], bool]] = {
    "self == oldSelf": lambda old, new: old == new,
    "oldSelf == null || oldSelf.name == '' || self == oldSelf": lambda old, new: not old.get("name") or old == new,
}


def _check_transitions(schema: Schema, value: Any, path: str, old: Any) -> Iterator[Cause]:
    for rule in schema["x-kubernetes-validations"]:
        allows = TRANSITION_RULES.get(rule["rule"])
        if allows and not allows(old, value):
            shown = _shown(value if not isinstance(value, (dict, list)) else _type_name(value))
            yield Cause(path, "FieldValueInvalid", f"Invalid value: {shown}: {rule.get('message', 'failed rule: ' + rule['rule'])}")


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "null")


def _type_mismatch(schema: Schema, value: Any) -> tuple[str, str] | None:
    """(type wanted, type given), or None when they agree. An integral float is an integer, an integer is a number."""
    wanted, given = _types(schema), _type_name(value)
    if not wanted or given in wanted:
        return None
    if given == "number" and "integer" in wanted and value.is_integer():
        return None
    if given == "integer" and "number" in wanted:
        return None
    return ",".join(wanted), given


def _wrong_type(path: str, wanted: str, given: str) -> Cause:
    return Cause(path, "FieldValueTypeInvalid", f'Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"')


def _unsupported(path: str, value: Any, accepted: list[Any]) -> Cause:
    listed = ", ".join(json.dumps(a if isinstance(a, str) else json.dumps(a), ensure_ascii=False) for a in accepted)
    return Cause(path, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}")


def _invalid(path: str, value: Any, why: str) -> Cause:
    return Cause(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}")


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    """The pattern of a schema, which is written for Go; what only Go understands (POSIX classes) is not checked."""
    at_end = re.sub(r"(?<!\\)\$$", r"\\Z", pattern)  # Python's `$` would also let a last newline pass
    try:
        return re.compile(at_end)
    except re.error:
        return re.compile("")
