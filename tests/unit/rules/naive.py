"""The plainest possible matcher: walks the tree for every event, remembers nothing, knows no index."""

import datetime as dt
import ipaddress
import re

from kubewake.rules.condition import (
    Always,
    And,
    Compare,
    Each,
    Keyword,
    Match,
    Named,
    Not,
    Or,
)

RELATIONS = {
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
}
DERIVED = re.compile(r"^(actor|client|source|workload|rbac|outcome|exec|request|object|secret|service)\b")


def spread(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        return [inner for item in value for inner in spread(item)]
    return [] if value is None else [value]


def shown(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(int(value)) if float(value).is_integer() else str(value)
    return value if isinstance(value, str) else None


def glob(text, pattern):
    expression = ""
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\" and pattern[position + 1 : position + 2] in ("*", "?", "\\"):
            expression += re.escape(pattern[position + 1])
            position += 2
            continue
        expression += ".*" if char == "*" else "." if char == "?" else re.escape(char)
        position += 1
    return re.fullmatch(expression, text, re.DOTALL) is not None


def scalar(operation, value, wanted, cased):
    if operation in RELATIONS:
        try:
            return not isinstance(value, bool) and RELATIONS[operation](float(value), float(wanted))
        except (TypeError, ValueError):
            return False
    if operation in {"minute", "hour", "day", "week", "month", "year"}:
        try:
            moment = dt.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return False
        return (moment.isocalendar()[1] if operation == "week" else getattr(moment, operation)) == wanted
    text, other = shown(value), shown(wanted)
    if text is None:
        return False
    if operation == "re":
        return re.search(other, text) is not None
    if operation == "cidr":
        try:
            return ipaddress.ip_address(text) in ipaddress.ip_network(other)
        except (ValueError, TypeError):
            return False
    if not cased:
        text, other = text.lower(), other.lower()
    if operation == "eq":
        return text == other
    if operation == "glob":
        return glob(text, other)
    return {"startswith": text.startswith, "endswith": text.endswith, "contains": text.__contains__}[operation](other)


def holds(tree, read, *, inside=False):
    match tree:
        case Always(value):
            return value
        case Named(_, part):
            return holds(part, read, inside=inside)
        case Not(part):
            return not holds(part, read, inside=inside)
        case And(parts):
            return all(holds(part, read, inside=inside) for part in parts)
        case Or(parts):
            return any(holds(part, read, inside=inside) for part in parts)
        case Each(root, part):
            return any(holds(part, element.get, inside=True) for element in read(root) or [])
        case Compare(name, other, operation, cased):
            pairs = [(one, two) for one in spread(read(name)) for two in spread(read(other))]
            return any(
                scalar(operation, one, shown(two), cased)
                for one, two in pairs
                if shown(one) is not None and shown(two) is not None
            )
        case Keyword():
            raise NotImplementedError
        case Match(name, "exists" | "null" as operation):
            value = read(name)
            absent = not spread(value) if not isinstance(value, dict) else not value
            if inside or DERIVED.match(name):
                absent = absent or value == ""
            return absent == (operation == "null")
        case Match(name, operation, values, cased):
            return any(scalar(operation, value, wanted, cased) for value in spread(read(name)) for wanted in values)
    raise AssertionError(tree)
