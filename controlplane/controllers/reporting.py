"""Writing what a reconcile found: status and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, ERROR, WARN, Conditions

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

Object = dict[str, Any]


def report(api: Api, obj: Object, conditions: Conditions, component: str, fields: Object | None = None, *, lasting: bool = False) -> Record:
    """Write `conditions`, `observedGeneration` and `fields` (None takes one away) into the status of `obj`; an event per news.

    Nothing is written when nothing changed. Raises Conflict when `obj` has been changed meanwhile. `lasting`: as for `write_status`.
    """
    status = {**(obj.get("status") or {}), **(fields or {})}
    status = {key: value for key, value in status.items() if value is not None}
    status["conditions"] = conditions.finish()
    status["observedGeneration"] = obj["metadata"].get("generation", 1)
    written = api.write_status({**obj, "status": status}, lasting=lasting)
    for condition in conditions.changed():
        type = "Warning" if condition.get("category") in (CRITICAL, ERROR, WARN) else "Normal"
        api.record_event(obj, type, condition["type"], condition.get("message", ""), component)
    return written
