# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of virtualization platforms: what lies in a source, in the JSON shapes of MTV's inventory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CONNECTION, AUTH, DATA = "connection", "auth", "data"


class SourceError(Exception):
    """A source that cannot be read, in one sentence.

    `kind`: CONNECTION (not reached; trying again may help), AUTH (credentials refused) or DATA (reached, but not understood).
    """

    def __init__(self, message: str, kind: str = CONNECTION) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


@dataclass(frozen=True)
class Collected:
    """What one reading of a source found.

    `resources`: inventory items by collection; `problems`: one sentence for each part left out; `about`: what the source itself is;
    `missing_privileges`: what the user may not do there that migrations need.
    """

    resources: dict[str, list[dict[str, Any]]]
    problems: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    missing_privileges: list[str] = field(default_factory=list)
