"""What kube-apiserver itself does to objects of its own kinds beyond schema and metadata rules."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import Cause, bad_request, forbidden_value, invalid_value
from ansible_collections.vmshift.mtv.controlplane.quantity import Amount

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]

_KEYED = ("configmaps", "secrets")
_KEYED_FIELDS = ("data", "binaryData")
_DATA_KEY = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")
_LASTING_NAMESPACES = ("default", "kube-public", "kube-system")
_COUNTED = frozenset(("pods", "deployments.apps", "jobs.batch", "customresourcedefinitions.apiextensions.k8s.io"))


def prepare(kind: Kind, new: Object, old: Object | None) -> None:
    """Fill in and convert what the server owns in objects of this kind. Raises ApiError."""
    step = _STEPS.get(kind.resource)
    if step:
        step(new, old)


def problems(kind: Kind, new: Object, old: Object | None) -> Iterator[Cause]:
    """What this kind forbids beyond its schema."""
    for field in _IMMUTABLE.get(kind.resource, ()):
        if old is not None and old.get(field) != new.get(field):
            yield invalid_value(field, new.get(field), "field is immutable")
    if kind.resource == "resourcequotas":
        yield from _quota_problems(new)
    if kind.resource in _KEYED:
        yield from _data_problems(new, old)


def refuse_deletion(operation: str, kind: str, _new: Object | None, old: Object | None) -> None:
    """Admission: some namespaces stay."""
    if operation == "DELETE" and kind == "Namespace" and old and old["metadata"]["name"] in _LASTING_NAMESPACES:
        name = old["metadata"]["name"]
        details = {"name": name, "kind": "namespaces"}
        raise ApiError(403, "Forbidden", f'namespaces "{name}" is forbidden: this namespace may not be deleted', details)


def set_generation(kind: Kind, new: Object, old: Object | None) -> None:
    """Count changes of what users ask for: everything but metadata and (with a status subresource) status."""
    if not kind.custom and kind.resource not in _COUNTED:
        return
    if old is None:
        new["metadata"]["generation"] = 1
        return
    ignored = {"metadata", "apiVersion", "kind", *(("status",) if kind.status else ())}
    changed = any(old.get(field) != new.get(field) for field in (old.keys() | new.keys()) - ignored)
    new["metadata"]["generation"] = old["metadata"].get("generation", 1) + changed


def _namespace(new: Object, old: Object | None) -> None:
    new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"]["name"]
    if old is None:
        finalizers = new.setdefault("spec", {}).setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        new["status"] = {"phase": "Active"}
    else:  # only the finalize subresource changes them
        new["spec"] = old.get("spec", {})


def _secret(new: Object, _old: Object | None) -> None:
    for key, value in new.get("data", {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error:
            why = f'Secret in version "v1" cannot be handled as a Secret: data of key "{key}" is not base64'
            raise bad_request(why) from None
    plain = new.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        new["data"] = {**new.get("data", {}), **encoded}
    new.setdefault("type", "Opaque")


def _data_problems(new: Object, old: Object | None) -> Iterator[Cause]:
    """ConfigMaps and Secrets: keys become file names; an immutable one stays as it is."""
    for field in _KEYED_FIELDS:
        for key in new.get(field) or ():
            if not _DATA_KEY.fullmatch(key):
                why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                yield invalid_value(f"{field}[{key}]", key, why)
    if old is not None and old.get("immutable"):
        for field in (*_KEYED_FIELDS, "immutable"):
            if new.get(field) != old.get(field):
                yield forbidden_value(field, "field is immutable when `immutable` is set")


def _quota_problems(new: Object) -> Iterator[Cause]:
    for field in ("scopes", "scopeSelector"):
        if (new.get("spec") or {}).get(field):
            yield forbidden_value(f"spec.{field}", "this control plane counts all objects of a namespace, none by scope")
    for name, amount in ((new.get("spec") or {}).get("hard") or {}).items():
        try:
            Amount.of(amount)
        except ValueError:
            yield invalid_value(f"spec.hard[{name}]", amount, "must be a quantity greater than or equal to 0")


def _starts_pending(new: Object, old: Object | None) -> None:
    if old is None:
        new["status"] = {"phase": "Pending"}


_STEPS: dict[str, Callable[[Object, Object | None], None]] = {
    "namespaces": _namespace,
    "secrets": _secret,
    "pods": _starts_pending,
    "persistentvolumeclaims": _starts_pending,
    "persistentvolumes": _starts_pending,
}

_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "secrets": ("type",),
    "storageclasses.storage.k8s.io": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
}
