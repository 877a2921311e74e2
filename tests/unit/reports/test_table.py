import re

import pytest

from kubewake.finding import ResultDocument
from kubewake.reports import Style
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

EVERYONE = Style(width=80, audience="everyone")


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("document", [sample.scanned, sample.hostile, ResultDocument], ids=["demo", "hostile", "empty"])
def test_fits_the_width_but_for_commands_to_copy(document, width):
    for line in rendered("table", document(), Style(width=width, audience="auditor")).splitlines():
        assert len(line) <= width or line.startswith(("      ", "    - ")), line
        assert line == line.rstrip()


def test_hostile_text_moves_no_cursor():
    text = rendered("table", sample.hostile(), EVERYONE)
    assert not any(character in text for character in "\x1b\r\x00\u202e\u2028")
    assert "[2Jx" in text


def test_colour_only_where_asked_for():
    assert "\x1b[" not in rendered("table", sample.small(), EVERYONE)
    colored = rendered("table", sample.small(), Style(width=80, audience="everyone", color=True))
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == rendered("table", sample.small(), EVERYONE)


def test_incidents_come_first_and_stand_for_their_findings():
    document = sample.small()
    text = rendered("table", document, EVERYONE)
    assert text.startswith(" CRITICAL  INCIDENT ")
    assert "kubectl -n shop delete pod web-0" in text
    assert "2 findings in it: Pod's token used elsewhere; Shell opened in a pod" in text
    for finding in document.findings:
        shown = finding.incident is None and finding.suppressed_by is None and finding.audience == "everyone"
        assert (f"{finding.id}" in text) == shown
    assert "1 more for auditor readers" in text
    assert "1 suppressed by your filters" in text
    assert "audit.log:7: not JSON" in text


def test_every_finding_is_shown_or_counted():
    document = sample.scanned()
    text = rendered("table", document, EVERYONE)
    hidden = int(re.search(r"^(\d+) more for", text, re.MULTILINE)[1])
    joined, beside = map(int, re.search(r"with (\d+) findings?; beside \w+ (\d+) findings?", text).groups())
    assert hidden + joined + beside == len(document.findings)


def test_repeats_of_one_login_are_counted():
    document = sample.hostile()
    text = rendered("table", document, EVERYONE)
    assert f"and {len(sample.FORMULAS) - 1} more of this kind by the same login" in text


def test_a_command_stays_on_one_line():
    text = rendered("table", sample.scanned(), Style(width=80, audience="auditor"))
    for incident in sample.scanned().incidents:
        for step in incident.remediation[:2]:
            command = step.partition("  # ")[0]
            if not command.startswith("#") and not command[:1].isupper():
                assert f"      {command}\n" in text or f"    - {command}\n" in text
