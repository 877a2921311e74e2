"""Event keys are held compactly where there is a C compiler; a `set` does the same elsewhere."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

keyset = pytest.importorskip("kubewake.engine.keyset", reason="not compiled here")
KeySet = keyset.KeySet

numbers = st.integers(0, 2**64 - 1) | st.integers(0, 5)
batches = st.lists(st.lists(numbers, max_size=200), max_size=6)


@given(batches, st.lists(numbers, max_size=20))
def test_it_holds_what_a_set_would_hold(parts, asked):
    ours, theirs = KeySet(), set()
    for part in parts:
        keys = array("Q", part)
        assert ours.indexes_of(keys) == [index for index, key in enumerate(part) if key in theirs]
        known = [index for index, key in enumerate(part) if key in theirs or key in part[:index]]
        assert ours.add_all(keys) == known
        theirs |= set(part)
    assert len(ours) == len(theirs)
    assert sorted(ours) == sorted(theirs)
    assert [key in ours for key in asked] == [key in theirs for key in asked]
    assert ours.isdisjoint(tuple(asked)) == theirs.isdisjoint(asked)


def test_keys_that_follow_one_another_do_not_crowd_one_place():
    many = KeySet(array("Q", range(0, 4_000_000, 4)))
    assert len(many) == 1_000_000
    assert 3_999_996 in many
    assert 3 not in many


def test_it_takes_what_is_no_array():
    assert sorted(KeySet([3, 0, 3])) == [0, 3]


def test_a_number_that_is_no_key_is_refused():
    with pytest.raises(OverflowError):
        KeySet([-1])
