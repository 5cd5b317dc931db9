"""Sizes of Kubernetes and pipelines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration.quantities import MIB, aligned, mebibytes, quantity

SUFFIXES = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}


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
