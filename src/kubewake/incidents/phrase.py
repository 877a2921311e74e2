"""Plain words for a request, for someone who knows no Kubernetes."""

from functools import lru_cache

from kubewake.lineage.reference import EventRef
from kubewake.rules.attempt import DEEDS

SUBRESOURCES = {
    ("pods", "exec"): "run commands inside the running program {name}",
    ("pods", "attach"): "attach to the running program {name}",
    ("pods", "portforward"): "open a network tunnel into {name}",
    ("pods", "ephemeralcontainers"): "add a debug container to {name}",
    ("pods", "log"): "read the logs of {name}",
    ("pods", "eviction"): "evict {name} from its machine",
    ("pods", "binding"): "place {name} on a machine",
    ("nodes", "proxy"): "talk to the agent on machine {name} through the API server",
    ("pods", "proxy"): "send a request to {name} through the API server",
    ("services", "proxy"): "send a request to service {name} through the API server",
    ("serviceaccounts", "token"): "have a login token issued for service account {name}",
    ("certificatesigningrequests", "approval"): "approve the certificate request {name}",
    ("nodes", "status"): "change the reported state of machine {name}",
}
THINGS = {
    "pods": "pod (a running program)",
    "secrets": "secret (stored credentials)",
    "configmaps": "configuration",
    "serviceaccounts": "service account (a login for programs)",
    "rolebindings": "permission grant",
    "clusterrolebindings": "cluster-wide permission grant",
    "roles": "set of permissions",
    "clusterroles": "cluster-wide set of permissions",
    "deployments": "workload",
    "daemonsets": "workload that runs on every machine",
    "statefulsets": "workload",
    "replicasets": "workload",
    "jobs": "one-time job",
    "cronjobs": "scheduled job",
    "namespaces": "namespace",
    "nodes": "machine",
    "services": "network service",
    "ingresses": "entry point from outside",
    "networkpolicies": "network rule",
    "endpoints": "network destination list",
    "endpointslices": "network destination list",
    "events": "cluster event record",
    "mutatingwebhookconfigurations": "hook that rewrites requests",
    "validatingwebhookconfigurations": "hook that vets requests",
    "certificatesigningrequests": "certificate request",
    "selfsubjectaccessreviews": "own permissions",
    "selfsubjectrulesreviews": "own permissions",
    "selfsubjectreviews": "own login",
}
VERBS = {
    "get": "read the",
    "list": "list every",
    "watch": "keep watching every",
    "create": "create",
    "update": "change the",
    "patch": "change the",
    "delete": "delete the",
    "deletecollection": "delete every",
    "impersonate": "act as the",
}
PAST = {deed: done for done, deed in DEEDS.items()} | {
    "attach": "attached",
    "do": "did",
    "evict": "evicted",
    "keep": "kept",
    "list": "listed",
    "send": "sent",
    "talk": "talked",
}
"""What the first words of deeds read as once they are done."""
SELF_QUESTIONS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
REFUSED = {"denied": ", which was refused", "failed": ", which failed"}


@lru_cache(maxsize=4096)
def actor_name(user: str) -> str:
    """The short name of an identity."""
    if user.startswith("system:serviceaccount:"):
        namespace, _, name = user.removeprefix("system:serviceaccount:").partition(":")
        return f"service account {name} (namespace {namespace})"
    if user.startswith("system:node:"):
        return f"machine {user.removeprefix('system:node:')}"
    if user == "system:anonymous":
        return "someone without a login"
    if not user:  # a failed login, or a log without names
        return "someone without a known login"
    return user


def target_name(ref: EventRef) -> str:
    """The object that a request is about, with its namespace."""
    if not ref.resource:
        return ref.uri or "/"
    name = ref.name or "without a known name"
    return f"{name} in namespace {ref.namespace}" if ref.namespace and ref.resource != "namespaces" else name


def with_article(noun: str) -> str:
    """A noun behind "a" or "an"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def describe(ref: EventRef) -> str:
    """What a request did, without its actor: "read the secret db in namespace shop".

    What was refused was only tried: "tried to read the secret db in namespace shop, which was refused". A question is
    asked even where it is not answered.
    """
    if not ref.resource:
        text = f"asked the API server for {ref.uri or '/'}"
    elif ref.resource in SELF_QUESTIONS:
        text = "asked the API server what this login may do"
    else:
        text = deed(ref)
        verb, _, rest = text.partition(" ")
        text = f"tried to {text}" if ref.outcome in REFUSED else f"{PAST[verb]} {rest}"
    if ref.detail and ref.subresource == "exec":
        text += f" ({ref.detail})"
    if ref.impersonated:
        text += f", in the name of {ref.impersonated}"
    if ref.count > 1:
        text += f", {ref.count} times"
    return text + REFUSED.get(ref.outcome, "")


def deed(ref: EventRef) -> str:
    """What a request is to do, in words that begin with one of `PAST`."""
    words = SUBRESOURCES.get((ref.resource, ref.subresource))
    if words is not None:
        return words.format(name=target_name(ref))
    thing = THINGS.get(ref.resource, f"object of kind {ref.resource}")
    if ref.verb == "create":
        thing = with_article(thing)
    verb = VERBS.get(ref.verb, f"do {ref.verb} on the")
    if ref.verb in {"list", "watch", "deletecollection"} and not ref.name:
        where = f" in namespace {ref.namespace}" if ref.namespace else " in the whole cluster"
        text = f"{verb} {thing}{where}"
    else:
        text = f"{verb} {thing} {target_name(ref)}"
    return f"{text} ({ref.subresource})" if ref.subresource else text


def where_from(ref: EventRef) -> str:
    """Address and client of a request, as far as known."""
    parts = []
    if ref.source:
        parts.append(f"from {ref.source}")
    if ref.user_agent:
        parts.append(f"with {ref.user_agent.partition(' ')[0]}")
    return " ".join(parts)
