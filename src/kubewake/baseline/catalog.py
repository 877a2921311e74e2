"""Which detections the statements of the baseline speak for: the anomalies that others sell as machine learning."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from kubewake.baseline.action import BINDINGS, READS, REVIEWS, ROLES, WORKLOADS
from kubewake.baseline.traits import WHAT, WHO
from kubewake.observation import Signal, Stub

ROW_NATS = 1.0
"""A statement this strong is worth a finding of its own, for those who hunt."""


class Row(Struct, frozen=True):
    """One detection: the requests that it is about and the statements that it needs, any of them or all."""

    rule: str
    applies: Callable[[Stub], bool]
    statements: frozenset[str] = frozenset({WHAT, WHO})
    all_of: bool = False


def _writes(stub: Stub, kinds: frozenset[str]) -> bool:
    return stub.resource in kinds and stub.verb in ("create", "update", "patch") and stub.outcome == "allowed"


def _runs(stub: Stub, *risks: str) -> bool:
    held = stub.values.get("workload.risks") or ()
    return _writes(stub, WORKLOADS) and not stub.subresource and (not risks or not set(risks).isdisjoint(held))


ROWS = (
    Row("exec-anomalous", lambda stub: stub.resource == "pods" and stub.subresource == "exec"),
    Row("secret-access-anomalous", lambda stub: stub.resource == "secrets" and stub.verb in READS),
    Row("rolebinding-anomalous", lambda stub: _writes(stub, BINDINGS)),
    Row("role-anomalous", lambda stub: _writes(stub, ROLES)),
    Row("privileged-workload-anomalous", lambda stub: _runs(stub, "privileged")),
    Row("sensitive-hostpath-anomalous", lambda stub: _runs(stub, "sensitive-host-path", "runtime-socket")),
    Row("workload-anomalous", _runs),
    Row("permission-check-anomalous", lambda stub: stub.resource in REVIEWS and stub.verb == "create"),
    Row("service-account-rare-operation", lambda stub: stub.actor_kind == "serviceaccount", frozenset({WHAT})),
    Row("identity-behaviour-anomaly", lambda stub: bool(stub.user), all_of=True),
    Row("user-agent-new", lambda stub: bool(stub.user_agent), frozenset({WHO})),
)


def rows_of(stub: Stub, signals: Iterable[Signal]) -> list[tuple[str, Signal]]:
    """Detections that the signals of a stub open, each with the strongest signal that speaks for it."""
    strong = {signal.detector: signal for signal in signals if signal.nats >= ROW_NATS}
    if not strong:
        return []
    found = []
    for row in ROWS:
        wanted = [strong[name] for name in sorted(row.statements) if name in strong]
        if wanted and (not row.all_of or len(wanted) == len(row.statements)) and row.applies(stub):
            found.append((row.rule, max(wanted, key=lambda signal: (signal.nats, signal.detector))))
    return found
