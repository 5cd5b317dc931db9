"""`status.migration.history` of a plan: one entry per Migration that ran, with the objects it ran with (facts 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, Conditions

Object = dict[str, Any]

EXECUTING, SUCCEEDED, FAILED, CANCELED = "Executing", "Succeeded", "Failed", "Canceled"
ENDS = (SUCCEEDED, FAILED, CANCELED)
LIFECYCLE = (EXECUTING, *ENDS)
#: The identity of what a run does without.
NOTHING: Object = {"namespace": "", "name": "", "uid": "", "generation": 0}


def identity(obj: Object) -> Object:
    meta = obj["metadata"]
    return {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"], "generation": meta["generation"]}


def entry(plan: Object, migration: Object, source: Object, destination: Object, network_map: Object, storage_map: Object) -> Object:
    storage = identity(storage_map) if storage_map else NOTHING
    return {
        "plan": identity(plan),
        "migration": identity(migration),
        "provider": {"source": identity(source), "destination": identity(destination)},
        "map": {"network": identity(network_map), "storage": storage},
    }


def same_objects(old: Object, new: Object) -> bool:
    """The objects of two entries are the same ones (by uid); that they were edited meanwhile does not matter."""
    return _uids(old) == _uids(new)


def _uids(snapshot: Object) -> list[str]:
    parts = [snapshot["plan"], *(snapshot["provider"][side] for side in ("source", "destination"))]
    return [part["uid"] for part in (*parts, *(snapshot["map"][what] for what in ("network", "storage")))]


def last(plan: Object) -> Object | None:
    """The newest entry."""
    entries = plan.get("status", {}).get("migration", {}).get("history")
    return entries[-1] if entries else None


def active(plan: Object) -> Object | None:
    """The entry of the run that has begun and not ended; only the newest one can be."""
    newest = last(plan)
    return newest if newest and not holds(newest, *ENDS) else None


def of_migration(plan: Object, migration: Object) -> Object | None:
    """The entry of a Migration."""
    entries = plan.get("status", {}).get("migration", {}).get("history") or ()
    return next((e for e in reversed(entries) if e["migration"]["uid"] == migration["metadata"]["uid"]), None)


def holds(item: Object, *types: str) -> bool:
    """Any of these conditions of an entry or a VM is True."""
    return any(c["type"] in types and c["status"] == "True" for c in item.get("conditions") or ())


def turn(item: Object, type: str, message: str, *, reason: str = "", category: str = ADVISORY) -> None:
    """An entry enters a state of its lifecycle and leaves the one before; or a VM gets its end."""
    conditions = Conditions(item.get("conditions") or ())
    conditions.remove(*LIFECYCLE)
    conditions.set(type, category, message, reason=reason, durable=True)
    item["conditions"] = conditions.finish()


def drop(item: Object, *types: str) -> None:
    """Take conditions away; the field too when none is left."""
    found = item.get("conditions")
    if found is None or (found and not any(c["type"] in types for c in found)):
        return
    left = [c for c in found if c["type"] not in types]
    if left:
        item["conditions"] = left
    else:
        del item["conditions"]


def pending(migrations: Iterable[Object], plan: Object) -> Object | None:
    """The oldest Migration that refers to `plan` and has not ended."""
    meta = plan["metadata"]
    waiting = [m for m in migrations if _for(m, meta["namespace"], meta["name"]) and not holds(m.get("status") or {}, *ENDS)]
    started = {e["migration"]["uid"] for e in plan.get("status", {}).get("migration", {}).get("history") or ()}
    waiting = [m for m in waiting if m["metadata"]["uid"] not in started and "deletionTimestamp" not in m["metadata"]]
    return min(waiting, key=_age, default=None)


def _for(migration: Object, namespace: str, name: str) -> bool:
    plan = migration["spec"].get("plan") or {}
    return (plan.get("namespace"), plan.get("name")) == (namespace, name)


def _age(migration: Object) -> tuple[str, str, str]:
    meta = migration["metadata"]
    return meta["creationTimestamp"], meta["namespace"], meta["name"]
