"""JSON text: what Python's own encoder would have meant, whatever the values are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.jsontext import dumps, encoded

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_what_is_written_is_read_again(value):
    assert json.loads(dumps(value)) == json.loads(encoded(value)) == value
    assert repr(json.loads(dumps(value))) == repr(value)  # 1, 1.0 and True are not the same


def test_it_is_compact_and_in_the_order_given():
    assert dumps({"b": [1, 2], "a": {"ä": None}}) == '{"b":[1,2],"a":{"ä":null}}'
    assert encoded({"ä": 1}) == '{"ä":1}'.encode()


def test_integers_of_any_length():
    assert dumps({"ä": 2**70}) == f'{{"ä":{2**70}}}'
    assert json.loads(encoded({"ä": -(2**70)})) == {"ä": -(2**70)}


def test_half_a_character_is_not_lost_where_it_can_be_told():
    assert json.loads(encoded({"name": "\udcff"})) == {"name": "\udcff"}
    assert dumps("\udcff") == '"\udcff"'


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError):
        dumps({"a": object()})
    with pytest.raises(TypeError):
        encoded({"a": object()})
