"""Which stubs repeat what was looked at already."""

import pytest

from kubewake.engine.settled import Settled
from kubewake.observation import Hit
from tests.unit.engine.stubs import stub

HIT = (Hit("any"),)


def test_a_behaviour_is_looked_at_once_an_hour():
    settled = Settled()
    times = ["10:00", "10:20", "10:59", "11:00", "11:59"]
    seen = [settled.is_repeat(stub(1, f"2026-05-04T{time}:00.000000Z", behaviour=7)) for time in times]
    assert seen == [False, True, True, False, True]


def test_what_a_component_does_within_its_job_is_looked_at_once_a_day():
    settled = Settled()
    days = ["04T00", "04T23", "05T00"]
    own = {"behaviour": 7, "values": {"actor.in_profile": True}}
    assert [settled.is_repeat(stub(1, f"2026-05-{day}:00:00.000000Z", **own)) for day in days] == [False, True, False]


@pytest.mark.parametrize("found", [{"hits": HIT}, {"records": HIT}])
def test_what_rules_gather_is_looked_at_once_an_hour_and_no_less_where_a_component_does_it(found):
    settled = Settled()
    times = ["10:00", "10:20", "11:00"]
    own = {"behaviour": 7, "values": {"actor.in_profile": True}, **found}
    seen = [settled.is_repeat(stub(1, f"2026-05-04T{time}:00.000000Z", **own)) for time in times]
    assert seen == [False, True, False]


def test_what_passes_singly_is_never_a_repeat():
    settled = Settled()
    assert [settled.is_repeat(stub(number)) for number in (1, 1)] == [False, False]
