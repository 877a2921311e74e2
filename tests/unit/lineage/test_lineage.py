"""State of the lineage: bounds, snapshots, coverage, and that it says the same whenever it is asked."""

import pytest

from kubewake.errors import StoreError
from kubewake.lineage import Lineage
from kubewake.lineage.ledger import Cause, Ledger
from kubewake.lineage.lineage import habit_of
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef, refer, words_of
from kubewake.lineage.session import MAX_HABITS, MAX_RECENT, MAX_SESSIONS_EACH, session_number
from kubewake.observation import Stub

SLICES = ["token-minted-and-used", "pod-token-elsewhere", "grant-and-use", "role-edited", "pod-entered",
          "secret-read-and-used", "workload-started", "deployment-rolled-out", "impersonation",
          "certificate-issued-and-used", "one-address-two-names", "node-identity-stolen", "farmed-tokens"]  # fmt: skip


def reference(stub: Stub, session: int) -> EventRef:
    return refer(stub, session, words_of(stub))


@pytest.mark.parametrize("name", SLICES)
def test_snapshot_in_the_middle_changes_nothing(slice_of, name):
    stubs = slice_of(name)
    whole = Lineage()
    expected = [whole.observe(stub) for stub in stubs]
    for cut in range(len(stubs) + 1):
        first = Lineage()
        links = [first.observe(stub) for stub in stubs[:cut]]
        second = Lineage()
        second.restore(first.snapshot())
        links += [second.observe(stub) for stub in stubs[cut:]]
        assert links == expected
        assert second.snapshot() == whole.snapshot()


def test_unreadable_snapshot():
    with pytest.raises(StoreError, match="start afresh"):
        Lineage().restore(b"\x01")


def test_same_stubs_same_links(slice_of, run):
    stubs = slice_of("farmed-tokens")
    assert run(stubs)[1] == run(stubs)[1]


def test_times():
    assert seconds_of("2026-03-01T08:00:01.500000Z") - seconds_of("2026-03-01T08:00:00.000000Z") == 1.5
    assert seconds_of("") == 0.0
    assert seconds_of("yesterday, perhaps") == 0.0


def test_one_actor_crowds_out_only_itself(make):
    lineage = Lineage()
    lineage.observe(make(0, user="bob", user_agent="quiet/1"))
    quiet = session_number("bob", "", "198.51.100.1", "quiet/1")
    for number in range(3 * MAX_SESSIONS_EACH):
        lineage.observe(make(number + 1, user="mallory", user_agent=f"made-up/{number}"))
    assert lineage.sessions.get(quiet) is not None
    assert len(lineage.sessions.identities["mallory"].sessions) == MAX_SESSIONS_EACH
    assert lineage.evicted()["sessions"] == 2 * MAX_SESSIONS_EACH


def test_sessions_of_a_story_are_not_forgotten(make):
    lineage = Lineage()
    lineage.observe(make(0, user="mallory", user_agent="first/1"))
    first = session_number("mallory", "", "198.51.100.1", "first/1")
    lineage.sessions.held.add(first)
    for number in range(2 * MAX_SESSIONS_EACH):
        lineage.observe(make(number + 1, user="mallory", user_agent=f"made-up/{number}"))
    assert lineage.sessions.get(first) is not None


def test_recent_requests_and_habits_are_bounded(make):
    lineage = Lineage()
    for number in range(2 * MAX_HABITS):
        lineage.observe(make(number, namespace=f"ns-{number}"))
    identity = lineage.sessions.identities["ann"]
    assert len(identity.habits) == MAX_HABITS
    assert len(lineage.session.recent) <= MAX_RECENT


def test_ledger_forgets_the_oldest_and_counts(make):
    ledger = Ledger(100.0, capacity=2)
    for number in range(3):
        ledger.put(f"k{number}", Cause(reference(make(number), number + 1), float(number)))
    assert len(ledger.entries) == 2
    assert ledger.evicted == 1
    assert not ledger.get("k0", 3.0)
    assert ledger.get("k2", 102.0)
    assert not ledger.get("k2", 102.1), "the horizon has passed"
    assert not ledger.get("k2", 1.0), "no cause comes after its effect"


def test_ledger_keeps_the_latest_of_each_session(make):
    ledger = Ledger(100.0, depth=2)
    for number, session in enumerate((1, 1, 2, 3)):
        ledger.put("k", Cause(reference(make(number), session), float(number)))
    assert [cause.ref.session for cause in ledger.get("k", 4.0)] == [2, 3]


def test_routine_needs_times_and_age(make):
    lineage = Lineage()
    for seconds, expected in ((0, False), (1, False), (2, False), (3, False), (119, False), (121, True)):
        lineage.observe(make(seconds))
        assert lineage.routine is expected, seconds


def test_habits_are_told_apart(make):
    assert habit_of(make(0, name="a")) == habit_of(make(0, name="b"))
    assert habit_of(make(0, outcome="denied")) != habit_of(make(0))
    assert habit_of(make(0, resource="", uri="/api/v1?x=1")) == "get /api/v1"


def test_newcomers_are_known_only_after_the_warm_up(make):
    lineage = Lineage()
    lineage.observe(make(0, user_agent="old/1", count=5))
    lineage.observe(make(299, user_agent="early/1"))
    assert not lineage.session.newcomer
    lineage.observe(make(301, user_agent="new/1"))
    assert lineage.session.newcomer


def test_only_a_known_identity_has_newcomers(make):
    lineage = Lineage()
    lineage.observe(make(0, user="someone.else"))
    lineage.observe(make(400, user_agent="first/1", count=4))
    assert not lineage.session.newcomer, "all that is known of ann"
    lineage.observe(make(401, user_agent="first/1"))
    lineage.observe(make(402, user_agent="second/1"))
    assert lineage.session.newcomer
    lineage.observe(make(403, user="", user_agent="scan/1", actor_kind="anonymous"))
    assert lineage.session.newcomer, "nobody knows the nameless"


def test_who_comes_back_after_a_quiet_visit_is_no_newcomer(make):
    lineage = Lineage()
    lineage.observe(make(0, user_agent="old/1", count=9))
    lineage.observe(make(400, user_agent="new/1"))
    assert lineage.session.newcomer
    lineage.observe(make(1100, user_agent="new/1"))
    assert not lineage.session.newcomer


def test_a_minted_token_is_a_newcomer_to_whatever_identity(slice_of):
    lineage = Lineage()
    stubs = slice_of("token-minted-and-used")
    early = slice_of("grant-and-use")[0]
    early.time = stubs[0].time[:11] + "00:00:00.000000Z"
    for stub in (early, *stubs):
        lineage.observe(stub)
    assert lineage.session.newcomer


def test_events_with_nothing_in_them_are_survived(make):
    blank = make(0, user="", source="", user_agent="", client="", verb="", resource="", uri="", reason="", outcome="")
    blank.time = ""
    lineage = Lineage()
    assert lineage.observe(blank) == []
    assert lineage.now == 0.0
    lineage.observe(make(5))
    lineage.observe(blank)
    assert lineage.now > 0, "time never goes back"


def test_ordinary_stubs_of_a_known_behaviour_need_no_second_look(make):
    lineage = Lineage()
    for number in range(3):
        lineage.observe(make(number, behaviour=77, count=10))
    assert lineage.session.requests == 30


def test_what_an_identity_has_no_room_to_remember_stays_new(make):
    lineage = Lineage()
    for number in range(MAX_HABITS):
        lineage.observe(make(0, resource=f"kind-{number}"))
    for seconds in (1, 2, 3, 200, 201):
        lineage.observe(make(seconds, resource="kind-0"))
        known = lineage.routine
        lineage.observe(make(seconds, resource="one-too-many"))
        assert not lineage.routine
    assert known


def test_requests_that_differ_in_session_or_outcome_are_of_different_kinds(make):
    lineage = Lineage()
    read = {"resource": "secrets", "verb": "get", "name": "db"}
    lineage.observe(make(0, **read))
    first = lineage.session.number
    for field, value in (("user_agent", "other/1"), ("source", "192.0.2.1"), ("credential", "JTI=2"), ("user", "eve")):
        lineage.observe(make(1, **read, **{field: value}))
        assert lineage.session.number != first, field
    readers = lineage.state.ledgers["secret-reader"].entries
    before = list(readers)
    lineage.observe(make(2, **{**read, "name": "token"}, outcome="denied"))
    assert list(readers) == before
    lineage.observe(make(3, **{**read, "name": "token"}))
    assert len(readers) == len(before) + 1
