"""Filters from verdicts: exceptions that cover the findings judged false, proved to spare every true one."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

from kubewake.detectors import detector_infos
from kubewake.errors import InputError
from kubewake.facts import Context, Facts
from kubewake.finding import Finding
from kubewake.intelligence import Intelligence
from kubewake.redact import redact_value
from kubewake.rules.pack import load_builtin, load_files
from kubewake.rules.parse import compile_text
from kubewake.rules.pattern import escape
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.replay import NOTHING_KNOWN, Log, findings, link, matches

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
    """ "" where the line names none."""
    real: bool
    where: str = ""
    """`file:line` that says so."""


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
    real: bool
    values: dict[str, tuple[str, ...]]


class _Told(Struct):
    """What a rule reports: `ids` in findings that nothing suppresses, `marked` in others, with the filter."""

    ids: set[str] = field(default_factory=set)
    unnamed: int = 0
    """Events that are reported without their ids."""
    marked: dict[str, str] = {}
    findings: list[Finding] = []

    def add(self, audit_ids: Sequence[str], suppressed_by: str | None, finding: Finding | None = None) -> None:
        """Take in a finding, or an event that is one."""
        named = set(audit_ids) - {""}
        if suppressed_by is not None:
            self.marked.update(dict.fromkeys(named, suppressed_by))
            return
        self.ids |= named
        self.unnamed += max(0, (1 if finding is None else finding.count) - len(named))
        if finding is not None:
            self.findings.append(finding)


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
        named = [audit_id for audit_id in (*item.audit_ids, item.audit_id) if audit_id] or [""]
        found.extend(Verdict(item.rule, audit_id, real, f"{path}:{number}") for audit_id in named)
    return found


def propose(
    verdicts: Sequence[Verdict],
    rule_paths: Sequence[Path],
    log: Log,
    *,
    owner: str,
    expires: str,
    known: Intelligence = NOTHING_KNOWN,
) -> Proposal:
    """Filters for the false findings, checked by running the engine over the log: no true finding may be lost."""
    files = [*load_builtin(), *load_files(rule_paths)]
    ids = sorted({verdict.rule for verdict in verdicts})
    judged: dict[str, dict[str, bool]] = {rule: {} for rule in ids}
    for verdict in verdicts:
        if verdict.audit_id:
            said = judged[verdict.rule]
            said[verdict.audit_id] = said.get(verdict.audit_id, False) or verdict.real
    rules, context = link(files, known, ids)
    before = _told(rules, context, ids, log)
    report: list[str] = []
    complete = True
    for verdict in verdicts:
        why = _unusable(verdict, before[verdict.rule])
        if why:
            report.append(why)
            complete = complete and verdict.audit_id in before[verdict.rule].marked and not verdict.real
    events = _collect(rules, context, judged, before, log)
    filters: list[dict[str, Any]] = []
    for rule in ids:
        true = [event for event in events[rule] if event.real]
        if not events[rule] and not before[rule].ids.isdisjoint(judged[rule]):
            report.append(f"{rule}: counts what other correlations find: no filter; judge the findings of those")
            complete = False
        for number, group in enumerate(_groups(event for event in events[rule] if not event.real), 1):
            selection = _selection(group, true)
            if selection is None:
                who = ", ".join(group[0].values.get("user.username", ("?",)))
                report.append(f"{rule}: {len(group)} false findings of {who} look like true ones: no filter")
                complete = False
                continue
            filters.append(_filter(rule, number, group, selection, owner=owner, expires=expires))
    while filters:
        text = yaml.safe_dump_all(filters, sort_keys=False, allow_unicode=True)
        after = _told(*link([*files, compile_text(text, "proposal.yml")], known, ids), ids, log)
        lost = {
            rule: sorted(
                id_ for id_, real in judged[rule].items() if real and id_ in before[rule].ids - after[rule].ids
            )
            for rule in ids
        }
        if not any(lost.values()):
            for rule in ids:
                report.append(_proof(rule, judged[rule], before[rule], after[rule]))
                still = sum(not real and id_ in after[rule].ids for id_, real in judged[rule].items())
                if still and any(rule in item["filter"]["rules"] for item in filters):
                    report.append(f"{rule}: {still} false events report in spite of the filter; write one by hand")
                complete = complete and not still
            return Proposal(text, tuple(report), complete)
        complete = False
        for rule, audit_ids in lost.items():
            report.extend(f"{rule}: no filter, the true finding of {id_} would be lost with it" for id_ in audit_ids)
        kept = [item for item in filters if not any(lost[name] for name in item["filter"]["rules"])]
        filters = kept if len(kept) < len(filters) else []
    return Proposal("", (*report, "no filter proposed"), complete)


def _unusable(verdict: Verdict, told: _Told) -> str:
    """Why the verdict cannot be used on this log; "" where it can."""
    kind = "true" if verdict.real else "false"
    if not verdict.audit_id:
        return f"{verdict.where}: the {kind} finding of {verdict.rule} has no audit_id and is left out"
    if verdict.audit_id in told.ids:
        return ""
    said = f"{verdict.rule}: the {kind} finding of {verdict.audit_id}"
    if verdict.audit_id in told.marked:
        return f"{said} is suppressed by your filter '{told.marked[verdict.audit_id]}' already"
    return f"{said} is not in the log, or the rule does not report it there"


def _told(rules: RuleSet, context: Context, ids: Sequence[str], log: Log) -> dict[str, _Told]:
    """What each rule reports on the log: events of rules on single events, what findings hold of all others."""
    told = {rule: _Told() for rule in ids}
    if not rules.rules.keys().isdisjoint(ids):
        for _, facts, matching in matches(rules, context, log):
            for rule in told.keys() & set(matching):
                told[rule].add([facts.event.audit_id or ""], rules.suppressor(rule, facts))
    if not rules.rules.keys() >= told.keys():
        for finding in findings(rules, context, log):
            if finding.rule in told.keys() - rules.rules.keys():
                told[finding.rule].add(finding.audit_ids, finding.suppressed_by, finding)
    return told


def _bases(rules: RuleSet) -> dict[str, set[str]]:
    """For each rule on single events, the ids that a verdict about it may carry: its own, and its correlations'."""
    named: dict[str, set[str]] = {key: {key} for key in rules.rules}
    for correlation in rules.correlations:
        for key in correlation.rules:
            named.setdefault(key, {key}).add(correlation.info.id)
    return named


def _collect(
    rules: RuleSet, context: Context, judged: Mapping[str, Mapping[str, bool]], told: Mapping[str, _Told], log: Log
) -> dict[str, list[_Event]]:
    """The judged events that are reported, with what an exception may be made of: of detectors, what findings show."""
    found: dict[str, list[_Event]] = {rule: [] for rule in judged}
    named = _bases(rules)
    for _, facts, matching in matches(rules, context, log):
        audit_id = facts.event.audit_id or ""
        for rule in sorted(set().union(*(named[key] for key in matching)) & found.keys()):
            if audit_id in judged[rule] and audit_id in told[rule].ids:
                found[rule].append(_Event(judged[rule][audit_id], _values(facts)))
    for rule in found.keys() & detector_infos().keys():
        for finding in told[rule].findings:
            shown = _shown(finding)
            said = (judged[rule].get(audit_id) for audit_id in finding.audit_ids)
            found[rule].extend(_Event(real, shown) for real in said if real is not None)
    return found


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


def _shown(finding: Finding) -> dict[str, tuple[str, ...]]:
    """What filters see of a detector's finding."""
    actor, target = finding.actor, finding.target
    shown: dict[str, tuple[str, ...]] = {
        "user.username": (actor.name,),
        "impersonatedUser.username": (actor.impersonating,),
        "objectRef.namespace": (target.namespace,),
        "objectRef.resource": (target.resource,),
        "objectRef.name": (target.name,),
        "userAgent": (actor.user_agent,),
        "sourceIPs": tuple(actor.source_ips),
    }
    return {name: values for name, values in shown.items() if any(values)}


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
    return all(
        set(_compared(values, cased=cased)) <= set(_compared(event.values.get(name, ()), cased=cased))
        for name, cased, values in chosen
    )


def _compared(values: Iterable[str], *, cased: bool) -> Iterable[str]:
    return values if cased else [value.lower() for value in values]


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


def _proof(rule: str, judged: Mapping[str, bool], before: _Told, after: _Told) -> str:
    """What the filters do to everything that the rule reports, judged or not."""
    false = {id_ for id_, real in judged.items() if not real} & before.ids
    true = {id_ for id_, real in judged.items() if real} & before.ids
    unjudged, left = (len(told.ids - judged.keys()) + told.unnamed for told in (before, after))
    return (
        f"{rule}: {len(false - after.ids)} of {len(false)} false events suppressed; "
        f"{len(true & after.ids)} of {len(true)} true ones still fire; "
        f"{max(0, unjudged - left)} of {unjudged} unjudged ones suppressed as well"
    )
