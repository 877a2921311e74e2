"""Runs the engine over events, whole, with parts switched off, or in forks of one state."""

import resource
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from bench.evaluation.recording import Line, Recording
from bench.evaluation.story import Telling, alert_of, story_of
from kubewake.engine import Fold, Reader
from kubewake.facts import Context
from kubewake.finding import Finding
from kubewake.formats import head_batches
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.rules.ruleset import RuleSet

BATCH_LINES = 2_000


class Engine:
    """Rules loaded once; every `Fold` that it makes starts with nothing learnt."""

    def __init__(self, prepare: Callable[[RuleSet], Fold] = Fold) -> None:
        self.rules: RuleSet
        self.context: Context
        self.rules, self.context = Knowledge().load()
        self.prepare = prepare
        self._reader = Reader(self.rules, self.context)

    def read(self, lines: Sequence[Line]) -> list[Observation]:
        """The stateless half, in batches as `scan` cuts them."""
        return [
            self._reader.read(
                head_batches(
                    b"\n".join(line.data for line in lines[start : start + BATCH_LINES]) + b"\n",
                    file="recording",
                    first_line=start + 1,
                )
            )
            for start in range(0, len(lines), BATCH_LINES)
        ]

    def fold(self, observations: Iterable[Observation], prepare: Callable[[RuleSet], Fold] | None = None) -> Telling:
        """The stateful half over a whole stream."""
        fold = (prepare or self.prepare)(self.rules)
        findings: list[Finding] = []
        begun = time.process_time()
        for observation in observations:
            fold.absorb(observation)
            fold.advance()
            findings.extend(fold.closed())
        fold.advance(flush=True)
        spent = time.process_time() - begun
        state = len(fold.snapshot())
        findings.extend(fold.finish())
        told = tell(fold, findings)
        told.costs = {
            "fold_seconds": spent,
            "state_bytes": state,
            "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        return told

    def fold_encoded(self, encoded: bytes) -> Telling:
        """Fold a copy of observations in msgpack: folding changes what it is given."""
        return self.fold(msgspec.msgpack.decode(encoded, type=list[Observation]))

    def run(self, recording: Recording) -> Telling:
        """Everything in one day."""
        begun = time.process_time()
        observations = self.read(recording.lines)
        spent = time.process_time() - begun
        told = self.fold(observations)
        told.costs["read_seconds"] = spent
        return told


def tell(fold: Fold, findings: Iterable[Finding]) -> Telling:
    """What a fold has found."""
    return Telling(
        events=fold.input().events,
        stories=[story_of(incident) for incident in fold.incidents()],
        alerts=[alert_of(finding) for finding in findings],
    )
