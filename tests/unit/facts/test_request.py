"""Paths, parameters and proxies."""

import pytest


def _at(make, uri, **more):
    return make(requestURI=uri, **more)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/api/v1/namespaces/shop/pods/x", False),
        ("/api/v1/namespaces/shop/pods/..", True),
        ("/apis/example.com/v1/widgets/../secrets", True),
        ("/apis/example.com/v1/widgets/%2e%2e/secrets", True),
        ("/apis/example.com/v1/widgets/%2E%2E%2Fsecrets", True),
        ("/apis/example.com/v1/widgets/%252e%252e/secrets", True),
        ("/api/v1/namespaces/shop/pods/a..b", False),
        ("/api/v1/pods?continue=a/../b", False),
    ],
)
def test_traversal(make, uri, expected):
    assert _at(make, uri).value("request.has_traversal") is expected


def test_traversal_by_name(make):
    facts = make(objectRef={"resource": "pods", "name": "../secrets"})
    assert facts.value("request.has_traversal") is True


@pytest.mark.parametrize(
    ("uri", "path", "endpoint"),
    [
        ("/api/v1/nodes/n/proxy/run/shop/web/main?cmd=id", "/run/shop/web/main?cmd=id", "run"),
        ("/api/v1/nodes/n/proxy/portForward/shop/web", "/portForward/shop/web", "portForward"),
        ("/api/v1/nodes/n/proxy/containerlogs/shop/web/main", "/containerlogs/shop/web/main", "containerLogs"),
        ("/api/v1/nodes/n/proxy/metrics/cadvisor", "/metrics/cadvisor", "metrics"),
        ("/api/v1/nodes/n/proxy/logs/?query=kubelet", "/logs/?query=kubelet", "logs"),
        ("/api/v1/nodes/n/proxy/%72un/a/b/c", "/run/a/b/c", "run"),
        ("/api/v1/nodes/n/%70roxy/%65xec/a/b/c?command=a%3Fb", "/exec/a/b/c?command=a%3Fb", "exec"),
        ("/api/v1/nodes/n/proxy/%2565xec/a", "/%65xec/a", "%65xec"),
        ("/api/v1/nodes/n/proxy", "/", None),
        ("/api/v1/nodes/n/proxy//run/a/b/c", "//run/a/b/c", "run"),
    ],
)
def test_node_proxy(make, uri, path, endpoint):
    facts = _at(make, uri, objectRef={"resource": "nodes", "name": "n", "subresource": "proxy"})
    assert facts.value("request.proxy_path") == path
    assert facts.value("request.kubelet_endpoint") == endpoint


def test_service_proxy_is_no_kubelet(make):
    facts = _at(
        make, "/api/v1/namespaces/a/services/x/proxy/run", objectRef={"resource": "services", "subresource": "proxy"}
    )
    assert facts.value("request.proxy_path") == "/run"
    assert facts.value("request.kubelet_endpoint") is None


def test_params(make):
    facts = _at(make, "/api/v1/pods?labelSelector=app%3Dweb&fieldSelector=type%3Dx&a=1&a=2&dryRun=All")
    assert facts.value("request.label_selector") == "app=web"
    assert facts.value("request.field_selector") == "type=x"
    assert facts.value("request.params.a") == "1 2"
    assert facts.value("request.dry_run") is True
    assert facts.value("request.path") == "/api/v1/pods"
    assert _at(make, "/api/v1/pods").value("request.dry_run") is False


@pytest.mark.parametrize(
    ("uri", "is_health", "is_discovery"),
    [("/readyz?verbose", True, False), ("/livez/ping", True, False), ("/version", False, True), ("/apis", False, True),
     ("/openapi/v3", False, True), ("/metrics", False, False), ("/", False, True)],
)  # fmt: skip
def test_paths_outside_resources(make, uri, is_health, is_discovery):
    facts = _at(make, uri, objectRef=None)
    assert facts.value("request.is_health") is is_health
    assert facts.value("request.is_discovery") is is_discovery
    assert facts.value("request.is_resource") is False


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "expected"),
    [("list", "secrets", None, True), ("list", "secrets", "shop", False), ("get", "secrets", None, False),
     ("list", "nodes", None, False), ("watch", "pods", None, True), ("deletecollection", "pods", None, True)],
)  # fmt: skip
def test_all_namespaces(make, verb, resource, namespace, expected):
    facts = make(verb=verb, objectRef={"resource": resource, "namespace": namespace})
    assert facts.value("request.all_namespaces") is expected


def test_latency_and_size(make):
    facts = make(
        requestReceivedTimestamp="2026-11-23T06:38:08.000000Z",
        stageTimestamp="2026-11-23T06:38:09.500000Z",
        requestObject={"a": 1},
    )
    assert facts.value("request.latency_seconds") == 1.5
    assert facts.value("request.size") == 8
    assert make().value("request.latency_seconds") is None
