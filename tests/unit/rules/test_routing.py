"""Filing rules by what their derived fields imply: no event that a field has a value for may be passed over."""

import pytest

from kubewake.event import AuditEvent, ObjectRef, Status
from kubewake.facts import Facts
from kubewake.fields import FIELDS
from kubewake.rules.condition import And, Each, Match, Not, Or
from kubewake.rules.guards import guard_of, guarded
from kubewake.rules.predicate import is_empty
from kubewake.rules.routing import Index
from kubewake.rules.routing import required_atoms as atoms_of

REFS = [
    ObjectRef("pods", "shop", "web"),
    ObjectRef("pods", "shop", "web", subresource="exec"),
    ObjectRef("pods", "shop", "web", subresource="attach"),
    ObjectRef("pods", "shop", "web", subresource="status"),
    ObjectRef("pods", "shop", "web", subresource="ephemeralcontainers"),
    ObjectRef("deployments", "shop", "web", api_group="apps"),
    ObjectRef("cronjobs", "shop", "web", api_group="batch"),
    ObjectRef("rollouts", "shop", "web", api_group="argoproj.io"),
    ObjectRef("nodes", None, "node-1", subresource="proxy"),
    ObjectRef("services", "shop", "web", subresource="proxy"),
    ObjectRef("roles", "shop", "web", api_group="rbac.authorization.k8s.io"),
    ObjectRef("clusterrolebindings", None, "web", api_group="rbac.authorization.k8s.io"),
    ObjectRef("serviceaccounts", "shop", "web", subresource="token"),
    ObjectRef("serviceaccounts", "shop", "web"),
    ObjectRef("secrets", "shop", "web"),
    ObjectRef("persistentvolumes", None, "data"),
    ObjectRef("events", "shop", "web.1"),
    ObjectRef("configmaps", "shop", "web"),
    ObjectRef("services", "shop", "web"),
    ObjectRef("ingresses", "shop", "web", api_group="networking.k8s.io"),
    ObjectRef("endpoints", "shop", "web"),
    ObjectRef("endpointslices", "shop", "web", api_group="discovery.k8s.io"),
    ObjectRef("nodes", None, "node-1", subresource="status"),
    ObjectRef("namespaces", "shop", "shop"),
    ObjectRef("certificatesigningrequests", None, "dev", api_group="certificates.k8s.io"),
    ObjectRef("mutatingwebhookconfigurations", None, "web", api_group="admissionregistration.k8s.io"),
    ObjectRef("validatingwebhookconfigurations", None, "web", api_group="admissionregistration.k8s.io"),
    ObjectRef("apiservices", None, "v1.example.com", api_group="apiregistration.k8s.io"),
    ObjectRef("customresourcedefinitions", None, "a.example.com", api_group="apiextensions.k8s.io"),
    ObjectRef("storageclasses", None, "fast", api_group="storage.k8s.io"),
    ObjectRef("deployments", "shop", "web", api_group="apps", subresource="scale"),
    ObjectRef(),
]
BODY = (
    b'{"kind":"X","type":"Opaque","message":"m","reason":"r","command":["sh"],"rules":[{"verbs":["*"]}],"roleRef":{"kind":"Role",'
    b'"name":"x"},"subjects":[{"kind":"User","name":"x"}],"spec":{"containers":[{"name":"a"}],"hostPath":{"path":"/"},'
    b'"local":{"path":"/"},"audiences":["x"],"expirationSeconds":1,"template":{"spec":{"containers":[{"name":"a"}]}}}}'
)
URI = "/api/v1/nodes/node-1/proxy/run/shop/web/app?command=id&cmd=id&container=a&stdin=true&tty=true"


def applies_to(field: str) -> bool:
    return guard_of(field) is not None


def required_atoms(tree):
    return atoms_of(guarded(tree))


@pytest.mark.parametrize("field", sorted(filter(applies_to, FIELDS)))
@pytest.mark.parametrize("verb", ["create", "update", "patch", "get"])
def test_a_field_with_a_value_is_never_passed_over(field: str, verb: str) -> None:
    index = Index([guarded(Match(field, "exists"))])
    valued = 0
    for ref in REFS:
        event = AuditEvent(
            verb=verb, object_ref=ref, request_uri=URI, request_object=BODY, response_object=BODY,  # type: ignore[arg-type]
            response_status=Status(code=200),
        )  # fmt: skip
        facts = Facts(event)
        if not is_empty(facts.value(field)):
            valued += 1
            assert index.candidates(facts) == [0], ref
    assert valued < len(REFS) or atoms_of(guard_of(field)).keys() == {"verb"}


def test_what_a_condition_implies() -> None:
    role, secret = Match("rbac.role_name", "eq", ("x",)), Match("secret.type", "re", ("x",))
    assert required_atoms(role)["objectRef.resource"] >= {"rolebindings"}
    each = required_atoms(Each("workload.containers", Match("privileged", "eq", (True,))))
    assert each["workload.is_write"] == frozenset({"true"})
    assert required_atoms(Or((role, secret)))["objectRef.resource"] >= {"rolebindings", "secrets"}
    assert required_atoms(And((secret, Match("objectRef.resource", "eq", ("secrets", "pods"))))) == {
        "objectRef.resource": frozenset({"secrets"})
    }


@pytest.mark.parametrize("tree", [
    Match("rbac.role_name", "null"),
    Not(Match("rbac.role_name", "eq", ("x",))),
    Match("workload.is_write", "exists"),
    Or((Match("secret.type", "eq", ("x",)), Match("verb", "eq", ("get",)))),
])  # fmt: skip
def test_what_implies_nothing(tree: Match | Not | Or) -> None:
    assert required_atoms(tree) == {}
