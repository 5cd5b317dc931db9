"""Kubernetes quantities in bytes. (The official client's parser would cost the control plane 60 MiB of imported models.)"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_QUANTITY = re.compile(r"(?P<number>[+]?(\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[mkMGTPE]|[eE][+-]?\d{1,3}|)")
_POWERS = "KMGTPE"


def bytes_of(quantity: str) -> int:
    """ "2Gi" -> 2147483648, rounded up to whole bytes. Raises ValueError."""
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ValueError(f"{quantity!r} is no quantity of bytes, such as 10Gi")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return math.ceil(number.scaleb(int(suffix[1:])))
    if suffix == "m":
        return math.ceil(number / 1000)
    exponent = _POWERS.index(suffix[0].upper()) + 1 if suffix else 0
    return math.ceil(number * (1024 if suffix.endswith("i") else 1000) ** exponent)


def shown(size: int) -> str:
    """Bytes for people: 1610612736 -> "1.5 GiB"."""
    exponent = min(max(size.bit_length() - 1, 0) // 10, len(_POWERS))
    return f"{size / 1024**exponent:.1f} {_POWERS[exponent - 1]}iB" if exponent else f"{size} bytes"
