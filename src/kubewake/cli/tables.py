"""Plain tables for people: aligned on a terminal, tab-separated in a pipe."""

import sys
from collections.abc import Sequence


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head; on a terminal the last column wraps, in a pipe nothing does."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, show_edge=False, pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=index not in {0, len(head) - 1})
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
