"""What to do: commands in order, safe to paste, naming the real objects and saying what they break."""

import re
import shlex

from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.incidents.timeline import ordered
from kubewake.lineage.reference import EventRef
from kubewake.lineage.session import Sessions

MAX_COMMANDS = 24
SAFE_NAME = re.compile(r"[A-Za-z0-9._:@/-]+")
WORKLOADS = {
    "deployments": "deployment",
    "daemonsets": "daemonset",
    "statefulsets": "statefulset",
    "jobs": "job",
    "cronjobs": "cronjob",
    "pods": "pod",
}
GRANTS = {"rolebindings": "rolebinding", "clusterrolebindings": "clusterrolebinding"}
HOOKS = {
    "mutatingwebhookconfigurations": "mutatingwebhookconfiguration",
    "validatingwebhookconfigurations": "validatingwebhookconfiguration",
}
WRITES = frozenset({"create", "update", "patch"})


def commands_of(campaign: Campaign, sessions: Sessions) -> list[str]:
    """Remediation of an incident: look first, cut off access, undo changes, rotate what was seen."""
    events = ordered(campaign.events.values())
    look: list[str] = []
    cut: list[str] = []
    undo: list[str] = []
    rotate: list[str] = []
    for number in sorted(campaign.members, key=lambda number: (campaign.members[number].hops, number)):
        session = sessions.get(number)
        if session is None or not any(event.ref.session == number for event in events):
            continue
        if session.kind == "serviceaccount":
            namespace, name = session.namespace, session.user.rpartition(":")[2]
            if session.pod:
                add(look, f"kubectl -n {quote(namespace)} get pod {quote(session.pod)} -o yaml",
                    "look at the pod whose token was used; changes nothing")  # fmt: skip
                add(cut, f"kubectl -n {quote(namespace)} delete pod {quote(session.pod)}",
                    "ends the token bound to this pod; the program restarts if a workload owns it")  # fmt: skip
            elif session.secret:
                add(cut, f"kubectl -n {quote(namespace)} delete secret {quote(session.secret)}",
                    f"ends this long-lived token; whatever logs in as {name} with it stops until it gets a new one")  # fmt: skip
            else:
                add(look, f"kubectl -n {quote(namespace)} get serviceaccount {quote(name)} -o yaml",
                    "look at the account; changes nothing")  # fmt: skip
                add(cut, f"kubectl -n {quote(namespace)} delete serviceaccount {quote(name)}",
                    "ends all its tokens at once; recreate it afterwards, its programs stop until then")  # fmt: skip
        elif session.kind == "node":
            node = session.user.removeprefix("system:node:")
            add(cut, f"kubectl cordon {quote(node)}", "no new programs on this machine; running ones stay")
            add(rotate, f"kubectl delete node {quote(node)}",
                "after draining: rebuild the machine with a new certificate, the old one stays valid until it expires")  # fmt: skip
        elif session.kind == "human" and session.user:
            add(
                look,
                f"kubectl auth can-i --list --as={quote(session.user)}",
                "what this person may do; changes nothing",
            )
            add(cut, f"# withdraw the login of {comment(session.user)} at your identity provider",
                "a client certificate cannot be revoked in Kubernetes: remove the bindings that name it, "
                "or change the certificate authority")  # fmt: skip
    for event in events:
        undo_event(event, undo, rotate)
    return [*look, *cut, *undo, *rotate][:MAX_COMMANDS]


def undo_event(event: StoryEvent, undo: list[str], rotate: list[str]) -> None:
    """Commands that answer one step of the story."""
    ref = event.ref
    if ref.outcome != "allowed" or (not ref.name and ref.verb != "list"):
        return
    scope = f"-n {quote(ref.namespace)} " if ref.namespace else ""
    name = quote(ref.name)
    if ref.subresource:
        if (ref.resource, ref.subresource) in {("pods", "exec"), ("pods", "attach"), ("pods", "ephemeralcontainers")}:
            add(undo, f"kubectl {scope}delete pod {name}",
                "removes whatever was left inside; keep a copy of its disk first if you need evidence")  # fmt: skip
        return
    if ref.verb in WRITES:
        if ref.resource in GRANTS:
            add(undo, f"kubectl {scope}delete {GRANTS[ref.resource]} {name}",
                "takes back the rights given by it, from everyone it names")  # fmt: skip
        elif ref.resource in HOOKS:
            add(undo, f"kubectl delete {HOOKS[ref.resource]} {name}", "requests are no longer sent to this hook")
        elif ref.resource in WORKLOADS and ref.verb == "create":
            add(undo, f"kubectl {scope}delete {WORKLOADS[ref.resource]} {name}", "stops what the intruder started")
        elif ref.resource in {"deployments", "daemonsets", "statefulsets"}:
            add(undo, f"kubectl {scope}rollout undo {WORKLOADS[ref.resource]} {name}",
                "goes back to the version before; check with: rollout history")  # fmt: skip
        elif ref.resource == "serviceaccounts":
            add(undo, f"kubectl {scope}delete serviceaccount {name}", "removes the login that was made")
        elif ref.resource in {"roles", "clusterroles"}:
            add(undo, f"kubectl {scope}get {ref.resource[:-1]} {name} -o yaml",
                "compare with your repository and restore it; changes nothing by itself")  # fmt: skip
        elif ref.resource == "certificatesigningrequests":
            add(undo, f"kubectl delete certificatesigningrequest {name}",
                "tidies up only: the certificate already issued stays valid, so remove the bindings of its name")  # fmt: skip
        elif ref.resource not in {"secrets", "selfsubjectreviews"} and ref.verb != "create":
            add(undo, f"kubectl {scope}get {quote(ref.resource)} {name} -o yaml",
                "compare with your repository and restore it; changes nothing by itself")  # fmt: skip
    elif ref.resource == "secrets" and ref.verb in {"get", "list"}:
        rotate_secret(ref, rotate)


def rotate_secret(ref: EventRef, rotate: list[str]) -> None:
    """What to do about a secret that was read."""
    if ref.name:
        add(rotate, f"kubectl -n {quote(ref.namespace)} describe secret {quote(ref.name)}",
            "was read: change the password or key that it holds where that is used, then here")  # fmt: skip
    elif ref.namespace:
        add(rotate, f"kubectl -n {quote(ref.namespace)} get secrets",
            "all of them were read: change each password and key that they hold")  # fmt: skip
    else:
        add(
            rotate,
            "kubectl get secrets -A",
            "all secrets of the cluster were read: change each, credentials of others first",
        )


def add(commands: list[str], command: str, effect: str) -> None:
    """Append a command with what it breaks, once."""
    line = f"{command}  # {effect}"
    if line not in commands:
        commands.append(line)


def quote(name: str) -> str:
    """A name as one shell word: names in audit logs are the client's word."""
    return name if SAFE_NAME.fullmatch(name) and not name.startswith("-") else shlex.quote(name.replace("\n", " "))


def comment(text: str) -> str:
    """A name inside a shell comment: on one line."""
    return " ".join(text.split())
