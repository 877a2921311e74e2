"""From the text of a rule file to its compiled form. Imports pySigma, so it is imported only when needed."""

import datetime as dt
import difflib
import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import PurePath
from typing import Any, cast

import msgspec
from msgspec import Struct
from sigma import exceptions as sigma_errors
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.rule import SigmaRule

from kubewake.finding import Attack, Audience, Confidence, Severity
from kubewake.rules.compiled import (
    Alternative,
    CompiledFile,
    CorrelationRule,
    CorrelationType,
    EventRule,
    Filter,
    Operator,
    Threshold,
)
from kubewake.rules.document import Document, read_documents
from kubewake.rules.model import TACTICS, Needs, RuleInfo
from kubewake.rules.sigma import detection_tree

MAX_ALTERNATIVES = 200
"""Ways to satisfy one correlation; more is a mistake in the condition."""

_TECHNIQUE = re.compile(r"t\d{4}(\.\d{3})?")
_THREAT_MATRIX = re.compile(r"ms-ta\d{4}", re.IGNORECASE)
_ERROR_KEYS = {
    sigma_errors.SigmaLevelError: "level",
    sigma_errors.SigmaStatusError: "status",
    sigma_errors.SigmaIdentifierError: "id",
    sigma_errors.SigmaTitleError: "title",
    sigma_errors.SigmaDateError: "date",
    sigma_errors.SigmaModifiedError: "modified",
    sigma_errors.SigmaTagError: "tags",
    sigma_errors.SigmaLogsourceError: "logsource",
    sigma_errors.SigmaReferencesError: "references",
    sigma_errors.SigmaFalsePositivesError: "falsepositives",
    sigma_errors.SigmaNameError: "name",
}


class RuleBlock(Struct, forbid_unknown_fields=True, frozen=True):
    """The `kubewake:` block of a rule."""

    covers: list[str] = []
    cves: list[str] = []
    confidence: Confidence = "medium"
    audience: Audience = "everyone"
    needs: Needs = "Metadata"
    story: str = ""
    remediation: list[str] = []
    group_by: list[str] = []
    window_seconds: int = 3600
    always: bool = False
    affected: str = ""
    version: int = 1


class FilterBlock(Struct, forbid_unknown_fields=True, frozen=True):
    """The `kubewake:` block of a filter."""

    owner: str = ""
    reason: str = ""
    expires: str = ""


def compile_text(text: str, file: str) -> CompiledFile:
    """Everything that a rule file defines; RuleError with file:line for the first thing that is wrong."""
    documents = read_documents(text, file)
    stem = PurePath(file).stem
    correlations = [document for document in documents if "correlation" in document.data]
    detections = [document for document in documents if "detection" in document.data]
    filters = [document for document in documents if "filter" in document.data]
    lists: dict[str, tuple[str, ...]] = {}
    for document in documents:
        if "values" in document.data:
            name, values = _list(document)
            lists[name] = lists.get(name, ()) + values
        elif not {"correlation", "detection", "filter"} & document.data.keys():
            if "action" in document.data:
                raise document.error("'action' documents are not part of Sigma 2: write each rule whole", "action")
            raise document.error(
                "neither a rule ('detection'), a correlation ('correlation'), a filter ('filter') nor a list ('values')"
            )
    skipped = [reason for document in detections if (reason := foreign_source(document))]
    detections = [document for document in detections if not foreign_source(document)]
    ids = _ids(stem, detections, correlations)
    compiled_correlations = tuple(_correlation(document, ids[id(document)]) for document in correlations)
    return CompiledFile(
        file=file,
        rules=tuple(_rule(document, ids[id(document)], alone=not correlations, stem=stem) for document in detections),
        correlations=compiled_correlations,
        filters=tuple(
            _filter(document, stem if len(filters) == 1 else f"{stem}-{number}")
            for number, document in enumerate(filters, 1)
        ),
        lists=lists,
        skipped=tuple(skipped),
    )


def _list(document: Document) -> tuple[str, tuple[str, ...]]:
    name, values = document.data.get("name"), document.data["values"]
    if not isinstance(name, str) or not name:
        raise document.error("a list needs a 'name'")
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise document.error(f"list '{name}' needs 'values', a list of texts", "values")
    return name, tuple(str(value) for value in values)


def foreign_source(document: Document) -> str:
    """Why the rule is not about Kubernetes audit events, or ""."""
    source = document.data.get("logsource")
    if not isinstance(source, dict):
        return ""
    product = str(source.get("product") or "kubernetes").lower()
    service = str(source.get("service") or "audit").lower()
    if product != "kubernetes" or service not in {"audit", "kube-audit", "apiserver"}:
        where = f"{document.file}:{document.line('logsource')}"
        return f"{where}: skipped, its log source is {product}/{service} and not kubernetes/audit"
    return ""


def _ids(stem: str, detections: list[Document], correlations: list[Document]) -> dict[int, str]:
    """Rule ids by document: the file's name for its one rule, Sigma names or numbers for others in the file."""
    marked = [document for document in (*correlations, *detections) if "kubewake" in document.data]
    main = marked[0] if len(marked) == 1 else None
    if main is None and not marked:
        candidates = correlations or detections
        main = candidates[0] if len(candidates) == 1 else None
    ids: dict[int, str] = {}
    for number, document in enumerate((*correlations, *detections), 1):
        name = document.data.get("name")
        ids[id(document)] = stem if document is main else str(name or f"{stem}-{number}")
    return ids


def _block(document: Document, kind: type[Any]) -> Any:
    data = document.data.get("kubewake", {})
    try:
        return msgspec.convert(_plain_dates(data), kind)
    except msgspec.ValidationError as error:
        text = str(error)
        unknown = re.search(r"unknown field `([^`]+)`", text)
        if unknown:
            known = list(kind.__struct_fields__)
            close = difflib.get_close_matches(unknown[1], known, n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else f" (there are: {', '.join(known)})"
            raise document.error(f"unknown key '{unknown[1]}' in 'kubewake'{hint}", "kubewake", unknown[1]) from error
        path = re.search(r"`\$\.([A-Za-z_]+)", text)
        key = path[1] if path else ""
        raise document.error(f"kubewake.{key}: {text.partition(' - at')[0]}", "kubewake", key) from error


def _plain_dates(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain_dates(value) for key, value in data.items()}
    return data.isoformat() if isinstance(data, dt.date) else data


def _info(document: Document, rule_id: str, kind: str) -> RuleInfo:
    data = document.data
    block: RuleBlock = _block(document, RuleBlock)
    tags = tuple(str(tag).strip().lower() for tag in _listed(document, "tags"))
    attack, cves = _attack(tags)
    title = data.get("title")
    if not isinstance(title, str) or not title.strip():
        raise document.error("a rule needs a 'title'", "title")
    level = str(data.get("level") or "medium").lower()
    if level not in {"informational", "low", "medium", "high", "critical"}:
        raise document.error(f"level '{level}' does not exist", "level")
    folder = PurePath(document.file).parent.name
    tactic = folder if folder in TACTICS else attack.tactics[0] if attack.tactics else ""
    return RuleInfo(
        id=rule_id,
        title=title.strip(),
        level=cast("Severity", level),
        description=str(data.get("description") or "").strip(),
        attack=attack,
        falsepositives=_listed(document, "falsepositives"),
        references=_listed(document, "references"),
        covers=tuple(block.covers),
        cves=tuple(dict.fromkeys([*cves, *(cve.upper() for cve in block.cves)])),
        confidence=block.confidence,
        audience=block.audience,
        needs=block.needs,
        story=block.story or f'{{actor}} sent a request that matches the rule "{title.strip()}", from {{source.ip}}.',
        remediation=tuple(block.remediation),
        group_by=tuple(block.group_by),
        window_seconds=block.window_seconds,
        always=block.always,
        affected=block.affected,
        version=block.version,
        kind=cast("Any", kind),
        tactic=tactic,
        uuid=str(data.get("id") or ""),
        author=str(data.get("author") or ""),
        date=str(data.get("date") or ""),
        modified=str(data.get("modified") or ""),
        status=str(data.get("status") or ""),
        tags=tags,
        file=document.file,
        line=document.line("title"),
    )


def _listed(document: Document, key: str) -> tuple[str, ...]:
    value = document.data.get(key)
    if value is None:
        return ()
    return tuple(str(item).strip() for item in (value if isinstance(value, list) else [value]))


def _attack(tags: Iterable[str]) -> tuple[Attack, list[str]]:
    tactics: list[str] = []
    techniques: list[str] = []
    matrix: list[str] = []
    cves: list[str] = []
    for tag in tags:
        namespace, _, name = tag.partition(".")
        found = _THREAT_MATRIX.search(tag)
        if found:
            matrix.append(found[0].upper())
        elif namespace == "cve":
            cves.append("CVE-" + name.replace(".", "-").removeprefix("cve-").upper())
        elif namespace == "attack" and _TECHNIQUE.fullmatch(name):
            techniques.append(name.upper())
        elif namespace == "attack" and not re.fullmatch(r"[gs]\d{4}", name):
            tactics.append(name.replace("_", "-"))
    return Attack(tactics, techniques, matrix), cves


def _check_metadata(document: Document, errors: Iterable[Exception]) -> None:
    for error in errors:
        if isinstance(error, sigma_errors.SigmaDetectionError | sigma_errors.SigmaConditionError):
            continue
        key = next((name for kind, name in _ERROR_KEYS.items() if isinstance(error, kind)), "")
        text = str(error.args[0]) if error.args else str(error)
        raise document.error(text.splitlines()[0], *([key] if key else []))


def _standard(data: dict[str, Any]) -> dict[str, Any]:
    """The document without what is ours: Threat Matrix tags have no Sigma namespace."""
    tags = data.get("tags")
    if not isinstance(tags, list):
        return data
    return {**data, "tags": [tag for tag in tags if not _THREAT_MATRIX.fullmatch(str(tag))]}


def _rule(document: Document, rule_id: str, *, alone: bool, stem: str) -> EventRule:
    tree = detection_tree(document)
    stand_in = {"selection": {"field": "value"}, "condition": "selection"}
    parsed = SigmaRule.from_dict({**_standard(document.data), "detection": stand_in}, collect_errors=True)
    _check_metadata(document, parsed.errors)
    info = _info(document, rule_id, "event")
    own = alone or "kubewake" in document.data or rule_id == stem
    return EventRule(info, tree, alerts=own, names=_called(document, info), own=own)


def _called(document: Document, info: RuleInfo) -> tuple[str, ...]:
    names = [document.data.get("name"), document.data.get("id")]
    return tuple(str(name) for name in names if name and str(name) != info.id)


def _correlation(document: Document, rule_id: str) -> CorrelationRule:
    body = document.data["correlation"]
    if not isinstance(body, dict):
        raise document.error("'correlation' must be a mapping", "correlation")
    safe: dict[str, str] = {}
    data = _with_safe_names(_standard(document.data), body, safe)
    try:
        parsed = SigmaCorrelationRule.from_dict(data, collect_errors=True)
    except sigma_errors.SigmaError as error:
        raise document.error(str(error.args[0]), "correlation") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise document.error(f"the correlation is not well-formed: {error}", "correlation") from error
    if parsed.errors:
        first = parsed.errors[0]
        key = next((name for kind, name in _ERROR_KEYS.items() if isinstance(first, kind)), "correlation")
        raise document.error(str(first.args[0]), key)
    info = _info(document, rule_id, "correlation")
    references = parsed.rules if parsed.rules is not None else []
    names = [safe.get(reference.reference, reference.reference) for reference in references]
    kind = cast("CorrelationType", parsed.type.name.lower())
    threshold: Threshold | None = None
    alternatives: tuple[Alternative, ...] = ()
    fields: tuple[str, ...] = ()
    percentile = 95
    condition = parsed.condition
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        ways = [
            Alternative(tuple(safe.get(name, name) for name in present), tuple(safe.get(name, name) for name in absent))
            for present, absent in _ways(condition.parsed, negated=False)
        ]
        if any(not way.present for way in ways):
            raise document.error("a temporal condition needs a rule that occurs, not only absent ones", "correlation")
        alternatives = tuple(ways)
        names = names or list(dict.fromkeys(name for way in ways for name in (*way.present, *way.absent)))
    elif kind in {"temporal", "temporal_ordered"}:
        threshold, alternatives = _temporal(document, kind, names, condition)
    else:
        threshold = Threshold(cast("Operator", condition.op.name.lower()), float(condition.count))
        wanted = condition.fieldref
        fields = tuple(wanted) if isinstance(wanted, list) else (wanted,) if wanted else ()
        percentile = condition.percentile if condition.percentile is not None else 95
    if not names:
        raise document.error("a correlation needs 'rules'", "correlation", "rules")
    return CorrelationRule(
        info=info,
        type=kind,
        rules=tuple(names),
        timespan_seconds=parsed.timespan.seconds,
        group_by=tuple(parsed.group_by or ()),
        aliases={
            alias.alias: {reference.reference: name for reference, name in alias.mapping.items()}
            for alias in parsed.aliases
        },
        threshold=threshold,
        fields=fields,
        percentile=percentile,
        alternatives=alternatives,
        generate=parsed.generate,
        names=_called(document, info),
    )


def _with_safe_names(data: dict[str, Any], body: dict[str, Any], safe: dict[str, str]) -> dict[str, Any]:
    """Give pySigma names without dashes, which its extended conditions cannot read, and remember which."""
    text = body.get("condition")
    if not isinstance(text, str):
        return data

    def plain(name: str) -> str:
        short = re.sub(r"\W", "_", name)
        short = f"_{short}" if short[:1].isdigit() else short
        safe[short] = name
        return short

    words = {"and", "or", "not"}
    rewritten = re.sub(r"[\w-]+", lambda found: found[0] if found[0] in words else plain(found[0]), text)
    body = {**body, "condition": rewritten}
    rules = body.get("rules")
    if isinstance(rules, list):
        body["rules"] = [plain(str(name)) for name in rules]
    elif isinstance(rules, str):
        body["rules"] = [plain(rules)]
    return {**data, "correlation": body}


def _temporal(
    document: Document, kind: str, names: list[str], condition: SigmaCorrelationCondition
) -> tuple[Threshold | None, tuple[Alternative, ...]]:
    operator, count = condition.op.name.lower(), condition.count
    if operator == "gt":
        operator, count = "gte", count + 1
    if operator == "gte" and count >= len(names):
        if count > len(names):
            raise document.error(f"the condition asks for {count} of {len(names)} rules", "correlation", "condition")
        return None, (Alternative(tuple(names)),)
    if kind == "temporal":
        return Threshold(cast("Operator", operator), float(count)), ()
    if operator != "gte":
        raise document.error("temporal_ordered needs 'gte'", "correlation", "condition")
    ways = tuple(Alternative(chosen) for chosen in combinations(names, int(count)))
    if not 0 < len(ways) <= MAX_ALTERNATIVES:
        raise document.error("too many ways to satisfy the condition", "correlation", "condition")
    return None, ways


def _ways(node: Any, *, negated: bool) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The condition as alternatives of rules that must and rules that must not occur."""
    if isinstance(node, SigmaRuleReference):
        return [((), (node.reference,))] if negated else [((node.reference,), ())]
    if isinstance(node, CorrelationConditionNOT):
        return _ways(node.args[0], negated=not negated)
    parts = [_ways(part, negated=negated) for part in node.args]
    if isinstance(node, CorrelationConditionOR) != negated:
        return [way for part in parts for way in part]
    assert isinstance(node, CorrelationConditionAND | CorrelationConditionOR)
    ways: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
    for part in parts:
        ways = [
            (tuple(dict.fromkeys(left[0] + right[0])), tuple(dict.fromkeys(left[1] + right[1])))
            for left in ways
            for right in part
        ]
        if len(ways) > MAX_ALTERNATIVES:
            raise sigma_errors.SigmaCorrelationConditionError("too many ways to satisfy the condition")
    return ways


def _filter(document: Document, fallback: str) -> Filter:
    block: FilterBlock = _block(document, FilterBlock)
    body = document.data["filter"]
    tree = detection_tree(document, "filter")
    rules = body.get("rules")
    if rules is None:
        raise document.error("a filter needs 'rules': a list of rule ids, or any", "filter")
    expires = block.expires
    if expires:
        try:
            expires = dt.date.fromisoformat(expires).isoformat()
        except ValueError:
            raise document.error(f"'{block.expires}' is no date: write 2026-12-31", "kubewake", "expires") from None
    references = rules if isinstance(rules, list) else [rules]
    if not references:
        raise document.error("the filter names no rule: list rule ids under 'rules', or write any", "filter", "rules")
    everything = [str(name).lower() for name in references] == ["any"]
    return Filter(
        id=str(document.data.get("name") or fallback),
        title=str(document.data.get("title") or ""),
        tree=tree,
        rules=None if everything else tuple(str(name) for name in references),
        owner=block.owner,
        reason=block.reason,
        expires=expires,
        file=document.file,
        line=document.line("filter"),
    )
