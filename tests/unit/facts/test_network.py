"""What is exposed or rerouted."""

import pytest


def test_service(write):
    body = {
        "metadata": {"annotations": {"networking.gke.io/load-balancer-type": "Internal"}},
        "spec": {
            "type": "LoadBalancer",
            "externalIPs": ["203.0.113.7"],
            "ports": [{"port": 443, "nodePort": 30443}, {"port": "x"}],
            "selector": {"app": "web"},
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
    }
    facts = write("services", body)
    assert facts.value("service.type") == "LoadBalancer"
    assert facts.value("service.external_ips") == ["203.0.113.7"]
    assert facts.value("service.ports") == [443]
    assert facts.value("service.node_ports") == [30443]
    assert facts.value("service.selector") == ["app=web"]
    assert facts.value("service.source_ranges") == ["10.0.0.0/8"]
    assert facts.value("service.is_internal") is True


def test_service_status_and_name(write):
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}}}
    assert write("services", status, verb="patch", sub="status").value("service.lb_ingress_ips") == ["203.0.113.8"]
    named = write("services", {"spec": {"type": "ExternalName", "externalName": "db.example.com"}}, verb="update")
    assert named.value("service.external_name") == "db.example.com"
    assert named.value("service.is_internal") is False
    assert write("services", {"spec": {"type": "NodePort"}}, verb="get").value("service.type") is None


def test_ingress(write):
    body = {
        "metadata": {"annotations": {"nginx.ingress.kubernetes.io/server-snippet": "lua {}", "a": "b"}},
        "spec": {
            "tls": [{"hosts": ["shop.example"]}],
            "defaultBackend": {"service": {"name": "fallback"}},
            "rules": [
                {"host": "shop.example", "http": {"paths": [{"path": "/a;", "backend": {"service": {"name": "web"}}}]}}
            ],
        },
    }
    facts = write("ingresses", body, group="networking.k8s.io")
    assert facts.value("ingress.has_tls") is True
    assert facts.value("ingress.paths") == ["/a;"]
    assert facts.value("ingress.hosts") == ["shop.example"]
    assert facts.value("ingress.snippet") == "lua {}"
    assert facts.value("ingress.backends") == ["fallback", "web"]
    assert facts.value("ingress.annotations.key") == ["nginx.ingress.kubernetes.io/server-snippet", "a"]
    assert write("ingresses", {"spec": {}}).value("ingress.has_tls") is False


def test_endpoints(write):
    slices = write("endpointslices", {"endpoints": [{"addresses": ["127.0.0.1", "10.0.0.1"]}, {"addresses": None}]})
    assert slices.value("endpoints.addresses") == ["127.0.0.1", "10.0.0.1"]
    old = write(
        "endpoints", {"subsets": [{"addresses": [{"ip": "10.0.0.2"}], "notReadyAddresses": [{"ip": "10.0.0.3"}]}]}
    )
    assert old.value("endpoints.addresses") == ["10.0.0.2", "10.0.0.3"]
    assert write("pods", {}).value("endpoints.addresses") is None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ingress": [{}]}, True),
        ({"ingress": []}, False),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}, True),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}]}, False),
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, False),
        ({}, False),
    ],
)
def test_network_policies(write, spec, expected):
    assert (
        write("networkpolicies", {"spec": spec}, group="networking.k8s.io").value("networkpolicy.allows_all")
        is expected
    )
