"""Forklift's conditions: staged in each reconcile, so that a cause that is gone takes its condition with it.

Rules: facts of `pkg/lib/condition` as observed from outside: one entry per type; not re-set and not durable means removed;
`lastTransitionTime` moves whenever any field of the condition changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

CRITICAL, ERROR, WARN, REQUIRED, ADVISORY = "Critical", "Error", "Warn", "Required", "Advisory"
BLOCKING = frozenset({CRITICAL, ERROR})


def now() -> str:
    """The present as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Conditions:
    """The `status.conditions` list of one object while it is being reconciled.

    >>> staged = Conditions(plan["status"].get("conditions", []))
    >>> staged.set("Ready", REQUIRED, "The migration plan is ready.")
    >>> plan["status"]["conditions"] = staged.finish()
    """

    def __init__(self, conditions: Iterable[dict[str, Any]] = ()) -> None:
        self._before = {c["type"]: c for c in conditions}
        self._now: dict[str, dict[str, Any]] = {t: c for t, c in self._before.items() if c.get("durable")}

    def set(
        self,
        type: str,
        category: str,
        message: str,
        *,
        reason: str = "",
        items: Iterable[str] = (),
        durable: bool = False,
        suggestion: str = "",
        status: bool = True,
    ) -> None:
        """Set one condition; the last setter of a type wins."""
        condition: dict[str, Any] = {"type": type, "status": "True" if status else "False", "category": category}
        if message:
            condition["message"] = message
        if reason:
            condition["reason"] = reason
        if suggestion:
            condition["suggestion"] = suggestion
        if durable:
            condition["durable"] = True
        if items:
            condition["items"] = list(items)
        old = self._before.get(type)
        same = old is not None and {k: v for k, v in old.items() if k != "lastTransitionTime"} == condition
        condition["lastTransitionTime"] = old["lastTransitionTime"] if same and old else now()
        self._now[type] = condition

    def remove(self, *types: str) -> None:
        """Drop conditions, durable ones too."""
        for type in types:
            self._now.pop(type, None)

    def keep(self, *types: str) -> None:
        """Carry conditions of the last reconcile over unchanged."""
        for type in types:
            if type in self._before:
                self._now.setdefault(type, self._before[type])

    def has(self, *types: str) -> bool:
        """All of `types` are True."""
        return all(self._now.get(t, {}).get("status") == "True" for t in types)

    @property
    def blocked(self) -> bool:
        """A True condition of category Critical or Error is present."""
        return any(c["status"] == "True" and c.get("category") in BLOCKING for c in self._now.values())

    def blockers(self) -> list[dict[str, Any]]:
        return [c for c in self._now.values() if c["status"] == "True" and c.get("category") in BLOCKING]

    def finish(self) -> list[dict[str, Any]]:
        """The conditions to store: those of before in their old order, then the new ones."""
        order = [t for t in self._before if t in self._now] + [t for t in self._now if t not in self._before]
        return [self._now[t] for t in order]

    def changed(self) -> list[dict[str, Any]]:
        """Conditions that are new or different since the last reconcile: what events are written about."""
        return [c for t, c in self._now.items() if self._before.get(t) != c]
