"""`kubewake scan -o NAME`, for every output."""

import pytest

from kubewake.__main__ import answer
from kubewake.demo import recording
from kubewake.errors import ExitCode
from kubewake.reports import names


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    file = tmp_path_factory.mktemp("outputs") / "audit.log"
    file.write_bytes(b"\n".join(recording.lines()[:600]) + b"\n")
    return file


@pytest.mark.parametrize("name", sorted(names()))
def test_scan_writes_every_output(log, tmp_path, name):
    out = tmp_path / f"out.{name}"
    code = answer(["scan", "-q", "-o", name, "--cluster", "prod-eu", "--out", str(out), str(log)])
    assert code == ExitCode.FINDINGS
    assert "prod-eu" in out.read_text(encoding="utf-8")


def test_an_unknown_output_is_answered_with_the_known_ones(log, capsys):
    assert answer(["scan", "-q", "-o", "xml", str(log)]) == ExitCode.USAGE
    words = capsys.readouterr().err
    assert all(name in words for name in names())
