"""`kubewake rbac`: who can do what, how far an identity reaches, what was never used."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from kubewake.cli.names import known_names
from kubewake.errors import InputError, SettingsError

if TYPE_CHECKING:
    from kubewake.rbac.model import Request

app = App(name="rbac", help="Who can do what, how far an identity reaches, and what nobody uses.")

Dump = Annotated[
    Path | None,
    Parameter(
        name="--rbac",
        help="A dump: kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts -A -o yaml.",
    ),
]
Live = Annotated[
    bool,
    Parameter(name="--live", negative="", help="Read roles and bindings from the cluster of your kubeconfig."),
]
KubeContext = Annotated[str | None, Parameter(name="--context", help="Context of the kubeconfig, with --live.")]
Logs = Annotated[list[str], Parameter(name="--log", negative=(), help="Audit logs to learn from; repeat for several.")]
Output = Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"], help="Output format.")]
Namespace = Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace; none means cluster-wide.")]


@app.command(name="who-can")
def who_can(
    verb: str,
    resource: str,
    /,
    *,
    namespace: Namespace = "",
    name: str = "",
    rbac: Dump = None,
    live: Live = False,
    context: KubeContext = None,
    log: Logs = [],  # noqa: B006  # cyclopts copies it
    output: Output = "table",
) -> None:
    """Everyone who may do something, each with the grant that allows it.

    Parameters
    ----------
    verb
        get, list, create, delete, impersonate, … or * for everything.
    resource
        Plural name with its API group where it has one and its subresource: secrets, pods/exec, deployments.apps; or
        a path of the API server, such as /metrics.
    name
        Name of one object; grants limited to other names do not count.
    """
    from kubewake.rbac.vocabulary import doubts

    request = question(verb, resource, namespace, name)
    state, usage = gather(rbac, live, context, log)
    rules = [rule for role in state.roles for rule in role.rules]
    for doubt in doubts(request, rules, usage.resources):
        sys.stderr.write(f"kubewake: {doubt}\n")
    if rbac is None and not live:
        warn_of_gaps(state)
    rows = [(grant.subject.kind, grant.subject.identity, grant.text()) for grant in state.who_can(request)]
    show(("kind", "who", "because of"), rows, output)


@app.command
def reach(
    identity: str,
    /,
    *,
    group: Annotated[list[str], Parameter(negative=(), help="A group of the identity; repeat for several.")] = [],  # noqa: B006
    rbac: Dump = None,
    live: Live = False,
    context: KubeContext = None,
    log: Logs = [],  # noqa: B006
    output: Output = "table",
) -> None:
    """What an identity may do that is dangerous, whom it can become, and its way to cluster-admin if it has one.

    Parameters
    ----------
    identity
        A username as it stands in the audit log: alice, system:serviceaccount:shop:web.
    """
    import msgspec

    from kubewake.rbac.reach import reach as follow

    state, usage = gather(rbac, live, context, log)
    found = follow(state, identity, tuple(group) or usage.groups(identity))
    if output == "json":
        sys.stdout.write(msgspec.json.encode({**msgspec.to_builtins(found), "lines": found.lines()}).decode() + "\n")
        return
    if rbac is None and not live:
        warn_of_gaps(state)
    for line in found.lines() or [f"{identity}: nothing dangerous is granted, as far as is known."]:
        sys.stdout.write(line + "\n")
    if not found.lines() and not is_known(state, usage, identity):
        sys.stderr.write(
            f"kubewake: no binding names {identity} and no request of theirs was read; is the name written as in the "
            "audit log? Rights that come from groups count only with --group.\n"
        )


@app.command
def unused(
    *,
    log: Logs,
    rbac: Dump = None,
    live: Live = False,
    context: KubeContext = None,
    output: Output = "table",
) -> None:
    """Rules that nobody used in the logs given, and bindings to roles that do not exist. A refusal is no use."""
    state, usage = gather(rbac, live, context, log)
    rows = [
        (binding.kind, f"{binding.namespace}/{binding.name}" if binding.namespace else binding.name, rule_text(rule))
        for binding, rules in usage.unused(state)
        for rule in rules
    ]
    rows += [
        (binding.kind, binding.name, f"dangling: {binding.role_kind} {binding.role_name} does not exist")
        for binding in state.dangling()
    ]
    show(("kind", "binding", "not used"), rows, output)


@app.command(name="least-privilege")
def least_privilege(identity: str, /, *, log: Logs) -> None:
    """A role and binding, as YAML, that allow just what an identity was seen to use. Read it before you apply it.

    Parameters
    ----------
    identity
        A username as it stands in the audit log.
    """
    import yaml

    _, usage = gather(None, False, None, log)
    documents = usage.least_privilege(identity)
    if not documents:
        known = known_names(identity, usage.identities)
        raise InputError(f"{identity} did nothing in these logs that was allowed; {known}")
    sys.stdout.write(yaml.safe_dump_all(documents, sort_keys=False))


def question(verb: str, resource: str, namespace: str, name: str) -> "Request":
    """The request that `who-can` was asked about."""
    from kubewake.rbac.model import Request

    if resource.startswith("/"):
        return Request(verb=verb, path=resource)
    kind, _, subresource = resource.partition("/")
    kind, _, group = kind.partition(".")
    return Request(verb=verb, resource=kind, subresource=subresource, api_group=group, namespace=namespace, name=name)


def gather(dump: Path | None, live: bool, context: str | None, logs: Sequence[str]) -> tuple[Any, Any]:
    """RBAC state and usage from what was given; SettingsError when nothing was."""
    from kubewake.rbac import RbacState
    from kubewake.rbac.state import load_dump
    from kubewake.rbac.usage import RbacUsage

    if dump is None and not live and not logs:
        raise SettingsError("give --rbac DUMP, --live or --log FILE: there is nothing to look at")
    state = load_dump(dump) if dump is not None else RbacState()
    if live:
        from kubewake.rbac.live import load_live

        load_live(state, context)
    usage = RbacUsage()
    if logs:
        from kubewake.pipeline.access import learn

        learn(logs, state, usage)
    return state, usage


def warn_of_gaps(state: Any) -> None:
    """Say how little logs alone tell of RBAC: what was written while they were."""
    if state.is_empty:
        known = "these logs say nothing of roles and bindings (nobody wrote one, or what was written was not logged)"
    else:
        roles, bindings = len(list(state.roles)), len(list(state.bindings))
        known = f"known are only the {roles:,} roles and {bindings:,} bindings that were written in these logs"
    sys.stderr.write(f"kubewake: {known}; --rbac DUMP or --live tells of all\n")


def is_known(state: Any, usage: Any, identity: str) -> bool:
    """Whether a binding names the identity itself, or a request of theirs was read."""
    if identity in usage.identities:
        return True
    return any(subject.identity == identity for binding in state.bindings for subject in binding.subjects)


def rule_text(rule: Any) -> str:
    """A policy rule on one line."""
    what = ", ".join(rule.resources or rule.non_resource_urls)
    groups = ", ".join(group or "core" for group in rule.api_groups)
    names = f" named {', '.join(rule.resource_names)}" if rule.resource_names else ""
    return f"{', '.join(rule.verbs)} {what}{f' ({groups})' if groups else ''}{names}"


def show(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], output: str) -> None:
    """Rows as a table, tab-separated in a pipe, or as JSON objects."""
    if output == "json":
        import msgspec

        sys.stdout.write(msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in rows]).decode() + "\n")
        return
    from kubewake.cli.tables import print_table

    if rows:
        print_table(columns, rows)
    else:
        sys.stderr.write("nothing\n")
