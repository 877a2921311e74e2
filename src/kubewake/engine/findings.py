"""From rule hits to findings: grouped per actor and place, one finding a window, growing under one id."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from kubewake.event import key_text
from kubewake.finding import MAX_EVIDENCE, Actor, Finding, Location, Severity, Target, stable_id
from kubewake.observation import Hit, Stub
from kubewake.rules.model import RuleInfo, fill

MAX_OPEN_FINDINGS = 50_000
"""Findings that can still grow at once; beyond it the longest idle are closed early (they lose nothing but growth)."""

MAX_LOCATIONS = 100


class _Group:
    """An open finding and what it needs to grow."""

    __slots__ = ("closes", "finding", "requests")

    def __init__(self, finding: Finding, closes: str) -> None:
        self.finding = finding
        self.closes = closes
        self.requests: set[int] = set()


class FindingBook:
    """Open findings by group. Feed it stubs in event-time order."""

    def __init__(self, infos: dict[str, RuleInfo]) -> None:
        self._infos = infos
        self._open: dict[tuple[object, ...], _Group] = {}
        self._changed: dict[str, Finding] = {}
        self._closed: list[Finding] = []
        self.closed_early = 0

    def observe(self, stub: Stub) -> list[Finding]:
        """The findings that this stub's hits opened or grew."""
        found: list[Finding] = []
        for hit in stub.hits:
            info = self._infos.get(hit.rule)
            if info is not None:
                found.append(self.add(info, hit, [stub]))
        return found

    def add(self, info: RuleInfo, hit: Hit, stubs: list[Stub], *, group: tuple[object, ...] | None = None) -> Finding:
        """Count evidence for a rule: the group's open finding grows, or a new one opens.

        `stubs` is never empty; correlations and detectors give several and their own `group`.
        """
        last = stubs[-1]
        key = (info.id, last.cluster, hit.suppressed_by, *(group if group is not None else group_of(info, hit, last)))
        entry = self._open.get(key)
        if entry is not None and last.time >= entry.closes:
            self._close(key)
            entry = None
        if entry is None:
            if len(self._open) >= MAX_OPEN_FINDINGS:
                self._close(min(self._open, key=lambda k: self._open[k].finding.last_time))
                self.closed_early += 1
            finding = open_finding(info, hit, stubs[0], last, key)
            entry = self._open[key] = _Group(finding, later(stubs[0].time, info.window_seconds))
        for stub in stubs:
            self._grow(entry, stub)
        self._changed[entry.finding.id] = entry.finding
        return entry.finding

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

    def open_findings(self) -> Iterator[Finding]:
        """Findings that may still grow."""
        return (entry.finding for entry in self._open.values())

    def _close(self, key: tuple[object, ...]) -> None:
        self._closed.append(self._open.pop(key).finding)

    @staticmethod
    def _grow(entry: _Group, stub: Stub) -> None:
        request = stub.key >> 2
        finding = entry.finding
        if request in entry.requests:
            return
        finding.count += stub.count
        finding.audit_ids_total += stub.count
        finding.last_time = max(finding.last_time, stub.last_time)
        if len(entry.requests) < MAX_EVIDENCE:
            entry.requests.add(request)
            finding.audit_ids.append(stub.audit_id)
            finding.event_keys.append(key_text(stub.key))
            if stub.count > 1 and stub.last_audit_id != stub.audit_id:
                finding.audit_ids.append(stub.last_audit_id)
                finding.event_keys.append(key_text(stub.last_key))
        if len(finding.locations) < MAX_LOCATIONS:
            finding.locations.append(Location(stub.file, stub.line))

    def state(self) -> list[tuple[tuple[object, ...], Finding, str, list[int]]]:
        """What `restore` needs: every open group."""
        return [(key, entry.finding, entry.closes, sorted(entry.requests)) for key, entry in self._open.items()]

    def restore(self, state: list[tuple[tuple[object, ...], Finding, str, list[int]]]) -> None:
        """Go on from `state()`."""
        self._open.clear()
        for key, finding, closes, requests in state:
            entry = self._open[tuple(key)] = _Group(finding, closes)
            entry.requests.update(requests)


def group_of(info: RuleInfo, hit: Hit, stub: Stub) -> tuple[object, ...]:
    """What makes two hits of one rule the same finding: who, from where, with what, in which namespace, how it ended."""
    if info.group_by:
        return tuple(str(hit.values.get(name, "")) for name in info.group_by)
    return (stub.user, stub.impersonated, stub.source, stub.client, stub.credential, stub.namespace, stub.outcome)


def open_finding(info: RuleInfo, hit: Hit, first: Stub, last: Stub, key: tuple[object, ...]) -> Finding:
    """A new finding without evidence yet."""
    words = {**words_of(last), **hit.values}
    severity: Severity = info.level
    explain: dict[str, Any] = {"group": [str(part) for part in key[3:]]}
    if hit.values:
        explain["values"] = hit.values
    if info.affected:
        explain["affected_versions"] = info.affected
    return Finding(
        id=stable_id("f", info.id, info.version, *key, first.key),
        rule=info.id,
        covers=list(info.covers),
        title=info.title,
        severity=severity,
        confidence=info.confidence,
        audience=info.audience,
        time=first.time,
        last_time=last.last_time,
        count=0,
        cluster=last.cluster,
        actor=Actor(
            kind=last.actor_kind,
            name=last.user or "(not authenticated)",
            groups=list(last.groups),
            source_ips=list(last.source_ips),
            user_agent=last.user_agent,
            impersonating=last.impersonated,
        ),
        target=Target(
            verb=last.verb,
            resource=last.resource,
            subresource=last.subresource,
            namespace=last.namespace,
            name=last.name,
            api_group=last.api_group,
        ),
        outcome=last.outcome or "failed",  # type: ignore[arg-type]  # Facts gives one of the three
        story=fill(info.story, words),
        remediation=[fill(step, words) for step in info.remediation],
        attack=info.attack,
        suppressed_by=hit.suppressed_by,
        explain=explain,
    )


def words_of(stub: Stub) -> dict[str, Any]:
    """What a story can always name, from the stub alone."""
    return {
        "actor": stub.impersonated or stub.user or "an unauthenticated caller",
        "actor.name": stub.user or "an unauthenticated caller",
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
    }


def later(time: str, seconds: int) -> str:
    """`time` plus seconds, in the same normal form; an unreadable time never closes."""
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007  # the normal form is UTC
    except ValueError:
        return "9999"
    return (moment + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


