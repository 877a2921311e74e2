"""What is not known of a question, and what it probably means."""

import pytest

from kubewake.cli.rbac import question
from kubewake.rbac.model import Rule
from kubewake.rbac.vocabulary import doubts

RULES = [
    Rule(("get", "sync"), ("argoproj.io",), ("applications", "applications/status")),
    Rule(("*",), ("*",), ("*",)),
]


@pytest.mark.parametrize(
    ("verb", "resource", "said"),
    [
        ("get", "secrets", []),
        ("*", "*", []),
        ("create", "pods/exec", []),
        ("get", "deployments.apps", []),
        ("list", "pods.metrics.k8s.io", []),
        ("impersonate", "users", []),
        ("sync", "applications.argoproj.io", []),
        ("get", "widgets.example.com", []),
        ("get", "/metrics", []),
        ("gte", "secrets", ["'gte' is no verb of the API and in no rule; did you mean 'get'?"]),
        ("list", "/metrics", ["'list' is no verb of the API"]),
        ("get", "secrts", ["'secrts' is not known as a resource, unless it is a custom one; did you mean 'secrets'?"]),
        ("get", "Secret", ["did you mean 'secrets'?"]),
        ("get", "deployment", ["did you mean 'deployments.apps'?"]),
        ("get", "sts", ["did you mean 'statefulsets.apps'?"]),
        ("get", "deployments", ["not known in the core API group; did you mean 'deployments.apps'?"]),
        ("get", "pods.apps", ["not known in API group 'apps'; did you mean 'pods' or 'pods.metrics.k8s.io'?"]),
        ("create", "pods/exce", ["'exce' is not known as a subresource; did you mean 'exec'?"]),
        ("xyzzy", "quux", ["'xyzzy' is no verb of the API and in no rule", "'quux' is not known as a resource"]),
    ],
)
def test_doubts(verb, resource, said):
    found = doubts(question(verb, resource, "", ""), RULES, [("example.com", "widgets")])
    assert len(found) == len(said)
    assert all(words in doubt for words, doubt in zip(said, found, strict=True))
