"""The surprise model as a whole: what is said of whom, and what is learnt."""

import math
from datetime import UTC, datetime

from kubewake.baseline import Baseline, Lesson, Verdict, decode, encode
from kubewake.baseline.explanation import recompute
from kubewake.baseline.traits import WHAT, WHO
from tests.unit.baseline.house import START, House, at, learnt, said, total


def test_a_known_routine_says_nothing_and_a_first_minute_neither() -> None:
    house, baseline = House(), Baseline()

    assert not said(baseline, house.history(3))


def test_a_strange_hand_on_a_known_login_is_said_with_what_and_who() -> None:
    house, baseline = learnt()

    signals = said(baseline, house.theft(10))

    assert {signal.detector for signal in signals} >= {WHAT, WHO}
    assert {signal.tactic for signal in signals} >= {"initial-access", "credential-access", "privilege-escalation"}
    assert total(signals) > 3.5
    assert "carla never used the program curl (0 of " in " ".join(signal.text for signal in signals)
    assert all(signal.kind == "surprise" for signal in signals)


def test_the_same_work_by_the_same_person_elsewhere_in_their_reach_weighs_little() -> None:
    house, baseline = learnt()
    ordinary = house.person("carla", at(10, 50_000), verb="list", resource="pods", namespace="docs")

    assert total(said(baseline, [ordinary])) < 0.5


def test_cold_start_is_silent_rather_than_loud() -> None:
    house, baseline = House(), Baseline()
    first = list(house.day(0))[:40]

    assert not said(baseline, first)
    assert total(said(baseline, house.theft(0.1))) < 1.0


def test_repeats_say_nothing_new() -> None:
    house, baseline = learnt()
    attack = house.theft(10)
    once = said(baseline, attack)
    again = said(baseline, [house.person("carla", at(10, 14 * 3600 + 60 + n * 0.01), verb="list", resource="secrets",
                            namespace="", name="", source="203.0.113.9", client="curl") for n in range(10_000)])  # fmt: skip

    assert once
    assert [signal for signal in again if signal.detector != "unusual-volume"] == []


def test_what_is_new_stays_new_for_a_day_and_is_then_known() -> None:
    house, baseline = learnt()
    task = {"verb": "list", "resource": "cronjobs", "namespace": "mail"}
    key_count = len(baseline.archive.identities["carla"].keys)
    baseline.observe(house.person("carla", at(10, 50_000), **task))
    baseline.observe(house.person("carla", at(11, 40_000), **task))
    assert len(baseline.archive.identities["carla"].keys) == key_count

    baseline.observe(house.person("carla", at(11, 60_000), **task))
    assert len(baseline.archive.identities["carla"].keys) == key_count + 1


def test_what_is_in_an_incident_is_never_learnt() -> None:
    house = House()
    baseline = Baseline(lambda user, session, since: session[1] == "203.0.113.9")
    for item in house.history(10):
        baseline.observe(item)
    first = total(said(baseline, house.theft(10)))
    second = total(said(baseline, house.theft(12)))

    assert first > 3.5
    assert math.isclose(first, second, rel_tol=0.1)


def test_verdicts_teach_benign_at_once_and_malicious_never() -> None:
    house, baseline = learnt()
    said(baseline, house.theft(10))
    other_house, refusing = learnt()
    said(refusing, other_house.theft(10))

    learnt_now = baseline.teach("carla", benign=True)
    assert learnt_now.behaviours == 4
    assert {"program curl", "origin 203.0.113.0/24", "action create pods/exec"} <= set(learnt_now.traits)
    assert not said(baseline, house.theft(10.01))
    assert refusing.teach("carla", benign=False).behaviours == 4
    assert total(said(refusing, other_house.theft(13))) > 3.0


def test_a_verdict_given_before_what_it_speaks_of_was_seen_holds_when_it_is() -> None:
    begun = START.timestamp() + 10 * 86_400 + 14 * 3600
    until, next_day = (datetime.fromtimestamp(begun + seconds, UTC).isoformat() for seconds in (3600, 90_000))
    since = datetime.fromtimestamp(begun, UTC).isoformat()
    house, baseline = learnt()
    baseline.hear(Verdict("prod", ("carla",), benign=True, since=since, until=until))
    restored = Baseline()
    restored.restore(baseline.snapshot())

    said(restored, house.theft(10))

    assert not restored.novelties("carla")
    assert "curl" in restored.archive.identities["carla"].contexts["client"].values
    other_house, elsewhen = learnt()
    elsewhen.hear(Verdict("prod", ("carla",), benign=True, since=until, until=next_day))
    said(elsewhen, other_house.theft(10))
    assert elsewhen.novelties("carla")


def test_a_verdict_judges_what_was_new_in_its_time_alone() -> None:
    house, baseline = learnt()
    said(baseline, house.theft(10))
    begun = START.timestamp() + 10 * 86_400 + 14 * 3600 + 40

    assert baseline.teach("dirk", benign=True).behaviours == 0
    assert baseline.teach("nobody", benign=True) == Lesson("nobody", known=False)
    assert baseline.teach("carla", benign=True, until=begun - 1).behaviours == 0
    assert baseline.teach("carla", benign=True, since=begun + 3600).behaviours == 0
    assert baseline.teach("carla", benign=True, since=begun, until=begun + 5).behaviours == 2
    assert baseline.teach("carla", benign=True, since=begun, until=begun + 60).behaviours == 2
    assert baseline.teach("carla", benign=True) == Lesson("carla", known=True)


def test_a_verdict_on_the_next_days_repetition_still_finds_it() -> None:
    house = House()
    baseline = Baseline(lambda user, session, since: session[1] == "203.0.113.9")
    for item in house.history(10):
        baseline.observe(item)
    said(baseline, house.theft(10))
    said(baseline, house.theft(10.9))
    begun = START.timestamp() + 10.9 * 86_400 + 14 * 3600

    assert baseline.teach("carla", benign=True, since=begun + 40, until=begun + 60).behaviours == 4


def test_the_last_verdict_counts() -> None:
    house, baseline = learnt()
    said(baseline, house.theft(10))

    assert baseline.teach("carla", benign=False).behaviours == 4
    said(baseline, house.history(3, first=11))
    assert not {"curl"} & set(baseline.archive.identities["carla"].contexts["client"].values)
    assert baseline.teach("carla", benign=True).behaviours == 4
    assert not said(baseline, house.theft(14))


def test_what_is_refused_is_not_learnt_in_another_place_that_knows_the_file() -> None:
    house, baseline = learnt()
    said(baseline, house.theft(10))
    baseline.teach("carla", benign=False)
    baseline.settle()
    warm = Baseline()
    warm.start_from(decode(encode({"c": baseline.archive}), "file")["c"])

    for day in range(11, 14):
        assert total(said(warm, house.theft(day))) > 3.0
        said(warm, house.day(day + 1))


def test_numbers_in_a_detail_give_the_contribution_again() -> None:
    house, baseline = learnt()

    for signal in said(baseline, house.theft(10)):
        detail = signal.detail
        if "traits" not in detail:
            continue
        surprise = recompute(detail)
        p = (1 + detail["higher"]) / (1 + detail["observed"])
        evidence = max(0.0, math.log(0.5) - 0.5 * math.log(p))
        assert math.isclose(surprise, detail["surprise"], abs_tol=1e-5)
        assert math.isclose(p, detail["p"], abs_tol=1e-8)
        assert math.isclose(evidence * detail["threat"] * detail["factor"], signal.nats, abs_tol=1e-5)


def test_numbers_in_a_detail_are_those_of_the_state() -> None:
    house, baseline = learnt()
    identity = baseline.archive.identities["carla"]
    signal = next(item for item in said(baseline, house.theft(10)[:1]) if item.detector == WHO)
    traits = {trait["facet"]: trait for trait in signal.detail["traits"]}

    assert traits["program"]["requests"] == identity.requests_in() - 1
    assert traits["program"]["distinct"] == len(identity.contexts["client"].values)
    everybody = traits["program"]["peers"][-1]
    held = [item for item in baseline.archive.identities.values() if "client" in item.contexts]
    assert everybody.total == sum(len(item.contexts["client"].values) for item in held)
    assert everybody.showing == sum("curl" in item.contexts["client"].values for item in held)


def test_without_one_trait_the_surprise_drops_by_what_was_stated() -> None:
    house, baseline = learnt()

    for signal in said(baseline, house.theft(10)):
        for trait in signal.detail.get("traits", ()):
            left = recompute(signal.detail, without=trait["facet"])
            assert math.isclose(recompute(signal.detail) - left, trait["nats"], abs_tol=1e-5)


def test_a_stratum_that_shifts_gives_one_notice_and_half_the_evidence() -> None:
    house, baseline = learnt()
    quiet = total(said(baseline, house.theft(10)))
    house, baseline = learnt()
    upgrade = [
        house.person(name, at(10, 30_000 + n), verb="get", resource=f"widgets{n % 9}", namespace="shop")
        for n, name in enumerate(("anna", "bert", "dirk", "elsa", "fritz") * 9)
    ]
    said(baseline, upgrade)
    shifted = total(said(baseline, house.theft(10)))

    notices = baseline.notices()
    assert [notice.title for notice in notices] == ["Many identities changed their behaviour at once"]
    assert shifted < 0.75 * quiet
    assert not baseline.notices()


def test_a_restart_at_any_point_changes_nothing() -> None:
    house, baseline = learnt(4)
    stubs = [*house.theft(4), *house.day(5), *house.theft(6)]
    restarted = Baseline()
    restarted.restore(baseline.snapshot())
    for item in stubs:
        assert baseline.observe(item) == restarted.observe(item)
        moved = Baseline()
        moved.restore(restarted.snapshot())
        restarted = moved
    assert baseline.snapshot() == restarted.snapshot()


def test_what_is_familiar_of_a_behaviour_hides_no_other_name() -> None:
    """Ordinary requests for several objects are one behaviour."""
    house, baseline = learnt(4)
    looks = [
        house.often(house.person("anna", at(day, 50_000 + number), verb="get", resource="nodes", name=name))
        for day in (4, 5, 6)
        for number, name in enumerate(("east", "east", "west" if day > 5 else "east"))
    ]
    youth = [
        house.often(house.program("young", at(7, seconds), verb="list", resource="pods", namespace="shop"))
        for seconds in range(0, 9_000, 600)
    ]
    restarted = Baseline()
    restarted.restore(baseline.snapshot())
    told = []
    for item in (*looks, *youth):
        signals = baseline.observe(item)
        told += [signal.text for signal in signals]
        assert signals == restarted.observe(item)
        moved = Baseline()
        moved.restore(restarted.snapshot())
        restarted = moved
    assert baseline.snapshot() == restarted.snapshot()
    assert "anna never touched west" in " ".join(told)
