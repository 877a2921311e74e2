"""Findings that can grow no more, kept on disk once there are many, so that a long log needs no long memory."""

import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator

import msgspec

from kubewake.finding import Finding

KEPT_IN_MEMORY = 20_000
"""About 60 MB of findings; all beyond go to a temporary file, with some 100 bytes of index each in memory."""


class FindingSpill(Collection[Finding]):
    """A collection of findings, iterated in order of time and id, that moves to disk when it grows."""

    def __init__(self, kept_in_memory: int = KEPT_IN_MEMORY) -> None:
        self._kept_in_memory = kept_in_memory
        self._memory: list[Finding] = []
        self._file = tempfile.TemporaryFile(prefix="kubewake-findings-")  # noqa: SIM115  # lives as long as this object
        weakref.finalize(self, self._file.close)
        self._index: list[tuple[str, str, int, int]] = []
        self.incident_of: dict[str, str] = {}
        """Ids of incidents by finding id, known only when the input has ended."""
        self._decode = msgspec.msgpack.Decoder(Finding).decode

    def _linked(self, finding: Finding) -> Finding:
        finding.incident = self.incident_of.get(finding.id)
        return finding

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep these findings; they must not change any more."""
        self._memory.extend(findings)
        if len(self._memory) <= self._kept_in_memory:
            return
        offset = self._file.seek(0, 2)
        for finding in self._memory:
            data = msgspec.msgpack.encode(finding)
            self._file.write(data)
            self._index.append((finding.time, finding.id, offset, len(data)))
            offset += len(data)
        self._memory.clear()

    def __iter__(self) -> Iterator[Finding]:
        """Every finding, by time and id."""
        self._memory.sort(key=lambda finding: (finding.time, finding.id))
        if not self._index:
            yield from map(self._linked, self._memory)
            return
        self._index.sort()
        waiting = iter(self._memory)
        head = next(waiting, None)
        for time, finding_id, offset, length in self._index:
            while head is not None and (head.time, head.id) < (time, finding_id):
                yield self._linked(head)
                head = next(waiting, None)
            self._file.seek(offset)
            yield self._linked(self._decode(self._file.read(length)))
        while head is not None:
            yield self._linked(head)
            head = next(waiting, None)

    def __len__(self) -> int:
        return len(self._memory) + len(self._index)

    def __contains__(self, item: object) -> bool:
        return any(finding == item for finding in self)
