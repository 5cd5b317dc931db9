"""JSON as text. Long objects are written again and again, and Python's own encoder takes most of the time that this takes."""

from __future__ import annotations

import json
from typing import Any

import orjson

# orjson knows no integers of more than 64 bits and no halves of characters; Python's encoder does.


def dumps(value: Any) -> str:
    """Compact JSON, not limited to ASCII."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encoded(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
