"""Settings of all unit tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: the machine may be slow. In CI the same examples each time: a run judges the change, not the dice.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
