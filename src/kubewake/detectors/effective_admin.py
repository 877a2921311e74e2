"""Identities that become equivalent to cluster-admin, from roles and bindings learnt from the stream."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.grants import grant_of
from kubewake.detectors.ledger import Ledger
from kubewake.finding import Attack, Severity
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

MAX_ROLES = 20_000
MAX_BINDINGS = 20_000
MAX_SUBJECTS = 50
"""Subjects remembered per role."""
MAX_REPORTED = 20_000

EFFECTIVE = RuleInfo(
    id="effective-cluster-admin",
    title="Identity became as powerful as an administrator",
    level="critical",
    description="A role or binding was written, and after it an identity can do everything in the cluster or can make "
    "itself able to: rules with wildcards, escalate, bind or impersonate, commands through nodes, tokens of any account, "
    "all Secrets, pods in kube-system. What other roles and bindings there are is learnt from the stream, from writes "
    "and from the server's reasons; aggregation labels count. High or medium for the powers that operators commonly hold.",
    attack=Attack(["privilege-escalation", "persistence"], ["T1098.006", "T1078"], ["MS-TA9019"]),
    falsepositives=("Installation of an operator that asks for much.",),
    references=(
        "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks",
        "https://attack.mitre.org/techniques/T1098/006/",
    ),
    covers=("effective-cluster-admin",),
    confidence="medium",
    needs="Request",
    story="After {actor.name} wrote {target.resource} {target.name}, {grant.subjects} {grant.power}. That is as good as "
    "being an administrator of the whole cluster.",
    remediation=(
        "kubectl get {target.resource} {target.name} -o yaml   # who gets which rights",
        "Ask {actor.name} for the change ticket",
        "kubectl delete {target.resource} {target.name}   # if nobody needs it; whoever uses the rights loses them",
        "Look at every request of {grant.subjects} since {time}",
    ),
    kind="detector",
    tactic="privilege-escalation",
)

POWERS: dict[str, tuple[Severity, str]] = {
    "everything": ("critical", "can do anything in the cluster"),
    "escalate": ("critical", "can raise their own rights without limit"),
    "impersonate": ("critical", "can act as anybody"),
    "node-proxy": ("high", "can run commands in every program through the nodes"),
    "tokens": ("high", "can make tokens of every program identity"),
    "grant": ("high", "can change roles and bindings of the whole cluster"),
    "secrets": ("medium", "can read every secret of the cluster"),
    "workloads": ("medium", "can start programs anywhere, in kube-system too"),
}
"""Powers from which everything else follows, the strongest first: severity, and how the story says it."""

KNOWN_ROLES: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("everything",),
    "admin": ("secrets", "workloads"),
    "edit": ("secrets", "workloads"),
}
"""Powers of the default roles; see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles."""

WORKLOADS = frozenset({"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "*"})
RBAC = "rbac.authorization.k8s.io"
WRITES = frozenset({"create", "update", "patch"})
RBAC_KINDS = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings", "*"})


class Role(Struct, array_like=True):
    """A ClusterRole: its powers, and the subjects that are known to hold it cluster-wide."""

    powers: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


class _Saved(Struct):
    roles: list[tuple[str, Role]]
    bindings: list[tuple[str, str]]
    reported: list[tuple[str, bool]]


@detector(
    EFFECTIVE,
    wants=lambda scene: (
        scene.by_cluster_binding or (scene.verb in WRITES and scene.api_group == RBAC and scene.outcome == "allowed")
    ),
)
class EffectiveAdmin:
    """Keeps the powers of roles and who holds them."""

    def __init__(self) -> None:
        self._roles: Ledger[str, Role] = Ledger(MAX_ROLES)
        self._bindings: Ledger[str, str] = Ledger(MAX_BINDINGS)
        """Role of each ClusterRoleBinding."""
        self._reported: Ledger[str, bool] = Ledger(MAX_REPORTED)
        self._learnt: set[str] = set()
        """Reasons that have taught all they can since RBAC was last written."""
        for name, powers in KNOWN_ROLES.items():
            self._roles.put(name, Role(powers))

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Learn holders from reasons; judge writes of cluster roles and bindings."""
        if stub.reason and stub.reason not in self._learnt:
            if len(self._learnt) >= MAX_REPORTED:
                self._learnt.clear()
            self._learnt.add(stub.reason)
            self._learn(stub.reason)
        is_change = stub.verb in WRITES and stub.api_group == RBAC
        return self._judge(stub) if is_change and stub.outcome == "allowed" else ()

    def _judge(self, stub: Stub) -> Iterator[Detection]:
        if stub.values.get("request.dry_run"):
            return
        quiet = stub.actor_kind in ("control-plane", "cloud") or bool(stub.values.get("actor.in_profile"))
        name = stub.name or str(stub.values.get("object.name", ""))
        if stub.resource == "clusterroles":
            found = self._role_written(stub, name)
        elif stub.resource == "clusterrolebindings" or (
            stub.resource == "rolebindings" and stub.namespace == "kube-system"
        ):
            found = self._binding_written(stub, name)
        else:
            return
        self._learnt.clear()
        news = [(subject, power) for subject, power in found if power and f"{subject} {power}" not in self._reported]
        for subject, power in news:
            self._reported.put(f"{subject} {power}", True)
        if news and not quiet:
            strongest = min((power for _, power in news), key=list(POWERS).index)
            severity, words = POWERS[strongest]
            who = sorted({subject for subject, power in news if power == strongest})
            yield Detection(
                rule=EFFECTIVE.id,
                stub=stub,
                values={"grant.subjects": ", ".join(who[:5]), "grant.power": words},
                severity=severity,
            )

    def _learn(self, reason: str) -> None:
        grant = grant_of(reason)
        if grant is None or grant.binding_kind != "ClusterRoleBinding":
            return
        if grant.binding not in self._bindings:
            self._bindings.put(grant.binding, grant.role)
        subject = grant.subject
        if grant.subject_kind == "ServiceAccount":
            account, _, namespace = subject.partition("/")
            subject = f"system:serviceaccount:{namespace}:{account}"
        role = self._roles.get(grant.role)
        if role is None:
            role = Role()
            self._roles.put(grant.role, role)
        if subject not in role.subjects and len(role.subjects) < MAX_SUBJECTS:
            role.subjects = (*role.subjects, subject)
            for power in role.powers:
                self._reported.put(f"{subject} {power}", True)

    def _role_written(self, stub: Stub, name: str) -> list[tuple[str, str]]:
        powers = powers_of(stub.values.get("rbac.rules") or ())
        found = []
        for target in (name, *(stub.values.get("rbac.aggregates_to") or ())):
            role = self._roles.get(target) or Role()
            role.powers = powers if target == name and stub.verb != "patch" else _union(role.powers, powers)
            self._roles.put(target, role)
            found += [(subject, power) for subject in role.subjects for power in powers]
        return found

    def _binding_written(self, stub: Stub, name: str) -> list[tuple[str, str]]:
        subjects = tuple(stub.values.get("rbac.subjects.full") or ())
        role_name = str(stub.values.get("rbac.role_name") or "") or self._bindings.get(name) or ""
        if stub.resource == "rolebindings":
            powers = self._powers(role_name)
            wanted = [power for power in powers if power in ("everything", "secrets", "tokens", "workloads", "grant")]
            return [(f"{subject} in kube-system", power) for subject in subjects for power in wanted]
        if not role_name:
            return []
        self._bindings.put(name, role_name)
        role = self._roles.get(role_name) or Role()
        role.subjects = _union(role.subjects, subjects)[:MAX_SUBJECTS]
        self._roles.put(role_name, role)
        return [(subject, power) for subject in subjects for power in role.powers]

    def _powers(self, role_name: str) -> tuple[str, ...]:
        role = self._roles.get(role_name)
        return role.powers if role is not None else ()

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._roles.items(), self._bindings.items(), self._reported.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._roles.fill(list(saved.roles))
        self._bindings.fill(list(saved.bindings))
        self._reported.fill(list(saved.reported))
        self._learnt.clear()


def powers_of(rules: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The powers that policy rules give when they hold in the whole cluster, strongest first."""
    found: set[str] = set()
    for rule in rules:
        verbs, resources = set(rule.get("verbs") or ()), set(rule.get("resources") or ())
        groups = set(rule.get("api_groups") or ())
        any_verb, core, rbac = "*" in verbs, bool(groups & {"", "*"}), bool(groups & {"rbac.authorization.k8s.io", "*"})
        if any_verb and "*" in resources and "*" in groups:
            found.add("everything")
        if rule.get("resource_names"):
            continue
        if rbac and resources & RBAC_KINDS and verbs & {"escalate", "bind", "*"}:
            found.add("escalate")
        if core and resources & {"users", "groups", "serviceaccounts", "*"} and "impersonate" in verbs:
            found.add("impersonate")
        if core and resources & {"nodes/proxy", "nodes/*"} and verbs & {"create", "get", "*"}:
            found.add("node-proxy")
        if core and resources & {"serviceaccounts/token", "serviceaccounts/*"} and verbs & {"create", "*"}:
            found.add("tokens")
        if rbac and resources & {"clusterrolebindings", "*"} and verbs & {"create", "update", "patch", "*"}:
            found.add("grant")
        if core and resources & {"secrets", "*"} and verbs & {"get", "list", "watch", "*"}:
            found.add("secrets")
        if groups & {"", "apps", "batch", "*"} and resources & WORKLOADS and verbs & {"create", "*"}:
            found.add("workloads")
    return tuple(power for power in POWERS if power in found)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
