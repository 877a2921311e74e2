"""Runs an independent scorer, where there is one beside the recordings, on the same result: the two must agree."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.evaluation.measures import Quality
from bench.evaluation.story import Telling

SCORER = Path("check") / "evaluate.py"
ROUNDING = 0.0006
HEARINGS = 16
"""What holds as many events of one campaign as of another credits one of them. The scorer takes whichever its hash seed puts
first, so it is heard under so many before it counts as disagreeing: enough for any choice in three or four ties."""


def scorer_beside(recordings: Path) -> Path | None:
    """`check/evaluate.py` next to the folder of recordings; called as `SCORER RESULT.json LABELS.json`."""
    path = recordings.resolve().parent / SCORER
    return path if path.exists() else None


def document_of(told: Telling) -> dict[str, Any]:
    """As much of a result document as a scorer reads."""
    return {
        "input": {"events": told.events},
        "findings": [
            {
                "rule": alert.rule,
                "severity": alert.severity,
                "audience": alert.audience,
                "audit_ids": alert.audit_ids,
                "suppressed_by": "a filter" if alert.suppressed else None,
            }
            for alert in told.alerts
        ],
        "incidents": [
            {"score": story.score, "audit_ids": story.audit_ids, "root_cause": {"name": story.root_cause}}
            for story in told.stories
        ],
    }


def second_opinions(scorer: Path, told: Telling, labels: Path) -> Iterator[dict[str, Any]]:
    """What the independent scorer says, under one hash seed after the other."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(msgspec.json.encode(document_of(told)))
        file.flush()
        for seed in range(HEARINGS):
            run = subprocess.run(
                [sys.executable, str(scorer), file.name, str(labels)],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONHASHSEED": str(seed)},
            )
            yield json.loads(run.stdout)


def contested(ours: Quality, opinions: Iterable[dict[str, Any]]) -> list[str]:
    """On what no second opinion agrees with ours; where each differs in something, what the fewest differ in."""
    differing: list[list[str]] = []
    for theirs in opinions:
        differing.append(disagreements(ours, theirs))
        if not differing[-1]:
            break
    return min(differing, key=len)


def disagreements(ours: Quality, theirs: dict[str, Any]) -> list[str]:
    """Measures on which the two differ by more than rounding."""
    total = ours.campaigns
    pairs: dict[str, tuple[float | None, float | None]] = {
        "finding_recall_high": (ours.loud_recall / total, theirs["finding_recall_high"]),
        "finding_recall_any": (ours.any_recall / total, theirs["finding_recall_any"]),
        "false_high_findings": (sum(ours.loud_false.values()), theirs["false_high_findings"]),
        "incident_recall": (len(ours.found) / total, theirs["incident_recall"]),
        "false_incidents": (ours.false_stories, theirs["false_incidents"]),
        "purity": (ours.purity, theirs["purity"]),
        "fragmentation": (ours.fragmentation, theirs["fragmentation"]),
        "steps_listed": (ours.steps_listed, theirs["steps_listed"]),
        "root_cause_right": (ours.root_right / len(ours.found) if ours.found else None, theirs["root_cause_right"]),
    }
    for allowed, found in ours.recall_at_false.items():
        pairs[f"recall at {allowed} false"] = (len(found) / total, theirs["recall_at_false_incidents"][str(allowed)])
    return [
        f"{name}: {one} here, {other} there"
        for name, (one, other) in pairs.items()
        if (one is None) != (other is None) or (one is not None and other is not None and abs(one - other) > ROUNDING)
    ]
