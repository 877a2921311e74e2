"""Versions that a vulnerability affects."""

import pytest

from kubewake.detectors import detector_infos
from kubewake.rules.affected import read_affected
from kubewake.rules.pack import load_rules

SERVER = "kube-apiserver <=1.12, 1.13.0-1.13.8, 1.14.0-1.14.4, 1.16.0"


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        (SERVER, "v1.12.9", True),
        (SERVER, "v1.13.8", True),
        (SERVER, "v1.13.9", False),
        (SERVER, "v1.14.0-gke.100", True),
        (SERVER, "v1.15.0", False),
        (SERVER, "v1.16.0", True),
        (SERVER, "v1.16.1+k3s1", False),
        (SERVER, "unknown", None),
        ("kube-apiserver all", "v1.36.2", True),
        ("kube-controller-manager <1.32.10, 1.33.0-1.33.5", "v1.32.9", True),
        ("kube-controller-manager <1.32.10, 1.33.0-1.33.5", "v1.32.10", False),
        ("kubectl <1.26", "v1.25.16", True),
        ("kubectl <1.26", "v1.26.0", False),
    ],
)
def test_versions(text: str, version: str, expected: bool | None) -> None:
    affected = read_affected(text)
    assert affected is not None
    assert affected.includes(version) is expected


@pytest.mark.parametrize("text", ["", "kubelet", "kubelet some old ones", "kubelet <1.2, many"])
def test_other_words_are_not_guessed_at(text: str) -> None:
    assert read_affected(text) is None


def test_every_shipped_statement_can_be_read() -> None:
    infos = {**load_rules().infos, **detector_infos()}
    stated = {name: info.affected for name, info in infos.items() if info.affected}
    assert stated
    assert [name for name, text in stated.items() if read_affected(text) is None] == []
    assert [name for name, info in infos.items() if info.cves and not info.affected] == []
