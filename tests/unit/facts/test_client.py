"""Families of user agents."""

import re

import pytest

from kubewake.facts import Context

AGENTS = [
    ("kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd", "kubectl", "1.32.4", "linux/amd64"),
    ("kubectl.exe/v1.31.4 (windows/amd64) kubernetes/a78aa47", "kubectl", "1.31.4", "windows/amd64"),
    ("kubelet/v1.36.2 (linux/amd64) kubernetes/98b3519", "kubelet", "1.36.2", "linux/amd64"),
    ("kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/98b3519/x", "kube-controller-manager", "1.36.2", "linux/amd64"),
    ("kube-scheduler/v1.36.2 (linux/amd64) kubernetes/98b3519/scheduler", "kube-scheduler", "1.36.2", "linux/amd64"),
    ("kube-apiserver/v1.36.2 (linux/amd64) kubernetes/98b3519", "kube-apiserver", "1.36.2", "linux/amd64"),
    ("kube-probe/1.36", "probe", "1.36", None),
    ("GoogleHC/1.0", "probe", "1.0", None),
    ("ELB-HealthChecker/2.0", "probe", "2.0", None),
    ("curl/8.5.0", "curl", "8.5.0", None),
    ("Wget/1.21.3", "wget", "1.21.3", None),
    ("python-requests/2.31.0", "python", "2.31.0", None),
    ("OpenAPI-Generator/29.0.0/python", "python", "29.0.0", None),
    ("Python-urllib/3.11", "python", "3.11", None),
    ("okhttp/3.12.12", "java", "3.12.12", None),
    ("OpenAPI-Generator/1.0.0/java", "java", "1.0.0", None),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "node", "1.0", None),
    ("Go-http-client/1.1", "go-http-client", "1.1", None),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "browser", "5.0", "linux"),
    ("Helm/3.14.0", "helm", "3.14.0", None),
    ("HashiCorp/1.0 Terraform/1.6.0", "terraform", "1.0", None),
    ("argocd-application-controller/v2.13.2 (linux/amd64) kubernetes/$Format", "argocd", "2.13.2", "linux/amd64"),
    ("kustomize-controller/v1.4.0 (linux/amd64) kubernetes/$Format", "flux", "1.4.0", "linux/amd64"),
    ("k9s/v0.32.7 (darwin/arm64) kubernetes/$Format", "k9s", "0.32.7", "darwin/arm64"),
    ("cert-manager-controller/v1.16.2 (linux/amd64) cert-manager/abc", "client-go", "1.16.2", "linux/amd64"),
    ("kube-hunter/0.6.8", "attack-tool", "0.6.8", None),
    ("Mozilla/5.0 zgrab/0.x", "attack-tool", "5.0", None),
    ("peirates", "attack-tool", None, None),
    ("made up thing", "other", None, None),
    ("", "empty", None, None),
    (None, "empty", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("user_agent", "family", "version", "platform"), AGENTS)
def test_families(make, user_agent, family, version, platform):
    facts = make(userAgent=user_agent) if user_agent is not None else make(userAgent="")
    assert facts.client_family == family
    assert facts.value("client.version") == version
    assert facts.value("client.platform") == platform


def test_attack_tools_are_named(make):
    assert make(userAgent="stratus-red-team_83d9a7").value("client.attack_tool") == "stratus-red-team"
    assert make().value("client.attack_tool") == ""


def test_user_agent_lists_count_as_attack_tools(make):
    context = Context(user_agents={"house list": re.compile("evil", re.IGNORECASE)})
    facts = make(context, userAgent="EvilThing/1")
    assert facts.client_family == "attack-tool"
    assert facts.value("client.attack_tool") == "house list"


def test_scripts(make):
    assert make(userAgent="curl/8").value("client.is_script") is True
    assert make().value("client.is_script") is False


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        ("node-problem-detector/v0.8.19 (linux/amd64) kubernetes/$Format", "client-go"),
        ("hydra-maester/v0.0.35 (linux/amd64) kubernetes/$Format", "client-go"),
        ("apiserver/v0.0.0 (linux/amd64) kubernetes/$Format", "client-go"),
        ("kalibrate/v1 (linux/amd64) kubernetes/$Format", "client-go"),
        ("kube-rs/0.91", "rust"),
        ("node", "node"),
    ],
)
def test_names_that_only_resemble(make, user_agent, family):
    assert make(userAgent=user_agent).client_family == family
