"""Strings of recordings in what is shipped."""

import pytest

from bench.evaluation.leak import is_public, leaks

NAMES = {"alice@acme.example": "identity", "billing": "namespace", "203.0.113.77": "address", "web-frontend": "object"}


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("rule.yml", "detection:\n  selection:\n    user.username: alice@acme.example\n", ["alice@acme.example"]),
        ("rule.yml", "detection:\n  selection:\n    objectRef.namespace: [default, billing]\n", ["billing"]),
        ("rule.yml", "description: web-frontend is an example\n", []),
        ("rule.yml", "detection:\n  selection:\n    objectRef.name: other\n", []),
        ("code.py", '"""About web-frontend."""\nNAMES = {"web-frontend"}\n', ["web-frontend"]),
        ("code.py", '"""About web-frontend."""\n', []),
        ("code.py", 'TEXT = "billing is a word here"\n', []),
        ("code.py", 'TEXT = "from 203.0.113.77 only"\n', ["203.0.113.77"]),
        ("weights.json", '{"alice@acme.example": 1}\n', ["alice@acme.example"]),
    ],
)
def test_leaks(tmp_path, file, text, found):
    (tmp_path / file).write_text(text)
    assert [leak.text for leak in leaks(NAMES, tmp_path, frozenset())] == found


def test_public_names_may_be_known(tmp_path):
    (tmp_path / "code.py").write_text('NAME = "billing"\n')
    assert leaks(NAMES, tmp_path, frozenset({"billing"})) == []


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("system:kube-scheduler", True),
        ("system:serviceaccount:kube-system:coredns", True),
        ("system:serviceaccount:shop:web", False),
        ("system:node:ip-10-0-0-1", False),
    ],
)
def test_is_public(name, public):
    assert is_public(name, frozenset({"kube-system", "coredns"})) is public
