"""A verdict taught to a baseline file: the log is judged again up to the incident's end, to see what was new in it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kubewake.baseline import Archive, Baseline, Lesson, Verdict
from kubewake.engine.learnt import unknown_cluster
from kubewake.errors import InputError
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.training import fold_logs
from kubewake.rules.correlation import microseconds


def teach(
    verdict: Verdict, paths: Sequence[str], knowledge: Knowledge, *, cluster: str = ""
) -> tuple[dict[str, Archive], list[Lesson]]:
    """The baselines of the file in `knowledge` after a verdict on what logs show, and what that did.

    `cluster` names events whose envelope names none. Raises InputError where file or logs do not know the cluster.
    """
    archives = knowledge.baselines()
    if verdict.cluster not in archives:
        raise InputError(f"{knowledge.baseline}: {unknown_cluster(verdict.cluster, archives)}")
    fold = fold_logs(paths, knowledge, cluster=cluster, until=_after(verdict.until))
    seen = fold.baseline(verdict.cluster)
    if seen is None:
        names = dict.fromkeys(fold.input().clusters)
        raise InputError(f"{', '.join(paths)}: {unknown_cluster(verdict.cluster, names)} until {verdict.until}")
    taught = Baseline()
    taught.start_from(archives[verdict.cluster])
    since, until = microseconds(verdict.since) / 1e6, microseconds(verdict.until) / 1e6
    for user in verdict.users:
        for novelty in seen.novelties(user, since=since, until=until):
            taught.present(novelty, seen.archive.identities[user])
    lessons = taught.hear(verdict)
    return {**archives, verdict.cluster: taught.archive}, lessons


def _after(time: str) -> str:
    """The next microsecond."""
    return (datetime.fromisoformat(time) + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
