"""Why a rule does or does not match an event: the condition in words, part by part, with the values seen."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from kubewake.facts import Facts
from kubewake.fields import is_known, level_of, suggest
from kubewake.redact import redact_value
from kubewake.rules.compiled import CorrelationRule
from kubewake.rules.condition import (
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
)
from kubewake.rules.model import NEEDS
from kubewake.rules.predicate import READER, Read, compile_within, element_reader, flat

SHOWN_VALUES = 8
"""Values of a list that an explanation prints."""

SHOWN_TEXT = 120
"""Characters of one value that an explanation prints."""

_WORDS = {
    "eq": "is",
    "startswith": "starts with",
    "endswith": "ends with",
    "contains": "contains",
    "glob": "looks like",
    "re": "matches the expression",
    "cidr": "is an address in",
    "lt": "is below",
    "lte": "is at most",
    "gt": "is above",
    "gte": "is at least",
}


class Part(Struct, frozen=True):
    """One part of a condition: what it asks, whether it holds, what the event has, and its own parts."""

    text: str
    holds: bool
    seen: str = ""
    note: str = ""
    parts: tuple["Part", ...] = ()


def explain_condition(tree: Condition, facts: Facts) -> Part:
    """The whole condition, with every part judged on its own."""
    return _explain(tree, facts, READER, facts.event.level or "")


def _explain(tree: Condition, subject: Any, reader_of: Any, level: str, root: str = "") -> Part:
    holds = compile_within(tree, reader_of)(subject)
    match tree:
        case Named(name, part):
            inner = _explain(part, subject, reader_of, level, root)
            return Part(f"search '{name}'", holds, parts=inner.parts if isinstance(part, And) else (inner,))
        case And(parts):
            return Part("all of", holds, parts=tuple(_explain(p, subject, reader_of, level, root) for p in parts))
        case Or(parts):
            return Part(
                "at least one of", holds, parts=tuple(_explain(p, subject, reader_of, level, root) for p in parts)
            )
        case Not(part):
            return Part("none of", holds, parts=(_explain(part, subject, reader_of, level, root),))
        case Each(name, part):
            return _elements(name, part, reader_of(name)(subject), holds=holds, level=level)
        case Match(name, operation, values, cased):
            return Part(
                _asks(root + name, operation, values, cased=cased),
                holds,
                _seen(name, reader_of(name), subject),
                "" if holds else _blindness(root + name, level),
            )
        case Compare(name, other, operation, _):
            seen = f"{_seen(name, reader_of(name), subject)} and {_seen(other, reader_of(other), subject)}"
            return Part(f"{root}{name} {_WORDS[operation]} the value of {root}{other}", holds, seen)
        case Keyword(operation, values, _):
            return Part(f"any text of the event {_WORDS[operation]} {_or(values)}", holds)
        case Expand(name, pattern):
            return Part(f"{root}{name} is on {pattern}", holds)
        case Always(value):
            return Part("always" if value else "never (an empty list)", holds)


def _elements(name: str, part: Condition, elements: Any, *, holds: bool, level: str) -> Part:
    found = list(elements or ())[:SHOWN_VALUES]
    parts: list[Part] = []
    for number, element in enumerate(found, 1):
        one = _explain(part, element, element_reader, level, f"{name}.")
        parts.append(Part(f"element {number}", one.holds, parts=one.parts or (one,)))
    note = "" if found else _blindness(name, level) or f"the event has no {name}"
    return Part(f"one and the same element of {name} meets all of", holds, note=note, parts=tuple(parts))


def _asks(name: str, operation: str, values: tuple[Any, ...], *, cased: bool) -> str:
    if operation == "exists":
        return f"{name} is there"
    if operation == "null":
        return f"{name} is not there"
    if operation not in _WORDS:
        return f"the {operation} of {name} is {_or(values)}"
    exactly = " (case matters)" if cased and operation != "re" else ""
    return f"{name} {_WORDS[operation]} {_or(values)}{exactly}"


def _or(values: tuple[Any, ...]) -> str:
    shown = [_short(value) for value in values[:SHOWN_VALUES]]
    more = f", … ({len(values)} in all)" if len(values) > SHOWN_VALUES else ""
    return ", ".join(shown[:-1]) + (" or " if len(shown) > 1 else "") + shown[-1] + more if shown else "nothing"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text[:SHOWN_TEXT]}…'" if len(text) > SHOWN_TEXT else f"'{text}'"


def _seen(name: str, read: Read, subject: Any) -> str:
    """What the event has there, without credentials."""
    if _CONTENTS.match(name) and _is_of_secret(subject):
        return "contents of a Secret, not shown" if read(subject) is not None else "nothing"
    key = name.rpartition(".")[2]
    value = redact_value({key: read(subject)})[key]
    if isinstance(value, dict):
        return f"a mapping with {len(value)} keys"
    values = list(flat(value))
    if not values:
        return "nothing"
    shown = ", ".join(_short(item) for item in values[:SHOWN_VALUES])
    return shown + (f", … ({len(values)} in all)" if len(values) > SHOWN_VALUES else "")


_CONTENTS = re.compile(r"(requestObject|responseObject)\b")


def _is_of_secret(subject: Any) -> bool:
    return isinstance(subject, Facts) and (subject.resource == "secrets" or subject.subresource == "token")


def _blindness(name: str, level: str) -> str:
    if not is_known(name):
        near = suggest(name)
        return "audit events have no such field" + (f"; did you mean {near}?" if near else "")
    needed = level_of(name)
    if level in NEEDS and NEEDS.index(needed) > NEEDS.index(level):
        return f"needs audit level {needed}, and the event was logged at {level}"
    return ""


def lines(part: Part, depth: int = 0) -> Iterator[str]:
    """The explanation as indented text, one part a line."""
    mark = "✓" if part.holds else "✗"
    seen = f"   (here: {part.seen})" if part.seen else ""
    note = f"   [{part.note}]" if part.note else ""
    yield f"{'  ' * depth}{mark} {part.text}{seen}{note}"
    for inner in part.parts:
        yield from lines(inner, depth + 1)


def describe_correlation(rule: CorrelationRule) -> str:
    """What a correlation waits for, in one sentence."""
    span = spell_seconds(rule.timespan_seconds)
    same = f" with the same {', '.join(rule.group_by)}" if rule.group_by else ""
    names = ", ".join(rule.rules)
    bound = ""
    if rule.threshold is not None:
        words = {
            "gte": "at least",
            "gt": "more than",
            "lte": "at most",
            "lt": "fewer than",
            "eq": "exactly",
            "neq": "not",
        }
        number = rule.threshold.bound
        bound = f"{words[rule.threshold.operator]} {int(number) if number.is_integer() else number}"
    fields = ", ".join(rule.fields)
    match rule.type:
        case "event_count":
            return f"{bound} events of {names}{same} within {span}"
        case "value_count":
            return f"{bound} different values of {fields} in events of {names}{same} within {span}"
        case "temporal" | "temporal_ordered":
            order = " in this order" if rule.type == "temporal_ordered" else ""
            if rule.threshold is not None:
                return f"{bound} of the rules {names}{same} within {span}"
            ways = [
                " and ".join(way.present) + "".join(f" but not {name}" for name in way.absent)
                for way in rule.alternatives
            ]
            return f"events of {' or '.join(ways)}{order}{same} within {span}"
        case kind:
            what = {"value_sum": "sum", "value_avg": "average", "value_median": "median"}.get(
                kind, f"{rule.percentile}th percentile"
            )
            return f"a {what} of {fields} of {bound} in events of {names}{same} within {span}"


def spell_seconds(seconds: int) -> str:
    """A duration in words."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds} seconds"
