"""Chunks to observations, many chunks to one."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from kubewake.engine import Reader
from kubewake.event import Malformed
from kubewake.formats import Lines, line_blocks
from kubewake.head import HeadBatch
from kubewake.observation import Observation
from kubewake.pipeline.skipping import Skipping
from kubewake.sources.chunk import Chunk
from kubewake.sources.files import load

CHUNKS_PER_OBSERVATION = 16
"""64 MiB of log: the more events an observation covers, the fewer stubs stand for the ordinary ones."""

FIRST_CHUNKS = 2
"""In the first observation; each next one may cover twice as much, so that who waits for it can begin soon."""


def grouped(chunks: Iterable[Chunk]) -> Iterator[Iterator[Chunk]]:
    """Chunks that are read into one observation: neighbours of one file, so that ordinary events aggregate well, whose lines
    are all numbered or all not.

    Take each group's before the next group; one at a time, so that their memory is used again and again.
    """
    number, size, kind = 0, 0, ("", False)

    def group_of(chunk: Chunk) -> int:
        nonlocal number, size, kind
        if size >= min(FIRST_CHUNKS << number, CHUNKS_PER_OBSERVATION) or kind != (
            chunk.file,
            chunk.first_line is None,
        ):
            number, size, kind = number + 1, 0, (chunk.file, chunk.first_line is None)
        size += 1
        return number

    for _, group in groupby(chunks, group_of):
        yield group


def read_all(chunks: Iterable[Chunk], reader: Reader) -> Iterator[Observation]:
    """Observations in the order of the chunks."""
    return (read_chunks(reader, group) for group in grouped(chunks))


def read_chunks(reader: Reader, chunks: Iterable[Chunk]) -> Observation:
    """Decode and judge chunks of one file; see `Observation.lines`."""
    malformed: list[Malformed] = []
    file, line, is_numbered = "", 1, False

    def blocks() -> Iterator[HeadBatch | Lines]:
        nonlocal file, line, is_numbered
        for chunk in chunks:
            file = chunk.file
            data, broken = load(chunk)
            malformed.extend(broken)
            if chunk.first_line is not None:
                line, is_numbered = chunk.first_line, True
            line = yield from line_blocks(
                data,
                file=file,
                first_line=line,
                cluster=chunk.cluster,
                hint=chunk.format,
            )

    skipping = Skipping()
    observation = reader.read(skipping.heard(blocks()))
    skipping.tell(observation)
    observation.file = file
    observation.lines = 0 if is_numbered else line - 1
    observation.malformed = [*malformed, *observation.malformed]
    observation.malformed_total += len(malformed)
    return observation
