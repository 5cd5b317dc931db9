"""Questions to a source that may be away for a moment, asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, SourceError

Answer = TypeVar("Answer")

ATTEMPTS, PAUSE = 5, 2.0  # seconds between them


def patiently(ask: Callable[[], Answer], again: Callable[[str], None]) -> Answer:
    """The answer. `again` is told each time why a connection failed. Raises SourceError: the last of those, any other at once."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except SourceError as error:
            if error.kind != CONNECTION or attempt == ATTEMPTS:
                raise
            again(error.message)
        time.sleep(PAUSE)
    raise AssertionError
