"""Learns what is usual from logs of the past."""

from collections.abc import Callable, Sequence

from kubewake.baseline import Archive
from kubewake.engine import Fold, Reader
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import grouped, read_chunks
from kubewake.sources.files import FileSource


def train(
    paths: Sequence[str],
    knowledge: Knowledge,
    *,
    cluster: str = "",
    on_progress: Callable[[Observation], None] | None = None,
) -> dict[str, Archive]:
    """Baselines by cluster. What belongs to an incident of these logs is not learnt; all else is, without probation."""
    rules, context = knowledge.load()
    reader, fold = Reader(rules, context), Fold(rules, baselines=knowledge.baselines())
    for group in grouped(FileSource(paths, cluster=cluster).chunks()):
        observation = read_chunks(reader, group)
        fold.absorb(observation)
        fold.advance()
        fold.closed()
        if on_progress is not None:
            on_progress(observation)
    fold.advance(flush=True)
    return fold.archives(settled=True)
