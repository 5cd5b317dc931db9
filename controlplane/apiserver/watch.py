"""Watches: the changes of one resource as a stream of JSON lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.history import Event, Expired
from ansible_collections.vmshift.mtv.controlplane.apiserver.incoming import Target, flag
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request
from ansible_collections.vmshift.mtv.controlplane.apiserver.rendering import Form
from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import Selection
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record, Store
from ansible_collections.vmshift.mtv.controlplane.jsontext import dumps

BOOKMARK_SECONDS = 60
_LONGEST_SECONDS = 3600
MOST_WATCHES = 4096  # half of the connections that are taken, so that there is room for others


class Wakeups:
    """Wakes the watches of a resource when it changes."""

    def __init__(self, store: Store) -> None:
        self._sleeping: dict[str, set[asyncio.Event]] = {}
        store.subscribe(lambda event, _obj: self._wake(event.record.resource))

    def _wake(self, resource: str) -> None:
        for sleeper in self._sleeping.get(resource, ()):
            sleeper.set()

    def refuse_too_many(self) -> None:
        """Raises ApiError 429 when one more watch would be too many."""
        if sum(map(len, self._sleeping.values())) >= MOST_WATCHES:
            raise ApiError(429, "TooManyRequests", f"there are {MOST_WATCHES} watches already: please try again later")

    @contextmanager
    def of(self, resource: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of `resource`."""
        sleeper = asyncio.Event()
        sleepers = self._sleeping.setdefault(resource, set())
        sleepers.add(sleeper)
        try:
            yield sleeper
        finally:
            sleepers.discard(sleeper)


@dataclass(frozen=True)
class Request:
    """The parameters of a watch."""

    revision: int | None  # None: first everything that is there
    bookmarks: bool
    initial_events_end: bool  # mark the end of what was there with a bookmark
    seconds: float

    @classmethod
    def of(cls, request: web.Request) -> Request:
        """Raises ApiError 400, 422."""
        query = request.query
        sends_initial = query.get("sendInitialEvents")
        if sends_initial is not None and query.get("resourceVersionMatch") != "NotOlderThan":
            told = "sendInitialEvents: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {told}')
        version = query.get("resourceVersion", "")
        if not (version.isdigit() or version == ""):
            raise bad_request(f'resourceVersion: Invalid value: "{version}": must be a number that the server gave')
        initial = flag(request, "sendInitialEvents") or (sends_initial is None and version in ("", "0"))
        bookmarks = flag(request, "allowWatchBookmarks")
        seconds = query.get("timeoutSeconds", "")
        if not (seconds.isdigit() or seconds == ""):
            raise bad_request(f'timeoutSeconds: Invalid value: "{seconds}": must be a number of seconds')
        revision = None if initial else int(version or 0)
        return cls(revision, bookmarks, bookmarks and flag(request, "sendInitialEvents"), min(int(seconds or 0) or _LONGEST_SECONDS, 86400))


class Watch:
    """One watch of one client."""

    def __init__(self, store: Store, wakeups: Wakeups, target: Target, selection: Selection, form: Form) -> None:
        self._store = store
        self._wakeups = wakeups
        self._target = target
        self._selection = selection
        self._form = form

    async def serve(self, request: web.Request, asked: Request, still_served: Callable[[], bool]) -> web.StreamResponse:
        """Stream until the time is over, the client goes, the kind is no longer served, or the history does not reach back."""
        self._wakeups.refuse_too_many()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        ends = time.monotonic() + asked.seconds
        cursor = asked.revision
        if cursor is None:
            cursor = self._store.revision
            lines = [self._line("ADDED", record) for record in self._initial()]
            if asked.initial_events_end:
                lines.append(self._bookmark(cursor, initial_events_end=True))
            await _send(response, lines)
        try:
            await self._follow(response, cursor, ends, asked.bookmarks, still_served)
        except Expired as error:
            expired = ApiError(410, "Expired", str(error))
            await _send(response, [dumps({"type": "ERROR", "object": expired.status()}) + "\n"])
        await response.write_eof()
        return response

    async def _follow(
        self, response: web.StreamResponse, cursor: int, ends: float, bookmarks: bool, still_served: Callable[[], bool]
    ) -> None:
        told = time.monotonic()
        with self._wakeups.of(self._target.kind.resource) as changed:
            while True:
                changed.clear()
                served = still_served()  # before the last events are read, so that none is left behind
                events = self._store.events_after(self._target.kind.resource, cursor)
                # A client that knows a later revision than this server (its store was put back) only waits.
                cursor = max(cursor, self._store.revision)
                lines = [line for event in events for line in self._translated(event)]
                left = ends - time.monotonic()
                if bookmarks and (left <= 0 or time.monotonic() - told >= BOOKMARK_SECONDS):
                    lines.append(self._bookmark(cursor))
                    told = time.monotonic()
                await _send(response, lines)
                if left <= 0 or not served:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, BOOKMARK_SECONDS))

    def _initial(self) -> Iterable[Record]:
        return self._selection.records(self._store, self._target.kind.resource, self._target.namespace)

    def _translated(self, event: Event) -> Iterable[str]:
        """A change as this watch sees it: entering the selection is an addition, leaving it a deletion."""
        if self._target.namespace and event.record.namespace != self._target.namespace:
            return
        before = event.previous is not None and self._selection.matches(event.previous)
        after = event.type != "DELETED" and self._selection.matches(event.record)
        if after:
            yield self._line("MODIFIED" if before else "ADDED", event.record)
        elif before and event.type == "DELETED":
            yield self._line("DELETED", event.record)
        elif before and event.previous:
            obj = event.previous.object()
            obj["metadata"]["resourceVersion"] = str(event.record.revision)
            yield self._finished("DELETED", self._form.one(obj))

    def _line(self, type: str, record: Record) -> str:
        return self._finished(type, self._form.stored(record))

    def _finished(self, type: str, text: str) -> str:
        self._form = self._form.without_headers()
        return f'{{"type":"{type}","object":{text}}}\n'

    def _bookmark(self, revision: int, *, initial_events_end: bool = False) -> str:
        kind = self._target.kind
        meta: dict[str, object] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial_events_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        return dumps({"type": "BOOKMARK", "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}}) + "\n"


async def _send(response: web.StreamResponse, lines: list[str]) -> None:
    if lines:
        await response.write("".join(lines).encode())
