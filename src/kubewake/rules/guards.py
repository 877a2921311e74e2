"""What derived fields imply: a field of services has a value only where services are written.

Rules are compiled with these conditions beside their own. They decide nothing that the rule does not decide anyway, but
they follow from the behaviour of an event, so that most events never get as far as decoding a body.
"""

from kubewake.facts.registry import owner_of
from kubewake.fields import FIELDS, scope_of
from kubewake.rules.condition import And, Compare, Condition, Each, Match, Named, Or, all_of, any_of

_WRITES = Match("verb", "eq", ("create", "patch", "update"))
_PATCH = Match("verb", "eq", ("patch",))
_PROXIED = Match("objectRef.subresource", "eq", ("proxy",))
_WORKLOAD = Match("workload.is_write", "eq", (True,))


def _on(*resources: str) -> Match:
    return Match("objectRef.resource", "eq", tuple(sorted(resources)))


GUARDS: dict[str, Condition] = {
    "apiservice": all_of([_on("apiservices"), _WRITES]),
    "configmap": all_of([_on("configmaps"), _WRITES]),
    "crd": _on("customresourcedefinitions"),
    "csr": _on("certificatesigningrequests"),
    "endpoints": all_of([_on("endpoints", "endpointslices"), _WRITES]),
    "event": _on("events"),
    "exec": Match("objectRef.subresource", "eq", ("attach", "exec", "portforward", "proxy")),
    "ingress": all_of([_on("ingresses"), _WRITES]),
    "namespace": all_of([_on("namespaces"), _WRITES]),
    "networkpolicy": all_of([_on("networkpolicies"), _WRITES]),
    "node.addresses": all_of([_on("nodes"), _WRITES]),
    "node.owner_set": all_of([_on("nodes"), _WRITES]),
    "object.changed_paths": _PATCH,
    "object.removed_paths": _PATCH,
    "patch": _PATCH,
    "rbac": all_of([_on("clusterrolebindings", "clusterroles", "rolebindings", "roles"), _WRITES]),
    "rbac.aggregates_to": all_of([_on("clusterroles"), _WRITES]),
    "rbac.aggregation_selectors": all_of([_on("clusterroles"), _WRITES]),
    **{
        name: all_of([_on("clusterroles", "roles"), _WRITES])
        for name in FIELDS
        if name == "rbac.rules" or name.startswith("rbac.grants_")
    },
    "rbac.subjects": all_of([_on("clusterrolebindings", "rolebindings"), _WRITES]),
    "request.kubelet_endpoint": _PROXIED,
    "request.proxy_path": _PROXIED,
    "review": _on(
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "tokenreviews",
    ),
    "scale": all_of([Match("objectRef.subresource", "eq", ("scale",)), _WRITES]),
    "secret": _on("secrets"),
    "service": all_of([_on("services"), _WRITES]),
    "serviceaccount": all_of([_on("serviceaccounts"), _WRITES]),
    "storage": all_of([any_of([_on("persistentvolumes", "storageclasses"), _WORKLOAD]), _WRITES]),
    "storage.host_path": all_of([_on("persistentvolumes"), _WRITES]),
    "storage.local_path": all_of([_on("persistentvolumes"), _WRITES]),
    "storage.parameters": all_of([_on("storageclasses"), _WRITES]),
    "storage.provisioner": all_of([_on("storageclasses"), _WRITES]),
    "token": all_of([_on("serviceaccounts"), Match("objectRef.subresource", "eq", ("token",))]),
    "webhook": all_of([_on("mutatingwebhookconfigurations", "validatingwebhookconfigurations"), _WRITES]),
    "workload": all_of([_WORKLOAD, _WRITES]),
}
"""By derived field, or family of fields that need the event: what holds whenever the field has a value at all.

A test holds the events of every rule test against it.
"""


def guard_of(name: str) -> Condition | None:
    """What it implies about the behaviour of an event that the field has a value; None for nothing known."""
    owner = owner_of(name)
    field = name if owner is None else owner[0].name
    if field not in FIELDS or scope_of(field) != "event":
        return None
    return GUARDS.get(field) or GUARDS.get(field.partition(".")[0])


def guarded(tree: Condition) -> Condition:
    """The condition with what its fields imply; it holds for the same events."""
    match tree:
        case And(parts):
            known = dict.fromkeys(part for part in parts)
            added: dict[Condition, None] = {}
            for part in (guarded(part) for part in parts):
                added.update(dict.fromkeys(part.parts if isinstance(part, And) else (part,)))
            return all_of([*(part for part in added if part not in known), *(part for part in added if part in known)])
        case Or(parts):
            return any_of(guarded(part) for part in parts)
        case Named(_, part):
            return guarded(part)
        case Each(root, _):
            return _with(guard_of(root), tree)
        case Compare(name, other):
            return _with(guard_of(name) or guard_of(other), tree)
        case Match(name, operation) if operation != "null":
            return _with(guard_of(name), tree)
        case _:
            return tree


def _with(guard: Condition | None, tree: Condition) -> Condition:
    return tree if guard is None else all_of([guard, tree])
