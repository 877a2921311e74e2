"""Each campaign alone, in a fork of the same benign state: no campaign can teach the detector about another.

One engine lives through the day without any attack. Where a campaign starts, its state is saved and restored into a
second engine, which goes on with the harmless events and that campaign's own; the first goes on without them.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from bench.evaluation.recording import Line, Recording
from bench.evaluation.replay import Engine, tell
from bench.evaluation.story import Telling
from kubewake.engine import Fold
from kubewake.finding import Finding
from kubewake.rules.ruleset import RuleSet

TAIL_SECONDS = 20.0
"""A fork goes on this long after the campaign's last labelled request."""


class Forked(Struct):
    """Tellings of the attack-free day, and of each campaign from its fork."""

    benign: Telling
    campaigns: dict[str, Telling]


def run_forks(
    engine: Engine,
    recording: Recording,
    *,
    history_seconds: float | None = None,
    prepare: Callable[[RuleSet], Fold] | None = None,
) -> Forked:
    """Replay the day once without attacks and each campaign from a fork.

    With `history_seconds`, each fork starts from an engine that has seen no more than that much of the day before.
    """
    labels = recording.labels
    attack = labels.attack_derived | set(labels.campaign_of)
    harmless = [line for line in recording.lines if line.audit_id not in attack]
    own: dict[str, list[Line]] = {episode.id: [] for episode in labels.campaigns}
    derived = {audit: episode.id for episode in labels.campaigns for audit in episode.derived_audit_ids}
    for line in recording.lines:
        campaign = labels.campaign_of.get(line.audit_id) or derived.get(line.audit_id)
        if campaign is not None:
            own[campaign].append(line)
    starts = sorted((min(line.time for line in lines), campaign) for campaign, lines in own.items() if lines)
    make = prepare or engine.prepare
    trunk = make(engine.rules)
    kept: list[Finding] = []
    told: dict[str, Telling] = {}
    position = 0
    for start, campaign in starts:
        cut = first_at(harmless, start)
        advance(engine, trunk, harmless[position:cut], kept)
        position = cut
        branch = make(engine.rules)
        if history_seconds is None:
            branch.restore(trunk.snapshot())
        elif history_seconds > 0:
            since = first_at(harmless, shifted(start, -history_seconds))
            advance(engine, branch, harmless[since:cut], [])
        requests = [line for line in own[campaign] if line.audit_id in labels.campaign_of]
        end = shifted(max(line.time for line in requests), TAIL_SECONDS)
        mixed = sorted([*harmless[cut : first_at(harmless, end)], *own[campaign]], key=lambda line: line.time)
        findings: list[Finding] = []
        advance(engine, branch, [line for line in mixed if line.time < end], findings)
        branch.advance(flush=True)
        findings.extend(branch.finish())
        told[campaign] = tell(branch, findings)
    advance(engine, trunk, harmless[position:], kept)
    trunk.advance(flush=True)
    kept.extend(trunk.finish())
    return Forked(tell(trunk, kept), told)


def advance(engine: Engine, fold: Fold, lines: Sequence[Line], findings: list[Finding]) -> None:
    """Take a fold through these events."""
    for observation in engine.read(lines):
        fold.absorb(observation)
        fold.advance()
        findings.extend(fold.closed())


def first_at(lines: Sequence[Line], time: str) -> int:
    """Index of the first event at or after a time."""
    return bisect_left(lines, time, key=lambda line: line.time)


def shifted(time: str, seconds: float) -> str:
    """A timestamp moved in time."""
    moved = datetime.fromisoformat(time) + timedelta(seconds=seconds)
    return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
