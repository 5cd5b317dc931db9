"""Objects in SQLite, all of them also in memory, every change numbered.

A transaction is in the database, fsynced, before `transaction()` returns, and seen by subscribers only after that.
Reads never touch the database.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.history import Event, History
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import Place, Shelf, Term, references
from ansible_collections.vmshift.mtv.controlplane.jsontext import dumps

log = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str, str]  # (resource, namespace, name); namespace is "" for cluster-scoped kinds
Subscriber = Callable[[Event, Object], None]

SHORT = 1 << 10  # characters: texts that are not worth being compressed
LONG = 64 << 10  # characters: texts that are compressed at once, and not parsed more often than needed
VIEWS = 8  # of long objects, the latest ones

TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body NOT NULL,
    PRIMARY KEY (resource, namespace, name));
CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO revision VALUES (1, 1);
"""


def pack(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def unpack(stored: str | bytes) -> str:
    """The text of an object as memory or the database holds it, compressed or not."""
    return stored if isinstance(stored, str) else zlib.decompress(stored).decode()


@dataclass(frozen=True, slots=True)
class Record:
    """One stored object: its JSON text, and what is looked for often enough to keep it parsed."""

    key: Key
    kind: str
    uid: str
    revision: int
    stored: str | bytes
    long: bool
    labels: dict[str, str]
    terms: tuple[Term, ...]  # what it is found by
    owners: tuple[str, ...]  # uids
    deleting: bool

    @classmethod
    def of(cls, resource: str, obj: Object, text: str) -> Record:
        meta = obj["metadata"]
        # Interned: the versions of an object, and all objects of one run, have most of these texts in common.
        labels = {intern(key): intern(value) for key, value in (meta.get("labels") or {}).items()}
        return cls(
            key=(resource, intern(meta.get("namespace", "")), intern(meta["name"])),
            kind=intern(obj["kind"]),
            uid=intern(meta["uid"]),
            revision=int(meta["resourceVersion"]),
            # A plan of many VMs repeats itself, and is written often: it takes a fraction of its length, here and on the disk.
            stored=pack(text) if len(text) >= LONG else text,
            long=len(text) >= LONG,
            labels=labels,
            terms=(*labels.items(), *references(resource, obj)),
            owners=tuple(intern(ref["uid"]) for ref in meta.get("ownerReferences") or ()),
            deleting="deletionTimestamp" in meta,
        )

    @property
    def text(self) -> str:
        return unpack(self.stored)

    @property
    def size(self) -> int:
        """About how many bytes the text takes in memory."""
        return len(self.stored)

    def packed(self) -> Record:
        """The same record with its text compressed, for one that is hardly read again."""
        if isinstance(self.stored, bytes) or len(self.stored) < SHORT:
            return self
        return replace(self, stored=pack(self.stored))

    @property
    def resource(self) -> str:
        return self.key[0]

    @property
    def namespace(self) -> str:
        return self.key[1]

    @property
    def name(self) -> str:
        return self.key[2]

    @property
    def place(self) -> Place:
        return self.key[1:]

    def object(self) -> Object:
        """The object, as a copy of the caller's own."""
        return json.loads(self.text)


class Store:
    """All objects of one control plane. One thread uses it (the event loop's); one process has it open."""

    def __init__(self, path: Path | str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        if os.path.exists(path):
            os.chmod(path, 0o600)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        # A checkpoint waits for the disk, too: rather seldom than after each 4 MiB, the default.
        self._database.execute("PRAGMA wal_autocheckpoint = 8192")
        self._database.executescript(TABLES)
        self.revision: int = self._database.execute("SELECT value FROM revision").fetchone()[0]
        self._started_at = self.revision
        self._shelves: dict[str, Shelf] = {}
        self._by_uid: dict[str, Record] = {}
        self._dependents: dict[str, dict[Key, Record]] = {}
        self._views: dict[Key, tuple[Record, Object]] = {}  # in the order of their last use
        self._histories: dict[str, History] = {}
        self._subscribers: list[Subscriber] = []
        self._changes: list[tuple[Event, Object]] | None = None
        self._unpublished: deque[tuple[Event, Object]] = deque()
        self._publishing = False
        for resource, body in self._database.execute("SELECT resource, body FROM objects ORDER BY resource, namespace, name"):
            text = unpack(body)
            self._index(Record.of(resource, json.loads(text), text))

    def close(self) -> None:
        self._database.close()

    # Reading

    def get(self, resource: str, namespace: str, name: str) -> Record | None:
        return self._shelf(resource).get(namespace, name)

    def records(self, resource: str, namespace: str = "", terms: Iterable[Term] = ()) -> list[Record]:
        """Records of one resource, of one namespace when given, having all `terms`; ordered by namespace and name."""
        return self._shelf(resource).records(namespace, terms)

    def in_namespace(self, namespace: str) -> list[Record]:
        return [record for shelf in list(self._shelves.values()) for record in shelf.records(namespace)]

    def view(self, record: Record) -> Object:
        """The object of a record, shared: read only. A long one that was written or looked at lately is not parsed again."""
        known, obj = self._views.get(record.key, (None, {}))
        if known is not record:
            obj = record.object()
        self._keep_view(record, obj)
        return obj

    def _keep_view(self, record: Record, obj: Object) -> None:
        self._views.pop(record.key, None)
        if record.long:
            self._views[record.key] = record, obj
            if len(self._views) > VIEWS:
                del self._views[next(iter(self._views))]

    def by_uid(self, uid: str) -> Record | None:
        return self._by_uid.get(uid)

    def dependents(self, uid: str) -> list[Record]:
        """Objects that name the object `uid` in their ownerReferences."""
        return list(self._dependents.get(uid, {}).values())

    def events_after(self, resource: str, revision: int) -> list[Event]:
        """Changes of `resource` newer than `revision`. Raises Expired."""
        return self._history(resource).after(revision)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` after each committed change with the event and its object (shared: read only)."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    # Writing

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """Changes made inside take effect together, or (on an exception, or when not to be kept) not at all.

        Inside another transaction they are durable, and seen by subscribers, with that one.
        """
        before = self.revision
        if self._changes is not None:
            mark = len(self._changes)
            try:
                yield
            except BaseException:
                keep = False
                raise
            finally:
                if not keep:
                    self._undo(self._changes[mark:], before)
                    del self._changes[mark:]
            return
        self._changes = []
        try:
            yield
            if keep and self._changes:
                self._persist(self._changes)
        except sqlite3.Error as error:
            keep = False
            raise ApiError(500, "InternalError", f"Internal error occurred: the store cannot be written: {error}") from error
        except BaseException:
            keep = False
            raise
        finally:
            changes, self._changes = self._changes, None
            if not keep:
                self._undo(changes, before)
        if keep:
            self._publish(changes)

    def put(self, resource: str, obj: Object, *, viewed: bool = False) -> Record:
        """Write `obj` (which now belongs to the store) with the next resourceVersion.

        `viewed`: nobody else has any part of `obj`, so that it may be kept as the view of the record.
        """
        assert self._changes is not None, "put outside a transaction"
        record = self._numbered(resource, obj)
        previous = self.get(*record.key)
        if previous:
            self._unindex(previous)
        self._index(record)
        self._changes.append((Event("MODIFIED" if previous else "ADDED", record, previous), obj))
        self._views.pop(record.key, None)
        if viewed:
            self._keep_view(record, obj)
        return record

    def remove(self, record: Record) -> None:
        assert self._changes is not None, "remove outside a transaction"
        obj = record.object()
        last = self._numbered(record.resource, obj)
        self._unindex(record)
        self._views.pop(record.key, None)
        self._changes.append((Event("DELETED", last, record), obj))

    def _numbered(self, resource: str, obj: Object) -> Record:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        return Record.of(resource, obj, dumps(obj))

    def _persist(self, changes: list[tuple[Event, Object]]) -> None:
        final = {event.record.key: event for event, _obj in changes}
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            for key, event in final.items():
                if event.type == "DELETED":
                    database.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", key)
                else:
                    database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, event.record.stored))
            database.execute("UPDATE revision SET value = ?", (self.revision,))
            database.execute("COMMIT")
        finally:
            if database.in_transaction:  # something above failed
                database.execute("ROLLBACK")

    def _undo(self, changes: list[tuple[Event, Object]], revision: int) -> None:
        for event, _obj in reversed(changes):
            if event.type != "DELETED":
                self._unindex(event.record)
            if event.previous:
                self._index(event.previous)
        self.revision = revision

    def _publish(self, changes: list[tuple[Event, Object]]) -> None:
        for event, _obj in changes:
            self._history(event.record.resource).add(event)
        self._unpublished.extend(changes)
        if self._publishing:  # a subscriber wrote: the outer call goes on with it, so that order is kept
            return
        self._publishing = True
        try:
            while self._unpublished:
                event, obj = self._unpublished.popleft()
                for subscriber in tuple(self._subscribers):
                    self._tell(subscriber, event, obj)
        finally:
            self._publishing = False

    @staticmethod
    def _tell(subscriber: Subscriber, event: Event, obj: Object) -> None:
        try:
            subscriber(event, obj)
        except Exception:  # the change is committed: a failing listener must not make it look refused
            log.exception("subscriber failed on %s %s", event.type, event.record.key)

    def _shelf(self, resource: str) -> Shelf:
        return self._shelves.get(resource) or self._shelves.setdefault(resource, Shelf())

    def _history(self, resource: str) -> History:
        return self._histories.setdefault(resource, History(self._started_at))

    def _index(self, record: Record) -> None:
        self._shelf(record.resource).add(record)
        self._by_uid[record.uid] = record
        for owner in record.owners:
            self._dependents.setdefault(owner, {})[record.key] = record

    def _unindex(self, record: Record) -> None:
        self._shelf(record.resource).remove(record)
        self._by_uid.pop(record.uid, None)
        for owner in record.owners:
            dependents = self._dependents.get(owner, {})
            dependents.pop(record.key, None)
            if not dependents:
                self._dependents.pop(owner, None)
