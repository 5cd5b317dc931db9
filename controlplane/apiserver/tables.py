"""meta.k8s.io/v1 Tables: what `kubectl get` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import jsonpath
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind

Object = dict[str, Any]

_NAME = Column("Name", "string", ".metadata.name", format="name", description="Name must be unique within a namespace.")
_AGE = Column("Age", "date", ".metadata.creationTimestamp", description="Time since the object was created.")
_SECOND, _MINUTE, _HOUR, _DAY, _YEAR = 1, 60, 3600, 86400, 365 * 86400


def table(kind: Kind, objects: Iterable[Object], metadata: Object, *, include: str = "Metadata", headers: bool = True) -> Object:
    """A Table of `objects`. `include`: what each row carries of its object: None, Metadata or Object."""
    columns = (_NAME, *(kind.columns or (_AGE,)))
    rows = [{"cells": [_cell(column, obj) for column in columns], "object": _carried(obj, include)} for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_definition(column) for column in columns] if headers else [],
        "rows": rows,
    }


def partial(obj: Object) -> Object:
    """An object reduced to its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _carried(obj: Object, include: str) -> Object | None:
    return {"None": None, "Object": obj}.get(include, partial(obj))


def _definition(column: Column) -> Object:
    # Dates are sent as finished text, as kube-apiserver does.
    return {
        "name": column.name,
        "type": "string" if column.type == "date" else column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _cell(column: Column, obj: Object) -> Any:
    if column.value:
        return column.value(obj)
    values = jsonpath.find(column.json_path, obj)
    if not values:
        return "<unknown>" if column.type == "date" else None
    value = values[0]
    if column.type == "date":
        return age(value)
    if column.type == "string" and not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    return value


def age(timestamp: Any, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was, in the two biggest units that matter."""
    try:
        then = datetime.fromisoformat(str(timestamp).replace("Z", "+00:00"))
        seconds = int(((now or datetime.now(timezone.utc)) - then).total_seconds())
    except (ValueError, TypeError):
        return "<invalid>"
    return duration(seconds)


def duration(seconds: int) -> str:
    """Seconds in words, coarser the longer: 90s, 5m30s, 40m, 5h10m, 30h, 5d3h, 90d, 3y20d."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    for limit, unit, letter, smaller, smaller_letter in (
        (2 * _MINUTE, _SECOND, "s", 0, ""),
        (10 * _MINUTE, _MINUTE, "m", _SECOND, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if seconds < limit:
            rest = seconds % unit // smaller if smaller else 0
            return f"{seconds // unit}{letter}" + (f"{rest}{smaller_letter}" if rest else "")
    return f"{seconds // _YEAR}y"
