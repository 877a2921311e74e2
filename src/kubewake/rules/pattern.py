"""Sigma texts with wildcards: `*` any run, `?` any one character, backslash escapes, `%name%` placeholders."""

import re
from ipaddress import ip_network

from kubewake.rules.condition import Condition, Match, any_of

_SPECIAL = "*?\\"
_PLACEHOLDER = re.compile(r"%([^%\\\s]+)%")


def escape(text: str) -> str:
    """The pattern that matches exactly `text`."""
    return "".join("\\" + char if char in _SPECIAL else char for char in text)


def tokens(pattern: str) -> list[str | None]:
    """The pattern as literal runs (str) and wildcards: `None` for `*`, "" for `?`."""
    parts: list[str | None] = []
    literal: list[str] = []

    def flush() -> None:
        if literal:
            parts.append("".join(literal))
            literal.clear()

    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\" and pattern[position + 1 : position + 2] in (*_SPECIAL,):
            literal.append(pattern[position + 1])
            position += 2
            continue
        if char in "*?":
            flush()
            parts.append(None if char == "*" else "")
        else:
            literal.append(char)
        position += 1
    flush()
    return parts


def match_of(name: str, pattern: str, *, cased: bool = False) -> Match:
    """The cheapest test that a pattern comes to."""
    parts = tokens(pattern if cased else pattern.lower())
    while len(parts) > 1 and parts[0] is None and parts[1] is None:
        del parts[0]
    literal = [part for part in parts if part]
    if not parts:
        return Match(name, "eq", ("",), cased)
    if "" not in parts:
        stars = len(parts) - len(literal)
        if stars == 0:
            return Match(name, "eq", (literal[0],), cased)
        if not literal and stars == 1:
            return Match(name, "exists")
        if len(literal) == 1:
            if stars == 1:
                return Match(name, "startswith" if parts[0] else "endswith", (literal[0],), cased)
            if stars == 2 and parts[0] is None and parts[-1] is None:
                return Match(name, "contains", (literal[0],), cased)
    text = "".join("*" if part is None else "?" if part == "" else escape(part) for part in parts)
    return Match(name, "glob", (text,), cased)


def regex_of(pattern: str) -> str:
    """The RE2 pattern of a glob, to be matched against the whole text."""
    body = "".join(".*" if part is None else "." if part == "" else re.escape(part) for part in tokens(pattern))
    return f"(?s)^{body}$"


def placeholders(pattern: str) -> list[str]:
    """The names of lists that the pattern refers to."""
    return _PLACEHOLDER.findall(pattern)


def fill(pattern: str, lists: dict[str, tuple[str, ...]]) -> list[str]:
    """Every pattern that comes from putting list entries in place of placeholders; none where a list is empty."""
    found = _PLACEHOLDER.search(pattern)
    if found is None:
        return [pattern]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [head + entry + rest for entry in lists[found[1]] for rest in fill(tail, lists)]


def entry_match(name: str, pattern: str, *, cased: bool) -> Condition:
    """The test of a filled-in list entry: a text, or a network or address where the entry is one."""
    text = match_of(name, pattern, cased=cased)
    try:
        network = ip_network(pattern, strict=False)
    except ValueError:
        return text
    return any_of([text, Match(name, "cidr", (str(network),))])
