"""Filters from verdicts: exceptions that cover the findings judged false, proved to spare every true one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from kubewake.errors import InputError
from kubewake.facts import Facts
from kubewake.redact import redact_value
from kubewake.rules.pack import load_builtin, load_files
from kubewake.rules.parse import compile_text
from kubewake.rules.pattern import escape
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.replay import Log, context_of, link

FEATURES: tuple[tuple[str, bool], ...] = (
    ("user.username", True),
    ("impersonatedUser.username", True),
    ("objectRef.namespace", True),
    ("client.family", False),
    ("objectRef.resource", False),
    ("objectRef.name", True),
    ("userAgent", False),
    ("sourceIPs", False),
    ("exec.command", True),
    ("workload.images", True),
)
"""What an exception may be made of, the most telling first, and whether its case matters."""

ALWAYS = 3
"""Leading features that every exception keeps where the events agree on them: who, as whom, in which namespace."""


class Verdict(Struct, frozen=True):
    """What a person said of one event of a rule's findings."""

    rule: str
    audit_id: str
    real: bool


class _Line(Struct):
    rule: str
    verdict: str | bool
    audit_id: str = ""
    audit_ids: list[str] = []


class Proposal(Struct, frozen=True):
    """Filters as YAML, and the proof of what they do, in words. `complete`: every false finding could be told apart."""

    yaml: str
    report: tuple[str, ...]
    complete: bool


class _Event(Struct):
    audit_id: str
    real: bool | None
    values: dict[str, tuple[str, ...]]


def read_verdicts(path: Path) -> list[Verdict]:
    """Verdicts from JSON Lines: findings with "verdict", or {"rule", "audit_id", "verdict"}; InputError names a line."""
    found: list[Verdict] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    words = {
        "true": True,
        "true_positive": True,
        "malicious": True,
        "false": False,
        "false_positive": False,
        "benign": False,
    }
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise InputError(f'{path}:{number}: {error}; each line is {{"rule", "audit_id", "verdict"}}') from error
        real = words.get(str(item.verdict).lower())
        if real is None:
            raise InputError(f"{path}:{number}: verdict '{item.verdict}' is neither true nor false")
        found.extend(Verdict(item.rule, audit_id, real) for audit_id in [*item.audit_ids, item.audit_id] if audit_id)
    return found


def propose(verdicts: Sequence[Verdict], rule_paths: Sequence[Path], log: Log, *, owner: str, expires: str) -> Proposal:
    """Filters for the false findings, checked against the log: no true finding may be lost."""
    files = [*load_builtin(), *load_files(rule_paths)]
    ids = sorted({verdict.rule for verdict in verdicts})
    rules = link(files, ids)
    judged = {(verdict.rule, verdict.audit_id): verdict.real for verdict in verdicts}
    events = _collect(rules, ids, judged, log)
    filters: list[dict[str, Any]] = []
    report: list[str] = []
    complete = True
    for rule in ids:
        false = [event for event in events[rule] if event.real is False]
        true = [event for event in events[rule] if event.real]
        found_ids = {event.audit_id for event in false}
        missing = sum(1 for verdict in verdicts if verdict.rule == rule and not verdict.real) - len(found_ids)
        if missing > 0:
            report.append(f"{rule}: {missing} false findings are not in the log, or the rule does not match them")
            complete = False
        for number, group in enumerate(_groups(false), 1):
            selection = _selection(group, true)
            if selection is None:
                who = ", ".join(group[0].values.get("user.username", ("?",)))
                report.append(f"{rule}: {len(group)} false findings of {who} look like true ones: no filter")
                complete = False
                continue
            filters.append(_filter(rule, number, group, selection, owner=owner, expires=expires))
    text = yaml.safe_dump_all(filters, sort_keys=False, allow_unicode=True) if filters else ""
    report.extend(_proof(files, ids, text, judged, log))
    return Proposal(text, tuple(report), complete)


def _bases(rules: RuleSet) -> dict[str, set[str]]:
    """For each rule on single events, the ids that a verdict about it may carry: its own, and its correlations'."""
    named: dict[str, set[str]] = {key: {key} for key in rules.rules}
    for correlation in rules.correlations:
        for key in correlation.rules:
            named.setdefault(key, {key}).add(correlation.info.id)
    return named


def _collect(
    rules: RuleSet, ids: Iterable[str], judged: Mapping[tuple[str, str], bool], log: Log
) -> dict[str, list[_Event]]:
    found: dict[str, list[_Event]] = {rule: [] for rule in ids}
    named = _bases(rules)

    def take(facts: Facts, matching: Iterable[str]) -> None:
        audit_id = facts.event.audit_id or ""
        for rule in sorted(set().union(*(named[key] for key in matching)) & found.keys()):
            found[rule].append(_Event(audit_id, judged.get((rule, audit_id)), _values(facts)))

    _run(rules, log, take)
    return found


def _run(rules: RuleSet, log: Log, take: Callable[[Facts, tuple[str, ...]], None]) -> None:
    context = context_of(rules)
    for batch in log():
        for event in batch.events:
            facts = Facts(event, event.cluster or batch.cluster, context)
            matching = rules.matches(facts)
            if matching:
                take(facts, matching)


def _values(facts: Facts) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for name, _ in FEATURES:
        value = facts.value(name)
        if redact_value(value) != (list(value) if isinstance(value, tuple) else value):
            continue  # an exception must not spell out a credential
        if isinstance(value, str) and value:
            values[name] = (value,)
        elif isinstance(value, list | tuple) and value:
            values[name] = tuple(str(item) for item in value)
    return values


def _groups(events: Iterable[_Event]) -> list[list[_Event]]:
    """False findings by who acted, so that each exception is about one identity."""
    groups: dict[tuple[str, ...], list[_Event]] = {}
    for event in events:
        groups.setdefault(event.values.get("user.username", ()), []).append(event)
    return [groups[key] for key in sorted(groups)]


def _selection(group: Sequence[_Event], true: Sequence[_Event]) -> dict[str, Any] | None:
    """The widest exception that holds for the whole group and for no true event; None where there is none."""
    shared = [
        (name, cased, group[0].values[name])
        for name, cased in FEATURES
        if name in group[0].values and all(event.values.get(name) == group[0].values[name] for event in group)
    ]
    leading = {name for name, _ in FEATURES[:ALWAYS]}
    chosen = [feature for feature in shared if feature[0] in leading]
    for feature in [None, *(feature for feature in shared if feature[0] not in leading)]:
        if feature is not None:
            chosen.append(feature)
        if chosen and not any(_covers(chosen, event) for event in true):
            return dict(_item(name, values, cased=cased) for name, cased, values in chosen)
    return None


def _covers(chosen: Sequence[tuple[str, bool, tuple[str, ...]]], event: _Event) -> bool:
    return all(set(values) <= set(event.values.get(name, ())) for name, _, values in chosen)


def _item(name: str, values: tuple[str, ...], *, cased: bool) -> tuple[str, Any]:
    key = name + ("|cased" if cased else "") + ("|all" if len(values) > 1 else "")
    shown = [escape(value) for value in values]
    return key, shown[0] if len(shown) == 1 else shown


def _filter(
    rule: str, number: int, group: Sequence[_Event], selection: dict[str, Any], *, owner: str, expires: str
) -> dict[str, Any]:
    return {
        "title": f"Exception to {rule}: {next(iter(selection.values()))}",
        "name": f"except-{rule}-{number}",
        "logsource": {"product": "kubernetes", "service": "audit"},
        "filter": {"rules": [rule], "known": selection, "condition": "not known"},
        "kubewake": {
            "owner": owner or "(fill in who answers for this)",
            "reason": f"{len(group)} findings were judged false",
            "expires": expires,
        },
    }


def _proof(
    files: Sequence[Any], ids: Sequence[str], text: str, judged: Mapping[tuple[str, str], bool], log: Log
) -> list[str]:
    """What the filters do to every event that the rules match, judged or not."""
    if not text:
        return ["no filter proposed"]
    rules = link([*files, compile_text(text, "proposal.yml")], ids)
    named = _bases(rules)
    counts = {rule: {"false": [0, 0], "true": [0, 0], "unjudged": [0, 0]} for rule in ids}

    def take(facts: Facts, matching: tuple[str, ...]) -> None:
        audit_id = facts.event.audit_id or ""
        for key in matching:
            suppressed = rules.suppressor(key, facts) is not None
            for rule in named[key] & counts.keys():
                real = judged.get((rule, audit_id))
                kind = "unjudged" if real is None else "true" if real else "false"
                counts[rule][kind][0] += 1
                counts[rule][kind][1] += suppressed

    _run(rules, log, take)
    lines: list[str] = []
    for rule, kinds in counts.items():
        true_total, true_lost = kinds["true"]
        lines.append(
            f"{rule}: {kinds['false'][1]} of {kinds['false'][0]} false events suppressed; "
            f"{true_total - true_lost} of {true_total} true ones still fire; "
            f"{kinds['unjudged'][1]} of {kinds['unjudged'][0]} unjudged ones suppressed as well"
        )
        if true_lost:
            raise AssertionError(f"{rule}: the proposed filter would lose {true_lost} true events")
    return lines
