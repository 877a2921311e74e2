"""Checks of rule files beyond what loading refuses: each small, named, and with a recommendation."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal

from msgspec import Struct

from kubewake.errors import RuleError
from kubewake.facts import parse_network
from kubewake.fields import is_known, level_of, suggest
from kubewake.intelligence import is_address_list
from kubewake.rules.catalog import catalog_table
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.condition import (
    FALSE,
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
    unnamed,
)
from kubewake.rules.document import Document, KeyPath, read_documents
from kubewake.rules.model import NEEDS, TACTICS, placeholders
from kubewake.rules.routing import required_atoms
from kubewake.rules.ruleset import nearest

TITLE_LIMIT = 80
"""Characters of a title: one line of a terminal table."""

STORY_WORDS = frozenset(
    {
        "actor",
        "actor.name",
        "actor.kind",
        "target.verb",
        "target.resource",
        "target.subresource",
        "target.namespace",
        "target.name",
        "target.api_group",
        "source.ip",
        "client.family",
        "userAgent",
        "cluster",
        "time",
        "outcome",
    }
)
"""Placeholders that every finding can fill without a field of that name."""

CORRELATION_WORDS = frozenset({"count", "value", "values", "timespan_seconds"})
"""Placeholders that correlations add."""

_IDENTITY_FIELDS = frozenset(
    {"user.username", "user.groups", "impersonatedUser.username", "impersonatedUser.groups", "actor.name"}
)
_UPGRADED = frozenset({"exec", "attach", "portforward"})
_COVERS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)

Severity = Literal["error", "warning"]


class Problem(Struct, frozen=True, order=True):
    """What a check found, where, and what to do. Loading refuses errors; warnings make a rule worse, not unusable."""

    file: str
    line: int
    check: str
    message: str
    severity: Severity = "warning"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message} [{self.check}]"


class Subject(Struct, frozen=True):
    """One document under inspection. `tree` is the condition of rules and filters, None for correlations."""

    document: Document
    section: str
    tree: Condition | None
    own: bool
    """It has a kubewake block: the checks of our own conventions apply."""

    @property
    def data(self) -> dict[str, Any]:
        return self.document.data

    @property
    def block(self) -> dict[str, Any]:
        block = self.data.get("kubewake")
        return block if isinstance(block, dict) else {}

    def items(self) -> Iterator[tuple[KeyPath, str]]:
        """Path and field name of every item of the detection."""
        body = self.data.get(self.section)
        if isinstance(body, dict):
            for name, definition in body.items():
                if name not in {"condition", "rules"}:
                    yield from _items((self.section, name), definition)


def _items(path: KeyPath, definition: Any) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(definition, Mapping):
        for key in definition:
            yield (*path, key), str(key).partition("|")[0]
    elif isinstance(definition, list):
        for index, part in enumerate(definition):
            yield from _items((*path, index), part)


Found = Iterator[tuple[KeyPath, str]]


class Check(Struct, frozen=True):
    """One thing that a rule should be. `run` yields where it is not, and why."""

    name: str
    recommendation: str
    run: Callable[[Subject], Found]
    severity: Severity = "warning"


def _unknown_field(subject: Subject) -> Found:
    named = [*subject.items(), *_named_elsewhere(subject)]
    for path, name in named:
        if name and not is_known(name):
            near = suggest(name)
            yield path, f"unknown field '{name}'" + (f" (did you mean '{near}'?)" if near else "")


def _named_elsewhere(subject: Subject) -> Iterator[tuple[KeyPath, str]]:
    for index, name in enumerate(_list(subject.block.get("group_by"))):
        yield ("kubewake", "group_by", index), str(name)
    body = subject.data.get("correlation")
    if not isinstance(body, Mapping):
        return
    given = body.get("aliases")
    aliases: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    for index, name in enumerate(_list(body.get("group-by"))):
        if name not in aliases:
            yield ("correlation", "group-by", index), str(name)
    for alias, meanings in aliases.items():
        for reference, name in (meanings if isinstance(meanings, Mapping) else {}).items():
            yield ("correlation", "aliases", alias, reference), str(name)
    condition = body.get("condition")
    if isinstance(condition, Mapping):
        for name in _list(condition.get("field")):
            yield ("correlation", "condition", "field"), str(name)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def lowest_level(tree: Condition, root: str = "") -> int:
    """The lowest audit level (index in NEEDS) at which the condition can hold."""
    match tree:
        case And(parts):
            return max(lowest_level(part, root) for part in parts)
        case Or(parts):
            return min(lowest_level(part, root) for part in parts)
        case Named(_, part):
            return lowest_level(part, root)
        case Each(inner, part):
            return max(NEEDS.index(level_of(inner)), lowest_level(part, inner + "."))
        case Match(_, "null") | Not():
            return 0
        case Match(name) | Expand(name) if name:
            return NEEDS.index(level_of(root + name))
        case Compare(name, other):
            return max(NEEDS.index(level_of(root + name)), NEEDS.index(level_of(root + other)))
        case _:
            return 0


def _level_above_needs(subject: Subject) -> Found:
    if subject.tree is None or "kubewake" not in subject.data:
        return
    needs = str(subject.block.get("needs", "Metadata"))
    lowest = NEEDS[lowest_level(subject.tree)]
    if needs in NEEDS and NEEDS.index(lowest) > NEEDS.index(needs):
        yield (("kubewake", "needs"), f"the condition can hold at audit level {lowest} at the lowest, not at {needs}")


def _missing(key: str, where: str = "") -> Callable[[Subject], Found]:
    def run(subject: Subject) -> Found:
        holder = subject.block if where else subject.data
        if subject.own and not holder.get(key):
            yield ((where, key) if where else ("title",)), f"'{where + '.' if where else ''}{key}' is missing"

    return run


def _missing_covers(subject: Subject) -> Found:
    """A rule beyond the catalog says so with `covers: []`."""
    if subject.own and "covers" not in subject.block:
        yield ("kubewake", "covers"), "'kubewake.covers' is missing"


def _covers(subject: Subject) -> Found:
    for index, name in enumerate(_list(subject.block.get("covers"))):
        if not _COVERS.fullmatch(str(name)):
            yield ("kubewake", "covers", index), f"'{name}' is no catalog id (small letters, digits and dashes)"


def _unknown_covers(subject: Subject) -> Found:
    known = [row["id"] for row in catalog_table("catalog")]
    for index, name in enumerate(_list(subject.block.get("covers"))):
        if _COVERS.fullmatch(str(name)) and name not in known:
            hint = nearest(str(name), known) or "; `kubewake rules coverage` lists them, [] names none"
            yield ("kubewake", "covers", index), f"the catalog has no entry '{name}'{hint}"


def _tactic(subject: Subject) -> Found:
    folder = PurePath(subject.document.file).parent.name
    if not subject.own or folder not in TACTICS:
        return
    tags = [str(tag).lower().replace("_", "-") for tag in _list(subject.data.get("tags"))]
    if f"attack.{folder}" not in tags:
        yield ("tags",), f"the rule stands in '{folder}' but has no tag 'attack.{folder}'"


def _unknown_tactic(subject: Subject) -> Found:
    for index, tag in enumerate(_list(subject.data.get("tags"))):
        namespace, _, name = str(tag).lower().replace("_", "-").partition(".")
        if namespace == "attack" and not re.fullmatch(r"[tgs]\d{4}(\.\d{3})?", name) and name not in TACTICS:
            yield ("tags", index), f"'{tag}' is no ATT&CK tactic or technique"


def _uncased_exclusion(subject: Subject) -> Found:
    if subject.tree is None:
        return
    excluded = set(_uncased(subject.tree, excluding=False, search=""))
    for path, name in subject.items():
        if (path[1], name) in excluded and "cased" not in str(path[-1]).split("|"):
            yield path, f"'{path[-1]}' excludes by identity without 'cased', so 'ALICE' passes as 'alice'"


def _uncased(tree: Condition, *, excluding: bool, search: str) -> Iterator[tuple[str, str]]:
    match tree:
        case Named(name, part):
            yield from _uncased(part, excluding=excluding, search=name)
        case Not(part):
            yield from _uncased(part, excluding=not excluding, search=search)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _uncased(part, excluding=excluding, search=search)
        case Match(name, operation, _, False) if excluding and name in _IDENTITY_FIELDS:
            if operation in {"eq", "startswith", "endswith", "contains", "glob"}:
                yield search, name
        case Expand(name, _, False) if excluding and name in _IDENTITY_FIELDS:
            yield search, name


def _exec_verbs(subject: Subject) -> Found:
    if subject.tree is None:
        return
    atoms = required_atoms(subject.tree)
    if not atoms.get("objectRef.subresource", frozenset()) & _UPGRADED:
        return
    verbs = atoms.get("verb")
    if verbs is not None and ({"create", "get"} & verbs) and not {"create", "get"} <= verbs:
        path = next((path for path, name in subject.items() if name == "verb"), (subject.section,))
        yield path, "exec, attach and portforward are 'create' over SPDY and 'get' over WebSocket: name both verbs"


def _unused_search(subject: Subject) -> Found:
    if subject.tree is None:
        return
    from kubewake.rules.sigma import used_searches

    used = used_searches(subject.document, subject.section)
    for name in subject.data[subject.section]:
        if name not in used and name not in {"condition", "rules"}:
            yield (subject.section, name), f"search '{name}' is not used by the condition"


def _title(subject: Subject) -> Found:
    title = str(subject.data.get("title") or "")
    if len(title) > TITLE_LIMIT:
        yield ("title",), f"the title has {len(title)} characters, more than {TITLE_LIMIT}"
    if title.endswith("."):
        yield ("title",), "a title has no full stop"


def _placeholders(subject: Subject) -> Found:
    known = STORY_WORDS | (CORRELATION_WORDS if "correlation" in subject.data else frozenset())
    texts: list[tuple[KeyPath, str]] = [(("kubewake", "story"), str(subject.block.get("story") or ""))]
    texts += [
        (("kubewake", "remediation", index), str(step))
        for index, step in enumerate(_list(subject.block.get("remediation")))
    ]
    for path, text in texts:
        for name in placeholders(text):
            if name not in known and not is_known(name):
                near = suggest(name)
                yield path, f"unknown placeholder '{{{name}}}'" + (f" (did you mean '{{{near}}}'?)" if near else "")


def _unreachable(subject: Subject) -> Found:
    if subject.tree is None:
        return
    empty = [name for name, values in required_atoms(subject.tree).items() if not values]
    if empty or unnamed(subject.tree) == FALSE:
        about = f": '{empty[0]}' cannot have all the values asked for" if empty else ""
        yield (subject.section, "condition"), f"the condition can never hold{about}"


def _name(subject: Subject) -> Found:
    stem = PurePath(subject.document.file).stem
    if subject.own and subject.data.get("name") != stem:
        yield ("name",), f"'name' must be the file's name, '{stem}'"


def _uuid(subject: Subject) -> Found:
    if subject.own and not _UUID.fullmatch(str(subject.data.get("id") or "")):
        yield ("id",), "'id' must be a UUID of its own (uuidgen makes one)"


def _keyword(subject: Subject) -> Found:
    if subject.tree is not None and _has_keyword(subject.tree):
        yield (subject.section,), "a search without a field reads the whole of every event, which is slow: name fields"


def _has_keyword(tree: Condition) -> bool:
    match tree:
        case Keyword():
            return True
        case Expand(name):
            return not name
        case And(parts) | Or(parts):
            return any(_has_keyword(part) for part in parts)
        case Not(part) | Named(_, part) | Each(_, part):
            return _has_keyword(part)
        case _:
            return False


def _stage(subject: Subject) -> Found:
    for path, name in subject.items():
        if subject.own and name == "stage":
            yield path, "requests are judged once, whatever their stages: do not test 'stage'"


def _filter_ownership(subject: Subject) -> Found:
    if subject.section == "filter":
        for key in ("owner", "reason", "expires"):
            if not subject.block.get(key):
                yield ("kubewake",), f"the filter has no '{key}': say it under 'kubewake'"


CHECKS: tuple[Check, ...] = (
    Check("unknown-field", "Name fields of audit events, or derived fields (docs/fields.md).", _unknown_field),
    Check("level-above-needs", "Let 'needs' name the audit level that the condition reads.", _level_above_needs),
    Check("missing-story", "Tell in one or two sentences what happened.", _missing("story", "kubewake")),
    Check("missing-remediation", "Say what to do first.", _missing("remediation", "kubewake")),
    Check("missing-covers", "Name the catalog ids that the rule covers, or [] if none.", _missing_covers),
    Check("missing-description", "Describe what the rule matches.", _missing("description")),
    Check("missing-falsepositives", "Say what harmless thing looks the same.", _missing("falsepositives")),
    Check("missing-references", "Cite the advisory or documentation.", _missing("references")),
    Check("covers-format", "Use ids of the catalog.", _covers),
    Check("unknown-covers", "Name entries that the catalog has.", _unknown_covers),
    Check("tactic-folder", "Tag the rule with the tactic of its folder.", _tactic),
    Check("unknown-tactic", "Use ATT&CK slugs and technique ids.", _unknown_tactic),
    Check("uncased-exclusion", "Kubernetes names are case-sensitive: add '|cased'.", _uncased_exclusion),
    Check("exec-verbs", "Accept both verbs on exec, attach and portforward.", _exec_verbs),
    Check("unused-search", "Use every search in the condition, or remove it.", _unused_search),
    Check("title", "Keep titles on one line.", _title),
    Check("unknown-placeholder", "Use fields, or the words every finding has.", _placeholders),
    Check("unreachable", "Mend the condition.", _unreachable),
    Check("name", "Name the rule as its file.", _name),
    Check("uuid", "Give each rule a UUID.", _uuid),
    Check("keyword-search", "Search in fields.", _keyword),
    Check("stage", "Leave stages to the engine.", _stage),
    Check("filter-ownership", "Say who made an exception, why, and until when.", _filter_ownership),
)
"""Every check, in the order in which findings of one line are shown."""


def lint_text(text: str, file: str) -> list[Problem]:
    """The problems of one rule file, sorted by line."""
    from kubewake.rules.parse import compile_text, foreign_source
    from kubewake.rules.sigma import detection_tree

    try:
        compiled = compile_text(text, file)
    except RuleError as error:
        return [_from_error(error, file)]
    problems: list[Problem] = [_from_error(reason, file, "log-source", "warning") for reason in compiled.skipped]
    for document in read_documents(text, file):
        if "values" in document.data:
            problems.extend(_wrong_addresses(document))
            continue
        if foreign_source(document):
            continue
        section = next((name for name in ("detection", "filter") if name in document.data), "correlation")
        tree = detection_tree(document, section) if section != "correlation" else None
        own = "kubewake" in document.data and section != "filter"
        subject = Subject(document, section, tree, own)
        for check in CHECKS:
            for path, message in check.run(subject):
                problems.append(Problem(file, document.line(*path), check.name, message, check.severity))
    return sorted(problems)


def _wrong_addresses(document: Document) -> Iterator[Problem]:
    """The entries of an address list that are no addresses: loading refuses the list."""
    name = document.data["name"]
    for index, value in enumerate(document.data["values"] if is_address_list(name) else ()):
        try:
            parse_network(str(value))
        except ValueError as error:
            message = f"list '{name}': {error}; address lists hold addresses and CIDRs"
            yield Problem(document.file, document.line("values", index), "address-list", message, "error")


def _from_error(error: Exception | str, file: str, check: str = "load", severity: Severity = "error") -> Problem:
    text = str(error)
    found = re.match(r"(.*?):(\d+): (.*)", text, re.DOTALL)
    if found is None:
        return Problem(file, 1, check, text, severity)
    return Problem(found[1], int(found[2]), check, found[3], severity)


def lint_together(files: Iterable[CompiledFile]) -> list[Problem]:
    """Problems between files: two rules with one UUID or one id."""
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for file in files:
        for info in (*(rule.info for rule in file.rules), *(rule.info for rule in file.correlations)):
            for kind, value in (("id", info.id), ("UUID", info.uuid)):
                if not value:
                    continue
                other = seen.setdefault(f"{kind} {value.lower()}", f"{info.file}:{info.line}")
                if other != f"{info.file}:{info.line}":
                    text = f"{kind} '{value}' is also that of {other}"
                    problems.append(Problem(info.file, info.line, "duplicate-id", text, "error"))
    return sorted(problems)
