"""Sessions with vSphere that passes over plans share: a login for each pass would be one a second.

A session that has failed is left, and the next pass logs in again. One that nobody used for a while is closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect

IDLE = 600.0  # seconds; vCenter itself ends a session after 30 minutes

_lock = threading.Lock()
_open: dict[Endpoint, tuple[Session, float]] = {}


@contextmanager
def session(endpoint: Endpoint) -> Iterator[Session]:
    """For a few calls; several threads may have the same. Raises SourceError."""
    found = _take(endpoint) or connect(endpoint)
    usable = False
    try:
        yield found
        usable = True
    except SourceError as error:
        usable = error.kind == DATA  # what a VM refuses says nothing about the session
        raise
    finally:
        if usable:
            _keep(endpoint, found)
        else:
            found.close()


def _take(endpoint: Endpoint) -> Session | None:
    with _lock:
        entry = _open.pop(endpoint, None)
    return entry[0] if entry else None


def _keep(endpoint: Endpoint, found: Session) -> None:
    now = time.monotonic()
    with _lock:
        unneeded = [_open.pop(key)[0] for key, (_session, used) in list(_open.items()) if key == endpoint or now - used > IDLE]
        _open[endpoint] = found, now
    for old in unneeded:
        old.close()
