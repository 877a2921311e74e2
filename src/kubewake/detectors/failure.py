"""Failures of parts of the engine (detectors, correlations, baseline, …): counted and named, so that the others go on."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from kubewake.errors import KubewakeError
from kubewake.observation import Stub


class Failure(Struct, kw_only=True):
    """How often a part raised an exception of one type, and where it first did.

    Nothing of a foreign exception's text is kept: it may hold what stood in the log.
    """

    part: str
    """A detector's first rule id, or the name of another part."""
    error: str
    """Type of the exception."""
    place: str
    """Module and line that raised it."""
    words: str = ""
    """Text of the exception where it is one of kubewake's own."""
    time: str = ""
    """Event time of the first stub that it failed on; "" where it failed while its state was saved or read."""
    cluster: str = ""
    audit_id: str = ""
    count: int = 1


Failures = dict[tuple[str, str], Failure]
"""By part and type of exception."""


class Part(Protocol):
    """What has a state that can be saved."""

    def snapshot(self) -> bytes:
        """All state, as bytes for `restore`."""
        ...

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        ...


def note(failures: Failures, part: str, error: Exception, stub: Stub | None = None) -> Failure:
    """Count that a part failed: on the stub, or without one on its own state. The failure as it stands now."""
    name = type(error).__name__
    known = failures.get((part, name))
    if known is not None:
        known.count += 1
        return known
    failure = failures[part, name] = Failure(
        part=part,
        error=name,
        place=_place(error.__traceback__),
        words=str(error) if isinstance(error, KubewakeError) else "",
    )
    if stub is not None:
        failure.time, failure.cluster, failure.audit_id = stub.time, stub.cluster, stub.audit_id
    return failure


def together(several: Iterable[Failures]) -> Failures:
    """The failures of several sets of parts as one: counts added, the earliest named, first those on a stub."""
    whole: Failures = {}
    for failures in several:
        for key, failure in failures.items():
            known = whole.get(key)
            first = failure if known is None or _order(failure) < _order(known) else known
            count = failure.count + (0 if known is None else known.count)
            whole[key] = replace(first, count=count)
    return whole


def save_parts(parts: Mapping[str, Part], failures: Failures) -> dict[str, bytes]:
    """State of each part. One that fails is left out and noted: after a restart it begins anew, and the others do not."""
    states: dict[str, bytes] = {}
    for name, part in parts.items():
        try:
            states[name] = part.snapshot()
        except Exception as error:  # noqa: BLE001  # counted and told; the state of the other parts is worth as much
            note(failures, name, error)
    return states


def restore_parts(parts: Mapping[str, Part], states: Mapping[str, bytes], failures: Failures) -> None:
    """Give each part its state; those without one, or with one that they fail on, begin anew."""
    for name, part in parts.items():
        if name not in states:
            continue
        try:
            part.restore(states[name])
        except Exception as error:  # noqa: BLE001  # counted and told; what the other parts know is worth as much
            note(failures, name, error)


def _order(failure: Failure) -> tuple[bool, str, str]:
    return (not failure.time, failure.time, failure.cluster)


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
