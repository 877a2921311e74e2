"""Whatever stands in a body, every field answers with a value or None, and none needs its safety net."""

import json

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewake import fields
from kubewake.event import AuditEvent, ObjectRef, Status, User
from kubewake.facts import Facts

KEYS = [
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "status",
    "data",
    "stringData",
    "type",
    "name",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "generateName",
    "controller",
    "template",
    "jobTemplate",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "hostPath",
    "path",
    "gitRepo",
    "repository",
    "directory",
    "secret",
    "secretName",
    "projected",
    "sources",
    "serviceAccountToken",
    "audience",
    "expirationSeconds",
    "securityContext",
    "privileged",
    "runAsUser",
    "runAsNonRoot",
    "capabilities",
    "add",
    "seccompProfile",
    "localhostProfile",
    "procMount",
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "valueFrom",
    "secretKeyRef",
    "secretRef",
    "volumeMounts",
    "mountPath",
    "subPath",
    "readOnly",
    "ports",
    "hostPort",
    "hostNetwork",
    "hostPID",
    "nodeSelector",
    "tolerations",
    "key",
    "operator",
    "effect",
    "affinity",
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
    "matchExpressions",
    "values",
    "rules",
    "verbs",
    "resources",
    "apiGroups",
    "resourceNames",
    "nonResourceURLs",
    "roleRef",
    "subjects",
    "aggregationRule",
    "clusterRoleSelectors",
    "webhooks",
    "clientConfig",
    "url",
    "service",
    "failurePolicy",
    "namespaceSelector",
    "matchLabels",
    "operations",
    "conversion",
    "webhook",
    "scope",
    "names",
    "plural",
    "request",
    "signerName",
    "usages",
    "conditions",
    "certificate",
    "username",
    "audiences",
    "boundObjectRef",
    "resourceAttributes",
    "nonResourceAttributes",
    "verb",
    "resource",
    "subresource",
    "group",
    "user",
    "groups",
    "allowed",
    "authenticated",
    "externalIPs",
    "selector",
    "externalName",
    "loadBalancer",
    "ingress",
    "ip",
    "loadBalancerSourceRanges",
    "tls",
    "backend",
    "http",
    "paths",
    "subsets",
    "addresses",
    "notReadyAddresses",
    "endpoints",
    "from",
    "to",
    "ipBlock",
    "cidr",
    "except",
    "provisioner",
    "parameters",
    "resturl",
    "server",
    "persistentVolumeClaim",
    "claimName",
    "claimRef",
    "local",
    "taints",
    "unschedulable",
    "address",
    "replicas",
    "message",
    "note",
    "reason",
    "nodeInfo",
    "kubeletVersion",
    "resourceClaims",
    "resourceClaimStatuses",
    "secrets",
    "imagePullSecrets",
    "items",
    "op",
    "value",
    "$patch",
    "port",
    "nodePort",
    "container",
    "stdin",
    "tty",
    "gitVersion",
    "persistentVolumeReclaimPolicy",
]
RESOURCES = [
    "pods",
    "deployments",
    "cronjobs",
    "daemonsets",
    "jobs",
    "podtemplates",
    "replicasets",
    "statefulsets",
    "roles",
    "clusterroles",
    "rolebindings",
    "clusterrolebindings",
    "secrets",
    "serviceaccounts",
    "configmaps",
    "services",
    "ingresses",
    "endpoints",
    "endpointslices",
    "networkpolicies",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "apiservices",
    "customresourcedefinitions",
    "nodes",
    "namespaces",
    "storageclasses",
    "persistentvolumes",
    "certificatesigningrequests",
    "selfsubjectaccessreviews",
    "tokenreviews",
    "subjectaccessreviews",
    "events",
    "rollouts",
]
SUBRESOURCES = ["", "", "", "exec", "attach", "token", "approval", "status", "scale", "proxy", "ephemeralcontainers"]
GROUPS = ["", "apps", "batch", "rbac.authorization.k8s.io", "argoproj.io", "admissionregistration.k8s.io"]

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["/", "..", "true", "0", "-1", "--1", "Exists", "Pod", "List", "Status", "a@b", "http://[", "x:y:z"]
    ),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
        st.dictionaries(st.text(max_size=4), inner, max_size=2),
    ),
    max_leaves=30,
)  # fmt: skip


def _wrap(steps: list[str], value: object) -> object:
    for step in reversed(steps):
        value = [value] if step == "[]" else {step: value}
    return value


_deep = st.builds(
    _wrap,
    st.sampled_from(
        [
            ["spec"],
            ["spec", "template", "spec"],
            ["spec", "containers", "[]"],
            ["spec", "template", "spec", "containers", "[]", "securityContext"],
            ["rules", "[]"],
            ["subjects", "[]"],
            ["webhooks", "[]", "clientConfig"],
            ["webhooks", "[]", "rules", "[]"],
            ["spec", "rules", "[]", "http", "paths", "[]"],
            ["spec", "volumes", "[]"],
            ["metadata"],
            ["status"],
        ]
    ),
    _values,
)
_operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "copy", "move", "test", 1]),
            "path": st.one_of(
                st.text("/~01-x", max_size=12),
                st.sampled_from(
                    [
                        "/spec/template/spec/containers/0/securityContext",
                        "/rules/-",
                        "/subjects/-",
                        "/spec",
                        "",
                        "/rules/0/verbs/1",
                    ]
                ),
            ),
        },
        optional={"value": _values, "from": st.text("/ab0", max_size=6)},
    ),
    max_size=5,
)
_bodies = st.one_of(_values, _deep, _operations).map(lambda body: json.dumps(body).encode())
_raw = st.one_of(st.just(b""), _bodies, st.binary(max_size=20), st.just(b"[" * 3000), st.just(b'"\xff"'))
_texts = st.one_of(st.none(), st.text(max_size=20))
_uris = st.one_of(
    _texts,
    st.sampled_from(
        [
            "/api/v1/nodes/n/proxy/run/a/b/c?cmd=%zz",
            "/api/v1/pods?%%%=1&=&command=",
            "/a/%2e%2e/b",
            "?",
            "/api/v1/namespaces/x/pods/y/exec?command=%ff&command=sh",
        ]
    ),
)
_users = st.one_of(
    st.none(),
    st.builds(
        User,
        username=st.one_of(
            _texts, st.sampled_from(["system:serviceaccount:", "system:serviceaccount:a:b", "system:node:n"])
        ),
        uid=_texts,
        groups=st.one_of(st.none(), st.lists(st.text(max_size=5), max_size=2).map(tuple)),
        extra=st.one_of(
            st.none(),
            st.dictionaries(
                st.sampled_from(
                    ["authentication.kubernetes.io/credential-id", "authentication.kubernetes.io/pod-name"]
                ),
                st.lists(st.text(max_size=5), max_size=2),
            ),
        ),
    ),
)
_events = st.builds(
    AuditEvent,
    level=_texts,
    stage=_texts,
    request_uri=_uris,
    verb=st.sampled_from(["create", "update", "patch", "patch", "get", "list", "delete", "", None]),
    user=_users,
    impersonated_user=_users,
    source_ips=st.one_of(
        st.none(), st.lists(st.one_of(st.text(max_size=9), st.ip_addresses().map(str)), max_size=2).map(tuple)
    ),
    user_agent=_texts,
    object_ref=st.one_of(
        st.none(),
        st.builds(
            ObjectRef,
            resource=st.sampled_from(RESOURCES),
            subresource=st.sampled_from(SUBRESOURCES),
            api_group=st.sampled_from(GROUPS),
            namespace=_texts,
            name=_texts,
        ),
    ),
    response_status=st.one_of(st.none(), st.builds(Status, code=st.one_of(st.none(), st.integers()))),
    request_object=_raw.map(msgspec.Raw),
    response_object=_raw.map(msgspec.Raw),
    request_received_timestamp=st.just("2026-11-23T06:38:08.328333Z"),
    stage_timestamp=st.just("2026-11-23T06:38:08.428333Z"),
    annotations=st.one_of(st.none(), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2)),
)

KINDS = {
    "text": str,
    "number": (int, float),
    "boolean": bool,
    "list": (list, tuple),
    "elements": list,
    "mapping": dict,
}
NAMES = [name for name in fields.names() if name not in fields.NATIVE]
NATIVE = [*fields.NATIVE, "requestObject.spec.containers.image", "responseObject.rules.verbs", "annotations.a.b"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_events)
def test_every_field_answers(event):
    facts = Facts(event)
    for name in (*NAMES, *NATIVE):
        value = facts.value(name)
        field = fields.FIELDS.get(name)
        if field is not None and value is not None:
            assert isinstance(value, KINDS[field.kind]), (name, value)
            assert field.kind == "boolean" or not isinstance(value, bool), (name, value)
            if field.kind == "elements":
                for element in value:
                    assert set(element) == set(field.parts), name
                    for part, item in element.items():
                        assert item is None or isinstance(item, KINDS[field.parts[part].kind]), (name, part, item)
    assert set(facts.unknown) <= {"requestObject", "responseObject"}, facts.unknown


def test_unreadable_bodies_are_named():
    event = AuditEvent(verb="patch", request_object=msgspec.Raw(b"spec: {a: 1}"), response_object=msgspec.Raw(b'"cut"'))
    facts = Facts(event)
    assert facts.request_body is None
    assert facts.response_body is None
    assert facts.object is None
    assert facts.unknown == ("requestObject", "responseObject")


def test_deep_bodies_become_unknown():
    deep = b'{"spec":' * 4000 + b"1" + b"}" * 4000
    for verb in ("create", "patch"):
        facts = Facts(AuditEvent(verb=verb, object_ref=ObjectRef(resource="pods"), request_object=msgspec.Raw(deep)))
        for name in NAMES:
            facts.value(name)
        assert "requestObject" in facts.unknown
