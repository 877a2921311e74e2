"""What a finding says of an act, by how it ended."""

import pytest

from kubewake.engine import findings
from kubewake.engine.findings import FindingBook
from kubewake.observation import Evidence, Hit
from kubewake.rules.model import RuleInfo
from tests.unit.lineage.conftest import handmade

INFO = RuleInfo(id="r", title="Secret read", story="{actor.name} read {target.name}.", group_by=("user.username",))
TRIED = ("denied", "Secret read (tried, refused)", "ann tried to read db, and was refused.")
DONE = ("allowed", "Secret read", "ann read db.")


def told(book):
    [finding] = book.open_findings()
    return finding.outcome, finding.title, finding.story


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["denied"], TRIED),
        (["denied", "denied"], TRIED),
        (["denied", "allowed"], DONE),
        (["allowed", "denied"], DONE),
        (["allowed"], DONE),
    ],
)
def test_what_was_refused_is_told_as_tried_until_it_is_done(outcomes, said):
    book = FindingBook({INFO.id: INFO})
    for second, outcome in enumerate(outcomes):
        stub = handmade(second, resource="secrets", name="db", user="ann", outcome=outcome)
        book.add(INFO, Hit(INFO.id, None, {"user.username": "ann"}), stub)
    assert told(book) == said


def test_who_did_not_log_in_is_told_so():
    book = FindingBook({INFO.id: INFO})
    stub = handmade(1, resource="secrets", name="db", user="", outcome="allowed")
    book.add(INFO, Hit(INFO.id, None, {"actor.name": ""}), stub)
    assert told(book)[2] == "an unauthenticated caller read db."


def test_the_last_of_many_events_does_not_speak_for_the_others():
    book = FindingBook({INFO.id: INFO})
    first, last = (handmade(second, resource="secrets", name="db", outcome="denied") for second in (0, 1))
    book.add(INFO, Hit(INFO.id, None, {}), last, earlier=[Evidence(first.time, first.key, "a", "f", 1)], group=("x",))
    assert told(book)[1] == "Secret read"


@pytest.mark.parametrize("outcomes", [["denied"], ["denied", "allowed"], ["allowed"]])
def test_no_story_quotes_a_credential(outcomes):
    book = FindingBook({INFO.id: INFO})
    for second, outcome in enumerate(outcomes):
        stub = handmade(second, resource="secrets", name="eyJhbGciOiJSUzI1NiJ9.e30.c2ln", user="ann", outcome=outcome)
        book.add(INFO, Hit(INFO.id, None, {"user.username": "ann"}), stub)
    assert "[redacted]" in told(book)[2]
    assert "eyJ" not in told(book)[2]


def test_when_too_many_are_open_the_longest_idle_are_closed_early_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(findings, "MAX_OPEN_FINDINGS", 20)
    book = FindingBook({INFO.id: INFO})

    def read(second, user):
        stub = handmade(second, resource="secrets", name="db", user=user)
        return book.add(INFO, Hit(INFO.id, None, {"user.username": user}), stub).id

    ids = {user: read(user, f"user{user}") for user in range(20)}
    read(20, "user0")
    ids[20] = read(21, "user20")

    closed = [finding.id for finding in book.close_before("")]
    assert closed == [ids[1], ids[2]]
    assert {finding.id for finding in book.open_findings()} == set(ids.values()) - set(closed)
    assert book.closed_early == 2


def test_of_one_rule_and_identity_only_so_many_are_open_and_one_takes_the_rest(monkeypatch):
    monkeypatch.setattr(findings, "MAX_ALIKE", 3)
    by_agent = RuleInfo(id="r", title="Secret read", story="", group_by=("userAgent",))
    book = FindingBook({"r": by_agent})

    def read(number, user="ann"):
        stub = handmade(number, resource="secrets", name="db", user=user)
        return book.add(by_agent, Hit("r", None, {"userAgent": f"{user}-{number}"}), stub)

    own = [read(number) for number in range(3)]
    rest = read(3)
    restarted = FindingBook({"r": by_agent})
    restarted.restore(book.snapshot())
    for each in (book, restarted):
        stub = handmade(4, resource="secrets", name="db", user="ann")
        assert each.add(by_agent, Hit("r", None, {"userAgent": "ann-4"}), stub).id == rest.id
    assert rest.count == 2
    assert rest.explain["group"] == [findings.REST, "ann"]
    assert read(5, "bob").id not in {rest.id, *(finding.id for finding in own)}
    assert len(list(book.open_findings())) == 5
    book.close_before("9999")
    assert read(6).count == 1
