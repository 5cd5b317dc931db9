"""The watch cache: the latest changes of one resource, kept in memory so that watches can resume.

What an object was before is kept compressed: a plan of many VMs is long, and each of its many versions hardly differs from the last.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

EVENTS_KEPT = 1000
BYTES_KEPT = 2 << 20  # of one resource
FEWEST_KEPT = 16  # however long they are: a watch that is behind by that little goes on

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
        if event.previous is not None:
            event = replace(event, previous=self._pack(event.previous))
        self._events.append(event)
        self._bytes += event.record.size
        if len(self._events) > 2 * EVENTS_KEPT or self._bytes > BYTES_KEPT + BYTES_KEPT // 4:
            self._forget()

    def after(self, revision: int) -> list[Event]:
        """Every change newer than `revision`. Raises Expired."""
        if revision < self.floor:
            raise Expired(revision, self.floor)
        return self._events[bisect_right(self._events, revision, key=lambda event: event.record.revision) :]

    def _pack(self, old: Record) -> Record:
        """A record that has just been replaced, compressed, here and in the event that brought it."""
        packed = old.packed()
        index = bisect_left(self._events, old.revision, key=lambda event: event.record.revision)
        if index < len(self._events) and self._events[index].record is old:
            self._events[index] = replace(self._events[index], record=packed)
            self._bytes += packed.size - old.size
        return packed

    def _forget(self) -> None:
        """Drop the oldest (many in one go, so that adding stays cheap)."""
        kept = 0
        first = len(self._events)
        while first > 0 and len(self._events) - first < EVENTS_KEPT:
            kept += self._events[first - 1].record.size
            if kept > BYTES_KEPT and len(self._events) - first >= FEWEST_KEPT:
                kept -= self._events[first - 1].record.size
                break
            first -= 1
        if not first:
            return
        self.floor = self._events[first - 1].record.revision
        self._events = self._events[first:]
        self._bytes = kept
