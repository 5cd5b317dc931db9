"""What kube-apiserver says when it refuses, word for word where clients or people rely on the words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, Conflict, NotFound

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind


class Cause(Protocol):
    """One thing wrong with one field: structural.Cause, or FieldCause of this module."""

    @property
    def field(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...


@dataclass(frozen=True)
class FieldCause:
    field: str
    reason: str
    message: str


def invalid_value(field: str, value: Any, why: str) -> FieldCause:
    shown = f'"{value}"' if isinstance(value, str) else value
    return FieldCause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def forbidden_value(field: str, why: str) -> FieldCause:
    return FieldCause(field, "FieldValueForbidden", f"Forbidden: {why}")


def required_value(field: str, why: str) -> FieldCause:
    return FieldCause(field, "FieldValueRequired", f"Required value: {why}")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def undecodable(kind: Kind, why: str) -> ApiError:
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def not_found(kind: Kind, name: str) -> ApiError:
    return NotFound(kind.plural, name, kind.group)


def already_exists(kind: Kind, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    return Conflict(f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', details(kind, name))


def modified_meanwhile(kind: Kind, name: str) -> ApiError:
    return conflict(kind, name, "the object has been modified; please apply your changes to the latest version and try again")


def forbidden(kind: Kind, name: str, why: str, causes: Iterable[dict[str, str]] = ()) -> ApiError:
    about = details(kind, name)
    if causes:
        about["causes"] = list(causes)
    return ApiError(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', about)


def invalid(kind: Kind, name: str, causes: Iterable[Cause]) -> ApiError:
    """422 with one cause per field."""
    listed = list(causes)
    sentences = [f"{cause.field}: {cause.message}" for cause in listed]
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    told = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    about: dict[str, Any] = {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.kind}
    about["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in listed]
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {told}', about)


def details(kind: Kind, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}
