"""What the rules cover: the catalog of capabilities, vulnerabilities, ATT&CK for Containers, the Threat Matrix."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from kubewake.finding import SEVERITY_RANK
from kubewake.rules.catalog import catalog_table
from kubewake.rules.model import RuleInfo
from kubewake.workbench.matrices import (
    ATTACK_VERSION,
    CONTAINERS,
    LAYER_VERSION,
    NAVIGATOR_VERSION,
    THREAT_MATRIX,
)
from kubewake.workbench.visibility import Blindness

DETECTABLE = frozenset({"yes", "partial"})
"""Vulnerabilities whose exploitation the audit log shows, wholly or in part; others are listed but not counted."""


class Row(Struct, frozen=True):
    """One thing to cover and the rules that do."""

    id: str
    title: str
    rules: tuple[str, ...]
    tactic: str = ""
    technique: str = ""
    counted: bool = True


class Tally(Struct, frozen=True):
    """How many of the counted rows are covered."""

    covered: int
    total: int


class Coverage(Struct, frozen=True, kw_only=True):
    """All four tables, their tallies, and the rules that a policy or log leaves blind."""

    catalog: tuple[Row, ...]
    cves: tuple[Row, ...]
    attack: tuple[Row, ...]
    threat_matrix: tuple[Row, ...]
    tallies: dict[str, Tally]
    rules: int
    blind: tuple[Blindness, ...] = ()


def measure(infos: Iterable[RuleInfo], blind: Sequence[Blindness] = ()) -> Coverage:
    """The coverage of a set of rules and detectors."""
    known = list(infos)
    catalog = tuple(
        Row(line["id"], line["title"], _rules(known, "covers", line["id"]), line["tactic"], line["technique"])
        for line in catalog_table("catalog")
    )
    by_id = {row.id: row for row in catalog}
    tables = {
        "catalog": catalog,
        "cves": tuple(_cve(line, known, by_id) for line in catalog_table("cves")),
        "attack": tuple(
            Row(technique, name, _using(known, technique), ", ".join(tactics))
            for technique, (name, tactics) in CONTAINERS.items()
        ),
        "threat_matrix": tuple(
            Row(technique, name, tuple(info.id for info in known if technique in info.attack.threat_matrix))
            for technique, name in THREAT_MATRIX.items()
        ),
    }
    return Coverage(
        **tables,
        tallies={name: _tally(rows) for name, rows in tables.items()},
        rules=len(known),
        blind=tuple(blind),
    )


def _rules(infos: Iterable[RuleInfo], attribute: str, value: str) -> tuple[str, ...]:
    return tuple(info.id for info in infos if value in getattr(info, attribute))


def _using(infos: Iterable[RuleInfo], technique: str) -> tuple[str, ...]:
    """Rules that carry the technique, one of its sub-techniques, or (for a sub-technique) its parent."""
    parent = technique.partition(".")[0]
    return tuple(
        info.id
        for info in infos
        if any(name in {technique, parent} or name.startswith(technique + ".") for name in info.attack.techniques)
    )


def _cve(line: dict[str, str], infos: Sequence[RuleInfo], catalog: dict[str, Row]) -> Row:
    names = line["cves"].split()
    found = [info.id for info in infos if set(names) & set(info.cves)]
    if not names and line["catalog"] in catalog:
        found = list(catalog[line["catalog"]].rules)
    return Row(
        " ".join(names) or line["catalog"], line["component"], tuple(found), counted=line["detectable"] in DETECTABLE
    )


def _tally(rows: Sequence[Row]) -> Tally:
    counted = [row for row in rows if row.counted]
    return Tally(sum(bool(row.rules) for row in counted), len(counted))


def navigator_layer(infos: Iterable[RuleInfo]) -> dict[str, Any]:
    """The rules as an ATT&CK Navigator layer: a technique's score is the number of its rules."""
    by_technique: dict[str, list[RuleInfo]] = {}
    for info in infos:
        for technique in info.attack.techniques:
            by_technique.setdefault(technique, []).append(info)
    most = max((len(rules) for rules in by_technique.values()), default=1)
    return {
        "name": "kubewake",
        "versions": {"attack": ATTACK_VERSION, "navigator": NAVIGATOR_VERSION, "layer": LAYER_VERSION},
        "domain": "enterprise-attack",
        "description": "Techniques that kubewake has rules for, on Kubernetes audit events",
        "filters": {"platforms": ["Containers"]},
        "sorting": 3,
        "techniques": [
            {
                "techniqueID": technique,
                "score": len(rules),
                "enabled": True,
                "comment": ", ".join(sorted(info.id for info in rules)),
                "metadata": [
                    {
                        "name": "worst severity",
                        "value": max((info.level for info in rules), key=lambda level: SEVERITY_RANK[level]),
                    }
                ],
                "showSubtechniques": "." in technique,
            }
            for technique, rules in sorted(by_technique.items())
        ],
        "gradient": {"colors": ["#cfe8ff", "#08519c"], "minValue": 0, "maxValue": most},
        "legendItems": [],
        "hideDisabled": False,
    }


def table_rows(coverage: Coverage, *, missing_only: bool = False) -> list[tuple[str, str, str, str]]:
    """Every row of every table, for printing: table, id, title, rules."""
    rows: list[tuple[str, str, str, str]] = []
    tables = (
        ("catalog", coverage.catalog),
        ("vulnerability", coverage.cves),
        ("ATT&CK", coverage.attack),
        ("Threat Matrix", coverage.threat_matrix),
    )
    for name, table in tables:
        for row in table:
            if missing_only and (row.rules or not row.counted):
                continue
            shown = ", ".join(row.rules[:3]) + (f" and {len(row.rules) - 3} more" if len(row.rules) > 3 else "")
            rows.append((name, row.id, row.title, shown or ("-" if row.counted else "(not in audit events)")))
    return rows
