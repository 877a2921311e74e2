"""`kubewake serve`, before it starts."""

from kubewake.__main__ import answer
from kubewake.errors import ExitCode


def test_an_empty_path_to_follow_is_not_taken_for_the_working_folder(tmp_path, capsys):
    arguments = ["serve", "--listen", "", "--follow", "", "--state-dir", str(tmp_path / "state")]
    assert answer(arguments) == ExitCode.USAGE
    assert "follow holds an empty path" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
