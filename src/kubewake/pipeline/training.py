"""Learns what is usual from logs of the past."""

from collections.abc import Callable, Sequence

from kubewake.baseline import Archive
from kubewake.engine import Fold, Reader
from kubewake.logs import logger
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.numbering import numbered
from kubewake.pipeline.reading import read_all
from kubewake.sources.files import FileSource


def fold_logs(
    paths: Sequence[str],
    knowledge: Knowledge,
    *,
    cluster: str = "",
    until: str = "",
    on_progress: Callable[[Observation], None] | None = None,
) -> Fold:
    """A fold that has seen all of the logs, or what in them is before a time; for what it learnt, not for its findings.

    `cluster` names events whose envelope names none.
    """
    rules, context = knowledge.load()
    reader, fold = Reader(rules, context, until=until), Fold(rules, baselines=knowledge.baselines())
    for observation in numbered(read_all(FileSource(paths, cluster=cluster).chunks(), reader)):
        fold.absorb(observation)
        fold.advance_in_silence()
        fold.closed()
        if on_progress is not None:
            on_progress(observation)
    fold.advance_in_silence(flush=True)
    for failure in fold.failures():
        logger("engine").error(
            "a part of the engine failed; everything else went on",
            part=failure.part,
            error=failure.error,
            place=failure.place,
            audit_id=failure.audit_id,
            times=failure.count,
        )
    return fold


def train(
    paths: Sequence[str],
    knowledge: Knowledge,
    *,
    cluster: str = "",
    on_progress: Callable[[Observation], None] | None = None,
) -> dict[str, Archive]:
    """Baselines by cluster. What belongs to an incident of these logs is not learnt; all else is, without probation."""
    return fold_logs(paths, knowledge, cluster=cluster, on_progress=on_progress).archives(settled=True)
