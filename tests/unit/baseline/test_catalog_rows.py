"""Each detection that rests on the baseline: the anomaly fires, its look-alike in the same house does not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewake.baseline.catalog import ROWS, rows_of
from kubewake.detectors import detector_infos
from kubewake.observation import Stub
from tests.unit.baseline.house import House, at, learnt

STRANGE = {"source": "203.0.113.9", "client": "curl", "user_agent": "curl/8.1"}
IMAGE = {"workload.images": ["evil.example/miner/x:1"]}
HOME = {"workload.images": ["house.example/shop/web:1"]}
POD = {"verb": "create", "resource": "pods", "namespace": "shop", "name": "p"}

PERSON_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "exec-anomalous": (
        {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "pay", "name": "db-0", **STRANGE},
        {"who": "bert", "verb": "create", "resource": "pods", "subresource": "exec", "name": "web-1"},
    ),
    "secret-access-anomalous": (
        {"verb": "list", "resource": "secrets", "namespace": "", "name": "", **STRANGE},
        {"who": "anna", "verb": "get", "resource": "secrets", "name": "web-config"},
    ),
    "rolebinding-anomalous": (
        {"verb": "create", "resource": "clusterrolebindings", "namespace": "", "name": "helper", **STRANGE},
        {"who": "elsa", "verb": "create", "resource": "rolebindings", "name": "team"},
    ),
    "role-anomalous": (
        {"verb": "create", "resource": "clusterroles", "namespace": "", "name": "x",
         "values": {"rbac.grants_wildcard": True}, **STRANGE},
        {"who": "elsa", "verb": "create", "resource": "roles", "name": "reader"},
    ),
    "privileged-workload-anomalous": (
        {**POD, "values": {**IMAGE, "workload.risks": ["privileged"]}, **STRANGE},
        {"who": "elsa", **POD, "values": {**HOME, "workload.risks": ["privileged"]}},
    ),
    "sensitive-hostpath-anomalous": (
        {**POD, "values": {**IMAGE, "workload.risks": ["sensitive-host-path"]}, **STRANGE},
        {"who": "elsa", **POD, "values": {**HOME, "workload.risks": ["sensitive-host-path"]}},
    ),
    "workload-anomalous": (
        {**POD, "values": IMAGE, **STRANGE},
        {"who": "elsa", **POD, "values": HOME},
    ),
    "permission-check-anomalous": (
        {"verb": "create", "resource": "selfsubjectrulesreviews", "namespace": "", "name": "", **STRANGE},
        {"who": "elsa", "verb": "create", "resource": "selfsubjectaccessreviews", "namespace": "", "name": ""},
    ),
    "identity-behaviour-anomaly": (
        {"verb": "list", "resource": "secrets", "namespace": "", "name": "", **STRANGE},
        {"verb": "list", "resource": "services", "namespace": "mail"},
    ),
    "user-agent-new": (
        {"verb": "list", "resource": "pods", "namespace": "mail", **STRANGE},
        {"verb": "list", "resource": "pods", "namespace": "mail"},
    ),
}  # fmt: skip
ELSAS_WORK = [similar for _, similar in PERSON_ROWS.values() if similar.get("who") == "elsa"]


def fired(stubs: list[Stub], baseline: Any) -> set[str]:
    return {rule for item in stubs for rule, _ in rows_of(item, baseline.observe(item))}


def with_elsa(house: House, baseline: Any) -> None:
    """Elsa does the administration: what is an anomaly for others is her routine."""
    for day in range(10, 14):
        for item in house.day(day):
            baseline.observe(item)
        for step, work in enumerate(ELSAS_WORK):
            baseline.observe(person(house, at(day, 60_000 + step), work))


def person(house: House, time: str, changes: dict[str, Any]) -> Stub:
    values = {**changes}
    who = values.pop("who", "carla")
    return house.person(who, time, **values)


@pytest.mark.parametrize("rule", sorted(PERSON_ROWS))
def test_the_anomaly_fires_and_its_look_alike_does_not(rule: str) -> None:
    house, baseline = learnt()
    with_elsa(house, baseline)
    strange, similar = PERSON_ROWS[rule]

    assert rule not in fired([person(house, at(14, 40_000), similar)], baseline)
    assert rule in fired([person(house, at(14, 41_000), strange)], baseline)


def test_service_account_rare_operation() -> None:
    house, baseline = learnt()
    familiar = house.program("shop", at(10, 100), verb="get", resource="secrets", name="web-config")
    rare = house.program("shop", at(10, 200), verb="list", resource="secrets", namespace="", name="")

    assert "service-account-rare-operation" not in fired([familiar], baseline)
    assert "service-account-rare-operation" in fired([rare], baseline)


def test_every_row_is_a_detection_with_cases_of_its_own() -> None:
    infos = detector_infos()
    cases = Path(__file__).parents[2] / "rules"
    for row in ROWS:
        assert row.rule in infos
        document = yaml.safe_load((cases / f"{row.rule}.yml").read_text(encoding="utf-8"))
        assert len(document["fires"]) >= 2
        assert len(document["quiet"]) >= 2
    assert {row.rule for row in ROWS} == {*PERSON_ROWS, "service-account-rare-operation"}
