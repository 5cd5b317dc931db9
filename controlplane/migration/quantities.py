"""Sizes as Kubernetes and pipelines write them."""

from __future__ import annotations

MIB = 1 << 20
_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


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
