import os
import pty
import subprocess
import sys

import pytest

from kubewake.cli.tables import print_table

HEAD = ("kind", "who", "because of")
ROWS = [
    ("ServiceAccount", "system:serviceaccount:kubernetes-dashboard:admin-user", "a binding with a name of some length"),
    ("Group", "sre", "another"),
]


def on_a_terminal(columns: int) -> str:
    """What a terminal of that many columns shows."""
    code = f"from kubewake.cli.tables import print_table; print_table({HEAD!r}, {ROWS!r})"
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb"}
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=env, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    return shown


@pytest.mark.parametrize("columns", [80, 110, 200])
def test_no_cell_is_cut_and_no_id_broken(columns):
    lines = on_a_terminal(columns).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert any(ROWS[0][1] in line for line in lines)
    assert "…" not in "".join(lines)
    assert [word for cell in (ROWS[0][2], ROWS[1][2]) for word in cell.split() if word not in " ".join(lines)] == []


def test_the_last_cell_goes_below_its_row_where_the_terminal_is_narrow():
    lines = [line.strip() for line in on_a_terminal(80).splitlines()]
    assert lines == [
        "ServiceAccount  system:serviceaccount:kubernetes-dashboard:admin-user",
        "a binding with a name of some length",
        "Group  sre",
        "another",
    ]


def test_a_pipe_gets_tabs_and_no_head(capsys):
    print_table(HEAD, ROWS)
    assert capsys.readouterr().out.splitlines() == ["\t".join(row) for row in ROWS]
