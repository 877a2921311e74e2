import base64

import pytest
import yaml

from kubewake.cli.connect import connect
from kubewake.connect.distributions import DISTRIBUTIONS, guide
from kubewake.connect.policy import POLICY
from kubewake.errors import SettingsError

LEVELS = {"None", "Metadata", "Request", "RequestResponse"}


def test_the_policy_is_one_that_an_api_server_takes():
    policy = yaml.safe_load(POLICY)
    assert (policy["apiVersion"], policy["kind"], policy["omitStages"]) == (
        "audit.k8s.io/v1",
        "Policy",
        ["RequestReceived"],
    )
    for rule in policy["rules"]:
        assert rule["level"] in LEVELS
        assert set(rule) <= {"level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs"}
        for resource in rule.get("resources", ()):
            assert set(resource) <= {"group", "resources"}
    assert policy["rules"][-1] == {"level": "Metadata"}


def test_the_policy_never_logs_bodies_of_secrets():
    rules = yaml.safe_load(POLICY)["rules"]
    for resource in ("secrets", "configmaps", "serviceaccounts/token"):
        first = next(
            rule
            for rule in rules
            if any(r["group"] == "" and resource in r.get("resources", [resource]) for r in rule.get("resources", ()))
        )
        assert first["level"] == "Metadata"


def test_files_are_written_and_explained(tmp_path, capsys):
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "tokens").write_text("all-clusters-token-0123\nprod prod-token-0123456789\n")
    out = tmp_path / "out"
    code = connect(
        "kubeadm", url="https://10.0.0.5:9443", cluster="prod", ca=tmp_path / "ca.pem",
        token_file=tmp_path / "tokens", out=out,
    )  # fmt: skip
    assert code == 0
    document = yaml.safe_load((out / "audit-webhook.yaml").read_text())
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == "https://10.0.0.5:9443/v1/audit/prod"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"CA"
    assert document["users"][0]["user"] == {"token": "prod-token-0123456789"}
    assert document["current-context"] == document["contexts"][0]["name"]
    assert (out / "audit-webhook.yaml").stat().st_mode & 0o077 == 0
    said = capsys.readouterr()
    assert "--audit-webhook-config-file=/etc/kubernetes/kubewake/audit-webhook.yaml" in said.out
    assert "prod-token" not in said.out
    assert said.err == ""


def test_what_will_not_work_is_said(tmp_path, capsys):
    connect("k3s", url="http://kubewake.security.svc:9443", out=tmp_path)
    said = capsys.readouterr().err
    for words in ("cannot resolve", "plain HTTP", "anyone who reaches"):
        assert words in said


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_every_distribution_has_a_guide(name):
    text = guide(name, "prod")
    assert len(text) > 100
    assert "{{" not in text
    if DISTRIBUTIONS[name].folder:
        assert DISTRIBUTIONS[name].folder in text


@pytest.mark.parametrize("name", ["openshift", "eks"])
def test_managed_servers_need_no_files(name, tmp_path, capsys):
    assert connect(name, out=tmp_path / "out") == 0
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "--url is missing"),
        ({"url": "10.0.0.5:9443"}, "expected https://"),
        ({"url": "https://10.0.0.5", "cluster": "a b"}, "--cluster"),
        ({"url": "https://10.0.0.5", "ca": "none"}, "--ca none: cannot be read"),
        ({"url": "https://10.0.0.5", "cert": "x"}, "go together"),
        ({"url": "https://10.0.0.5", "token_file": "tokens", "cluster": "dev"}, "no token for cluster 'dev'"),
    ],
)
def test_wrong_flags_are_named(tmp_path, monkeypatch, flags, words):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    Path("tokens").write_text("prod prod-token-0123456789\n")
    flags = {name: Path(value) if name in {"ca", "cert", "token_file"} else value for name, value in flags.items()}
    with pytest.raises(SettingsError, match=words):
        connect("kubeadm", **flags)
