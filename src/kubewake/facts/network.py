"""What is exposed or rerouted: services, ingresses, endpoints, network policies."""

from typing import Any

from kubewake.facts.facts import Facts
from kubewake.facts.registry import Part, field
from kubewake.facts.shapes import dig, elements, mapping, optional_text, pairs, sequence, text, texts, unique, whole


def _written(facts: Facts, *resources: str) -> dict[str, Any] | None:
    return facts.written if facts.resource in resources and facts.is_write else None


def _service_spec(facts: Facts) -> dict[str, Any] | None:
    written = _written(facts, "services")
    return mapping(written.get("spec")) if written is not None else None


@field("service.type", "text", "Type of the Service that is written.", level="Request", example="LoadBalancer")
def service_type(facts: Facts) -> str | None:
    return optional_text(mapping(_service_spec(facts)).get("type"))


@field("service.external_ips", "list", "External addresses that the Service claims.", level="Request",
       example="[203.0.113.7]")  # fmt: skip
def external_ips(facts: Facts) -> list[str] | None:
    spec = _service_spec(facts)
    return None if spec is None else texts(spec.get("externalIPs"))


@field("service.ports", "list", "Ports of the Service.", level="Request", example="[443]")
def ports(facts: Facts) -> list[int] | None:
    spec = _service_spec(facts)
    if spec is None:
        return None
    return [port for entry in elements(spec.get("ports")) if (port := whole(entry.get("port"))) is not None]


@field("service.node_ports", "list", "Ports that the Service opens on every node.", level="Request", example="[30443]")
def node_ports(facts: Facts) -> list[int] | None:
    spec = _service_spec(facts)
    if spec is None:
        return None
    return [port for entry in elements(spec.get("ports")) if (port := whole(entry.get("nodePort")))]


@field("service.selector", "list", "Labels of the pods that the Service leads to, each as key=value.",
       level="Request", example="[app=web]")  # fmt: skip
def selector(facts: Facts) -> list[str] | None:
    spec = _service_spec(facts)
    return None if spec is None else [f"{key}={value}" for key, value in pairs(spec.get("selector")).items()]


@field("service.external_name", "text", "Host name that the Service stands for.", level="Request",
       example="db.example.com")  # fmt: skip
def external_name(facts: Facts) -> str | None:
    return optional_text(mapping(_service_spec(facts)).get("externalName"))


@field("service.lb_ingress_ips", "list", "Addresses that the write puts into the Service's load balancer status.",
       level="Request", example="[203.0.113.7]")  # fmt: skip
def lb_ingress_ips(facts: Facts) -> list[str] | None:
    written = _written(facts, "services")
    if written is None:
        return None
    return texts([entry.get("ip") for entry in elements(dig(written, "status", "loadBalancer", "ingress"))])


@field("service.source_ranges", "list", "Client addresses that the load balancer lets in; empty means all.",
       level="Request", example="[10.0.0.0/8]")  # fmt: skip
def source_ranges(facts: Facts) -> list[str] | None:
    spec = _service_spec(facts)
    return None if spec is None else texts(spec.get("loadBalancerSourceRanges"))


@field("service.is_internal", "boolean", "Whether an annotation of a cloud keeps the load balancer inside the "
       "private network.", level="Request", example="true")  # fmt: skip
def is_internal(facts: Facts) -> bool | None:
    written = _written(facts, "services")
    if written is None:
        return None
    marks = pairs(dig(written, "metadata", "annotations"))
    return any(
        ("internal" in key and value.lower() in ("true", "internal", "0.0.0.0/0"))  # the last is AWS' old spelling
        or (key.endswith(("load-balancer-type", "load-balancer-scheme")) and value.lower() == "internal")
        for key, value in marks.items()
    )


def _ingress(facts: Facts) -> dict[str, Any] | None:
    return _written(facts, "ingresses") if facts.subresource == "" else None


@field("ingress.has_tls", "boolean", "Whether the Ingress sets up TLS.", level="Request", example="true")
def has_tls(facts: Facts) -> bool | None:
    written = _ingress(facts)
    return None if written is None else bool(sequence(dig(written, "spec", "tls")))


@field(
    "ingress.annotations",
    "elements",
    "Annotations that the client sent with the Ingress.",
    level="Request",
    example="[{key: nginx.ingress.kubernetes.io/auth-url, value: 'https://auth.example.com'}]",
    parts={"key": Part("text", "Key of the annotation."), "value": Part("text", "Value of the annotation.")},
)
def ingress_annotations(facts: Facts) -> list[dict[str, str]] | None:
    written = _ingress(facts)
    if written is None:
        return None
    return [{"key": key, "value": value} for key, value in pairs(dig(written, "metadata", "annotations")).items()]


@field("ingress.paths", "list", "Paths that the Ingress routes.", level="Request", example="[/api]")
def ingress_paths(facts: Facts) -> list[str] | None:
    written = _ingress(facts)
    if written is None:
        return None
    return texts(
        [
            entry.get("path")
            for rule in elements(dig(written, "spec", "rules"))
            for entry in elements(dig(rule, "http", "paths"))
        ]
    )


@field("ingress.hosts", "list", "Host names that the Ingress answers for.", level="Request", example="[shop.example]")
def ingress_hosts(facts: Facts) -> list[str] | None:
    written = _ingress(facts)
    return None if written is None else texts([rule.get("host") for rule in elements(dig(written, "spec", "rules"))])


@field("ingress.snippet", "text", "Configuration text for nginx that annotations carry (*-snippet).", level="Request",
       example="more_set_headers 'X-A: b';")  # fmt: skip
def ingress_snippet(facts: Facts) -> str | None:
    found = ingress_annotations(facts)
    if not found:
        return None
    return "\n".join(item["value"] for item in found if item["key"].endswith("-snippet")) or None


@field("ingress.backends", "list", "Services that the Ingress leads to.", level="Request", example="[web]")
def ingress_backends(facts: Facts) -> list[str] | None:
    written = _ingress(facts)
    if written is None:
        return None
    backends = [dig(written, "spec", "defaultBackend"), dig(written, "spec", "backend")]
    for rule in elements(dig(written, "spec", "rules")):
        backends += [entry.get("backend") for entry in elements(dig(rule, "http", "paths"))]
    return unique(
        [
            found
            for backend in backends
            if (found := text(dig(backend, "service", "name")) or text(dig(backend, "serviceName")))
        ]
    )


@field("endpoints.addresses", "list", "Addresses that the write routes a service's traffic to.", level="Request",
       example="[10.0.1.5]")  # fmt: skip
def endpoint_addresses(facts: Facts) -> list[str] | None:
    if facts.resource == "endpoints":
        written = _written(facts, "endpoints")
        if written is None:
            return None
        return texts(
            [
                address.get("ip")
                for subset in elements(written.get("subsets"))
                for key in ("addresses", "notReadyAddresses")
                for address in elements(subset.get(key))
            ]
        )
    written = _written(facts, "endpointslices")
    if written is None:
        return None
    return [
        address for endpoint in elements(written.get("endpoints")) for address in texts(endpoint.get("addresses"))
    ]  # fmt: skip


@field("networkpolicy.allows_all", "boolean", "Whether the policy has a rule that lets everyone in or out.",
       level="Request", example="true")  # fmt: skip
def allows_all(facts: Facts) -> bool | None:
    written = _written(facts, "networkpolicies")
    if written is None:
        return None
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in elements(dig(written, "spec", direction)):
            named = sequence(rule.get(peers))
            if not named or any(
                dig(peer, "ipBlock", "cidr") in ("0.0.0.0/0", "::/0") and not dig(peer, "ipBlock", "except")
                for peer in named
            ):
                return True
    return False
