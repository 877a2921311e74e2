"""A baseline's rule: a condition on single requests."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench.evaluation.baselines.request import Request

WEIGHTS = {
    "info": 0.3,
    "low": 0.7,
    "notice": 1.0,
    "medium": 2.0,
    "warning": 2.0,
    "high": 4.0,
    "error": 4.0,
    "critical": 6.0,
}
"""Evidence of one hit by its priority; the same scale as kubewake's."""


class Rule(NamedTuple):
    """What it is called, how grave it is, the tactic it speaks for, and when it fires."""

    name: str
    priority: str
    tactic: str
    fires: Callable[[Request], bool]


class Hit(NamedTuple):
    """A request that a baseline finds worth telling, and how much."""

    request: Request
    rule: str
    weight: float
    tactic: str = ""


def hits_of(rules: Iterable[Rule], requests: Iterable[Request]) -> list[Hit]:
    """Every rule on every request."""
    table = list(rules)
    return [
        Hit(request, rule.name, WEIGHTS[rule.priority], rule.tactic)
        for request in requests
        for rule in table
        if rule.fires(request)
    ]
