"""How surprising a trait is: interpolated backoff from the identity over its peers to everybody (Witten-Bell).

`p_l(x) = (c_l(x) + T_l p_{l+1}(x)) / (N_l + T_l)`: T is the number of different values seen, so T / (N + T) is the
novelty rate of the level itself. At the identity's own level N is its requests, further down c counts identities.
Surprise is how many times less likely than the identity's ordinary values the new one is, in nats; a value that the
identity is known for surprises by nothing.
"""

import math
from collections.abc import Iterable

from msgspec import Struct

from kubewake.baseline import days
from kubewake.baseline.identity import EVERYBODY, Identity
from kubewake.baseline.population import Population
from kubewake.baseline.traits import Trait

HISTORY_DAYS_FOR_HOURS = 3
"""Fewer days say nothing about somebody's hours."""


class Level(Struct, frozen=True, array_like=True):
    """The counts of one group: members, those that show the value, all showings, different values."""

    group: str
    members: int
    showing: int
    total: int
    distinct: int


class Ask(Struct, frozen=True, array_like=True):
    """One trait with all the numbers that its surprise is made of; `nats_of` makes it again."""

    facet: str
    context: str
    value: str
    weight: float
    requests: int
    distinct: int
    known_days: int
    levels: tuple[Level, ...]


def ask_all(traits: Iterable[Trait], identity: Identity, population: Population) -> list[Ask]:
    """Look up the counts for all traits of a request."""
    groups = population.levels(identity)
    requests = {"": identity.requests_in()}
    return [ask(trait, identity, population, groups, requests) for trait in traits]


def ask(
    trait: Trait, identity: Identity, population: Population, groups: tuple[str, ...], requests: dict[str, int]
) -> Ask:
    """Look up the counts for a trait; `requests` holds the identity's by class, and is filled in."""
    held = identity.contexts.get(trait.context)
    known = held.values.get(trait.value, 0) if held is not None else 0
    if held is not None and known:
        return Ask(trait.facet, trait.context, trait.value, 0.0, 0, held.distinct, days.count(known), ())
    action_class = trait.context.rpartition(" ")[2] if trait.facet in ("scope", "outcome") else ""
    if action_class not in requests:
        requests[action_class] = identity.requests_in(action_class)
    levels = []
    usages = population.usages(trait.context)
    for group in groups:
        usage = usages.get(group)
        if usage is not None:
            levels.append(
                Level(
                    group,
                    population.members.get(group, 0),
                    usage.values.get(trait.value, 0),
                    usage.total,
                    len(usage.values),
                )
            )
    weight = trait.weight
    if trait.facet == "hour" and identity.days_known() < HISTORY_DAYS_FOR_HOURS:
        weight = 0.0
    return Ask(
        trait.facet,
        trait.context,
        trait.value,
        weight,
        requests[action_class] if held is not None else 0,
        held.distinct if held is not None else 0,
        0,
        tuple(levels),
    )


def probability_among_others(item: Ask) -> float:
    """How likely the value is among peers, class and everybody."""
    widest = item.levels[-1] if item.levels else None
    everybody = widest.distinct if widest is not None and widest.group == EVERYBODY else 0
    probability = 1.0 / (everybody + 1)
    for level in reversed(item.levels):
        probability = (level.showing + level.distinct * probability) / (level.total + level.distinct)
    return probability


def nats_of(item: Ask) -> float:
    """The surprise of one trait: 0 where the identity is known for it."""
    if item.known_days or not item.weight:
        return 0.0
    among = probability_among_others(item)
    if item.distinct:
        probability = item.distinct * among / (item.requests + item.distinct)
        typical = item.requests / (item.requests + item.distinct) / item.distinct
    elif item.levels:
        closest = item.levels[0]
        probability = among
        typical = closest.total / (closest.total + closest.distinct) / closest.distinct
    else:
        return 0.0
    if probability <= 0 or typical <= 0:
        return 0.0
    return item.weight * max(0.0, math.log(typical / probability))
