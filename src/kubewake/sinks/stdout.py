"""`stdout`: findings on standard output, in plain words for people (target `text`) or as JSON Lines (`jsonl`)."""

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import IO

import msgspec

from kubewake.errors import SettingsError
from kubewake.redact import redact_value
from kubewake.sinks import Change, DeliveryError, Filter, sink
from kubewake.sinks.change import line
from kubewake.sinks.words import Words, words

_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "cyan",
    "informational": "dim",
    "notice": "blue",
}
_WIDTH_COLUMNS = 100
_ID_SHOWN = 8
"""Characters of an incident's id that tell it from the others on a screen."""


class Stdout:
    """Prints each change once. Colour only on a terminal without NO_COLOR."""

    name = "stdout"

    def __init__(self, form: str, wanted: Filter, out: IO[str] | None = None) -> None:
        if form not in {"text", "jsonl"}:
            raise SettingsError(f"stdout prints text or jsonl, not {form!r}")
        self._form = form
        self._wanted = wanted
        self._out = out

    def wants(self, change: Change) -> bool:
        """By the filter."""
        return self._wanted.wants(change)

    def render(self, change: Change) -> bytes:
        """The line, or the words to be laid out when printed."""
        return msgspec.json.encode(
            redact_value(line(change) if self._form == "jsonl" else msgspec.to_builtins(words(change)))
        )

    def send(self, bodies: Sequence[bytes]) -> None:
        """Print; raises DeliveryError when nobody reads."""
        out = self._out or sys.stdout
        try:
            for body in bodies:
                if self._form == "jsonl":
                    out.write(body.decode() + "\n")
                else:
                    _print(msgspec.json.decode(body, type=Words), out)
            out.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"standard output cannot be written ({error})") from error

    def close(self) -> None:
        """Nothing to let go of: standard output is the process's."""


def _print(said: Words, out: IO[str]) -> None:
    if out.isatty() and not os.environ.get("NO_COLOR"):
        from rich.console import Console  # noqa: PLC0415  # only where a terminal is
        from rich.padding import Padding  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        console = Console(file=out, highlight=False)
        if said.part_of:
            label = (said.severity.upper(), _STYLES[said.severity])
            mark = said.part_of[: len("incident-") + _ID_SHOWN]
            console.print(Text.assemble("  + ", label, f" {said.head} ", (f"{said.time[11:19]}, {mark}", "dim")))
            return
        console.print()
        console.print(Text.assemble((f" {said.severity.upper()} ", _STYLES[said.severity]), " ", (said.head, "bold")))
        console.print(Padding(Text(said.story), (0, 0, 0, 2)))
        for step in said.steps:
            console.print(Padding(Text(f"→ {step}", style="green"), (0, 0, 0, 2)))
        console.print(Padding(Text(f"{_time(said)}; {said.foot}", style="dim"), (0, 0, 0, 2)))
        return
    if said.part_of:
        out.write(f"  + {said.severity.upper()} {said.head} ({_time(said)}; part of {said.part_of})\n")
        return
    lines = ["", f"[{said.severity.upper()}] {said.head}"]
    lines += textwrap.wrap(said.story, _WIDTH_COLUMNS, initial_indent="  ", subsequent_indent="  ")
    lines += [f"  -> {step}" for step in said.steps]
    lines += [f"  {_time(said)}; {said.foot}"]
    out.write("\n".join(lines) + "\n")


def _time(said: Words) -> str:
    return f"{said.time[:19].replace('T', ' ')} UTC"


@sink("stdout")
def open_stdout(target: str, wanted: Filter) -> Stdout:
    """`target` is text or jsonl."""
    return Stdout(target, wanted)
