# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References to container images, as container engines read them: [registry[:port]/]path[:tag][@digest]."""

from __future__ import annotations

import re

_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REFERENCE = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*(?::\d+)?/)?"  # registry
    rf"{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?"  # tag
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"  # digest
)


def is_image_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text) is not None
