"""Webhooks, aggregated APIs, conversion, and the traces that webhooks leave."""

import pytest

HOOKS = {
    "webhooks": [
        {
            "name": "a.example.com",
            "clientConfig": {"url": "https://hook.example.com/"},
            "failurePolicy": "Ignore",
            "namespaceSelector": {
                "matchLabels": {"team": "x"},
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "a"]},
                    {"key": "k", "operator": "Exists"},
                ],
            },
            "rules": [{"operations": ["*"], "resources": ["*/*"], "apiGroups": ["*"]}],
        },
        {"name": "b.example.com", "clientConfig": {"service": {"namespace": "policy", "name": "hook"}}},
    ]
}


def test_webhooks(write):
    facts = write("mutatingwebhookconfigurations", HOOKS, group="admissionregistration.k8s.io")
    assert facts.value("webhook.names") == ["a.example.com", "b.example.com"]
    assert facts.value("webhook.urls") == ["https://hook.example.com/"]
    assert facts.value("webhook.services") == ["policy/hook"]
    assert facts.value("webhook.failure_policies") == ["Ignore"]
    assert facts.value("webhook.rules.operations") == ["*"]
    assert facts.value("webhook.intercepts_all") is True
    assert facts.value("webhook.intercepts_secrets") is True
    assert facts.value("webhook.namespace_selector") == [
        "team In x",
        "kubernetes.io/metadata.name NotIn kube-system,a",
        "k Exists",
    ]
    assert facts.value("webhook.exempts_kube_system") is True
    assert write("mutatingwebhookconfigurations", HOOKS, verb="get").value("webhook.names") is None


def test_json_patch_of_a_webhook(write):
    patch = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
    facts = write("validatingwebhookconfigurations", patch, verb="patch")
    assert facts.value("webhook.failure_policies") == ["Ignore"]
    assert facts.value("webhook.urls") == []


def test_narrow_webhook(write):
    body = {"webhooks": [{"rules": [{"operations": ["CREATE"], "resources": ["pods"], "apiGroups": [""]}]}]}
    facts = write("validatingwebhookconfigurations", body)
    assert facts.value("webhook.intercepts_all") is False
    assert facts.value("webhook.intercepts_secrets") is False
    assert facts.value("webhook.exempts_kube_system") is False


def test_api_services_and_definitions(write):
    service = write("apiservices", {"spec": {"service": {"namespace": "monitoring", "name": "metrics"}}})
    assert service.value("apiservice.service") == "monitoring/metrics"
    assert write("apiservices", {"spec": {"service": None}}).value("apiservice.service") is None
    body = {
        "spec": {
            "scope": "Cluster",
            "names": {"plural": "widgets"},
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://c.example.com"}}},
        }
    }
    crd = write("customresourcedefinitions", body)
    assert crd.value("crd.scope") == "Cluster"
    assert crd.value("crd.plural") == "widgets"
    assert crd.value("crd.conversion_webhook") == "https://c.example.com"


@pytest.mark.parametrize(
    ("key", "value", "mutated_by", "patched", "failed_open"),
    [
        (
            "mutation.webhook.admission.k8s.io/round_0_index_1",
            '{"configuration":"c","webhook":"w","mutated":true}',
            ["w"],
            [],
            False,
        ),
        (
            "mutation.webhook.admission.k8s.io/round_0_index_1",
            '{"configuration":"c","webhook":"w","mutated":false}',
            [],
            [],
            False,
        ),
        (
            "patch.webhook.admission.k8s.io/round_0_index_1",
            '{"configuration":"c","webhook":"w","patch":[]}',
            [],
            ["w"],
            False,
        ),
        ("failed-open.mutation.webhook.admission.k8s.io/round_0_index_1", "w", [], [], True),
        ("failed-open.validation.webhook.admission.k8s.io/round_0_index_1", "w", [], [], True),
        ("pod-security.kubernetes.io/enforce-policy", "privileged:latest", [], [], False),
    ],
)
def test_traces(make, key, value, mutated_by, patched, failed_open):
    facts = make(annotations={key: value})
    assert facts.value("admission.mutated_by") == mutated_by
    assert facts.value("admission.patched") == patched
    assert facts.value("admission.failed_open") is failed_open
    assert facts.value("admission.webhook_configurations") == (["c"] if mutated_by else [])
