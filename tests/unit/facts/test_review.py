"""Questions about rights."""


def _review(make, resource, spec=None, status=None):
    return make(
        objectRef={"resource": resource, "apiGroup": "authorization.k8s.io"},
        requestObject={"spec": spec or {}},
        responseObject={"kind": "X", "spec": spec or {}, "status": status or {}},
    )


def test_access_review(make):
    spec = {
        "user": "eve",
        "groups": ["dev"],
        "resourceAttributes": {
            "verb": "list",
            "resource": "pods",
            "subresource": "exec",
            "namespace": "a",
            "name": "n",
            "group": "g",
        },
    }
    facts = _review(make, "subjectaccessreviews", spec, {"allowed": True})
    values = {
        name: facts.value(f"review.{name}")
        for name in (
            "user",
            "groups",
            "verb",
            "resource",
            "subresource",
            "namespace",
            "name",
            "group",
            "allowed",
            "path",
        )
    }
    assert values == {
        "user": "eve", "groups": ["dev"], "verb": "list", "resource": "pods", "subresource": "exec", "namespace": "a",
        "name": "n", "group": "g", "allowed": True, "path": None,
    }  # fmt: skip


def test_path_review(make):
    facts = _review(make, "selfsubjectaccessreviews", {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}})
    assert facts.value("review.path") == "/metrics"
    assert facts.value("review.verb") == "get"
    assert facts.value("review.allowed") is None


def test_rules_review(make):
    facts = _review(make, "selfsubjectrulesreviews", {"namespace": "shop"})
    assert facts.value("review.namespace") == "shop"


def test_token_review(make):
    facts = _review(make, "tokenreviews", {"token": "x"}, {"authenticated": True, "user": {"username": "ann"}})
    assert facts.value("review.user") == "ann"
    assert facts.value("review.allowed") is True


def test_other_requests_ask_nothing(make):
    facts = make(requestObject={"spec": {"user": "eve"}})
    assert facts.value("review.user") is None
    assert facts.value("review.groups") is None
