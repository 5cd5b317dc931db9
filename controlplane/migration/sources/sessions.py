"""Sessions with sources that passes over plans share: a login for each pass would be one a second.

A session that has failed is left, and the next pass logs in again. One that nobody used for a while is closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError

IDLE = 600.0  # seconds; vCenter itself ends a session after 30 minutes


class Closing(Protocol):
    def close(self) -> None: ...


Place = TypeVar("Place", bound=Hashable)
Opened = TypeVar("Opened", bound=Closing)


class Sessions(Generic[Place, Opened]):
    """Of one kind of source. `connect` logs in at a place and raises SourceError."""

    def __init__(self, connect: Callable[[Place], Opened]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[Place, tuple[Opened, float]] = {}

    @contextmanager
    def session(self, place: Place) -> Iterator[Opened]:
        """For a few calls; nobody else has it meanwhile. Raises SourceError."""
        found = self._take(place) or self._connect(place)
        usable = False
        try:
            yield found
            usable = True
        except SourceError as error:
            usable = error.kind == DATA  # what a VM refuses says nothing about the session
            raise
        finally:
            if usable:
                self._keep(place, found)
            else:
                found.close()

    def _take(self, place: Place) -> Opened | None:
        with self._lock:
            entry = self._open.pop(place, None)
        return entry[0] if entry else None

    def _keep(self, place: Place, found: Opened) -> None:
        now = time.monotonic()
        with self._lock:
            opened = list(self._open.items())
            unneeded = [self._open.pop(key)[0] for key, (_session, used) in opened if key == place or now - used > IDLE]
            self._open[place] = found, now
        for old in unneeded:
            old.close()
