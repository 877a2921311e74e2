"""`scan`: files to findings. `read` runs on all cores, one `fold` puts it together; memory does not grow with the log."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from kubewake.engine import Fold, Reader
from kubewake.event import Malformed
from kubewake.finding import Finding, Incident, Notice, ResultDocument
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.memory import keep_freed, rare_collections
from kubewake.pipeline.numbering import numbered
from kubewake.pipeline.parallel import read_parallel
from kubewake.pipeline.reading import read_all
from kubewake.pipeline.spill import FindingSpill
from kubewake.rbac import RbacState
from kubewake.redact import redact_value
from kubewake.sources.chunk import Chunk

Told = TypeVar("Told", bound=Finding | Incident | Notice)


@rare_collections()
def scan(
    chunks: Iterable[Chunk],
    knowledge: Knowledge,
    *,
    workers: int = 1,
    since: str = "",
    until: str = "",
    rbac: RbacState | None = None,
    on_change: Callable[[Sequence[Finding | Incident | Notice | Malformed]], None] | None = None,
    on_progress: Callable[[Observation], None] | None = None,
) -> ResultDocument:
    """Judge every event of the chunks and return the whole result.

    `on_change` gets findings as they open and grow and what could not be read, `on_progress` each observation when it is folded.
    """
    keep_freed()
    rules, context = knowledge.load()
    fold = Fold(rules, rbac=rbac, baselines=knowledge.baselines(), about_lists=context.notices)
    spill = FindingSpill()
    reader = Reader(rules, context, since=since, until=until)
    for observation in numbered(read_parallel(chunks, reader, workers) if workers > 1 else read_all(chunks, reader)):
        fold.absorb(observation)
        if on_change is None:
            fold.advance_in_silence()
        elif (changed := fold.advance()) or observation.malformed:
            on_change([*observation.malformed, *harmless(changed)])
        spill.extend(fold.closed())
        if on_progress is not None:
            on_progress(observation)
    if on_change is None:
        fold.advance_in_silence(flush=True)
    elif changed := fold.advance(flush=True):
        on_change(harmless(changed))
    spill.extend(fold.finish())
    spill.incident_of = {finding: incident.id for incident in fold.incidents() for finding in incident.findings}
    document = fold.document(spill)
    document.incidents = harmless(document.incidents)
    return document


def harmless(items: Iterable[Told]) -> list[Told]:
    """The items without credentials. Findings are made without; an incident is put together from raw names."""
    return [
        msgspec.convert(redact_value(msgspec.to_builtins(item)), type(item)) if isinstance(item, Incident) else item
        for item in items
    ]
