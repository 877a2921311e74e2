"""A detector's failure on a stub: counted and named, so that the others can go on."""

from collections.abc import Iterable
from pathlib import PurePath
from types import TracebackType

from msgspec import Struct

from kubewake.observation import Stub


class Failure(Struct, kw_only=True):
    """How often a detector raised an exception of one type, and where it first did.

    Nothing of the exception's text is kept: it may hold what stood in the log.
    """

    detector: str
    """The detector's first rule id."""
    error: str
    """Type of the exception."""
    place: str
    """Module and line that raised it."""
    time: str
    """Event time of the first stub that it failed on."""
    cluster: str
    count: int = 1


Failures = dict[tuple[str, str], Failure]
"""By detector and type of exception."""


def note(failures: Failures, detector: str, stub: Stub, error: Exception) -> None:
    """Count that the detector failed on the stub."""
    name = type(error).__name__
    known = failures.get((detector, name))
    if known is not None:
        known.count += 1
        return
    failures[detector, name] = Failure(
        detector=detector, error=name, place=_place(error.__traceback__), time=stub.time, cluster=stub.cluster
    )


def together(parts: Iterable[Failures]) -> Failures:
    """The failures of several sets of detectors as one: counts added, the earliest named."""
    whole: Failures = {}
    for part in parts:
        for key, failure in part.items():
            known = whole.get(key)
            first = failure if known is None or (failure.time, failure.cluster) < (known.time, known.cluster) else known
            whole[key] = Failure(
                detector=first.detector,
                error=first.error,
                place=first.place,
                time=first.time,
                cluster=first.cluster,
                count=failure.count + (0 if known is None else known.count),
            )
    return whole


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
