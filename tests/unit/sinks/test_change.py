import pytest

from kubewake.finding import Actor, Entity, Finding, Incident, Notice, Target
from kubewake.sinks.change import Change, Filter, change, line, successor, told
from kubewake.sinks.words import words


def finding(**values):
    return Finding(
        **{
            "id": "f-1", "rule": "pod-exec", "covers": [], "title": "Shell", "severity": "medium", "confidence": "high",
            "audience": "everyone", "time": "2026-01-01T00:00:00.000000Z", "last_time": "2026-01-01T00:00:00.000000Z",
            "count": 1, "cluster": "prod", "actor": Actor("human", "alice"), "target": Target("create"),
            "outcome": "allowed", "story": "alice opened a shell.", "audit_ids": ["a"], **values,
        }
    )  # fmt: skip


def incident(**values):
    return Incident(
        **{
            "id": "i-1", "title": "Theft", "severity": "high", "confidence": "high", "score": 5.0, "bar": 4.0,
            "opened_at": "t", "first_time": "t", "last_time": "t", "cluster": "prod",
            "root_cause": Entity("identity", "alice"), "story": "s", "audit_ids": ["a"], **values,
        }
    )  # fmt: skip


NOTICE = Notice("n-1", "t", "title", "detail")


@pytest.mark.parametrize(
    ("before", "item", "kind", "added"),
    [
        (None, finding(), "new", ["a"]),
        (finding(), finding(), None, None),
        (finding(audit_ids=["a", "b"], count=2), finding(), "grown", []),
        (finding(), finding(audit_ids=["a", "b"], count=2), "grown", ["b"]),
        (finding(), finding(count=2), "grown", []),
        (finding(), finding(severity="high"), "raised", []),
        (finding(severity="high"), finding(severity="low"), "grown", []),
        (incident(), incident(score=6.0), "grown", []),
        (incident(), incident(state="closed"), "grown", []),
        (incident(), incident(severity="critical", audit_ids=["a", "b"]), "raised", ["b"]),
        (incident(audit_ids=["a", "c"]), incident(audit_ids=["0", "a", "b", "c"]), "grown", ["0", "b"]),
        (None, NOTICE, "new", []),
        (NOTICE, NOTICE, None, None),
    ],
)
def test_only_what_is_new_is_a_change(before, item, kind, added):
    found = change(item, told(before) if before else None)
    assert (found.kind if found else None) == kind
    assert (found.audit_ids_added if found else None) == added


@pytest.mark.parametrize(
    ("filter_", "found", "wanted"),
    [
        (Filter(), Change("new", finding()), True),
        (Filter(), Change("grown", finding()), False),
        (Filter(growth=True), Change("grown", finding()), True),
        (Filter(), Change("raised", finding()), True),
        (Filter("high"), Change("new", finding()), False),
        (Filter("high"), Change("new", finding(severity="critical")), True),
        (Filter(audience="everyone"), Change("new", finding(audience="pedantic")), False),
        (Filter(audience="pedantic"), Change("new", finding(audience="pedantic")), True),
        (Filter(), Change("new", finding(suppressed_by="x")), False),
        (Filter(suppressed=True), Change("new", finding(suppressed_by="x")), True),
        (Filter("critical"), Change("new", NOTICE), True),
        (Filter(notices=False), Change("new", NOTICE), False),
        (Filter("high"), Change("new", incident()), True),
        (Filter(), Change("new", finding(incident="i-1")), True),
        (Filter(joined=False), Change("new", finding(incident="i-1")), False),
        (Filter(joined=False), Change("new", finding()), True),
        (Filter("high"), Change("withdrawn", incident()), True),
        (Filter("high"), Change("withdrawn", finding()), False),
        (Filter(), Change("withdrawn", incident(), replaced_by="i-2"), False),
        (Filter(growth=True), Change("withdrawn", incident(), replaced_by="i-2"), True),
        (Filter(), Change("withdrawn", finding(incident="i-1")), False),
        (Filter(growth=True), Change("withdrawn", finding(incident="i-1")), True),
        (Filter(), Change("grown", finding(), is_revised=True), False),
    ],
)
def test_filters(filter_, found, wanted):
    assert filter_.wants(found) is wanted


def test_lines_are_whole_once_and_growth_afterwards():
    whole = line(Change("new", finding(), ["a"]))
    assert (whole["type"], whole["story"], whole["audit_ids"]) == ("finding", "alice opened a shell.", ["a"])
    grown = line(Change("grown", finding(count=3), ["b"]))
    assert grown == {
        "type": "finding", "id": "f-1", "severity": "medium", "last_time": "2026-01-01T00:00:00.000000Z",
        "audit_ids_added": ["b"], "count": 3,
    }  # fmt: skip
    grown = line(Change("grown", incident(score=7.0, title="Part of i-2: Theft"), ["b"]))
    assert (grown["score"], grown["title"]) == (7.0, "Part of i-2: Theft")
    assert line(Change("new", NOTICE))["type"] == "notice"


def test_what_was_told_otherwise_is_told_whole_again():
    before = told(finding(audit_ids=["a", "b"], count=2))

    found = change(finding(audit_ids=["b", "a", "c"], count=3), before)

    assert found is not None
    assert (found.kind, found.is_revised) == ("grown", True)
    assert line(found)["audit_ids"] == ["b", "a", "c"]
    found = change(incident(audit_ids=["b"]), told(incident(audit_ids=["a"])))
    assert found is not None
    assert line(found)["story"] == "s"


def test_what_does_not_hold_is_taken_back_by_id():
    assert line(Change("withdrawn", finding())) == {
        "type": "finding", "id": "f-1", "withdrawn": True, "replaced_by": None,
    }  # fmt: skip
    said = words(Change("withdrawn", incident()))
    assert (said.head, said.severity, said.steps) == ("Withdrawn: Theft", "notice", [])


@pytest.mark.parametrize(
    ("gone", "items", "heir"),
    [
        (finding(explain={"group": ["x"]}), [finding(id="f-2", explain={"group": ["x"]}), NOTICE], "f-2"),
        (finding(explain={"group": ["x"]}), [finding(id="f-2", explain={"group": ["y"]})], None),
        (finding(explain={"group": ["x"]}), [finding(id="f-2", rule="other", explain={"group": ["x"]})], None),
        (
            incident(event_keys=["1", "2", "3"]),
            [incident(id="i-2", event_keys=["1"]), incident(id="i-3", event_keys=["2", "3"]), finding()],
            "i-3",
        ),
        (incident(event_keys=["1"]), [incident(id="i-2", event_keys=["2"])], None),
    ],
)
def test_what_tells_of_the_same_matter_succeeds(gone, items, heir):
    found = successor(gone, items)
    assert (found.id if found else None) == heir
