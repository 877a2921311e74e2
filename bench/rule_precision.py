"""Measures how often each rule's findings are right, for the weights of evidence in incidents.

    python bench/rule_precision.py OUT.json RESULT.json LABELS.json [RESULT.json LABELS.json ...] --blind RESULT.json LABELS.json ...

RESULT is what `kubewake scan -o json` printed, LABELS the ground truth of the same recording. Results after `--blind`
are of recordings with user agent and address blanked. Only recordings for development may be used: the weights must
not have seen what they are judged on. Findings on controllers' derived events count neither way.

A finding whose events are partly an attack's is right for that part: where neither address nor program is known, what
an intruder and the owner do with one login is one finding, and each request of it is evidence.
"""

import collections
import json
import sys
from pathlib import Path

PRIOR_RIGHT = 2.0
"""Findings that a rule is credited with before it is measured: its severity class is a promise of precision."""


def verdicts(result, labels):
    """-> (rule, right) for every judged finding: the share of its events that belong to one attack."""
    campaign_of = {a: c["id"] for c in labels["campaigns"] for a in c["audit_ids"]}
    derived = {a for c in labels["campaigns"] + labels["benign_lookalikes"] for a in c.get("derived_audit_ids", [])}
    derived -= set(campaign_of)
    for finding in result["findings"]:
        ids = set(finding["audit_ids"]) - derived
        if not ids or finding.get("suppressed_by"):
            continue
        most = collections.Counter(campaign_of[a] for a in ids if a in campaign_of).most_common(1)
        yield finding["rule"], most[0][1] / len(ids) if most else 0.0


def count(pairs):
    """-> rule: [right, wrong]."""
    counts = collections.defaultdict(lambda: [0.0, 0.0])
    for result, labels in pairs:
        with Path(result).open(encoding="utf-8") as file, Path(labels).open(encoding="utf-8") as truth:
            for rule, right in verdicts(json.load(file), json.load(truth)):
                counts[rule][0] += right
                counts[rule][1] += 1 - right
    return counts


def factor(right, wrong):
    """Share of right findings, with the prior."""
    return round((right + PRIOR_RIGHT) / (right + wrong + PRIOR_RIGHT), 3)


def main(arguments):
    out, *rest = arguments
    split = rest.index("--blind") if "--blind" in rest else len(rest)
    sighted, blind = rest[:split], rest[split + 1 :]
    tables = [count(zip(names[::2], names[1::2], strict=True)) for names in (sighted, blind)]
    rules = sorted(set(tables[0]) | set(tables[1]))
    table = {rule: [factor(*counts[rule]) if rule in counts else 1.0 for counts in tables] for rule in rules}
    with Path(out).open("w", encoding="utf-8") as file:
        file.write(
            "{\n"
            + ",\n".join(f' "{rule}": {json.dumps(pair)}' for rule, pair in table.items() if min(pair) < 1)
            + "\n}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
