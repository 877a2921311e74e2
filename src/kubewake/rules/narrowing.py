"""Three-valued evaluation: what is left of a rule once the behaviour of an event is known."""

from collections.abc import Callable

from kubewake.facts import Facts
from kubewake.rules.condition import (
    FALSE,
    TRUE,
    Always,
    And,
    Compare,
    Condition,
    Each,
    Expand,
    Keyword,
    Match,
    Named,
    Not,
    Or,
    all_of,
    any_of,
    negation,
)
from kubewake.rules.predicate import compile_condition, cost

Narrow = Callable[[Facts], Condition]


def plan_narrowing(tree: Condition, is_known: Callable[[str], bool]) -> Narrow:
    """The function that gives the residue of `tree` for an event: a constant, or the part on fields not yet known.

    `is_known` tells which fields follow from the behaviour key.
    """
    if _holds_for_all(tree, is_known):
        predicate = compile_condition(tree)
        return lambda facts: TRUE if predicate(facts) else FALSE
    match tree:
        case Named(_, part):
            return plan_narrowing(part, is_known)
        case Not(part):
            inner = plan_narrowing(part, is_known)
            return lambda facts: negation(inner(facts))
        case And(parts):
            return _conjunction(parts, is_known)
        case Or(parts):
            return _disjunction(parts, is_known)
        case _:
            return lambda _: tree


def _holds_for_all(tree: Condition, is_known: Callable[[str], bool], root: str = "") -> bool:
    """Whether every field that the condition reads is known; never where it has keywords."""
    match tree:
        case And(parts) | Or(parts):
            return all(_holds_for_all(part, is_known, root) for part in parts)
        case Not(part) | Named(_, part):
            return _holds_for_all(part, is_known, root)
        case Each(inner, part):
            return is_known(inner) and _holds_for_all(part, is_known, inner + ".")
        case Match(name) | Expand(name):
            return not name or is_known(root + name)
        case Compare(name, other):
            return is_known(root + name) and is_known(other)
        case Keyword():
            return False
        case _:
            return True


def _split(parts: tuple[Condition, ...], is_known: Callable[[str], bool]) -> tuple[list[Condition], list[Condition]]:
    known: list[Condition] = []
    rest: list[Condition] = []
    for part in parts:
        (known if _holds_for_all(part, is_known) else rest).append(part)
    return sorted(known, key=cost), rest


def _conjunction(parts: tuple[Condition, ...], is_known: Callable[[str], bool]) -> Narrow:
    known, rest = _split(parts, is_known)
    gate = compile_condition(all_of(known))
    plans = [plan_narrowing(part, is_known) for part in rest]

    def narrow(facts: Facts) -> Condition:
        if not gate(facts):
            return FALSE
        left: list[Condition] = []
        for plan in plans:
            part = plan(facts)
            if isinstance(part, Always):
                if not part.value:
                    return FALSE
            else:
                left.append(part)
        return all_of(left)

    return narrow


def _disjunction(parts: tuple[Condition, ...], is_known: Callable[[str], bool]) -> Narrow:
    known, rest = _split(parts, is_known)
    gate = compile_condition(any_of(known))
    plans = [plan_narrowing(part, is_known) for part in rest]

    def narrow(facts: Facts) -> Condition:
        if gate(facts):
            return TRUE
        left: list[Condition] = []
        for plan in plans:
            part = plan(facts)
            if isinstance(part, Always):
                if part.value:
                    return TRUE
            else:
                left.append(part)
        return any_of(left)

    return narrow
