"""Clients that go through endpoints and kinds of objects to see which of them answer."""

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

ANONYMOUS = RuleInfo(
    id="anonymous-endpoint-enumeration",
    title="Cluster searched for open doors without a login",
    level="high",
    kind="detector",
    tactic="discovery",
    attack=Attack(tactics=["discovery", "reconnaissance"], techniques=["T1613", "T1595"], threat_matrix=["MS-TA9029"]),
    description=(
        "One client without a login asked for more than five different addresses and more than three kinds of "
        "Kubernetes objects within ten minutes, and was refused at least once. Ordinary web scanners do not know "
        "Kubernetes' objects. Where a log has neither addresses nor user agents, all within one minute."
    ),
    falsepositives=("A scanner of your own that tests the cluster from outside.",),
    references=("https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests",),
    covers=("anonymous-endpoint-enumeration",),
    confidence="medium",
    story=(
        "Somebody at {source.ip} without a login went through {kinds} kinds of objects and {paths} addresses of this "
        "cluster. This is no general web scanner but somebody who looks for a way into Kubernetes."
    ),
    remediation=(
        "List what {source.ip} was not refused; anything but version and health means that the cluster is open.",
        "kubectl auth can-i --list --as=system:anonymous --as-group=system:unauthenticated",
        "Restrict the addresses from which the API server can be reached, and block {source.ip}.",
    ),
    group_by=("source.ip", "userAgent"),
)

MIXED = RuleInfo(
    id="permission-enumeration-mixed",
    title="Permissions tried out one by one",
    level="medium",
    kind="detector",
    tactic="discovery",
    attack=Attack(tactics=["discovery"], techniques=["T1613", "T1069"], threat_matrix=["MS-TA9029"]),
    description=(
        "One identity asked from one address for more than five different addresses and more than three kinds of "
        "objects within five minutes, was allowed some and refused others, and did little else."
    ),
    falsepositives=("People who learn their way around; dashboards that show what one may see.",),
    references=("https://attack.mitre.org/techniques/T1613/",),
    covers=("permission-enumeration-mixed",),
    confidence="low",
    audience="pedantic",
    story=(
        "{actor.name} asked for {kinds} kinds of objects from {source.ip}; some were allowed, others refused. It looks as if "
        "somebody tries out what this login may do."
    ),
    remediation=(
        "kubectl auth can-i --list --as={user.username}",
        "Ask the owner of {actor.name}; look at what the identity did next.",
    ),
    group_by=("user.username", "source.ip"),
)

ANONYMOUS_WINDOW_MICROSECONDS = 600 * 1_000_000
MIXED_WINDOW_MICROSECONDS = 300 * 1_000_000
BLIND_WINDOW_MICROSECONDS = 60 * 1_000_000
"""Where neither address nor program is known, all strangers look like one; only a burst is surely one's."""
UNAUTHORIZED = 401
PATHS_ABOVE = 5
KINDS_ABOVE = 3
ANONYMOUS_REQUESTS_BELOW = 50
"""A client that sends more is a service in use, not somebody looking."""
MIXED_REQUESTS_BELOW = 75
NOT_FOUND_ENOUGH = 3
CLIENTS_MAX = 20_000
STEPS_MAX = 80
"""Steps remembered of a client: above both limits of requests, so that forgetting cannot make one fire."""
READS_AND_WRITES = frozenset({"get", "list", "watch", "create", "update", "patch"})
SYSTEM_KINDS = frozenset({"control-plane", "node", "cloud"})


class Step(Struct, array_like=True, frozen=True, gc=False):
    """One request of a client, or several alike."""

    moment: int
    path: str
    resource: str
    outcome: str
    code: int
    count: int
    evidence: Evidence


@detector(
    ANONYMOUS,
    MIXED,
    wants=lambda scene: (
        scene.actor_kind == "anonymous"
        or (scene.actor_kind not in SYSTEM_KINDS and not scene.of_component and scene.verb in READS_AND_WRITES)
    ),
)
class Enumeration:
    """Remembers the last minutes of every client that was refused something."""

    def __init__(self) -> None:
        self._clients: dict[str, deque[Step]] = {}
        self._refused: dict[str, int] = {}

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        anonymous = stub.actor_kind == "anonymous"
        if anonymous and not stub.resource and stub.outcome == "allowed":
            return ()  # health checks and public documents
        blind = anonymous and not stub.source and not stub.user_agent
        if blind and stub.code == UNAUTHORIZED:
            return ()  # a failed login may be anybody's: rules of their own count these
        if not anonymous and (stub.verb not in READS_AND_WRITES or stub.stage == "ResponseStarted" or not stub.user):
            return ()
        key = f"{stub.source}\0{stub.user_agent}" if anonymous else f"{stub.source}\0\0{stub.user}"
        now = microseconds(stub.time)
        window = _window_of_stranger(blind=blind) if anonymous else MIXED_WINDOW_MICROSECONDS
        steps = self._clients.pop(key, None)
        if steps is None:
            steps = deque(maxlen=STEPS_MAX)
        while steps and now - steps[0].moment >= window:
            steps.popleft()
        path = stub.uri.partition("?")[0]
        steps.append(Step(now, path, stub.resource, stub.outcome, stub.code, stub.count, evidence_of(stub)))
        self._clients[key] = steps
        if len(self._clients) > CLIENTS_MAX:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            self._refused.pop(oldest, None)
        if stub.outcome != "allowed":
            self._refused[key] = now
        most = ANONYMOUS_REQUESTS_BELOW if anonymous else MIXED_REQUESTS_BELOW
        if not PATHS_ABOVE < len(steps) < most or now - self._refused.get(key, -window) >= window:
            return ()
        paths = len({step.path for step in steps})
        if paths <= PATHS_ABOVE:
            return ()
        kinds = len({step.resource for step in steps} - {""})
        if kinds <= KINDS_ABOVE or sum([step.count for step in steps]) >= most:
            return ()
        if not _looks_around(steps, anonymous=anonymous):
            return ()
        values: dict[str, Any] = {
            "paths": paths,
            "kinds": kinds,
            "user.username": stub.user,
            "source.ip": stub.source,
            "userAgent": stub.user_agent,
        }
        earlier = tuple([step.evidence for step in steps][:-1])
        info = ANONYMOUS if anonymous else MIXED
        return (Detection(rule=info.id, stub=stub, evidence=earlier, values=values),)

    def snapshot(self) -> bytes:
        """The steps of all clients, longest idle first, and when each was last refused."""
        return msgspec.msgpack.encode(({key: list(steps) for key, steps in self._clients.items()}, self._refused))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        steps, self._refused = msgspec.msgpack.decode(data, type=tuple[dict[str, list[Step]], dict[str, int]])
        self._clients = {key: deque(items, STEPS_MAX) for key, items in steps.items()}


def _window_of_stranger(*, blind: bool) -> int:
    return BLIND_WINDOW_MICROSECONDS if blind else ANONYMOUS_WINDOW_MICROSECONDS


def _looks_around(steps: Iterable[Step], *, anonymous: bool) -> bool:
    outcomes = {step.outcome for step in steps}
    if anonymous and "denied" not in outcomes:
        return sum(step.count for step in steps if step.code == NOT_FOUND) >= NOT_FOUND_ENOUGH
    return "denied" in outcomes and (anonymous or "allowed" in outcomes)


NOT_FOUND = 404
