"""What is remembered of a kind of request holds for every request of that kind."""

import msgspec
import pytest

from kubewake.facts import Facts
from kubewake.fields import scope_of
from kubewake.rules import kinds
from kubewake.rules.kinds import FOLLOWING, KIND
from kubewake.rules.pack import load_rules
from tests.unit.rules.test_guards import events


@pytest.fixture(scope="module")
def seen():
    return [Facts(event, "") for event in events()]


def test_rules_are_narrowed_as_without_it(seen):
    rules = load_rules()
    for facts in seen:
        expected = [(rule, left) for rule in rules.route(facts) if (left := rule.narrow(facts)) is not False]
        assert rules.narrowed(facts) == expected


def test_what_is_said_to_follow_follows(seen):
    known = {}
    for facts in seen:
        kind = msgspec.json.encode([facts.value(name) for name in sorted(KIND - FOLLOWING)])
        values = {name: facts.value(name) for name in FOLLOWING}
        assert known.setdefault(kind, values) == values
    assert {name for values in known.values() for name, value in values.items() if value} == FOLLOWING


def test_a_kind_is_part_of_a_behaviour():
    assert {scope_of(name) for name in KIND} == {"behaviour"}
    assert FOLLOWING < KIND


def test_only_so_many_are_remembered(seen, monkeypatch):
    monkeypatch.setattr(kinds, "MAX_KINDS", 5)
    rules = load_rules()
    for facts in seen[:500]:
        assert isinstance(rules.narrowed(facts), list)
        assert len(rules._kinds._met) <= 5
