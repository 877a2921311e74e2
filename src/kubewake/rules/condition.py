"""The condition of a rule as plain data: a tree that serialises, hashes, and can be compiled, narrowed or explained.

Texts of conditions that ignore case are stored lower-cased.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

Scalar = str | bool | int | float

TEXT_OPERATIONS = frozenset({"eq", "startswith", "endswith", "contains", "glob"})
"""Operations whose values are texts and that ignore case unless `cased`."""

NUMBER_OPERATIONS = frozenset({"lt", "lte", "gt", "gte"})
TIME_OPERATIONS = frozenset({"minute", "hour", "day", "week", "month", "year"})


class Match(Struct, frozen=True, tag="match", array_like=True):
    """One of `values` holds for the field (for any element where the field is a list).

    `operation`: eq, startswith, endswith, contains, glob (`*`, `?`, backslash escapes), re (RE2, unanchored), cidr,
    lt, lte, gt, gte, minute … year (part of a timestamp), exists and null (no values).
    """

    field: str
    operation: str
    values: tuple[Scalar, ...] = ()
    cased: bool = False


class Keyword(Struct, frozen=True, tag="keyword", array_like=True):
    """One of `values` (contains, glob or re) holds for any text anywhere in the event."""

    operation: str
    values: tuple[Scalar, ...]
    cased: bool = False


class Compare(Struct, frozen=True, tag="compare", array_like=True):
    """A value of `field` and a value of `other` relate: eq, startswith, endswith or contains."""

    field: str
    other: str
    operation: str = "eq"
    cased: bool = False


class Expand(Struct, frozen=True, tag="expand", array_like=True):
    """A text that names lists (`%allowed_images%`); replaced by matches when the rule set knows its lists.

    `field` is "" for a keyword. `pattern` is a Sigma text with wildcards and placeholders.
    """

    field: str
    pattern: str
    cased: bool = False
    operation: str = "glob"


class Not(Struct, frozen=True, tag="not", array_like=True):
    """The part does not hold."""

    part: "Condition"


class And(Struct, frozen=True, tag="and", array_like=True):
    """All parts hold."""

    parts: tuple["Condition", ...]


class Or(Struct, frozen=True, tag="or", array_like=True):
    """At least one part holds."""

    parts: tuple["Condition", ...]


class Each(Struct, frozen=True, tag="each", array_like=True):
    """The part holds within one element of the list `root`; fields inside are relative to the element."""

    root: str
    part: "Condition"


class Named(Struct, frozen=True, tag="named", array_like=True):
    """A search of the rule's `detection` under its own name, so that explanations can use it."""

    name: str
    part: "Condition"


class Always(Struct, frozen=True, tag="always", array_like=True):
    """A constant."""

    value: bool


Condition = Match | Keyword | Compare | Expand | Not | And | Or | Each | Named | Always

TRUE = Always(value=True)
FALSE = Always(value=False)


def all_of(parts: Iterable[Condition]) -> Condition:
    """The conjunction, without constants and nesting."""
    flat: list[Condition] = []
    for part in parts:
        if isinstance(part, Always):
            if not part.value:
                return FALSE
        elif isinstance(part, And):
            flat.extend(part.parts)
        else:
            flat.append(part)
    return TRUE if not flat else flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: Iterable[Condition]) -> Condition:
    """The disjunction, without constants and nesting; matches of one field and operation become one."""
    flat: list[Condition] = []
    for part in parts:
        if isinstance(part, Always):
            if part.value:
                return TRUE
        elif isinstance(part, Or):
            flat.extend(part.parts)
        else:
            flat.append(part)
    merged: dict[object, Condition] = {}
    for part in flat:
        key: object = part
        if isinstance(part, Match) and part.values:
            key = (part.field, part.operation, part.cased)
            before = merged.get(key)
            if isinstance(before, Match):
                part = Match(part.field, part.operation, before.values + part.values, part.cased)
        merged[key] = part
    parts_left = tuple(merged.values())
    return FALSE if not parts_left else parts_left[0] if len(parts_left) == 1 else Or(parts_left)


def negation(part: Condition) -> Condition:
    """The contrary, without double negation."""
    if isinstance(part, Always):
        return FALSE if part.value else TRUE
    if isinstance(part, Not):
        return part.part
    return Not(part)


def unnamed(tree: Condition) -> Condition:
    """The same condition without the names of its searches, flattened; what gets compiled."""
    match tree:
        case Named(_, part):
            return unnamed(part)
        case And(parts):
            return all_of(unnamed(part) for part in parts)
        case Or(parts):
            return any_of(unnamed(part) for part in parts)
        case Not(part):
            return negation(unnamed(part))
        case Each(root, part):
            inner = unnamed(part)
            return FALSE if inner == FALSE else Each(root, inner)
        case _:
            return tree


def leaves(tree: Condition, root: str = "") -> Iterator[tuple[str, Condition]]:
    """Every test of the tree with the full name of its field ("" for keywords)."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part, root)
        case Not(part) | Named(_, part):
            yield from leaves(part, root)
        case Each(inner, part):
            yield from leaves(part, inner + ".")
        case Match() | Compare() | Expand():
            yield (root + tree.field if tree.field else ""), tree
        case _:
            yield "", tree


def fields_of(tree: Condition) -> set[str]:
    """The fields that the condition reads."""
    names: set[str] = set()
    for name, leaf in leaves(tree):
        if name:
            names.add(name)
        if isinstance(leaf, Compare):
            names.add(leaf.other)
    return names
