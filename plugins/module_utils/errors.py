# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between a module and the services it talks to, as sentences for users."""

from __future__ import annotations

from typing import Any


class TalkError(Exception):
    """Something a user can act on: str() is the sentence, `details` goes into the task's result beside it."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


#: Reasons of errors without an answer to something that was sent.
_ANSWER_LOST = ("ConnectionLost", "Stalled")


class ClusterError(TalkError):
    """An answer that is not a success (`status`: HTTP code) or no answer at all (`status` 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message, status=status, reason=reason)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def unclear(self) -> bool:
        """The server may have done what it was asked for."""
        return self.reason in _ANSWER_LOST or self.status in (500, 502, 503, 504)
