"""Trains the re-ranker of incidents and says honestly whether it helps.

    python -m bench.reranker --recordings DIR [--out src/kubewake/baseline/reranker.json] [--bar 1.5]

DIR holds one folder a recording for development, each with audit.jsonl.zst (or .jsonl) and labels.json. Incidents are
made with a lower bar, so that there are false ones to learn from. Every attack family (campaign name) is scored by a
model that has not seen it in any recording; the same holds for every tenth of the false incidents. Reported: average
precision of the plain score, of the re-ranker and of gradient boosting, with bootstrap intervals of the differences.
"""

import argparse
import collections
import functools
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from scipy.optimize import minimize
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from kubewake.baseline.reranker import FEATURES, Weights, features_of, likelihood
from kubewake.engine import cluster as engine_cluster
from kubewake.incidents import Stories
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource

L2 = 1.0
FOLDS = 10
BOOTSTRAP = 2000


def judged(recording, bar):
    """-> (family or None, features) for every incident that can be judged."""
    labels = json.loads((recording / "labels.json").read_text(encoding="utf-8"))
    name_of = {campaign["id"]: campaign["name"] for campaign in labels["campaigns"]}
    campaign_of = {a: campaign["id"] for campaign in labels["campaigns"] for a in campaign["audit_ids"]}
    derived = {a for c in labels["campaigns"] + labels["benign_lookalikes"] for a in c.get("derived_audit_ids", [])}
    derived -= set(campaign_of)
    logs = [path for path in (recording / "audit.jsonl.zst", recording / "audit.jsonl") if path.exists()]
    engine_cluster.Stories = functools.partial(Stories, bar=bar)
    try:
        document = scan(FileSource([str(logs[0])]).chunks(), Knowledge(), workers=1)
    finally:
        engine_cluster.Stories = Stories
    for incident in document.incidents:
        rest = set(incident.audit_ids) - derived
        if not rest:
            continue
        most = collections.Counter(campaign_of[a] for a in rest if a in campaign_of).most_common(1)
        right = bool(most) and 2 * most[0][1] >= len(rest)
        yield (name_of[most[0][0]] if right else None), features_of(incident)


def fit(x, y):
    """Sign-constrained, L2-penalised logistic regression -> (mean, scale, weights, intercept)."""
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    z = (x - mean) / scale
    balance = np.where(y == 1, 0.5 / max(1, y.sum()), 0.5 / max(1, (1 - y).sum())) * len(y)

    def loss(theta):
        margin = z @ theta[:-1] + theta[-1]
        p = 1 / (1 + np.exp(-np.clip(margin, -60, 60)))
        value = np.sum(balance * (np.logaddexp(0, margin) - y * margin)) + 0.5 * L2 * np.sum(theta[:-1] ** 2)
        slope = balance * (p - y)
        return value, np.append(z.T @ slope + L2 * theta[:-1], slope.sum())

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return mean, scale, found.x[:-1], float(found.x[-1])


def held_out(x, y, groups):
    """Scores of each incident by models that have not seen its family."""
    linear, boosted = np.zeros(len(y)), np.zeros(len(y))
    for group in sorted(set(groups)):
        test = np.array([item == group for item in groups])
        train_x, train_y = x[~test], y[~test]
        mean, scale, weights, intercept = fit(train_x, train_y)
        linear[test] = (x[test] - mean) / scale @ weights + intercept
        model = HistGradientBoostingClassifier(max_iter=60, max_depth=3, min_samples_leaf=5, random_state=0)
        boosted[test] = model.fit(train_x, train_y).predict_proba(x[test])[:, 1]
    return linear, boosted


def difference(y, one, other, groups):
    """Average precision of `one` minus `other`, with the 95 % bootstrap interval over families."""
    rng = random.Random(0)
    rows = collections.defaultdict(list)
    for index, group in enumerate(groups):
        rows[group].append(index)
    names, found = sorted(rows), []
    for _ in range(BOOTSTRAP):
        chosen = [index for _ in names for index in rows[names[rng.randrange(len(names))]]]
        if 0 < y[chosen].sum() < len(chosen):
            found.append(
                average_precision_score(y[chosen], one[chosen]) - average_precision_score(y[chosen], other[chosen])
            )
    low, middle, high = np.percentile(found, [2.5, 50, 97.5])
    return round(float(low), 4), round(float(middle), 4), round(float(high), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/kubewake/baseline/reranker.json"))
    parser.add_argument("--bar", type=float, default=1.5)
    arguments = parser.parse_args()
    found = []
    folders = sorted(path.parent for path in arguments.recordings.glob("*/labels.json"))
    used = [folder for folder in folders if "dev" in folder.name]
    for folder in used:
        found += judged(folder, arguments.bar)
    x = np.array([features for _, features in found])
    y = np.array([family is not None for family, _ in found], dtype=int)
    groups = [family or f"false {index % FOLDS}" for index, (family, _) in enumerate(found)]
    plain = x[:, 0]
    linear, boosted = held_out(x, y, groups)
    gain = difference(y, linear, plain, groups)
    challenge = difference(y, boosted, linear, groups)
    mean, scale, weights, intercept = fit(x, y)
    precision = {
        name: round(float(average_precision_score(y, scores)), 4)
        for name, scores in (("score", plain), ("re-ranker", linear), ("gradient boosting", boosted))
    }
    false_precision = {
        name: round(float(average_precision_score(1 - y, -scores)), 4)
        for name, scores in (("score", plain), ("re-ranker", linear), ("gradient boosting", boosted))
    }
    area = {
        name: round(float(roc_auc_score(y, scores)), 4)
        for name, scores in (("score", plain), ("re-ranker", linear), ("gradient boosting", boosted))
    }
    adopted = gain[0] > 0
    trained = Weights(
        features=FEATURES,
        mean=tuple(np.round(mean, 6).tolist()),
        scale=tuple(np.round(scale, 6).tolist()),
        weight=tuple(np.round(weights, 6).tolist()),
        intercept=round(intercept, 6),
        manifest={
            "command": "python -m bench.reranker --recordings DIR",
            "trained": datetime.now(UTC).date().isoformat(),
            "incidents": len(y),
            "right": int(y.sum()),
            "bar": arguments.bar,
            "l2": L2,
            "average_precision_score": precision["score"],
            "average_precision_reranker": precision["re-ranker"],
            "average_precision_boosting": precision["gradient boosting"],
            "gain_low": gain[0],
            "gain_high": gain[2],
            "adopted": adopted,
        },
    )
    seen = [likelihood(trained, features) for features in x.tolist()]
    report = {
        "incidents": len(y), "right": int(y.sum()), "families": len({family for family, _ in found if family}),
        "held-out average precision": precision, "held-out average precision of the false": false_precision,
        "held-out ROC area": area, "re-ranker minus score": gain, "gradient boosting minus re-ranker": challenge,
        "average precision on what it was trained on": round(float(average_precision_score(y, seen)), 4),
        "adopted": adopted, "weights": dict(zip(FEATURES, np.round(weights, 3).tolist(), strict=True)),
    }  # fmt: skip
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    arguments.out.write_bytes(msgspec.json.format(msgspec.json.encode(trained), indent=1) + b"\n")


if __name__ == "__main__":
    main()
