"""Line numbers. A plain file is cut without looking at all of it, and how many lines stand before a piece shows when they
have been read, in whatever process.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from kubewake.event import Malformed
from kubewake.observation import Observation


def numbered(observations: Iterable[Observation]) -> Iterator[Observation]:
    """The observations, which come in the order of each file, with the line numbers of their files."""
    seen: dict[str, int] = {}
    for observation in observations:
        before = seen.get(observation.file, 0)
        seen[observation.file] = before + observation.lines
        if observation.lines and before:
            for stub in observation.stubs:
                stub.line += before
            observation.malformed = [_moved(item, before) for item in observation.malformed]
            observation.faults = [_moved(item, before) for item in observation.faults]
        yield observation


def _moved(item: Malformed, lines: int) -> Malformed:
    return replace(item, line=item.line + lines) if item.line else item  # 0 is the whole file
