"""What is worth a word when it happens for the first time: one entry a detection of `new_value`."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct

from kubewake.detectors.network import network_of
from kubewake.finding import Attack, Audience, Severity
from kubewake.observation import Stub
from kubewake.rules.model import Needs, RuleInfo

History = Literal["user", "cluster"]
GENERATED = re.compile(r"(?:-[a-f0-9]{6,10})?-(?:[bcdfghjklmnpqrstvwxz2456789]{5}|\d+)$")
"""What controllers append to a workload's name for its pods: hash of the template, random letters, or a number."""

WORKLOADS = frozenset(
    {"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs"}
)
BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
ROLES = frozenset({"roles", "clusterroles"})
PODS = frozenset({"pods"})
SECRETS = frozenset({"secrets"})
WRITES = frozenset({"create", "update", "patch"})
REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews"})
UNVERSIONED = "kubernetes/$Format"
"""User agents of programs built without version information: too general to tell anything."""
CATALOG_DAYS = 7
GRANTS = (
    "rbac.grants_wildcard", "rbac.grants_secrets_read", "rbac.grants_escalation", "rbac.grants_exec",
    "rbac.grants_node_proxy", "rbac.grants_token_create", "rbac.grants_workload_write", "rbac.grants_rbac_write",
)  # fmt: skip


class Entry(Struct, frozen=True, kw_only=True):
    """One detection of a first time.

    `applies` says which behaviours it is about, whatever a request's body and the object's name are, `values` what of a
    request may be new (empty: nothing to compare), and `history` whose past it must be new in: that of the user or of
    the whole cluster.
    """

    info: RuleInfo
    applies: Callable[[Stub], bool]
    values: Callable[[Stub], Iterable[tuple[str, ...]]]
    resources: frozenset[str] | None = None
    """Kinds of objects that it is about, where `applies` demands one of them; None for any request."""
    history: History = "user"
    days: int = CATALOG_DAYS
    from_body: bool = False
    """Whether `values` depends on more than the behaviour of the request (its body or the object's name)."""


def origin_of(stub: Stub) -> str:
    """The network that a request came from: its AS where a database tells, else its address range."""
    asn = stub.values.get("source.asn")
    return f"AS{asn}" if asn else network_of(stub.source)


def workload_of(pod: str) -> str:
    """The name of the workload that a pod belongs to, as far as the pod's name tells."""
    return GENERATED.sub("", pod)


def repository_of(image: str) -> str:
    """An image without tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def registry_of(image: str) -> str:
    """Where an image comes from: its registry and first folder."""
    return "/".join(repository_of(image).split("/")[:2])


def _images(stub: Stub) -> list[str]:
    images = stub.values.get("workload.images") or ()
    return [str(image) for image in images]


def _risky_images(stub: Stub, *risks: str) -> list[tuple[str, str]]:
    """The images of a workload that has one of the risks, with its namespace."""
    if set(risks).isdisjoint(stub.values.get("workload.risks") or ()):
        return []
    return [(stub.namespace, repository_of(image)) for image in _images(stub)]


def _is_own_doing(stub: Stub) -> bool:
    """Whether somebody decided this, rather than a component in its ordinary work."""
    return (
        stub.actor_kind in ("human", "serviceaccount")
        and not stub.values.get("actor.in_profile")
        and not (
            stub.user.startswith("system:serviceaccount:kube-system:") and stub.client == "kube-controller-manager"
        )
    )


def _writes(stub: Stub, resources: frozenset[str]) -> bool:
    return (
        stub.resource in resources
        and stub.verb in WRITES
        and stub.outcome == "allowed"
        and (not stub.subresource or stub.subresource == "ephemeralcontainers")
        and _is_own_doing(stub)
    )


def _reads_secrets(stub: Stub) -> bool:
    return (
        stub.resource == "secrets"
        and stub.verb in ("get", "list")
        and stub.outcome == "allowed"
        and _is_own_doing(stub)
    )


def _enters_pod(stub: Stub) -> bool:
    return stub.resource == "pods" and stub.subresource == "exec" and stub.outcome == "allowed"


def _is_denied(stub: Stub) -> bool:
    return stub.code == FORBIDDEN and stub.stage != "ResponseStarted" and UNVERSIONED not in stub.user_agent


FORBIDDEN = 403
PEOPLE_ASK = (
    "Ask the owner of {actor.name} whether this was them.",
    "If nobody knows: list everything that {user.username} did from {source.ip}, and revoke the credential.",
)
PROGRAM_ASK = (
    "kubectl get pods -A -o wide | grep -F {source.ip}   # which pod sends from this address",
    "If the program was not changed on purpose: look for sessions in its pod, and at what the identity did next.",
)


def _info(
    rule: str,
    title: str,
    level: Severity,
    tactic: str,
    techniques: tuple[str, ...],
    description: str,
    story: str,
    *,
    audience: Audience = "pedantic",
    needs: Needs = "Metadata",
    ask: tuple[str, ...] = PEOPLE_ASK,
    falsepositives: tuple[str, ...] = ("New tasks, new tools and new versions; most first times are harmless.",),
) -> RuleInfo:
    references = tuple(f"https://attack.mitre.org/techniques/{name.replace('.', '/')}/" for name in techniques)
    return RuleInfo(
        id=rule, title=title, level=level, kind="detector", tactic=tactic, description=description, story=story,
        attack=Attack(tactics=[tactic], techniques=list(techniques)), references=references, covers=(rule,),
        confidence="low", audience=audience, needs=needs, remediation=ask, falsepositives=falsepositives,
        group_by=("user.username", "value"), window_seconds=86_400,
    )  # fmt: skip


ENTRIES: tuple[Entry, ...] = (
    Entry(
        info=_info(
            "forbidden-new-user-agent", "Refused request of a program never seen before", "medium", "discovery",
            ("T1613",), "A request was refused, and no refused request of the last week came from the same user agent.",
            "{actor.name} was refused while using {userAgent}, a program that was not seen among the refused ones before.",
        ),
        applies=lambda stub: _is_denied(stub) and bool(stub.user_agent),
        values=lambda stub: [(stub.user_agent,)],
        history="cluster",
    ),
    Entry(
        info=_info(
            "service-account-denied-new-user-agent", "Program's identity refused with a client never seen before", "medium",
            "discovery", ("T1613",),
            "A service account was refused, with a user agent that no refused service account used in the last week.",
            "The program identity {actor.name} was refused while using {userAgent}, which no program's identity used before. "
            "Somebody may hold its token.", ask=PROGRAM_ASK,
        ),
        applies=lambda stub: stub.actor_kind == "serviceaccount" and _is_denied(stub) and bool(stub.user_agent),
        values=lambda stub: [(stub.user_agent,)],
        history="cluster",
    ),
    Entry(
        info=_info(
            "decision-user-agent-new-combination", "New combination of answer, user and program", "low", "initial-access",
            ("T1078",), "The first time in ten days that this user was answered so (allowed or refused) with this program.",
            "It is new that {actor.name} with the program {userAgent} gets such an answer ({outcome}).",
        ),
        applies=lambda stub: bool(stub.user) and stub.client != "kubelet" and UNVERSIONED not in stub.user_agent,
        values=lambda stub: [("denied" if stub.outcome == "denied" else "allowed", stub.user_agent)],
        days=10,
    ),
    Entry(
        info=_info(
            "permission-check-anomalous", "Unusual question about permissions", "medium", "discovery", ("T1613",),
            "Somebody asked about a permission that they never asked about before, or with another program.",
            "{actor.name} asked for the first time whether it may do this ({value}), from {source.ip}.",
        ),
        resources=REVIEWS,
        applies=lambda stub: (
            stub.resource in REVIEWS
            and stub.verb == "create"
            and _is_own_doing(stub)
        ),
        values=lambda stub: [
            (stub.resource, *(str(stub.values.get(f"review.{part}", "")) for part in ("verb", "resource")), stub.client)
        ],
        from_body=True,
    ),
    Entry(
        info=_info(
            "geo-new-country", "Identity active from a new country or network operator", "medium", "initial-access",
            ("T1078",), "An identity came from a country or network operator (AS) where it was not seen before. Needs an "
            "address database.", "{actor.name} came from {value} for the first time ({source.ip}).",
        ),
        applies=lambda stub: (
            ("source.country" in stub.values or "source.asn" in stub.values)
            and stub.actor_kind in ("human", "serviceaccount", "node")
            and bool(stub.user)
        ),
        values=lambda stub: [
            (kind, str(stub.values[name]))
            for kind, name in (("country", "source.country"), ("AS", "source.asn"))
            if stub.values.get(name)
        ],
        days=30,
    ),
    Entry(
        info=_info(
            "exec-anomalous", "Unusual command session in a pod", "medium", "execution", ("T1609",),
            "Somebody ran a command in a pod of a namespace, or with a program, or from a network, that is new for them.",
            "{actor.name} ran a command in the pod {target.name} in a way that is new for them ({value}), from {source.ip}.",
        ),
        resources=PODS,
        applies=lambda stub: _enters_pod(stub) and bool(stub.user),
        values=lambda stub: [(stub.namespace, stub.client, origin_of(stub))],
    ),
    Entry(
        info=_info(
            "exec-new-user-or-pod", "First command session of this user in this workload", "medium", "execution",
            ("T1609",), "Somebody ran a command in a workload for the first time in two weeks.",
            "{actor.name} ran a command in {target.name} in namespace {target.namespace}, where they did not do so before.",
        ),
        resources=PODS,
        applies=lambda stub: _enters_pod(stub) and stub.actor_kind == "human",
        values=lambda stub: [(stub.namespace, workload_of(stub.name))],
        days=14,
        from_body=True,
    ),
    Entry(
        info=_info(
            "privileged-workload-anomalous", "Unusual privileged workload", "medium", "privilege-escalation", ("T1611",),
            "Somebody deployed a privileged workload with an image, or in a namespace, that is new for them.",
            "{actor.name} started a privileged program in namespace {target.namespace} in a way that is new for them "
            "({value}). A privileged program can take over its machine.", audience="everyone", needs="Request",
        ),
        resources=WORKLOADS,
        applies=lambda stub: _writes(stub, WORKLOADS),
        values=lambda stub: _risky_images(stub, "privileged"),
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "sensitive-hostpath-anomalous", "Unusual workload with access to its machine's files", "medium", "persistence",
            ("T1611",),
            "Somebody deployed a workload that mounts sensitive files of its machine, with an image or in a namespace new "
            "for them.",
            "{actor.name} started a program in namespace {target.namespace} that can reach sensitive files of its machine; "
            "that is new for them ({value}).", audience="everyone", needs="Request",
        ),
        resources=WORKLOADS,
        applies=lambda stub: _writes(stub, WORKLOADS),
        values=lambda stub: _risky_images(stub, "sensitive-host-path", "runtime-socket"),
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "workload-anomalous", "Unusual workload", "medium", "execution", ("T1610",),
            "Somebody deployed a workload whose image comes from a registry, into a namespace, or with a program that is new "
            "for them.", "{actor.name} started a program in a way that is new for them ({value}).", needs="Request",
        ),
        resources=WORKLOADS,
        applies=lambda stub: _writes(stub, WORKLOADS),
        values=lambda stub: [(stub.namespace, registry_of(image), stub.client) for image in _images(stub)],
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "workload-modified-new-origin", "Workload changed from a new place", "low", "privilege-escalation", ("T1098",),
            "A Deployment, DaemonSet or CronJob was created or patched from an address or with a program new for this user.",
            "{actor.name} changed {target.name} in namespace {target.namespace} from a new place ({value}).",
        ),
        resources=WORKLOADS,
        applies=lambda stub: (
            stub.resource in ("deployments", "daemonsets", "cronjobs")
            and stub.verb in ("create", "patch")
            and stub.outcome == "allowed"
            and "system:masters" not in stub.groups
            and _is_own_doing(stub)
        ),
        values=lambda stub: [(stub.user_agent, stub.source)],
    ),
    Entry(
        info=_info(
            "new-container-image-in-kube-system", "Image never seen before in the system namespace", "medium", "persistence",
            ("T1036.005",), "A workload in kube-system uses an image that was not seen there in the last month.",
            "{actor.name} brought a program into the system namespace that never ran there before: {value}. Attackers hide "
            "among the cluster's own programs.", audience="everyone", needs="Request",
        ),
        resources=WORKLOADS,
        applies=lambda stub: (
            stub.namespace == "kube-system"
            and stub.resource in WORKLOADS
            and stub.verb in WRITES
            and stub.outcome == "allowed"
        ),
        values=lambda stub: [(repository_of(image),) for image in _images(stub)],
        history="cluster",
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "rolebinding-anomalous", "Unusual grant of permissions", "medium", "privilege-escalation", ("T1098.006",),
            "Somebody granted a role, or in a namespace, that they never granted before.",
            "{actor.name} granted permissions in a way that is new for them ({value}).", needs="Request",
        ),
        resources=BINDINGS,
        applies=lambda stub: _writes(stub, BINDINGS),
        values=lambda stub: [
            (stub.namespace or "the whole cluster", str(stub.values.get("rbac.role_name") or stub.name))
        ],
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "role-anomalous", "Unusual powerful role", "medium", "privilege-escalation", ("T1098.006",),
            "Somebody wrote a role with dangerous permissions of a sort that they never wrote before.",
            "{actor.name} wrote the role {target.name} with powers that are new for them to hand out ({value}).",
            needs="Request",
        ),
        resources=ROLES,
        applies=lambda stub: _writes(stub, ROLES),
        values=lambda stub: [
            (stub.namespace or "the whole cluster", name.removeprefix("rbac.grants_").replace("_", " "))
            for name in GRANTS
            if stub.values.get(name)
        ],
        days=30,
        from_body=True,
    ),
    Entry(
        info=_info(
            "rbac-rare-authorization", "Permission used that was never used before", "low", "privilege-escalation",
            ("T1078",), "An identity was allowed something through a binding that it never made use of before.",
            "{actor.name} made use of a permission for the first time: {value}.",
        ),
        applies=lambda stub: stub.reason.startswith("RBAC:") and stub.outcome == "allowed" and _is_own_doing(stub),
        values=lambda stub: [(stub.reason,)],
        days=14,
    ),
    Entry(
        info=_info(
            "secrets-list-unusual-asn", "Secrets listed from an unusual network", "high", "credential-access",
            ("T1552.007",),
            "A person listed the Secrets of the whole cluster, of kube-system or of default from a network operator (AS; "
            "without an address database an address range) that is new for them.",
            "{actor.name} fetched all Secrets of namespace {target.namespace} from a network that is new for them ({value}, "
            "{source.ip}).", audience="everyone",
        ),
        resources=SECRETS,
        applies=lambda stub: (
            stub.resource == "secrets"
            and stub.verb == "list"
            and stub.outcome == "allowed"
            and stub.actor_kind == "human"
            and stub.namespace in ("", "kube-system", "default")
            and bool(origin_of(stub))
        ),
        values=lambda stub: [(origin_of(stub),)],
        days=30,
    ),
    Entry(
        info=_info(
            "secret-new-client", "Secrets read from a new place or with a new program", "medium", "credential-access",
            ("T1552.007",), "Secrets were read from an address or with a program that is new for this user.",
            "{actor.name} read Secrets of namespace {target.namespace} in a way that is new for them ({value}).",
        ),
        resources=SECRETS,
        applies=lambda stub: _reads_secrets(stub) and UNVERSIONED not in stub.user_agent,
        values=lambda stub: [(stub.source, stub.user_agent)],
    ),
    Entry(
        info=_info(
            "secret-sa-new-user-agent", "Program's identity read a Secret with a new client", "medium", "credential-access",
            ("T1552.007",), "A service account read a Secret with a user agent or from an address that is new for it.",
            "The program identity {actor.name} read a Secret of namespace {target.namespace} with a client that is new for "
            "it ({value}).", ask=PROGRAM_ASK,
        ),
        resources=SECRETS,
        applies=lambda stub: (
            _reads_secrets(stub)
            and stub.verb == "get"
            and stub.actor_kind == "serviceaccount"
            and UNVERSIONED not in stub.user_agent
        ),
        values=lambda stub: [(stub.user_agent, stub.source)],
    ),
    Entry(
        info=_info(
            "secret-access-anomalous", "Unusual access to Secrets", "medium", "credential-access", ("T1552.007",),
            "Secrets were read in a namespace, with a program or from a network that is new for this identity.",
            "{actor.name} read Secrets in a way that is new for them ({value}), from {source.ip}.",
        ),
        resources=SECRETS,
        applies=_reads_secrets,
        values=lambda stub: [(stub.namespace or "the whole cluster", stub.client, origin_of(stub))],
        days=30,
    ),
    Entry(
        info=_info(
            "service-account-rare-operation", "Program's identity does something unusual for it", "medium",
            "lateral-movement", ("T1078",),
            "A service account did something, to a kind of object or in a namespace, that it never did before.",
            "The program identity {actor.name} did something for the first time: {value}. Programs rarely change what they "
            "do.", ask=PROGRAM_ASK,
        ),
        applies=lambda stub: stub.actor_kind == "serviceaccount" and bool(stub.resource) and _is_own_doing(stub),
        values=lambda stub: [(stub.verb, _kind(stub), stub.namespace or "the whole cluster")],
        days=14,
    ),
    Entry(
        info=_info(
            "api-method-new", "Program's identity uses a new kind of request", "low", "persistence", ("T1078",),
            "A service account sent a kind of request (verb and kind of object) that it never sent before.",
            "The program identity {actor.name} sent its first request of the kind {value}.", ask=PROGRAM_ASK,
        ),
        applies=lambda stub: stub.actor_kind == "serviceaccount" and bool(stub.resource) and _is_own_doing(stub),
        values=lambda stub: [(stub.verb, _kind(stub))],
        days=30,
    ),
    Entry(
        info=_info(
            "user-agent-new", "Identity uses a new program", "low", "initial-access", ("T1078",),
            "An identity used a program (user agent) that it did not use in the last month.",
            "{actor.name} used {userAgent} for the first time, from {source.ip}.",
        ),
        applies=lambda stub: bool(stub.user and stub.user_agent) and stub.actor_kind in ("human", "serviceaccount", "node"),
        values=lambda stub: [(stub.user_agent,)],
        days=30,
    ),
    Entry(
        info=_info(
            "kubectl-rare-calls", "Rare kubectl command", "low", "discovery", ("T1078",),
            "Somebody used kubectl for something that they did not do with it in the last two weeks.",
            "{actor.name} used kubectl for something new ({value}), from {source.ip}.",
        ),
        applies=lambda stub: (
            stub.client == "kubectl" and bool(stub.user and stub.resource) and not stub.source.startswith("127.")
        ),
        values=lambda stub: [(stub.verb, _kind(stub), stub.namespace or "the whole cluster", network_of(stub.source))],
        days=14,
    ),
)  # fmt: skip


@lru_cache(maxsize=4096)
def entries_about(resource: str) -> tuple[Entry, ...]:
    """The entries that requests for a kind of objects can concern."""
    return tuple(entry for entry in ENTRIES if entry.resources is None or resource in entry.resources)


def _kind(stub: Stub) -> str:
    return f"{stub.resource}/{stub.subresource}" if stub.subresource else stub.resource


def spelled(value: tuple[str, ...]) -> str:
    """A new value in a sentence."""
    return ", ".join(part for part in value if part) or "no value"


def words_of(stub: Stub, value: tuple[str, ...]) -> Mapping[str, Any]:
    """What the story of a new value names beside the stub itself."""
    return {"value": spelled(value), "user.username": stub.user}
