"""What happens to an object between a request and the store: pruning, defaulting, the rules of its kind, hooks, validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from ansible_collections.vmshift.mtv.controlplane.apiserver import objectmeta, strategies, structural
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import invalid, undecodable

Object = dict[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE"]

# Kubelets register nodes with their status.
_BORN_WITH_STATUS = frozenset(("nodes",))

# (operation, kind name, new, old): may change `new` or raise ApiError. `new` is None on DELETE, `old` on CREATE.
Hook = Callable[[str, str, "Object | None", "Object | None"], None]

CONTROLLER = "forklift-controller"


@dataclass(frozen=True)
class Options:
    """How a write is meant."""

    manager: str = CONTROLLER
    dry_run: bool = False
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Ignore"
    warn: Callable[[str], None] = lambda _warning: None


def admit(kind: Kind, new: Object, old: Object | None, *, hooks: list[Hook], subresource: str = "") -> None:
    """Bring a decoded `new` into the form to be stored. Raises ApiError 422, or what a hook raises."""
    _keep_other_half(kind, new, old, subresource)
    if kind.schema is not None:
        structural.apply_defaults(kind.schema, new, old)
    strategies.prepare(kind, new, old)
    if not subresource:
        for hook in hooks:
            hook("CREATE" if old is None else "UPDATE", kind.kind, new, old)
    _validate(kind, new, old)
    strategies.set_generation(kind, new, old)


def decode(kind: Kind, new: Object, options: Options, old: Object | None = None) -> None:
    """Check the types of metadata; drop fields that the kind does not have. Raises ApiError 400."""
    unknown = objectmeta.decode(kind, new)
    if kind.schema is not None:
        unknown += structural.prune(kind.schema, new, old)
    if options.field_validation == "Strict" and unknown:
        raise undecodable(kind, "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown))
    if options.field_validation == "Warn":
        for path in unknown:
            options.warn(f'unknown field "{path}"')


def _keep_other_half(kind: Kind, new: Object, old: Object | None, subresource: str) -> None:
    """The main resource never writes status; the status subresource never writes anything else."""
    if subresource == "status":
        assert old is not None
        status = new.get("status")
        managed = new["metadata"].get("managedFields")
        new.clear()
        new.update({**old, "metadata": {**old["metadata"]}})
        if managed:
            new["metadata"]["managedFields"] = managed
        _set(new, "status", status)
    elif kind.status and not (old is None and kind.resource in _BORN_WITH_STATUS):
        _set(new, "status", None if old is None else old.get("status"))


def _set(obj: Object, field: str, value: Any) -> None:
    if value is None:
        obj.pop(field, None)
    else:
        obj[field] = value


def _validate(kind: Kind, new: Object, old: Object | None) -> None:
    causes = list(chain(objectmeta.problems(kind, new, old), strategies.problems(kind, new, old)))
    if kind.schema is not None:
        causes += structural.validate(kind.schema, new, old)
    if causes:
        raise invalid(kind, new["metadata"].get("name", ""), causes)
