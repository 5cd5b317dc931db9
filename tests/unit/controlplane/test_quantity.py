from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane import quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("2Gi", 2 << 30),
        ("1.5Gi", 3 << 29),
        ("1G", 10**9),
        ("1k", 1000),
        ("3Ei", 3 << 60),
        ("1E", 10**18),
        ("1e3", 1000),
        ("12E2", 1200),
        ("1500m", 2),
    ],
)
def test_bytes_of_quantities(text: str, size: int) -> None:
    assert quantity.bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "10 Gi", "Gi", "-1", "1Q", "ten"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity of bytes, such as 10Gi"):
        quantity.bytes_of(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5.0 TiB"), (1 << 70, "1024.0 EiB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert quantity.shown(size) == text


@pytest.mark.parametrize(
    ("first", "second", "total"),
    [
        ("1Gi", "512Mi", "1536Mi"),
        ("0", "2Gi", "2Gi"),
        ("1G", "1Gi", "2073741824"),
        ("100m", "900m", "1"),
        ("1", "250m", "1250m"),
        ("10000", "0", "10k"),
        ("1e3", "1", "1001"),
        ("100u", "0", "100u"),
        ("1024", "1024", "2048"),
        ("0.5Gi", "0", "512Mi"),
    ],
)
def test_sums_are_written_as_kubernetes_writes_them(first: str, second: str, total: str) -> None:
    assert str(quantity.Amount.of(first).plus(quantity.Amount.of(second))) == total


@pytest.mark.parametrize(("text", "seconds"), [("12h0m0s", 43200), ("90s", 90), ("1.5h", 5400), ("250ms", 0.25), ("0", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert quantity.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "1 h", "1h and more"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration, such as 12h"):
        quantity.seconds_of(text)
