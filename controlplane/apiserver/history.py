"""The watch cache: the latest changes of one resource, kept in memory so that watches can resume."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

EVENTS_KEPT = 1000
BYTES_KEPT = 8 << 20

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Expired(Exception):
    """Changes after the wanted revision are no longer known."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change. The record of a DELETED event is the last state, with the revision of the deletion."""

    type: EventType
    record: Record
    previous: Record | None


class History:
    """Changes of one resource in order; the oldest are forgotten first."""

    def __init__(self, floor: int) -> None:
        self.floor = floor  # everything after this revision is known
        self._events: list[Event] = []
        self._bytes = 0

    def add(self, event: Event) -> None:
        self._events.append(event)
        self._bytes += len(event.record.text)
        if len(self._events) > 2 * EVENTS_KEPT or self._bytes > BYTES_KEPT + BYTES_KEPT // 4:
            self._forget()

    def after(self, revision: int) -> list[Event]:
        """Every change newer than `revision`. Raises Expired."""
        if revision < self.floor:
            raise Expired(revision, self.floor)
        return self._events[bisect_right(self._events, revision, key=lambda event: event.record.revision) :]

    def _forget(self) -> None:
        """Drop the oldest (many in one go, so that adding stays cheap)."""
        kept = 0
        first = len(self._events)
        while first > 0 and len(self._events) - first < EVENTS_KEPT and kept + len(self._events[first - 1].record.text) <= BYTES_KEPT:
            first -= 1
            kept += len(self._events[first].record.text)
        self.floor = self._events[first - 1].record.revision
        self._events = self._events[first:]
        self._bytes = kept
