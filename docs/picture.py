"""Makes a picture of what a command prints in a terminal: python docs/picture.py OUT.svg TITLE LINES COMMAND...

Runs the command in a pseudo-terminal of 100 columns and keeps the first LINES lines, colours included.
"""

import io
import os
import pty
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def record(command: list[str]) -> str:
    chunks: list[bytes] = []

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        chunks.append(data)
        return data

    os.environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    os.environ.pop("NO_COLOR", None)
    pty.spawn(command, read)
    return b"".join(chunks).decode("utf-8", "replace").replace("\r\n", "\n")


def main() -> None:
    out, title, lines, *command = sys.argv[1:]
    text = "\n".join(record(command).split("\n")[: int(lines)])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text))
    Path(out).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
