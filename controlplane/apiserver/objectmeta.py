"""The rules of metadata: what the server fills in, what may change, how names look."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import (
    FieldCause,
    conflict,
    forbidden_value,
    invalid_value,
    modified_meanwhile,
    required_value,
    undecodable,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import LABEL_VALUE, QUALIFIED_NAME

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]

_TEXTS = ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_NUMBERS = ("generation", "deletionGracePeriodSeconds")
_TEXT_MAPS = ("labels", "annotations")
_LISTS = {"finalizers": str, "ownerReferences": dict, "managedFields": dict}
_FIELDS = frozenset((*_TEXTS, *_NUMBERS, *_TEXT_MAPS, *_LISTS))
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName", "selfLink", "generation")

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes leaves out what could spell words or be misread
_SUFFIX_LENGTH = 5
_GENERATED_BASE = 63 - _SUFFIX_LENGTH
_ANNOTATION_BYTES = 256 * 1024

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_NAME = (
    re.compile(rf"{_LABEL}(\.{_LABEL})*"),
    253,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'example.com', regex used for validation is "
    rf"'{_LABEL}(\.{_LABEL})*')",
)
_LABEL_NAME = (
    re.compile(_LABEL),
    63,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
    f"character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')",
)
_SERVICE_NAME = (
    re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?"),
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
)
_PATH_SEGMENT_NAME = (re.compile(r"(?!\.{1,2}$)[^/%]+"), 253, "may not be '.' or '..' and may not contain '/' or '%'")


def now() -> str:
    """The present as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode(kind: Kind, obj: Object) -> list[str]:
    """Check the types inside metadata; drop unknown fields and nulls. Returns the paths dropped. Raises ApiError 400."""
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise undecodable(kind, _mismatch(meta, "metadata", "v1.ObjectMeta"))
    unknown = [f"metadata.{field}" for field in meta if field not in _FIELDS]
    for field in [field for field, value in meta.items() if field not in _FIELDS or value is None or value in ({}, [])]:
        del meta[field]
    for field, value in meta.items():
        if field in _TEXTS:
            _expect(kind, value, str, f"metadata.{field}")
        elif field in _NUMBERS:
            _expect(kind, value, int, f"metadata.{field}")
        elif field in _TEXT_MAPS:
            _expect(kind, value, dict, f"metadata.{field}")
            for item in value.values():
                _expect(kind, item, str, f"metadata.{field}")
        else:
            _expect(kind, value, list, f"metadata.{field}")
            for item in value:
                _expect(kind, item, _LISTS[field], f"metadata.{field}")
    for reference in meta.get("ownerReferences", ()):
        for field, value in reference.items():
            _expect(kind, value, bool if field in ("controller", "blockOwnerDeletion") else str, f"metadata.ownerReferences.{field}")
    return unknown


def _expect(kind: Kind, value: Any, wanted: type, path: str) -> None:
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        names = {str: "string", int: "int64", bool: "bool", dict: "map[string]string", list: "[]string"}
        raise undecodable(kind, _mismatch(value, path, names[wanted]))


def _mismatch(value: Any, path: str, wanted: str) -> str:
    names = ((bool, "bool"), (str, "string"), ((int, float), "number"), (list, "array"), (dict, "object"))
    found = next((name for type_, name in names if isinstance(value, type_)), "null")
    return f"json: cannot unmarshal {found} into Go struct field ObjectMeta.{path} of type {wanted}"


def begin(obj: Object) -> None:
    """Fill in what a new object gets from the server."""
    meta = obj["metadata"]
    for field in (*_SERVER_OWNED, "resourceVersion", "managedFields"):
        if field != "generateName":
            meta.pop(field, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated_name(meta["generateName"])
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now()


def generated_name(base: str) -> str:
    return base[:_GENERATED_BASE] + "".join(secrets.choice(_SUFFIX_LETTERS) for _unused in range(_SUFFIX_LENGTH))


def carry_over(kind: Kind, old: Object, new: Object) -> None:
    """Put back what clients cannot change. Raises ApiError 409 when `new` was made from another state or another object."""
    before, after = old["metadata"], new["metadata"]
    if after.get("uid", before["uid"]) != before["uid"]:
        why = f"Precondition failed: UID in precondition: {after['uid']}, UID in object meta: {before['uid']}"
        raise conflict(kind, before["name"], why)
    if after.get("resourceVersion") not in (None, "", "0", before["resourceVersion"]):
        raise modified_meanwhile(kind, before["name"])
    for field in (*_SERVER_OWNED, "resourceVersion", "name", "namespace"):
        if field in before:
            after[field] = before[field]
        else:
            after.pop(field, None)


def set_managed(obj: Object, entries: list[Object]) -> None:
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def problems(kind: Kind, new: Object, old: Object | None) -> Iterator[FieldCause]:
    """What is invalid about the metadata of `new`."""
    meta = new["metadata"]
    if old is None:
        yield from _name_problems(kind, meta)
    yield from _label_problems(meta.get("labels", {}))
    for key in meta.get("annotations", {}):
        if not QUALIFIED_NAME.fullmatch(key.lower()):
            yield invalid_value("metadata.annotations", key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
    if sum(len(k) + len(v) for k, v in meta.get("annotations", {}).items()) > _ANNOTATION_BYTES:
        yield FieldCause("metadata.annotations", "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATION_BYTES} bytes")
    yield from _owner_problems(meta.get("ownerReferences", ()))
    if old is not None and "deletionTimestamp" in old["metadata"]:
        added = [f for f in meta.get("finalizers", ()) if f not in old["metadata"].get("finalizers", ())]
        if added:
            shown = ", ".join(f'"{f}"' for f in added)
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
            yield forbidden_value("metadata.finalizers", why)


def _name_problems(kind: Kind, meta: Object) -> Iterator[FieldCause]:
    name = meta.get("name", "")
    if not name:
        yield required_value("metadata.name", "name or generateName is required")
        return
    pattern, longest, words = _name_rule(kind)
    if len(name) > longest:
        yield invalid_value("metadata.name", name, f"must be no more than {longest} characters")
    elif not pattern.fullmatch(name):
        yield invalid_value("metadata.name", name, words)


def _name_rule(kind: Kind) -> tuple[re.Pattern[str], int, str]:
    if kind.group == "rbac.authorization.k8s.io":
        return _PATH_SEGMENT_NAME
    return {"namespaces": _LABEL_NAME, "services": _SERVICE_NAME}.get(kind.resource, _SUBDOMAIN_NAME)


def _label_problems(labels: dict[str, str]) -> Iterator[FieldCause]:
    for key, value in labels.items():
        if not QUALIFIED_NAME.fullmatch(key):
            why = (
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            )
            yield invalid_value("metadata.labels", key, why)
        if not LABEL_VALUE.fullmatch(value):
            why = (
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
                "an alphanumeric character, and have no more than 63 characters"
            )
            yield invalid_value("metadata.labels", value, why)


def _owner_problems(references: Any) -> Iterator[FieldCause]:
    for index, reference in enumerate(references):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(field):
                yield invalid_value(f"metadata.ownerReferences[{index}].{field}", reference.get(field, ""), f"{field} must not be empty")
    controllers = [reference for reference in references if reference.get("controller")]
    if len(controllers) > 1:
        why = "Only one reference can have Controller set to true"
        yield invalid_value("metadata.ownerReferences", controllers[1].get("name", ""), why)
