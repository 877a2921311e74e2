"""Plain tables for people: aligned on a terminal, tab-separated in a pipe."""

import sys
from collections.abc import Sequence

_LAST_COLUMNS = 24
"""The least width in which the last column is worth reading; with less it goes below its row."""


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head; on a terminal the last column wraps, in a pipe nothing does.

    Cells are never cut or broken inside an id. On a terminal too narrow for the columns side by side, the last cell
    of each row stands below the others.
    """
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    if sum(widths[:-1]) + 3 * (len(widths) - 1) + min(widths[-1], _LAST_COLUMNS) > console.width:
        for row in rows:
            console.print(Text("  ".join(cell for cell in row[:-1] if cell), style="bold", overflow="fold"))
            console.print(Padding(Text(row[-1]), (0, 0, 0, 4)))
        return
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=index != len(head) - 1)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
