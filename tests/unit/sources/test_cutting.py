"""Line breaks are counted alike with and without a C compiler."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

linebreaks = pytest.importorskip("kubewake.sources.linebreaks", reason="not compiled here")


@given(st.lists(st.sampled_from([b"\n", b"a", b"\n" * 300, b"b" * 254, b"\x8a\r"]), max_size=20).map(b"".join))
def test_breaks_are_counted(data):
    assert linebreaks.count_breaks(data) == data.count(b"\n")


def test_nothing_but_bytes_is_counted():
    with pytest.raises(TypeError):
        linebreaks.count_breaks(None)
