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
