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
"""Subjects remembered per binding, and bindings per role."""
MAX_REPORTED = 20_000

EFFECTIVE = RuleInfo(
    id="effective-cluster-admin",
    title="Identity became as powerful as an administrator",
    level="critical",
    description="A role or binding was written, and after it an identity can do everything in the cluster or can make "
    "itself able to: rules with wildcards, escalate, bind or impersonate, commands through nodes, certificates of any "
    "user, tokens of any account, all Secrets, pods in kube-system. In kube-system, roles and bindings of the namespace "
    "count too. What other roles and bindings there are is learnt from the stream, from writes, deletions and the "
    "server's reasons; aggregation labels count. High or medium for the powers that operators commonly hold.",
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
    "kube-system/everything": ("critical", "can do anything in the namespace kube-system"),
    "node-proxy": ("high", "can run commands in every program through the nodes"),
    "certificates": ("high", "can issue certificates for any user"),
    "tokens": ("high", "can make tokens of every program identity"),
    "grant": ("high", "can change roles and bindings of the whole cluster"),
    "kube-system/escalate": ("high", "can raise their own rights in the namespace kube-system without limit"),
    "kube-system/tokens": ("high", "can make tokens of every program identity of the namespace kube-system"),
    "secrets": ("medium", "can read every secret of the cluster"),
    "workloads": ("medium", "can start programs anywhere, in kube-system too"),
    "kube-system/secrets": ("medium", "can read every secret of the namespace kube-system"),
    "kube-system/workloads": ("medium", "can start programs in the namespace kube-system"),
}
"""Powers from which everything else follows, the strongest first: severity, and how the story says it.

Those that begin with `kube-system/` are the same ones held in that namespace only.
"""

KNOWN_ROLES: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("everything",),
    "admin": ("secrets", "workloads"),
    "edit": ("secrets", "workloads"),
}
"""Powers of the default roles; see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles."""

WORKLOADS = frozenset({"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "*"})
RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "certificates.k8s.io"
CHANGES = frozenset({"create", "update", "patch", "delete"})
SYSTEM_NAMESPACE = "kube-system"
CERTIFICATE_STEPS: dict[str, tuple[tuple[str, ...], str]] = {
    "request": (("create",), "certificatesigningrequests"),
    "decide": (("update", "patch"), "certificatesigningrequests/approval"),
    "approve": (("approve",), "signers"),
}
"""Verbs and resource of what it takes to get a certificate in any name: the control plane signs what is approved."""
CLIENT_SIGNERS = frozenset({"kubernetes.io/kube-apiserver-client", "kubernetes.io/*"})
RBAC_KINDS = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings", "*"})


class Role(Struct, array_like=True):
    """A role: its powers, and the bindings that are known to give it."""

    powers: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()


class Binding(Struct, array_like=True):
    """A binding: the role that it gives, and to whom."""

    role: str
    subjects: tuple[str, ...] = ()


class _Saved(Struct):
    roles: list[tuple[str, Role]]
    bindings: list[tuple[str, Binding]]
    reported: list[tuple[str, bool]]


@detector(
    EFFECTIVE,
    version=2,
    wants=lambda scene: (
        scene.by_cluster_binding or (scene.verb in CHANGES and scene.api_group == RBAC and scene.outcome == "allowed")
    ),
)
class EffectiveAdmin:
    """Keeps the powers of roles and who holds them, in the whole cluster and in kube-system.

    Roles and bindings of the whole cluster are known by their name, those of kube-system by `kube-system/name`.
    """

    def __init__(self) -> None:
        self._roles: Ledger[str, Role] = Ledger(MAX_ROLES)
        self._bindings: Ledger[str, Binding] = Ledger(MAX_BINDINGS)
        self._reported: Ledger[str, bool] = Ledger(MAX_REPORTED)
        self._learnt: set[str] = set()
        """Reasons that have taught all they can since RBAC was last written."""
        for name, powers in KNOWN_ROLES.items():
            self._roles.put(name, Role(powers))

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Learn holders from reasons; judge writes of roles and bindings, and forget what is deleted."""
        if stub.reason and stub.reason not in self._learnt:
            if len(self._learnt) >= MAX_REPORTED:
                self._learnt.clear()
            self._learnt.add(stub.reason)
            self._learn(stub.reason)
        is_change = stub.verb in CHANGES and stub.api_group == RBAC and stub.outcome == "allowed"
        return self._judge(stub) if is_change and not stub.values.get("request.dry_run") else ()

    def _judge(self, stub: Stub) -> Iterator[Detection]:
        quiet = stub.actor_kind in ("control-plane", "cloud") or bool(stub.values.get("actor.in_profile"))
        name = stub.name or str(stub.values.get("object.name", ""))
        if stub.resource in ("roles", "rolebindings"):
            if stub.namespace != SYSTEM_NAMESPACE:
                return
            name = f"{SYSTEM_NAMESPACE}/{name}"
        elif stub.resource not in ("clusterroles", "clusterrolebindings"):
            return
        self._learnt.clear()
        is_binding = stub.resource.endswith("bindings")
        if stub.verb == "delete":
            self._forget(name, is_binding=is_binding)
            return
        found = self._binding_written(stub, name) if is_binding else self._role_written(stub, name)
        news = [(subject, power) for subject, power in found if f"{subject} {power}" not in self._reported]
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
        subject = grant.subject
        if grant.subject_kind == "ServiceAccount":
            account, _, namespace = subject.partition("/")
            subject = f"system:serviceaccount:{namespace}:{account}"
        binding = self._bindings.get(grant.binding)
        known = binding.subjects if binding is not None and binding.role == grant.role else ()
        if subject not in known:
            self._bind(grant.binding, Binding(grant.role, (*known, subject)))
            for power in self._powers_by(grant.binding, grant.role):
                self._reported.put(f"{subject} {power}", True)

    def _bind(self, name: str, binding: Binding) -> None:
        binding.subjects = binding.subjects[:MAX_SUBJECTS]
        self._bindings.put(name, binding)
        role = self._roles.get(binding.role) or Role()
        if name not in role.bindings:
            alive = [item for item in role.bindings if item in self._bindings]
            role.bindings = (*alive, name)[-MAX_SUBJECTS:]
        self._roles.put(binding.role, role)

    def _forget(self, name: str, *, is_binding: bool) -> None:
        """Take away what a deleted role allows, or whom a deleted binding binds; a role's bindings outlive it."""
        if not is_binding:
            role = self._roles.get(name)
            if role is not None:
                role.powers = ()
            return
        binding = self._bindings.pop(name)
        if binding is None:
            return
        for power in self._powers_by(name, binding.role):
            for subject in binding.subjects:
                self._reported.pop(f"{subject} {power}")

    def _role_written(self, stub: Stub, name: str) -> list[tuple[str, str]]:
        powers = powers_of(stub.values.get("rbac.rules") or ())
        found = []
        for target in (name, *(stub.values.get("rbac.aggregates_to") or ())):
            role = self._roles.get(target) or Role()
            role.powers = powers if target == name and stub.verb != "patch" else _union(role.powers, powers)
            self._roles.put(target, role)
            for given in role.bindings:
                binding = self._bindings.get(given)
                if binding is not None and binding.role == target:
                    held = _held_by(given, powers)
                    found += [(subject, power) for subject in binding.subjects for power in held]
        return found

    def _binding_written(self, stub: Stub, name: str) -> list[tuple[str, str]]:
        subjects = tuple(stub.values.get("rbac.subjects.full") or ())
        before = self._bindings.get(name)
        role_name = str(stub.values.get("rbac.role_name") or "")
        if not role_name:
            role_name = "" if before is None else before.role
        elif stub.values.get("rbac.role_kind") == "Role":
            role_name = f"{SYSTEM_NAMESPACE}/{role_name}"
        if not role_name:
            return []
        kept = before.subjects if before is not None and before.role == role_name and stub.verb == "patch" else ()
        self._bind(name, Binding(role_name, _union(kept, subjects)))
        return [(subject, power) for subject in subjects for power in self._powers_by(name, role_name)]

    def _powers_by(self, binding: str, role_name: str) -> tuple[str, ...]:
        role = self._roles.get(role_name)
        return () if role is None else _held_by(binding, role.powers)

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
    certificates: set[str] = set()
    for rule in rules:
        verbs, resources = set(rule.get("verbs") or ()), set(rule.get("resources") or ())
        groups = set(rule.get("api_groups") or ())
        if groups & {CERTIFICATES, "*"}:
            certificates |= _steps_to_certificates(verbs, resources, rule.get("resource_names") or ())
        any_verb, core, rbac = "*" in verbs, bool(groups & {"", "*"}), bool(groups & {RBAC, "*"})
        if rule.get("resource_names"):
            continue
        if any_verb and "*" in resources and "*" in groups:
            found.add("everything")
        if rbac and resources & RBAC_KINDS and verbs & {"escalate", "bind", "*"}:
            found.add("escalate")
        # Operators often hold every verb on service accounts or on the whole core group; few mean impersonation by it.
        if core and (
            (resources & {"users", "groups", "serviceaccounts", "*"} and "impersonate" in verbs)
            or (resources & {"users", "groups"} and any_verb)
        ):
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
    if len(certificates) == len(CERTIFICATE_STEPS):
        found.add("certificates")
    return tuple(power for power in POWERS if power in found)


def _steps_to_certificates(verbs: set[str], resources: set[str], names: Iterable[str]) -> set[str]:
    """Which of the steps from a request to a client certificate a rule of the certificates group allows."""
    steps = {
        step for step, (needed, kind) in CERTIFICATE_STEPS.items() if verbs & {*needed, "*"} and resources & {kind, "*"}
    }
    return steps if not names else steps & ({"approve"} if CLIENT_SIGNERS.intersection(names) else set())


def _held_by(binding: str, powers: tuple[str, ...]) -> tuple[str, ...]:
    """What of a role's powers a binding gives: one of kube-system only those that reach far from there."""
    if not binding.startswith(f"{SYSTEM_NAMESPACE}/"):
        return powers
    local = [f"{SYSTEM_NAMESPACE}/{power}" for power in powers]
    return tuple(power for power in local if power in POWERS)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
