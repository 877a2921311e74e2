"""What is remembered of a kind of request holds for every request of that kind."""

import msgspec
import pytest

from kubewake.facts import AddressSet, Context, Facts
from kubewake.fields import scope_of
from kubewake.rules import kinds
from kubewake.rules.kinds import FOLLOWING, KIND, TOLD_BY_SENDER
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


def test_what_is_said_to_follow_from_a_sender_follows(seen):
    known = {}
    for facts in seen:
        event = facts.event
        if facts.username and not event.envelope:
            sender = msgspec.json.encode(
                (facts.username, facts.groups, event.impersonated_user, event.source_ips, event.user_agent)
            )
            values = {name: facts.value(name) for name in TOLD_BY_SENDER}
            assert known.setdefault(sender, values) == values
    assert len(known) < len(seen) / 2


def test_what_follows_from_a_sender_is_remembered_for_one_context(seen):
    listed = Context(addresses={"tor": AddressSet(["0.0.0.0/0"])})
    rules, others = load_rules(), load_rules()
    for facts in seen:
        rules.narrowed(Facts(facts.event, ""))
        found, expected = (them.narrowed(Facts(facts.event, "", listed)) for them in (rules, others))
        assert [rule.id for rule, _ in found] == [rule.id for rule, _ in expected]


def test_a_kind_is_part_of_a_behaviour():
    assert {scope_of(name) for name in KIND | TOLD_BY_SENDER} == {"behaviour"}
    assert FOLLOWING < KIND


def test_only_so_many_are_remembered(seen, monkeypatch):
    monkeypatch.setattr(kinds, "MAX_KINDS", 5)
    rules = load_rules()
    for facts in seen[:500]:
        assert isinstance(rules.narrowed(facts), list)
        assert len(rules._kinds._met) <= 5
        assert len(rules._kinds._senders) <= 5
