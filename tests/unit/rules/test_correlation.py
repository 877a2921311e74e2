import random

import pytest

from kubewake.observation import Hit
from kubewake.rules.compiled import Alternative, CorrelationRule, Threshold
from kubewake.rules.correlation import MAX_GROUPS, Correlator
from kubewake.rules.model import RuleInfo
from tests.unit.engine.stubs import second, stub


def rule(
    kind, rules=("a",), *, span=60, group_by=("user.username",), threshold=("gte", 3), fields=(), ways=None, **more
):
    return CorrelationRule(
        info=RuleInfo(id=more.pop("name", "c"), title="c"),
        type=kind,
        rules=tuple(rules),
        timespan_seconds=span,
        group_by=tuple(group_by),
        threshold=Threshold(*threshold) if threshold else None,
        fields=tuple(fields),
        alternatives=ways or (),
        **more,
    )


def event(moment, *hits, user="alice", suppressed=None, **more):
    values = more.pop("values", {})
    return stub(
        time=second(moment),
        key=(int(moment * 1000) * 97 + hash_of(user)) << 2,
        audit_id=f"id-{moment}",
        user=user,
        hits=tuple(Hit(name, suppressed, values) for name in hits),
        **more,
    )


def hash_of(text):
    return sum(text.encode())


def feed(correlator, events):
    return [match for item in events for match in correlator.observe(item)]


CASES = [
    ("three in a minute", rule("event_count"), [event(s, "a") for s in (0, 10, 20)], 1),
    ("two are too few", rule("event_count"), [event(s, "a") for s in (0, 10)], 0),
    ("three in two minutes", rule("event_count"), [event(s, "a") for s in (0, 61, 122)], 0),
    ("exactly at the edge", rule("event_count"), [event(s, "a") for s in (0, 30, 60)], 1),
    ("three people", rule("event_count"), [event(s, "a", user=u) for s, u in ((0, "a"), (1, "b"), (2, "c"))], 0),
    ("another rule", rule("event_count"), [event(s, "b") for s in (0, 10, 20)], 0),
    ("grows", rule("event_count"), [event(s, "a") for s in (0, 10, 20, 30, 40)], 3),
    ("gt", rule("event_count", threshold=("gt", 3)), [event(s, "a") for s in (0, 1, 2, 3)], 1),
    (
        "distinct names",
        rule("value_count", fields=["objectRef.name"]),
        [event(s, "a", name=n) for s, n in ((0, "x"), (1, "y"), (2, "z"))],
        1,
    ),
    (
        "same name",
        rule("value_count", fields=["objectRef.name"]),
        [event(s, "a", name="x") for s in range(9)],
        0,
    ),
    (
        "names that left the window",
        rule("value_count", fields=["objectRef.name"], span=5),
        [event(s, "a", name=n) for s, n in ((0, "x"), (4, "y"), (8, "z"))],
        0,
    ),
    (
        "values of the hit",
        rule("value_count", fields=["exec.command"]),
        [event(s, "a", values={"exec.command": [str(s)]}) for s in range(3)],
        1,
    ),
    (
        "sum",
        rule("value_sum", fields=["responseStatus.code"], threshold=("gte", 600)),
        [event(s, "a", code=200) for s in range(3)],
        1,
    ),
    (
        "average",
        rule("value_avg", fields=["responseStatus.code"], threshold=("gt", 300)),
        [event(0, "a", code=200), event(1, "a", code=500)],
        1,
    ),
    (
        "median",
        rule("value_median", fields=["responseStatus.code"], threshold=("lt", 250)),
        [event(0, "a", code=403), event(1, "a", code=200), event(2, "a", code=200)],
        1,
    ),
    (
        "percentile",
        rule("value_percentile", fields=["responseStatus.code"], threshold=("gte", 500), percentile=90),
        [*(event(s, "a", code=200) for s in range(5)), event(6, "a", code=500)],
        1,
    ),
    (
        "both in any order",
        rule("temporal", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "b"), event(5, "a")],
        1,
    ),
    (
        "only one of both",
        rule("temporal", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "b"), event(5, "b")],
        0,
    ),
    (
        "two of three",
        rule("temporal", ["a", "b", "d"], threshold=("gte", 2)),
        [event(0, "b"), event(5, "d")],
        1,
    ),
    (
        "in order",
        rule("temporal_ordered", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "a"), event(5, "b")],
        1,
    ),
    (
        "in the wrong order",
        rule("temporal_ordered", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "b"), event(5, "a")],
        0,
    ),
    (
        "one event is not its own successor",
        rule("temporal_ordered", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "a", "b")],
        0,
    ),
    (
        "first link too old",
        rule("temporal_ordered", ["a", "b", "d"], threshold=None, ways=(Alternative(("a", "b", "d")),)),
        [event(0, "a"), event(30, "b"), event(61, "d")],
        0,
    ),
    (
        "later first link",
        rule("temporal_ordered", ["a", "b"], threshold=None, ways=(Alternative(("a", "b")),)),
        [event(0, "a"), event(50, "a"), event(100, "b")],
        1,
    ),
    (
        "without the other",
        rule("temporal", ["a", "b"], threshold=None, ways=(Alternative(("a",), ("b",)),)),
        [event(0, "a"), event(100, "z"), event(101, "a")],
        1,
    ),
    (
        "with the other",
        rule("temporal", ["a", "b"], threshold=None, ways=(Alternative(("a",), ("b",)),)),
        [event(0, "a"), event(3, "b"), event(100, "z")],
        0,
    ),
    ("fewer than three", rule("event_count", threshold=("lt", 3)), [event(0, "a"), event(1, "a"), event(99, "a")], 1),
    (
        "not fewer than three",
        rule("event_count", threshold=("lt", 3)),
        [event(0, "a"), event(1, "a"), event(2, "a"), event(99, "z")],
        0,
    ),
    ("exactly two", rule("event_count", threshold=("eq", 2)), [event(0, "a"), event(1, "a"), event(99, "z")], 1),
]


@pytest.mark.parametrize(("name", "definition", "events", "expected"), CASES, ids=[case[0] for case in CASES])
def test_windows(name, definition, events, expected):
    assert len(feed(Correlator([definition]), events)) == expected


def test_first_hit_names_the_window_and_later_ones_only_grow():
    matches = feed(Correlator([rule("event_count")]), [event(s, "a") for s in (0, 10, 20, 30)])
    assert [item.audit_id for item in matches[0].evidence] == ["id-0", "id-10"]
    assert matches[1].evidence == ()
    assert matches[0].group == matches[1].group
    assert matches[0].values["count"] == 3
    assert matches[1].values["count"] == 4


def test_a_new_window_is_a_new_group():
    matches = feed(Correlator([rule("event_count")]), [event(s, "a") for s in (0, 1, 2, 500, 501, 502)])
    assert len(matches) == 2
    assert matches[0].group != matches[1].group


@pytest.mark.parametrize("kind", ["event_count", "value_count"])
def test_a_little_disorder_changes_nothing(kind):
    definition = rule(kind, fields=["objectRef.name"] if kind == "value_count" else ())
    events = [event(s * 7, "a", name=f"n{s % 5}", user=f"u{s % 2}") for s in range(30)]
    shuffled = events[:]
    dice = random.Random(3)
    for index in range(0, len(shuffled) - 3, 3):
        part = shuffled[index : index + 3]
        dice.shuffle(part)
        shuffled[index : index + 3] = part
    groups = [{match.group[0] for match in feed(Correlator([definition]), order)} for order in (events, shuffled)]
    assert groups[0] == groups[1] == {"u0", "u1"}


def test_the_same_request_counts_once():
    assert feed(Correlator([rule("event_count")]), [event(5, "a")] * 9) == []


def test_snapshot_goes_on_where_it_stopped():
    events = [event(s, "a", user=f"u{s % 3}") for s in range(0, 90, 4)]
    whole = feed(Correlator([rule("event_count")]), events)
    for cut in (1, 7, 15):
        first, second_half = Correlator([rule("event_count")]), Correlator([rule("event_count")])
        found = feed(first, events[:cut])
        second_half.restore(first.snapshot())
        found += feed(second_half, events[cut:])
        assert [(match.group, match.stub.audit_id, match.evidence) for match in found] == [
            (match.group, match.stub.audit_id, match.evidence) for match in whole
        ]


def test_suppressed_hits_have_windows_of_their_own():
    events = [event(0, "a"), event(1, "a"), event(2, "a", suppressed="f")]
    assert feed(Correlator([rule("event_count")]), events) == []
    marked = feed(Correlator([rule("event_count")]), [event(s, "a", suppressed="f") for s in range(3)])
    assert [match.suppressed_by for match in marked] == ["f"]


def test_a_correlation_can_feed_another():
    inner = rule("event_count", name="inner")
    outer = rule("event_count", ["inner"], name="outer", threshold=("gte", 2), span=600)
    matches = feed(Correlator([inner, outer]), [event(s, "a") for s in (0, 1, 2, 3)])
    assert [match.rule for match in matches] == ["inner", "inner", "outer"]


def test_aliases_name_the_field_of_each_rule():
    definition = rule(
        "temporal",
        ["a", "b"],
        threshold=None,
        ways=(Alternative(("a", "b")),),
        group_by=["who"],
        aliases={"who": {"a": "user.username", "b": "objectRef.name"}},
    )
    assert len(feed(Correlator([definition]), [event(0, "a"), event(1, "b", user="bob", name="alice")])) == 1


def test_groups_are_bounded_and_evictions_counted():
    correlator = Correlator([rule("event_count")])
    feed(correlator, (event(number / 1000, "a", user=f"u{number}") for number in range(MAX_GROUPS + 5)))
    assert correlator.evicted == {"c": 5}


def test_entries_are_bounded_over_all_groups(monkeypatch):
    monkeypatch.setattr("kubewake.rules.correlation.MAX_ENTRIES_TOTAL", 50)
    correlator = Correlator([rule("event_count", span=3000, threshold=("gte", 99))])
    feed(correlator, (event(number, "a", user=f"u{number % 20}") for number in range(400)))
    assert correlator.evicted["c"] > 0
    assert sum(len(group.window.entries) for group in correlator._feeds["c"].groups.values()) <= 50
