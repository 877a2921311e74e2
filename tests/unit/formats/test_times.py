import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewake.formats.times import are_normal, normalise

NORMAL = "2026-03-01T10:00:00.000001Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NORMAL, NORMAL),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000000Z"),
        ("2026-03-01T10:00:00.1Z", "2026-03-01T10:00:00.100000Z"),
        ("2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123456Z"),
        ("2026-03-01T12:30:00.5+02:30", "2026-03-01T10:00:00.500000Z"),
        ("2026-03-01T00:30:00-01:00", "2026-03-01T01:30:00.000000Z"),
        ("2026-03-01T10:00:00+0100", "2026-03-01T09:00:00.000000Z"),
        ("2026-03-01 10:00:00.123", "2026-03-01T10:00:00.123000Z"),
        ("2026-03-01t10:00:00z", "2026-03-01T10:00:00.000000Z"),
        (1772359200, "2026-03-01T10:00:00.000000Z"),
        (1772359200123, "2026-03-01T10:00:00.123000Z"),
        (1772359200123456, "2026-03-01T10:00:00.123456Z"),
        ("1772359200123", "2026-03-01T10:00:00.123000Z"),
        (1772359200.5, "2026-03-01T10:00:00.500000Z"),
        ("2026-13-01T10:00:00Z", None),
        ("2026-02-30T10:00:00.000001Z", None),
        ("2026-03-01T24:00:00.000001Z", None),
        ("2026-03-01T10:60:00.000001Z", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("9999-12-31T23:59:59-02:00", None),
        ("Mar 1 10:00:00", None),
        ("", None),
        ("12", None),
        (True, None),
        (None, None),
        (0, None),
        (float("inf"), None),
        (float("nan"), None),
        (10**30, None),
        ([], None),
        ("２０２６-03-01T10:00:00Z", None),
    ],
)
def test_normalise(value, expected):
    assert normalise(value) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], True),
        ([NORMAL, NORMAL], True),
        ([NORMAL, None], False),
        ([NORMAL, "2026-03-01T10:00:00Z"], False),
        (["2026-03-01T10:00:00.6+01:00"], False),
        (["2026-13-01T10:00:00.000001Z"], False),
        (["2026-03-01T10:70:00.000001Z"], False),
        (["2026-03-01T10:00:99.000001Z"], False),
        ([NORMAL, "2026-02-30T10:00:00.000001Z", "2026-01-01T10:00:00.000001Z"], False),
        (["2026-03-01T10:00:00.00000éZ"], False),
        ([NORMAL[:20], NORMAL[20:]], False),
    ],
)
def test_are_normal(texts, expected):
    assert are_normal(texts) is expected


@given(st.datetimes(timezones=st.timezones()))
def test_any_rfc3339_time_becomes_normal_and_keeps_its_order(moment):
    normal = normalise(moment.isoformat())
    if normal is not None:
        assert len(normal) == 27
        assert are_normal([normal])


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")))
def test_whatever_comes_the_answer_is_a_normal_time_or_none(value):
    normal = normalise(value)
    assert normal is None or are_normal([normal])
