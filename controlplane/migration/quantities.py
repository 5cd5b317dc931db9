"""Sizes as OVF writes them and as Kubernetes writes them."""

from __future__ import annotations

import re

MIB = 1 << 20
_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_WORDS = {"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20, "gigabytes": 1 << 30, "terabytes": 1 << 40}  # as VirtualBox writes them
_POWER = re.compile(r"(\d+)\s*\^\s*(\d+)")


def bytes_of(amount: int, units: str) -> int:
    """`amount` in bytes. `units` as OVF writes allocation units: "byte * 2^30", "byte * 1024", "MegaBytes", "" for bytes.

    Raises ValueError for anything else.
    """
    if units.lower() in _WORDS:
        return amount * _WORDS[units.lower()]
    first, *factors = [factor.strip() for factor in units.split("*")]
    if first not in ("", "byte"):
        raise ValueError(f'allocation units "{units}" are not understood, expected "byte" or "byte * 2^N"')
    for factor in factors:
        power = _POWER.fullmatch(factor)
        if power:
            amount *= int(power[1]) ** int(power[2])
        elif factor.isdigit():
            amount *= int(factor)
        else:
            raise ValueError(f'allocation units "{units}" are not understood, expected "byte" or "byte * 2^N"')
    return amount


def quantity(size: int) -> str:
    """`size` in bytes as Kubernetes writes it: the largest binary suffix that loses nothing."""
    exponent = 0
    while size and size % 1024 == 0 and exponent < len(_SUFFIXES) - 1:
        size //= 1024
        exponent += 1
    return f"{size}{_SUFFIXES[exponent]}"


def aligned(size: int, to: int = MIB) -> int:
    """`size` rounded up to a multiple of `to` bytes."""
    return -(-size // to) * to


def mebibytes(size: int) -> int:
    """`size` in MiB, rounded up: what pipelines call MB."""
    return -(-size // MIB)
