"""The backoff, against the formula worked by hand."""

import math

from kubewake.baseline.surprise import Ask, Level, nats_of, probability_among_others

EVERYBODY = Level("everybody", 20, 1, 30, 4)
PEERS = Level("nodes", 5, 0, 10, 2)


def test_interpolates_from_everybody_to_the_closest_peers() -> None:
    item = Ask("program", "client", "curl", 1.0, 1000, 2, 0, (PEERS, EVERYBODY))
    among_all = (1 + 4 * (1 / 5)) / (30 + 4)

    assert math.isclose(probability_among_others(item), (0 + 2 * among_all) / (10 + 2))


def test_compares_the_new_value_with_the_ordinary_ones() -> None:
    item = Ask("program", "client", "curl", 1.0, 1000, 2, 0, (PEERS, EVERYBODY))
    new = 2 * probability_among_others(item) / 1002
    ordinary = 1000 / 1002 / 2

    assert math.isclose(nats_of(item), math.log(ordinary / new))


def test_a_known_value_surprises_by_nothing() -> None:
    assert nats_of(Ask("program", "client", "curl", 1.0, 1000, 2, 3, (PEERS, EVERYBODY))) == 0


def test_who_always_does_something_new_surprises_less_than_who_never_does() -> None:
    levels = (Level("everybody", 20, 1, 300, 40),)
    creature_of_habit = Ask("action", "action", "x", 1.0, 40_000, 3, 0, levels)
    curious = Ask("action", "action", "x", 1.0, 400, 60, 0, levels)

    assert nats_of(creature_of_habit) > 10
    assert nats_of(curious) < 4


def test_what_peers_do_surprises_less() -> None:
    alone = Ask("program", "client", "curl", 1.0, 500, 2, 0, (Level("nodes", 6, 0, 10, 2), EVERYBODY))
    shared = Ask("program", "client", "curl", 1.0, 500, 2, 0, (Level("nodes", 6, 5, 10, 2), EVERYBODY))

    assert nats_of(shared) < nats_of(alone) - 1


def test_somebody_unknown_is_compared_with_peers_alone() -> None:
    assert nats_of(Ask("program", "client", "curl", 1.0, 0, 0, 0, (PEERS, EVERYBODY))) > 0
    assert nats_of(Ask("program", "client", "curl", 1.0, 0, 0, 0, ())) == 0
