"""From condition trees to functions over facts."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

import msgspec
import re2

from kubewake.facts import Facts
from kubewake.facts.context import parse_address
from kubewake.facts.native import is_native, walk
from kubewake.facts.registry import READERS
from kubewake.rules.condition import (
    FALSE,
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
    Scalar,
)
from kubewake.rules.pattern import regex_of

Predicate = Callable[[Facts], bool]
Test = Callable[[Any], bool]
Read = Callable[[Any], Any]

READER: Callable[[str], Read] = READERS.__getitem__

MEMO_LIMIT = 1024
"""Answers remembered per test for texts that repeat (user agents, names, images); cleared when full."""

MEMO_TEXT_LIMIT = 1024
"""Longer texts hardly repeat and would fill the memory."""


def compile_condition(tree: Condition) -> Predicate:
    """The function that says whether the condition holds for the facts of an event."""
    return compile_within(tree, READER)


def compile_within(tree: Condition, reader_of: Callable[[str], Read]) -> Callable[[Any], bool]:
    """The function over whatever `reader_of` reads from: facts, or one element of a list."""
    match tree:
        case Always(value):
            return lambda _: value
        case Named(_, part):
            return compile_within(part, reader_of)
        case And(parts):
            return _conjunction([compile_within(part, reader_of) for part in sorted(parts, key=cost)])
        case Or(parts):
            return _disjunction([compile_within(part, reader_of) for part in sorted(parts, key=cost)])
        case Not(part):
            inner = compile_within(part, reader_of)
            return lambda facts: not inner(facts)
        case Each(root, part):
            return _within(reader_of(root), compile_within(part, element_reader))
        case Compare(name, other, operation, cased):
            return _comparison(reader_of(name), reader_of(other), operation, cased=cased)
        case Keyword(operation, values, cased):
            return _keyword(test_of(operation, values, cased=cased))
        case Match(name, operation, values, cased):
            absent = is_absent if reader_of is READER and is_native(name) else is_empty
            return _match(reader_of(name), operation, values, absent, cased=cased)
        case Expand(_, pattern):
            raise ValueError(f"the lists of {pattern!r} are not filled in")


def cost(tree: Condition) -> int:
    """A rough order of how dear a test is: cheap ones are asked first."""
    match tree:
        case And(parts) | Or(parts):
            return 1 + max(cost(part) for part in parts)
        case Not(part) | Named(_, part):
            return cost(part)
        case Each(_, part):
            return 60 + cost(part)
        case Keyword():
            return 1000
        case Match(name, operation):
            dear = 20 if operation in {"re", "glob", "cidr"} else 0
            return dear + _field_cost(name)
        case Compare(name, other):
            return _field_cost(name) + _field_cost(other)
        case _:
            return 0


def _field_cost(name: str) -> int:
    if name.startswith(("requestObject", "responseObject")):
        return 50
    if name in {"verb", "objectRef.resource", "objectRef.subresource", "objectRef.apiGroup"}:
        return 1
    native = ("user.", "objectRef.", "userAgent", "requestURI", "responseStatus.", "annotations.", "sourceIPs")
    return 3 if name.startswith(native) else 10


def _conjunction(parts: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(parts) == 2:
        first, second = parts
        return lambda facts: first(facts) and second(facts)
    if len(parts) == 3:
        first, second, third = parts
        return lambda facts: first(facts) and second(facts) and third(facts)
    group = tuple(parts)

    def every(facts: Any) -> bool:
        for part in group:  # noqa: SIM110  # a third faster than all() on three parts
            if not part(facts):
                return False
        return True

    return every


def _disjunction(parts: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(parts) == 2:
        first, second = parts
        return lambda facts: first(facts) or second(facts)
    group = tuple(parts)

    def some(facts: Any) -> bool:
        for part in group:  # noqa: SIM110  # as above
            if part(facts):
                return True
        return False

    return some


def element_reader(path: str) -> Read:
    """Reads a sub-field of one element of an elements field."""
    plain = path.replace("\\.", ".")
    if "." not in plain:
        return lambda element: element.get(plain) if isinstance(element, dict) else None
    steps = tuple(plain.split("."))

    def read(element: Any) -> Any:
        if isinstance(element, dict):
            value = element.get(plain)
            return value if value is not None else walk(element, steps)
        return None

    return read


def _within(read: Read, inner: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def holds(facts: Any) -> bool:
        elements = read(facts)
        if not elements:
            return False
        return any(inner(element) for element in elements)

    return holds


def _match(
    read: Read, operation: str, values: tuple[Scalar, ...], absent: Callable[[Any], bool], *, cased: bool
) -> Callable[[Any], bool]:
    if operation == "exists":
        return lambda facts: not absent(read(facts))
    if operation == "null":
        return lambda facts: absent(read(facts))
    test = test_of(operation, values, cased=cased)

    def holds(facts: Any) -> bool:
        value = read(facts)
        if value is None:
            return False
        if isinstance(value, str):
            return test(value)
        if isinstance(value, list | tuple | set | frozenset):
            return any(test(item) for item in flat(value))
        return test(value)

    return holds


def is_absent(value: Any) -> bool:
    """Whether a field's value counts as null: missing, or a list or mapping with nothing in it."""
    return value is None or (not isinstance(value, str | bool | int | float) and not value)


def is_empty(value: Any) -> bool:
    """Whether a derived field's value counts as null: derived texts are empty where they do not apply."""
    return value == "" or is_absent(value)


def flat(value: Any) -> Iterator[Any]:
    """The scalars (and mappings) of a value, lists within lists included."""
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from flat(item)
    elif value is not None:
        yield value


def text_of(value: Any) -> str | None:
    """The text that a scalar is compared as; None for mappings and nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return None


def test_of(operation: str, values: tuple[Scalar, ...], *, cased: bool) -> Test:
    """The test of one scalar against the values of a match."""
    if operation in {"lt", "lte", "gt", "gte"}:
        bounds = [float(value) for value in values]  # any of them suffices, so the loosest decides
        return _number_test(operation, max(bounds) if operation in {"lt", "lte"} else min(bounds))
    if operation in {"minute", "hour", "day", "week", "month", "year"}:
        return _time_test(operation, frozenset(values))
    texts = tuple(text for text in map(text_of, values) if text is not None)
    if operation == "eq":
        return _equality(frozenset(texts), cased=cased)
    return _memoised(_text_test(operation, texts), cased=cased)


def _equality(texts: frozenset[str], *, cased: bool) -> Test:
    if cased:
        return lambda value: (value if isinstance(value, str) else text_of(value)) in texts

    def equal(value: Any) -> bool:
        if not isinstance(value, str):
            text = text_of(value)
            return text is not None and text.lower() in texts
        return value in texts or value.lower() in texts

    return equal


def _text_test(operation: str, texts: tuple[str, ...]) -> Callable[[str], bool]:
    if operation == "startswith":
        return lambda text: text.startswith(texts)
    if operation == "endswith":
        return lambda text: text.endswith(texts)
    if operation == "contains":
        if len(texts) == 1:
            only = texts[0]
            return lambda text: only in text
        return lambda text: any(part in text for part in texts)
    if operation in {"glob", "re"}:
        return _regex_test([regex_of(text) if operation == "glob" else text for text in texts])
    if operation == "cidr":
        networks = [ip_network(text) for text in texts]

        def inside(text: str) -> bool:
            address = parse_address(text)
            if address is None:
                return False
            return any(address.version == network.version and address in network for network in networks)

        return inside
    raise ValueError(f"unknown operation {operation!r}")


def _regex_test(patterns: list[str]) -> Callable[[str], bool]:
    compiled: list[Any] = []

    def search(text: str) -> bool:
        if not compiled:
            compiled.extend(re2.compile(pattern) for pattern in patterns)
        try:
            return any(pattern.search(text) is not None for pattern in compiled)
        except UnicodeEncodeError:
            clean = text.encode("utf-8", "replace").decode()
            return any(pattern.search(clean) is not None for pattern in compiled)

    return search


def _memoised(test: Callable[[str], bool], *, cased: bool) -> Test:
    memo: dict[str, bool] = {}

    def answer(value: Any) -> bool:
        text = value if isinstance(value, str) else text_of(value)
        if text is None:
            return False
        known = memo.get(text)
        if known is not None:
            return known
        result = test(text if cased else text.lower())
        if len(text) <= MEMO_TEXT_LIMIT:
            if len(memo) >= MEMO_LIMIT:
                memo.clear()
            memo[text] = result
        return result

    return answer


def _number_test(operation: str, bound: float) -> Test:
    relation: Callable[[float], bool] = {
        "lt": lambda number: number < bound,
        "lte": lambda number: number <= bound,
        "gt": lambda number: number > bound,
        "gte": lambda number: number >= bound,
    }[operation]

    def compare(value: Any) -> bool:
        number = number_of(value)
        return number is not None and relation(number)

    return compare


def number_of(value: Any) -> float | None:
    """The number that a scalar stands for, texts of digits included."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time_test(unit: str, wanted: frozenset[Scalar]) -> Test:
    def holds(value: Any) -> bool:
        moment = _moment(value) if isinstance(value, str) else None
        if moment is None:
            return False
        part = moment.isocalendar().week if unit == "week" else getattr(moment, unit)
        return part in wanted

    return holds


def _comparison(read: Read, other: Read, operation: str, *, cased: bool) -> Callable[[Any], bool]:
    relation: Callable[[str, str], bool] = {
        "eq": lambda left, right: left == right,
        "startswith": str.startswith,
        "endswith": str.endswith,
        "contains": lambda left, right: right in left,
    }[operation]

    def texts(value: Any) -> list[str]:
        found = [text for text in map(text_of, flat(value)) if text is not None]
        return found if cased else [text.lower() for text in found]

    def holds(facts: Any) -> bool:
        left = texts(read(facts))
        if not left:
            return False
        right = texts(other(facts))
        return any(relation(one, two) for one in left for two in right)

    return holds


def _keyword(test: Test) -> Callable[[Any], bool]:
    return lambda facts: any(test(text) for text in event_texts(facts))


def event_texts(facts: Facts) -> Iterator[str]:
    """Every scalar of the event as text, bodies included, names of keys excluded."""
    event = facts.event
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "request_object":
            value = facts.request_body
        elif name == "response_object":
            value = facts.response_body
        elif isinstance(value, msgspec.Struct):
            value = msgspec.to_builtins(value)
        yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, list | tuple):
            stack.extend(reversed(item))
        else:
            text = text_of(item)
            if text is not None:
                yield text


NEVER: Predicate = compile_condition(FALSE)
