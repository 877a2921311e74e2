"""Runs an independent scorer, where there is one beside the recordings, on the same result: the two must agree."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench.evaluation.measures import Quality
from bench.evaluation.story import Telling

SCORER = Path("check") / "evaluate.py"
ROUNDING = 0.0006
TIES = frozenset({"finding_recall_high", "finding_recall_any", "incident_recall", "root_cause_right"})
"""What holds as many events of one campaign as of another credits one of them; which one is each scorer's choice."""


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


def second_opinion(scorer: Path, told: Telling, labels: Path) -> dict[str, Any]:
    """What the independent scorer says."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(msgspec.json.encode(document_of(told)))
        file.flush()
        run = subprocess.run(
            [sys.executable, str(scorer), file.name, str(labels)], capture_output=True, text=True, check=True
        )
    return json.loads(run.stdout)


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
        if (one is None) != (other is None)
        or (
            one is not None
            and other is not None
            and abs(one - other) > (1 / (len(ours.found) or 1) if name in TIES else 0) + ROUNDING
        )
    ]
