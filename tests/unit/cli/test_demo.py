import pytest

from kubewake.cli.demo import shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short enough", "short enough"),
        ("Pod's token used away: web", "Pod's token used away: web"),
        ("Pod's token used away from: web", "Pod's token used away from…"),
        ("Pod's token used away by it (namespace shop)", "Pod's token used away by it…"),
        ("x" * 40, "x" * 28 + "…"),
    ],
)
def test_a_long_title_ends_with_a_whole_word_and_an_ellipsis(text, shown):
    assert shortened(text, 28) == shown
