import re

import pytest

from kubewake.reports.cef import line
from tests.unit.reports import sample
from tests.unit.reports.rendering import lines, rendered

DICTIONARY = {
    "externalId", "rt", "start", "end", "cat", "msg", "reason", "cnt", "act", "outcome", "suser", "duser", "src",
    "c6a2", "c6a2Label", "requestClientApplication", "fname", "fileType", "filePath", "cfp1", "cfp1Label",
    "cn1", "cn1Label", "flexString1", "flexString1Label", "flexString2", "flexString2Label",
    *(f"cs{number}{tail}" for number in range(1, 7) for tail in ("", "Label")),
}  # fmt: skip
"""Keys of the CEF dictionary (ArcSight Common Event Format, implementation standard, version 25) that are used."""


def parse(text):
    """A CEF line as its header fields and extension, the way a SIEM reads it."""
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    assert len(parts) == 8, text[:200]
    assert parts[0] == "CEF:0"
    keys = list(re.finditer(r"(?:^| )([A-Za-z][A-Za-z0-9]*)=", parts[7]))
    values = {}
    for position, key in enumerate(keys):
        end = keys[position + 1].start() if position + 1 < len(keys) else len(parts[7])
        values[key[1]] = parts[7][key.end() : end]
    return parts[1:7], values


@pytest.mark.parametrize("document", [sample.scanned, sample.hostile], ids=["demo", "hostile"])
def test_every_line_parses_to_known_keys(document):
    found = lines(rendered("cef", document()))
    assert len(found) == len(document().incidents) + len(document().findings)
    for text in found:
        assert "\x1b" not in text
        head, values = parse(text)
        assert head[0] == "kubewake"
        assert 0 <= int(head[5]) <= 10
        assert set(values) <= DICTIONARY
        for key in values:
            if not key.endswith("Label") and re.match(r"c[sn]\d|c6a|cfp|flexString", key):
                assert f"{key}Label" in values
        for key in ("rt", "start", "end", "cnt", "cn1"):
            assert values[key].isdigit()
        assert values["cs1"]
        assert values["cs5"]


def test_text_cannot_break_out():
    text = line("a|b", "x\\|\ny", "high", iter([("msg", "a=b\\c\nsrc=1.2.3.4\r|\x1b[2J")]))
    assert "\n" not in text
    assert text.split("|", 4)[-1].startswith(r"a\|b|x\\\| y|8|")
    assert text.endswith(r"|msg=a\=b\\c\nsrc\=1.2.3.4\\x0d|\\x1b[2J")


def test_suppressed_findings_say_so():
    marked = [parse(text)[1] for text in lines(rendered("cef", sample.hostile()))]
    assert [values["externalId"] for values in marked if "flexString2" in values] == ["f-suppressed"]


def test_addresses_go_where_their_kind_belongs():
    incident, finding, *_ = [parse(text)[1] for text in lines(rendered("cef", sample.hostile()))]
    assert "src" not in finding
    assert "src" not in incident
    real = [parse(text)[1] for text in lines(rendered("cef", sample.scanned()))]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+\.\d+", values["src"]) for values in real if "src" in values)
    assert any("src" in values for values in real)
