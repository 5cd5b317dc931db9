"""Kubernetes quantities in bytes, and durations in seconds.

(The official client's parser would cost the control plane 60 MiB of imported models.)
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

_QUANTITY = re.compile(r"(?P<number>[+]?(\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[mkMGTPE]|[eE][+-]?\d{1,3}|)")
_AMOUNT = re.compile(r"(?P<number>[+]?(\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3}|)")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)")
_DURATION = re.compile(rf"({_PART.pattern})+|0")
_SECONDS = {"ns": Decimal("1e-9"), "us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_POWERS = "KMGTPE"
_SMALL = {"n": -9, "u": -6, "m": -3}
_BINARY, _DECIMAL = "Ki", "k"


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


def seconds_of(duration: str) -> float:
    """Of a duration as Go writes it: "1h30m0s" -> 5400.0. Raises ValueError."""
    if not _DURATION.fullmatch(duration):
        raise ValueError(f"{duration!r} is no duration, such as 12h or 1h30m0s")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in _PART.findall(duration)))


def shown(size: int) -> str:
    """Bytes for people: 1610612736 -> "1.5 GiB"."""
    exponent = min(max(size.bit_length() - 1, 0) // 10, len(_POWERS))
    return f"{size / 1024**exponent:.1f} {_POWERS[exponent - 1]}iB" if exponent else f"{size} bytes"


class Amount(NamedTuple):
    """A quantity of anything, exact, and written as Kubernetes writes it: a sum in the notation of what came first."""

    value: Decimal
    notation: str = _DECIMAL

    @classmethod
    def of(cls, text: str | int) -> Amount:
        """Raises ValueError."""
        match = _AMOUNT.fullmatch(str(text))
        if not match:
            raise ValueError(f"{text!r} is no quantity, such as 10Gi or 500m")
        number, suffix = Decimal(match["number"]), match["suffix"]
        if suffix in _SMALL:
            return cls(number.scaleb(_SMALL[suffix]))
        if len(suffix) > 1 and suffix[0] in "eE" and suffix != "Ei":
            return cls(number.scaleb(int(suffix[1:])))
        exponent = _POWERS.index(suffix[0].upper()) + 1 if suffix else 0
        if suffix.endswith("i"):
            return cls(number * 1024**exponent, _BINARY)
        return cls(number.scaleb(3 * exponent))

    def plus(self, other: Amount) -> Amount:
        return Amount(self.value + other.value, self.notation if self.value else other.notation)

    def less(self, other: Amount) -> Amount:
        """Not below zero."""
        return Amount(max(self.value - other.value, Decimal(0)), self.notation)

    def __str__(self) -> str:
        """With the largest suffix that leaves a whole number."""
        if self.value == self.value.to_integral_value():
            base, suffixes = (1024, [f"{p}i" for p in _POWERS]) if self.notation == _BINARY else (1000, ["k", *_POWERS[1:]])
            whole, suffix = int(self.value), ""
            for larger in suffixes:
                if not whole or whole % base:
                    break
                whole, suffix = whole // base, larger
            return f"{whole}{suffix}"
        for suffix in ("m", "u", "n"):
            scaled = self.value.scaleb(-_SMALL[suffix])
            if scaled == scaled.to_integral_value() or suffix == "n":
                return f"{math.ceil(scaled)}{suffix}"
        raise AssertionError("the last suffix always returns")
