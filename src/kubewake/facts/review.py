"""Questions to the API server about rights and identities: access reviews, rules reviews, token reviews."""

from typing import Any

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field
from kubewake.facts.shapes import dig, flag, mapping, optional_text, texts

REVIEWS = frozenset(
    {
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "selfsubjectreviews",
        "subjectaccessreviews",
        "localsubjectaccessreviews",
        "tokenreviews",
    }
)


def _spec(facts: Facts) -> dict[str, Any]:
    if facts.resource not in REVIEWS:
        return {}
    sent = dig(facts.request_body, "spec")
    return mapping(sent) or mapping(dig(facts.response_body, "spec"))


def _attribute(facts: Facts, name: str) -> str | None:
    return optional_text(mapping(_spec(facts).get("resourceAttributes")).get(name))


@field("review.user", "text", "The identity that is asked about; for token reviews the one that the token stands "
       "for.", level="Request", example="system:serviceaccount:shop:web")  # fmt: skip
def user(facts: Facts) -> str | None:
    if facts.resource == "tokenreviews":
        return optional_text(dig(facts.response_body, "status", "user", "username"))
    return optional_text(_spec(facts).get("user"))


@field("review.groups", "list", "Groups of the identity that is asked about.", level="Request",
       example="[system:authenticated]")  # fmt: skip
def groups(facts: Facts) -> list[str] | None:
    if facts.resource not in REVIEWS:
        return None
    return texts(_spec(facts).get("groups"))


@field("review.verb", "text", "Verb that is asked about.", level="Request", example="list")
def verb(facts: Facts) -> str | None:
    return _attribute(facts, "verb") or optional_text(dig(_spec(facts), "nonResourceAttributes", "verb"))


@field("review.resource", "text", "Resource that is asked about.", level="Request", example="secrets")
def resource(facts: Facts) -> str | None:
    return _attribute(facts, "resource")


@field("review.subresource", "text", "Subresource that is asked about.", level="Request", example="exec")
def subresource(facts: Facts) -> str | None:
    return _attribute(facts, "subresource")


@field("review.group", "text", "API group that is asked about.", level="Request", example="apps")
def group(facts: Facts) -> str | None:
    return _attribute(facts, "group")


@field("review.namespace", "text", "Namespace that is asked about.", level="Request", example="kube-system")
def namespace(facts: Facts) -> str | None:
    return _attribute(facts, "namespace") or optional_text(_spec(facts).get("namespace"))


@field("review.name", "text", "Name of the object that is asked about.", level="Request", example="admin-token")
def name(facts: Facts) -> str | None:
    return _attribute(facts, "name")


@field("review.path", "text", "Path outside the resource API that is asked about.", level="Request",
       example="/metrics")  # fmt: skip
def path(facts: Facts) -> str | None:
    return optional_text(dig(_spec(facts), "nonResourceAttributes", "path"))


@field("review.allowed", "boolean", "The answer: whether it would be allowed, or the token is valid.",
       level="RequestResponse", example="true")  # fmt: skip
def is_allowed(facts: Facts) -> bool | None:
    if facts.resource not in REVIEWS:
        return None
    status = mapping(dig(facts.response_body, "status"))
    return flag(status.get("allowed" if facts.resource != "tokenreviews" else "authenticated"))
