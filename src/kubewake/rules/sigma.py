"""From Sigma documents to condition trees. Parsing is pySigma's; only the step to conditions is ours.

Importing this module imports pySigma, which is slow: only `pack` does, and only when something must be parsed.
"""

from collections.abc import Mapping
from typing import Any

import re2
from sigma.conditions import (
    ConditionAND,
    ConditionIdentifier,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
    ConditionSelector,
    SigmaCondition,
)
from sigma.exceptions import SigmaError
from sigma.modifiers import SigmaCaseSensitiveModifier, SigmaEndswithModifier, SigmaStartswithModifier
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from kubewake.fields import element_of
from kubewake.rules.condition import (
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
from kubewake.rules.document import Document
from kubewake.rules.lists import keyword_of
from kubewake.rules.pattern import escape, match_of

_FLAGS = {
    SigmaRegularExpressionFlag.IGNORECASE: "i",
    SigmaRegularExpressionFlag.MULTILINE: "m",
    SigmaRegularExpressionFlag.DOTALL: "s",
}
_COMPARE = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
}
FOREIGN_FIELDS = {
    "hostPath": "workload.host_paths",
    "capabilities": "workload.containers.capabilities_add",
    "apiGroup": "objectRef.apiGroup",
}
"""Names that public rules use for what audit events have under another name or in a list."""

_RESERVED = frozenset({"condition", "timeframe", "rules"})


def detection_tree(document: Document, section: str = "detection") -> Condition:
    """The condition of a rule (`detection`) or filter (`filter`); RuleError with file:line where it has none."""
    body = document.data.get(section)
    if not isinstance(body, dict):
        raise document.error(f"'{section}' must be a mapping of searches and a 'condition'", section)
    if "timeframe" in body:
        raise document.error(
            "'timeframe' is not part of Sigma 2: write a correlation document with a timespan", section, "timeframe"
        )
    conditions = body.get("condition")
    texts: list[Any] = conditions if isinstance(conditions, list) else [conditions]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise document.error("'condition' must be a text such as 'selection and not filter'", section, "condition")
    searches: dict[str, Condition] = {}
    for name, definition in body.items():
        if name not in _RESERVED:
            tree = _search(document, definition, (section, name))
            searches[name] = Named(name, tree)
    if not searches:
        raise document.error(f"'{section}' has no searches", section)
    stand_in = SigmaDetections({name: _placeholder_detection() for name in searches}, list(texts))
    trees: list[Condition] = []
    for text in texts:
        try:
            parsed = SigmaCondition(text, stand_in).parse(postprocess=False)
            trees.append(_condition(parsed, searches, stand_in))
        except SigmaError as error:
            raise document.error(f"condition {text!r}: {_plain(error)}", section, "condition") from error
    return any_of(trees) if len(trees) > 1 else trees[0]


def used_searches(document: Document, section: str = "detection") -> set[str]:
    """The names of searches that the condition refers to."""
    body = document.data[section]
    names = [name for name in body if name not in _RESERVED]
    stand_in = SigmaDetections({name: _placeholder_detection() for name in names}, [""])
    used: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, ConditionIdentifier):
            used.add(node.identifier)
        elif isinstance(node, ConditionSelector):
            used.update(item.identifier for item in node.resolve_referenced_detections(stand_in))
        elif isinstance(node, ConditionItem):
            for item in node.args:
                visit(item)

    conditions = body["condition"]
    for text in conditions if isinstance(conditions, list) else [conditions]:
        visit(SigmaCondition(text, stand_in).parse(postprocess=False))
    return used


def _placeholder_detection() -> SigmaDetection:
    return SigmaDetection.from_definition({"field": "value"})


def _plain(error: Exception) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _condition(node: Any, searches: Mapping[str, Condition], detections: SigmaDetections) -> Condition:
    if isinstance(node, ConditionIdentifier):
        found = searches.get(node.identifier)
        if found is None:
            raise SigmaError(f"search '{node.identifier}' is not defined (there are: {', '.join(searches)})")
        return found
    if isinstance(node, ConditionSelector):
        chosen = [searches[item.identifier] for item in node.resolve_referenced_detections(detections)]
        if not chosen:
            raise SigmaError(f"no search is named like '{node.pattern}'")
        return all_of(chosen) if node.cond_class is ConditionAND else any_of(chosen)
    if isinstance(node, ConditionNOT):
        return negation(_condition(node.args[0], searches, detections))
    if isinstance(node, ConditionAND | ConditionOR):
        parts = [_condition(item, searches, detections) for item in node.args]
        return all_of(parts) if isinstance(node, ConditionAND) else any_of(parts)
    raise SigmaError(f"unsupported part of a condition: {node!r}")


def _search(document: Document, definition: Any, path: tuple[str | int, ...]) -> Condition:
    if isinstance(definition, Mapping):
        if not definition:
            raise document.error("a search without conditions would match everything", *path)
        return _scoped([_item(document, str(key), value, (*path, key)) for key, value in definition.items()])
    if isinstance(definition, list):
        if not definition:
            raise document.error("a search without conditions would match everything", *path)
        if any(isinstance(part, Mapping | list) for part in definition):
            return any_of(_search(document, part, (*path, index)) for index, part in enumerate(definition))
        return _item(document, None, definition, path)
    return _item(document, None, definition, path)


def _scoped(parts: list[Condition]) -> Condition:
    """The conjunction of a map's items, with items on one list of elements bound to the same element."""
    loose: list[Condition] = []
    bound: dict[str, list[Condition]] = {}
    for part in parts:
        root = _root(part)
        if root:
            bound.setdefault(root, []).append(_below(part, root))
        else:
            loose.append(part)
    return all_of([*loose, *(Each(root, all_of(items)) for root, items in bound.items())])


def _root(part: Condition) -> str:
    """The elements field that every test of an item is about, or ""."""
    match part:
        case Match(name) | Expand(name):
            found = element_of(name) if name else None
            return found[0] if found is not None else ""
        case Compare(name, other):
            root = _root(Match(name, "eq"))
            return root if root and other.startswith(root + ".") else ""
        case Not(inner):
            return _root(inner)
        case And(parts) | Or(parts):
            roots = {_root(inner) for inner in parts}
            return roots.pop() if len(roots) == 1 else ""
        case _:
            return ""


def _below(part: Condition, root: str) -> Condition:
    start = len(root) + 1
    match part:
        case Match(name, operation, values, cased):
            return Match(name[start:], operation, values, cased)
        case Expand(name, pattern, cased, operation):
            return Expand(name[start:], pattern, cased, operation)
        case Compare(name, other, operation, cased):
            return Compare(name[start:], other[start:], operation, cased)
        case Not(inner):
            return Not(_below(inner, root))
        case And(parts):
            return And(tuple(_below(inner, root) for inner in parts))
        case Or(parts):
            return Or(tuple(_below(inner, root) for inner in parts))
        case _:
            raise TypeError(f"{type(part).__name__} has no field")


def _item(document: Document, key: str | None, value: Any, path: tuple[str | int, ...]) -> Condition:
    if isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(entry, Mapping | list) for entry in value)
    ):
        raise document.error(f"'{key}' must be a value or a list of values (write nested fields with dots)", *path)
    name, *modifiers = (key or "").split("|")
    name = FOREIGN_FIELDS.get(name, name)
    if isinstance(value, list) and not value:
        raise document.error(f"'{key}' has an empty list: it would match nothing", *path)
    try:
        item = SigmaDetectionItem.from_mapping(key, value)
        linked_by_and = item.value_linking is ConditionAND
        cased = SigmaCaseSensitiveModifier in item.modifiers
        parts = [_value(name, part, item, cased=cased) for part in item.value]
    except (SigmaError, TypeError, ValueError, AttributeError, re2.error) as error:
        raise document.error(f"'{key or value}': {_plain(error)}{_hint(error)}", *path) from error
    if "expand" in modifiers:
        document_lists = [part for part in parts if isinstance(part, Expand)]
        if not document_lists:
            raise document.error(f"'{key}' names no list: write '%list_name%'", *path)
    tree = all_of(parts) if linked_by_and else any_of(parts)
    return negation(tree) if item.negated else tree


def _hint(error: Exception) -> str:
    text = str(error)
    if "look" in text or "perl operator" in text or "repetition" in text or "escape sequence" in text:
        return " (RE2 has no look-around and no back-references: use a second search with 'not')"
    if "Unknown modifier" in text:
        return " (see the Sigma specification for the modifiers that exist)"
    return ""


def _value(name: str, value: SigmaType, item: SigmaDetectionItem, *, cased: bool) -> Condition:
    match value:
        case SigmaExpansion():
            return any_of(_value(name, part, item, cased=cased) for part in value.values)
        case SigmaExists():
            return Match(name, "exists") if value.exists else Match(name, "null")
        case SigmaNull():
            if not name:
                raise SigmaError("null needs a field")
            return Match(name, "null")
        case SigmaTimestampPart():
            return Match(name, value.timestamp_part.name.lower(), (value.number,))
        case SigmaBool():
            return Match(name, "eq", (value.boolean,)) if name else Keyword("contains", (str(value.boolean).lower(),))
        case SigmaNumber():
            return Match(name, "eq", (value.number,)) if name else Keyword("contains", (str(value.number),))
        case SigmaCompareExpression():
            return Match(_needed(name), _COMPARE[value.op], (value.number.number,))
        case SigmaCIDRExpression():
            return Match(_needed(name), "cidr", (str(value.network),))
        case SigmaFieldReference():
            operation = {
                (True, True): "contains",
                (True, False): "startswith",
                (False, True): "endswith",
                (False, False): "eq",
            }[value.starts_with, value.ends_with]
            return Compare(_needed(name), value.field, operation, cased)
        case SigmaRegularExpression():
            return _regex(name, value, item)
        case SigmaString():
            return _text(name, value, cased=cased or isinstance(value, SigmaCasedString))
    raise SigmaError(f"values of type {type(value).__name__} are not supported")


def _needed(name: str) -> str:
    if not name:
        raise SigmaError("this modifier needs a field")
    return name


_QUIET = re2.Options()
_QUIET.log_errors = False
"""What is wrong with a pattern is said once, by us."""


def _regex(name: str, value: SigmaRegularExpression, item: SigmaDetectionItem) -> Condition:
    if value.regexp.contains_placeholder():
        raise SigmaError("lists in regular expressions are not supported: use 'contains' or wildcards with 'expand'")
    pattern = value.regexp.to_plain_regex()
    if SigmaStartswithModifier in item.modifiers:
        pattern = f"^(?:{pattern})"
    if SigmaEndswithModifier in item.modifiers:
        pattern = f"(?:{pattern})$"
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
    if flags:
        pattern = f"(?{flags}){pattern}"
    re2.compile(pattern, _QUIET)
    return Match(name, "re", (pattern,), cased=True) if name else Keyword("re", (pattern,), cased=True)


def _text(name: str, value: SigmaString, *, cased: bool) -> Condition:
    pattern = ""
    expands = False
    for part in value.s:
        if isinstance(part, str):
            pattern += escape(part)
        elif isinstance(part, Placeholder):
            pattern += f"%{part.name}%"
            expands = True
        else:
            pattern += "*" if part is SpecialChars.WILDCARD_MULTI else "?"
    if expands:
        return Expand(name, pattern if cased else _lower(pattern), cased)
    if not name:
        return keyword_of(pattern, cased=cased)
    return match_of(name, pattern, cased=cased)


def _lower(pattern: str) -> str:
    """Lower case except for the names of lists."""
    return "%".join(part if index % 2 else part.lower() for index, part in enumerate(pattern.split("%")))
