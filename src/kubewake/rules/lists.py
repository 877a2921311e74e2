"""Named lists of texts, addresses and networks that rules refer to and users extend."""

from collections.abc import Iterable, Mapping

from kubewake.errors import RuleError
from kubewake.rules.condition import (
    FALSE,
    And,
    Condition,
    Each,
    Expand,
    Keyword,
    Named,
    Not,
    Or,
    all_of,
    any_of,
    negation,
)
from kubewake.rules.pattern import entry_match, fill, match_of, placeholders

Lists = dict[str, tuple[str, ...]]


def merged(*layers: Mapping[str, Iterable[str]]) -> Lists:
    """All lists, with the entries of equally named ones together."""
    result: Lists = {}
    for layer in layers:
        for name, values in layer.items():
            result[name] = tuple(dict.fromkeys([*result.get(name, ()), *values]))
    return result


def fill_lists(tree: Condition, lists: Mapping[str, tuple[str, ...]], where: str) -> Condition:
    """The tree with every `%list%` replaced by its entries; RuleError (starting with `where`) for unknown lists."""
    match tree:
        case Named(name, part):
            return Named(name, fill_lists(part, lists, where))
        case And(parts):
            return all_of(fill_lists(part, lists, where) for part in parts)
        case Or(parts):
            return any_of(fill_lists(part, lists, where) for part in parts)
        case Not(part):
            return negation(fill_lists(part, lists, where))
        case Each(root, part):
            inner = fill_lists(part, lists, where)
            return FALSE if inner == FALSE else Each(root, inner)
        case Expand():
            return _filled(tree, lists, where)
        case _:
            return tree


def _filled(tree: Expand, lists: Mapping[str, tuple[str, ...]], where: str) -> Condition:
    for name in placeholders(tree.pattern):
        if name not in lists:
            known = ", ".join(sorted(lists)) or "none"
            raise RuleError(f"{where}: list '{name}' does not exist (there are: {known}); add it to a lists file")
    patterns = fill(tree.pattern, dict(lists))
    if tree.field:
        return any_of(entry_match(tree.field, pattern, cased=tree.cased) for pattern in patterns)
    return any_of(keyword_of(pattern, cased=tree.cased) for pattern in patterns)


def keyword_of(pattern: str, *, cased: bool) -> Keyword:
    """A text with wildcards searched for anywhere in the event."""
    found = match_of("", f"*{pattern}*", cased=cased)
    return Keyword(found.operation, found.values, cased)
