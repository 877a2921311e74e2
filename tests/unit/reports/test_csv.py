import csv
import io

import pytest

from kubewake.reports.csv import COLUMNS, FORMULA_STARTS, cell
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered


def rows(document):
    return list(csv.DictReader(io.StringIO(rendered("csv", document), newline="")))


@pytest.mark.parametrize("document", [sample.scanned, sample.hostile], ids=["demo", "hostile"])
def test_one_row_for_everything(document):
    text = rendered("csv", document())
    every = [*document().incidents, *document().findings]
    assert text.count("\n") == text.count("\r\n") == len(every) + 1
    found = rows(document())
    assert tuple(found[0]) == COLUMNS
    assert [row["id"] for row in found] == [item.id for item in every]
    for row in found:
        assert row["cluster"]
        assert row["remediation"]
        assert None not in row
        assert not any(value.lstrip(" ").startswith(FORMULA_STARTS) for value in row.values())
        assert not any(character in value for value in row.values() for character in "\x1b\r\n\x00\u202e")


@pytest.mark.parametrize("text", sample.FORMULAS)
def test_formulas_become_text(text):
    assert not cell(text).lstrip(" ").startswith(FORMULA_STARTS)


def test_numbers_stay_numbers():
    assert (cell(-3), cell(2.5), cell(None)) == ("-3", "2.5", "")


def test_suppressed_findings_say_so():
    assert [row["id"] for row in rows(sample.hostile()) if row["suppressed_by"]] == ["f-suppressed"]
