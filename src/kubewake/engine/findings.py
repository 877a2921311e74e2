"""From rule hits to findings: grouped per actor and place, one finding a window, growing under one id."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.event import key_text
from kubewake.facts.actor import UNKNOWN
from kubewake.finding import (
    MAX_EVIDENCE,
    SEVERITY_RANK,
    Actor,
    Finding,
    Incident,
    Location,
    Severity,
    Target,
    stable_id,
)
from kubewake.observation import Evidence, Hit, Stub, evidence_in
from kubewake.redact import redact, redact_value
from kubewake.rules import attempt
from kubewake.rules.model import RuleInfo, fill, fill_step
from kubewake.snapshot import decode_state

MAX_OPEN_FINDINGS = 50_000
"""Findings that can still grow at once; when there are more, a tenth of them, the longest idle, are closed early (they
lose nothing but growth). To look for one at a time would let a flood of made-up clients take all the time."""

MAX_ALIKE = 500
"""Findings of one rule about one identity that can be open at once; all else that it finds of the identity is one more.
Nobody reads the five hundred and first, and whoever makes up a program for every request must not fill all memory."""

REST = "and all others"
"""Stands for what tells findings apart in the one that is too much."""

MAX_LOCATIONS = 100

_ALIKE: Callable[[Stub], tuple[object, ...]] = attrgetter(
    "user", "impersonated", "source", "client", "credential", "namespace", "outcome"
)
"""What hits of a rule that says nothing else are grouped by."""


class _Saved(Struct, array_like=True):
    group: tuple[Any, ...]
    finding: Finding
    closes: str
    requests: list[int]
    user: str = ""


class _Group:
    """An open finding and what it needs to grow."""

    __slots__ = ("closes", "finding", "requests", "user")

    def __init__(self, finding: Finding, closes: str, user: str) -> None:
        self.finding = finding
        self.closes = closes
        self.user = user
        self.requests: set[int] = set()


def _grow(entry: _Group, evidence: Evidence | Stub, request: int, count: int) -> None:
    """Add one piece of evidence, whose request is not in yet, that stands for `count` events."""
    finding, requests = entry.finding, entry.requests
    finding.count = finding.audit_ids_total = finding.count + count
    time = evidence.time
    if time > finding.last_time:  # noqa: PLR1730  # writing costs more than looking
        finding.last_time = time
    if time < finding.time:  # noqa: PLR1730
        finding.time = time
    if len(requests) < MAX_EVIDENCE:
        requests.add(request)
        finding.audit_ids.append(evidence.audit_id)
        finding.event_keys.append(key_text(evidence.key))
    if count and len(finding.locations) < MAX_LOCATIONS:
        finding.locations.append(Location(evidence.file, evidence.line))


class FindingBook:
    """Open findings by group. Feed it stubs in event-time order."""

    def __init__(self, infos: dict[str, RuleInfo]) -> None:
        self._infos = infos
        self._open: dict[tuple[object, ...], _Group] = {}
        self._by_id: dict[str, Finding] = {}
        self._changed: dict[str, Finding] = {}
        self._closed: list[Finding] = []
        self._alike: Counter[tuple[str, str, str]] = Counter()
        """How many are open of each rule about each identity."""
        self.closed_early = 0
        """Findings that were closed while they could still grow, since the start."""

    def add(
        self,
        info: RuleInfo,
        hit: Hit,
        last: Stub,
        earlier: Sequence[Evidence] = (),
        group: tuple[object, ...] | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Count evidence for a rule: the group's open finding grows, or a new one opens.

        The finding takes actor, target and time from `last`; correlations and detectors name the `earlier` events of
        the same matter and their own `group`. A `severity` above the finding's raises it.
        """
        key = (info.id, last.cluster, hit.suppressed_by, *(group_of(info, hit, last) if group is None else group))
        entry = self._open.get(key)
        if entry is None or last.time >= entry.closes:
            entry = self._begin(key, info, hit, last, earlier, severity)
        finding, requests = entry.finding, entry.requests
        if severity is not None and SEVERITY_RANK[severity] > SEVERITY_RANK[finding.severity]:
            finding.severity = severity
        if last.outcome == "allowed" and finding.outcome != "allowed":
            finding.outcome = "allowed"
            finding.title = info.title
            finding.story = redact(fill(info.story, words_of(last, hit)))
        for evidence in earlier:
            if (request := evidence.key >> 2) not in requests:
                _grow(entry, evidence, request, 1)
        if len(requests) >= MAX_EVIDENCE or (last.key == last.last_key and not last.members):
            if (request := last.key >> 2) not in requests:
                _grow(entry, last, request, last.count)
                if last.last_time > finding.last_time:  # noqa: PLR1730  # as in `_grow`
                    finding.last_time = last.last_time
        else:
            first, *others = evidence_in(last)
            if (request := first.key >> 2) not in requests:
                _grow(entry, first, request, last.count)
                for evidence in others:
                    if (request := evidence.key >> 2) not in requests:
                        _grow(entry, evidence, request, 0)
        self._changed[finding.id] = finding
        return finding

    def _begin(
        self,
        key: tuple[object, ...],
        info: RuleInfo,
        hit: Hit,
        last: Stub,
        earlier: Sequence[Evidence],
        severity: Severity | None,
    ) -> _Group:
        """Open a finding where the group has none that can grow; that of all others, where too many are alike."""
        entry = self._growing(key, last.time)
        if entry is None and self._alike[info.id, last.cluster, last.user] >= MAX_ALIKE:
            key = (*key[:3], REST, last.user)
            entry = self._growing(key, last.time)
        if entry is not None:
            return entry
        if len(self._open) >= MAX_OPEN_FINDINGS:
            self._close_idle()
        outcome = "" if earlier else last.outcome
        finding = open_finding(info, hit, earlier[0] if earlier else last, last, key, outcome)
        if severity is not None:
            finding.severity = severity
        return self._enter(key, _Group(finding, later(last.time, info.window_seconds), last.user))

    def link(self, incident: Incident) -> None:
        """Note on open findings which incident they belong to."""
        for finding in map(self._by_id.get, incident.findings):
            if finding is not None:
                finding.incident = incident.id

    def changed(self) -> list[Finding]:
        """Findings that opened or grew since the last call, oldest first."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def close_before(self, time: str) -> list[Finding]:
        """Take out the findings that can grow no more at event time `time`."""
        for key in [key for key, entry in self._open.items() if entry.closes <= time]:
            self._close(key)
        closed, self._closed = self._closed, []
        return closed

    def _close_idle(self) -> None:
        by_growth = sorted(self._open, key=lambda key: self._open[key].finding.last_time)
        idle = by_growth[: MAX_OPEN_FINDINGS // 10]
        for key in idle:
            self._close(key)
        self.closed_early += len(idle)

    def open_findings(self) -> Iterator[Finding]:
        """Findings that may still grow."""
        return (entry.finding for entry in self._open.values())

    def _growing(self, key: tuple[object, ...], time: str) -> _Group | None:
        """The group's finding that is open at that time, if there is one."""
        entry = self._open.get(key)
        if entry is not None and time >= entry.closes:
            self._close(key)
            return None
        return entry

    def _enter(self, key: tuple[object, ...], entry: _Group) -> _Group:
        self._open[key] = entry
        self._by_id[entry.finding.id] = entry.finding
        self._alike[entry.finding.rule, entry.finding.cluster, entry.user] += 1
        return entry

    def _close(self, key: tuple[object, ...]) -> None:
        entry = self._open.pop(key)
        finding = entry.finding
        alike = (finding.rule, finding.cluster, entry.user)
        self._alike[alike] -= 1
        if not self._alike[alike]:
            del self._alike[alike]
        self._by_id.pop(finding.id, None)
        self._closed.append(finding)

    def snapshot(self) -> bytes:
        """Every open finding with what it needs to grow."""
        return msgspec.msgpack.encode(
            [
                _Saved(key, entry.finding, entry.closes, sorted(entry.requests), entry.user)
                for key, entry in self._open.items()
            ],
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._open.clear()
        self._by_id.clear()
        self._alike.clear()
        for saved in decode_state(data, list[_Saved], "saved findings"):
            entry = self._enter(saved.group, _Group(saved.finding, saved.closes, saved.user))
            entry.requests.update(saved.requests)


def group_of(info: RuleInfo, hit: Hit, stub: Stub) -> tuple[object, ...]:
    """What makes two hits of one rule the same finding: who, from where, with what, in which namespace, how it ended."""
    if info.group_by:
        values, group = hit.values, []
        for name in info.group_by:
            group.append(str(values.get(name, "")))
        return tuple(group)
    return _ALIKE(stub)


def open_finding(
    info: RuleInfo, hit: Hit, first: Evidence | Stub, last: Stub, key: tuple[object, ...], outcome: str
) -> Finding:
    """A new finding without evidence yet. Names and programs are the client's words: a credential may stand in them.

    Title and story say what was done, or only tried, as far as the `outcome` of one request tells ("" for several).
    """
    words = words_of(last, hit)
    severity: Severity = info.level
    explain: dict[str, Any] = {"group": [redact(str(part)) for part in key[3:]]}
    if hit.values:
        explain["values"] = redact_value(hit.values)
    if info.affected:
        explain["affected_versions"] = info.affected
    return Finding(
        id=stable_id("f", info.id, info.version, *key, first.key),
        rule=info.id,
        covers=list(info.covers),
        title=attempt.title_of(info, outcome),
        severity=severity,
        confidence=info.confidence,
        audience=info.audience,
        time=first.time,
        last_time=last.last_time,
        count=0,
        cluster=last.cluster,
        actor=Actor(
            kind=last.actor_kind,
            name=redact(last.user) or ("(not in the log)" if last.actor_kind == UNKNOWN else "(not authenticated)"),
            groups=list(last.groups),
            source_ips=list(last.source_ips),
            user_agent=redact(last.user_agent),
            impersonating=redact(last.impersonated),
        ),
        target=Target(
            verb=last.verb,
            resource=last.resource,
            subresource=last.subresource,
            namespace=last.namespace,
            name=redact(last.name),
            api_group=last.api_group,
        ),
        outcome=last.outcome or "failed",  # type: ignore[arg-type]  # Facts gives one of the three
        story=redact(fill(attempt.story_of(info, outcome), words)),
        remediation=[redact(step) for text in info.remediation if (step := fill_step(text, words))],
        attack=info.attack,
        suppressed_by=hit.suppressed_by,
        explain=explain,
    )


def words_of(stub: Stub, hit: Hit) -> dict[str, Any]:
    """What a story can name: always what the stub says, and the fields that its rule asked for."""
    name = stub.user or (
        "a caller whom the log does not name" if stub.actor_kind == UNKNOWN else "an unauthenticated caller"
    )
    words = {
        "actor": stub.impersonated or name,
        "actor.name": name,
        "actor.kind": stub.actor_kind,
        "target.verb": stub.verb,
        "target.resource": stub.resource,
        "target.subresource": stub.subresource,
        "target.namespace": stub.namespace,
        "target.name": stub.name,
        "target.api_group": stub.api_group,
        "source.ip": stub.source or "an unknown address",
        "client.family": stub.client,
        "userAgent": stub.user_agent,
        "cluster": stub.cluster,
        "time": stub.time,
        "outcome": stub.outcome,
        **stub.values,
        **hit.values,
    }
    if not words["actor.name"]:  # as the values have it of who did not log in
        words["actor.name"] = name
    return words


@lru_cache(maxsize=64)  # what one stub opens closes at the same time
def later(time: str, seconds: int) -> str:
    """`time` plus seconds, in the same normal form; an unreadable time never closes."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return "9999"
    moved = moment + timedelta(seconds=seconds)
    return f"{moved.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
