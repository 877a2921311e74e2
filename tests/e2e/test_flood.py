"""A flood in small; `make flood` sends five million."""

from tests.fuzz.flood import main


def test_a_flood_of_made_up_programs_hides_nothing_of_others(capsys):
    assert main(["--agents", "3000"]) == 0, capsys.readouterr().out
    assert ", 0 different" in capsys.readouterr().out
