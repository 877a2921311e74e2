"""The re-ranker: signs, no strings, and what is shipped."""

from importlib.resources import files
from typing import Any

import msgspec
import pytest

from kubewake.baseline.reranker import FEATURES, Weights, features_of, likelihood
from tests.unit.baseline.house import HISTORY_DAYS, Cluster, House


def shipped() -> bytes:
    return files("kubewake.baseline").joinpath("reranker.json").read_bytes()


@pytest.fixture(scope="module")
def incident() -> Any:
    house, cluster = House(), Cluster()
    cluster.watch(house.history())
    cluster.watch(house.theft(HISTORY_DAYS))
    return cluster.incidents[0]


def test_features_are_the_numbers_of_the_incident(incident) -> None:
    features = dict(zip(FEATURES, features_of(incident), strict=True))

    assert features["score"] == incident.score
    assert features["unusual origin nats"] > 0
    assert features["rule nats"] == 0
    assert features["tactics"] >= 2


def test_more_of_anything_never_ranks_lower(incident) -> None:
    weights = msgspec.json.decode(shipped(), type=Weights)
    features = list(features_of(incident))
    before = likelihood(weights, features)

    assert all(weight >= 0 for weight in weights.weight)
    for index in range(len(FEATURES)):
        more = [*features]
        more[index] += 1.0
        assert likelihood(weights, more) >= before


def test_nothing_but_feature_names_and_the_manifest_is_text() -> None:
    raw = msgspec.json.decode(shipped())
    manifest = raw.pop("manifest")
    texts = [item for value in raw.values() if isinstance(value, list) for item in value if isinstance(item, str)]

    assert texts == list(FEATURES)
    assert {key for key, value in manifest.items() if isinstance(value, str)} == {"command", "trained"}
    assert manifest["command"] == "python -m bench.reranker --recordings DIR"


def test_names_and_addresses_of_an_incident_do_not_move_it(incident) -> None:
    other = msgspec.structs.replace(incident, title="x", story="y", cluster="z")
    assert features_of(other) == features_of(incident)


def test_it_is_not_adopted_as_long_as_it_is_not_proved_better() -> None:
    manifest = msgspec.json.decode(shipped(), type=Weights).manifest
    assert manifest["adopted"] == (float(str(manifest["gain_low"])) > 0)
    assert not manifest["adopted"], (
        "incidents are ordered by their score: adopt it there, and say so in docs/baseline.md"
    )
