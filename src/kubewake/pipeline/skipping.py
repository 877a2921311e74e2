"""What the formats passed over, by reason, beside the observations that count it."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from kubewake.event import Batch
from kubewake.formats import Lines
from kubewake.head import HeadBatch
from kubewake.observation import Observation

B = TypeVar("B", bound=Batch | HeadBatch | Lines)


class Skipping:
    """Listens to batches on their way to the reader; `tell` puts the reasons into what came of them."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {}

    def heard(self, batches: Iterable[B]) -> Iterator[B]:
        """The batches, unchanged."""
        for batch in batches:
            yield batch  # of some, what is skipped shows while they are read
            for reason, count in batch.skipped_reasons.items():
                self._reasons[reason] = self._reasons.get(reason, 0) + count

    def tell(self, observation: Observation) -> None:
        """Add the reasons heard so far to the observation."""
        observation.skipped_reasons = dict(sorted(self._reasons.items()))
