"""Rules in the manner of Elastic's new-terms: a combination of field values never seen before in the window.

Seven sets of fields, each with the condition on requests that such rules put before it. The window is all that came
before in the recording; what comes within the attack-free part teaches and does not alert.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.rule import WEIGHTS, Hit

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews"})


class FieldSet(NamedTuple):
    """Fields whose combination is new, and the requests that are asked."""

    name: str
    tactic: str
    priority: str
    applies: Callable[[Request], bool]
    term: Callable[[Request], tuple[str, ...]]


FIELD_SETS = [
    FieldSet("client of refused requests", "discovery", "medium", lambda r: not r.allowed, lambda r: (r.client,)),
    FieldSet(
        "identity and client of refused writes",
        "execution",
        "medium",
        lambda r: not r.allowed and r.verb in WRITES,
        lambda r: (r.user, r.client),
    ),
    FieldSet(
        "identity and client of permission reviews",
        "discovery",
        "medium",
        lambda r: r.resource in REVIEWS,
        lambda r: (r.user, r.client),
    ),
    FieldSet(
        "identity and namespace of secrets",
        "credential-access",
        "medium",
        lambda r: r.resource == "secrets" and r.verb in ("get", "list"),
        lambda r: (r.user, r.namespace),
    ),
    FieldSet("identity and address", "initial-access", "medium", lambda r: bool(r.user), lambda r: (r.user, r.source)),
    FieldSet(
        "identity, verb and resource",
        "execution",
        "medium",
        lambda r: r.verb in WRITES,
        lambda r: (r.user, r.verb, r.resource, r.subresource),
    ),
    FieldSet(
        "identity and role bindings",
        "privilege-escalation",
        "high",
        lambda r: r.resource.endswith(("roles", "rolebindings")) and r.verb in WRITES,
        lambda r: (r.user, r.resource, r.namespace),
    ),
]


def hits_of_new_terms(requests: Iterable[Request], learn_until: str) -> list[Hit]:
    """First sights after the attack-free part."""
    seen: list[set[tuple[str, ...]]] = [set() for _ in FIELD_SETS]
    hits = []
    for request in requests:
        for known, fields in zip(seen, FIELD_SETS, strict=True):
            if fields.applies(request):
                term = fields.term(request)
                if term not in known:
                    known.add(term)
                    if request.time >= learn_until:
                        hits.append(Hit(request, fields.name, WEIGHTS[fields.priority], fields.tactic))
    return hits
