import math

import pytest

from kubewake.incidents.weight import (
    MAX_TRIED,
    PRECISION,
    RETELLINGS,
    Piece,
    order_nats,
    parts_of,
    precision_of,
    rule_nats,
    score_of,
    without_retold,
)
from kubewake.rules.model import RuleInfo


def piece(detector, tactic, nats, *, kind="rule", session=1, seconds=0.0, key=8):
    return Piece(kind, detector, tactic, nats, f"{detector} spoke", session, seconds, key)


@pytest.mark.parametrize(
    ("level", "confidence", "audience", "nats"),
    [
        ("critical", "high", "everyone", 6.0),
        ("high", "high", "everyone", 4.0),
        ("medium", "high", "everyone", 2.0),
        ("low", "high", "everyone", 0.7),
        ("informational", "high", "everyone", 0.0),
        ("high", "low", "everyone", 2.4),
        ("high", "high", "pedantic", 2.4),
        ("high", "high", "auditor", 1.0),
    ],
)
def test_rules_weigh_by_class_confidence_and_audience(level, confidence, audience, nats):
    info = RuleInfo(id="r", title="", level=level, confidence=confidence, audience=audience)
    assert rule_nats(info) == pytest.approx(nats)


def test_detectors_that_retell_findings_weigh_nothing():
    for name in RETELLINGS:
        assert rule_nats(RuleInfo(id=name, title="", level="critical", confidence="high")) == 0.0


def test_measured_precision_is_a_share():
    assert PRECISION
    for known, blind in PRECISION.values():
        assert 0 < known <= 1
        assert 0 < blind <= 1
    assert precision_of("a rule that was never wrong", specific=True) == 1.0
    name, (known, blind) = next(item for item in PRECISION.items() if item[1][0] != item[1][1])
    assert (precision_of(name, specific=True), precision_of(name, specific=False)) == (known, blind)


def test_best_of_each_tactic_and_sum_over_tactics():
    pieces = [piece("a", "execution", 2.0), piece("b", "execution", 4.0), piece("c", "impact", 1.0)]
    score, parts = score_of(pieces, {1: 1.0}, 0)
    assert score == 5.0
    assert [(part.tactic, part.detector) for part in parts] == [("execution", "b"), ("impact", "c")]


def test_path_strength_weakens_and_the_strongest_session_stands_alone():
    near, far = piece("a", "execution", 2.0), piece("b", "impact", 4.0, session=2)
    assert score_of([near, far], {1: 1.0, 2: 0.5}, 0)[0] == 4.0
    assert score_of([near, far], {1: 1.0, 2: 0.3}, 0)[0] == 4.0, "evidence against the far session alone weighs more"
    assert score_of([near, far], {1: 1.0}, 0)[0] == 4.0


def test_each_piece_contributes_what_is_stated():
    pieces = [piece("a", "execution", 2.0), piece("c", "impact", 1.0), piece("d", "discovery", 0.7)]
    score, parts = score_of(pieces, {1: 1.0}, 0)
    for part in parts:
        if part.detector == "order":
            continue
        rest = [item for item in pieces if item.detector != part.detector]
        assert score - score_of(rest, {1: 1.0}, 0)[0] == pytest.approx(
            part.nats + sum(p.nats for p in parts if p.detector == "order")
        )


def test_surprises_are_corrected_for_how_many_were_tried_and_only_they():
    surprises = [piece(f"s{n}", "discovery", 5.0, kind="surprise") for n in range(4)]
    [part] = parts_of(surprises, {1: 1.0})
    assert part.nats == pytest.approx(5.0 - math.log(4), abs=1e-3)
    many = [piece(f"s{n}", "discovery", 5.0, kind="surprise") for n in range(1000)]
    [part] = parts_of(many, {1: 1.0})
    assert part.nats == pytest.approx(5.0 - math.log(MAX_TRIED), abs=1e-3)
    [part] = parts_of([*many, piece("r", "discovery", 4.0)], {1: 1.0})
    assert part.detector == "r"


def test_anomalies_alone_need_two_tactics_or_an_exact_link():
    one = [piece("s", "discovery", 9.0, kind="surprise")]
    assert score_of(one, {1: 1.0}, 0)[0] == 0.0
    assert score_of(one, {1: 1.0}, 1)[0] == 9.0
    two = [*one, piece("t", "impact", 3.0, kind="surprise", key=16)]
    assert score_of(two, {1: 1.0}, 0)[0] == 12.0
    same_request = [*one, piece("t", "impact", 3.0, kind="surprise")]
    assert score_of(same_request, {1: 1.0}, 0)[0] == 0.0


@pytest.mark.parametrize(
    ("ranks", "nats"),
    [
        ([], 0.0),
        ([1, 2], 0.0),
        ([1, 2, 3], 1.0),
        ([3, 2, 1], 0.0),
        ([1, 3, 2], 0.0),
        ([1, 2, 4, 3], pytest.approx(0.333, abs=1e-3)),
    ],
)
def test_order_of_tactics_adds_at_most_one_nat(ranks, nats):
    assert order_nats(ranks) == nats


@pytest.mark.parametrize(
    ("sequence", "parts", "kept"),
    [
        (3.6, [2.0, 1.8], [3.6]),
        (1.8, [2.0, 1.8], [2.0]),
        (1.8, [], [1.8]),
    ],
)
def test_a_sequence_and_what_its_requests_gave_count_once(sequence, parts, kept):
    told = piece("asked-and-approved", "persistence", sequence, key=2 << 2)
    told.tells = [2, 1]
    alone = [
        piece(f"step-{number}", f"tactic-{number}", nats, key=(number + 1) << 2) for number, nats in enumerate(parts)
    ]
    assert [item.nats for item in without_retold([*alone, told])] == kept


def test_a_sequence_says_nothing_of_other_requests_sessions_kinds_and_sequences():
    told = piece("asked-and-approved", "persistence", 3.6, key=2 << 2)
    told.tells = [2, 1]
    burst = piece("burst", "discovery", 1.8, key=1 << 2)
    burst.tells = [1, 2]
    others = [
        piece("elsewhere", "impact", 2.0, key=7 << 2),
        piece("another", "impact", 2.0, key=1 << 2, session=2),
        piece("rare", "impact", 2.0, key=1 << 2, kind="surprise"),
        burst,
    ]
    assert without_retold([told, *others]) == [told, *others]


def test_a_case_weighs_as_it_was_graded():
    info = RuleInfo(id="r", title="", level="high", confidence="high")
    assert [rule_nats(info, severity) for severity in ("medium", None, "critical")] == [2.0, 4.0, 6.0]
