"""The progress bar of a scan, on standard error so that output can be piped."""

from types import TracebackType
from typing import Self

from kubewake.observation import Observation


class Progress:
    """Bytes read, events judged, time left; nothing at all when hidden."""

    def __init__(self, size_bytes: int, *, hidden: bool) -> None:
        self._size_bytes = size_bytes
        self._hidden = hidden
        self._events = 0

    def __enter__(self) -> Self:
        if not self._hidden:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("reading"),
                BarColumn(),
                DownloadColumn(),
                TextColumn("{task.fields[events]:,} events"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
                auto_refresh=False,  # no thread beside those that read
            )
            self._task = self._bar.add_task("read", total=self._size_bytes or None, events=0)
            self._bar.start()
        return self

    def advance(self, observation: Observation) -> None:
        """Count an observation."""
        if not self._hidden:
            self._events += observation.events
            self._bar.update(self._task, advance=observation.size_bytes, events=self._events, refresh=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._hidden:
            self._bar.stop()
