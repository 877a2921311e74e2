"""Days packed into one number."""

from hypothesis import given
from hypothesis import strategies as st

from kubewake.baseline import days

SEEN = st.lists(st.integers(20_000, 20_030), min_size=1, max_size=20)


def packed(seen: list[int]) -> int:
    value = 0
    for day in seen:
        value = days.mark(value, day)
    return value


@given(SEEN)
def test_counts_different_days_of_the_last_fourteen(seen: list[int]) -> None:
    value = packed(seen)

    assert days.last_day(value) == max(seen)
    assert days.count(value) == len({day for day in seen if max(seen) - day < days.WINDOW_DAYS})


@given(SEEN, SEEN, SEEN)
def test_joining_is_commutative_and_associative(one: list[int], two: list[int], three: list[int]) -> None:
    a, b, c = packed(one), packed(two), packed(three)

    assert days.join(a, b) == days.join(b, a) == packed(one + two)
    assert days.join(days.join(a, b), c) == days.join(a, days.join(b, c))


def test_a_burst_is_one_day() -> None:
    assert days.count(packed([20_000] * 1000)) == 1
    assert days.is_over(days.on_day(20_000), 20_014)
    assert not days.is_over(days.on_day(20_000), 20_013)
