"""Sizes of OVF and Kubernetes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration.quantities import MIB, aligned, bytes_of, mebibytes, quantity

SUFFIXES = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}


@pytest.mark.parametrize(
    ("amount", "units", "size"),
    [
        (2, "byte * 2^30", 2 << 30),
        (512, "byte * 2^20", 512 << 20),
        (512, "byte*2 ^ 20", 512 << 20),
        (3, "byte * 1024 * 1024", 3 << 20),
        (7, "byte", 7),
        (7, "", 7),
        (256, "MegaBytes", 256 << 20),
        (2, "gigabytes", 2 << 30),
    ],
)
def test_units_of_ovf(amount, units, size):
    assert bytes_of(amount, units) == size


@pytest.mark.parametrize("units", ["hertz * 10^6", "byte * two", "byte + 2^30", "blocks"])
def test_units_that_nobody_understands_are_an_error_that_shows_them(units):
    with pytest.raises(ValueError, match="allocation units"):
        bytes_of(1, units)


@pytest.mark.parametrize(
    ("size", "text"), [(2 << 30, "2Gi"), (2048 << 20, "2Gi"), (0, "0"), (1000, "1000"), (1536 << 20, "1536Mi"), (1 << 60, "1Ei")]
)
def test_quantities_take_the_largest_suffix(size, text):
    assert quantity(size) == text


@given(st.integers(0, 1 << 70))
def test_a_quantity_loses_no_byte(size):
    text = quantity(size)
    digits = text.rstrip("KMGTPEi")
    assert int(digits) * SUFFIXES[text[len(digits) :]] == size


@given(st.integers(1, 1 << 60))
def test_aligning_only_adds_and_less_than_one_unit(size):
    assert aligned(size) % MIB == 0
    assert 0 <= aligned(size) - size < MIB
    assert mebibytes(size) * MIB == aligned(size)
