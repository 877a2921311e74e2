"""L13: a service account or namespace created, then activity by or in it."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

STRENGTH = 0.6


@link_kind(
    LinkInfo(
        "L13", "account or namespace created, then active", "name of the account or namespace", "Metadata", STRENGTH
    ),
    [("serviceaccounts", ""), ("namespaces", "")],
    verbs=frozenset({"create"}),
)
class Birthplace:
    """Fresh service accounts and namespaces by name."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._born = state.ledger("birthplace", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who created an account or namespace."""
        if session.machine:
            return ()
        self.coverage.eligible += 1
        ref = self._state.refer(stub, session)
        if ref.name:
            self.coverage.covered += 1
            key = (
                f"namespace {ref.name}"
                if stub.resource == "namespaces"
                else (f"account system:serviceaccount:{stub.namespace}:{ref.name}")
            )
            self._born.put(key, Cause(ref, now))
        return ()

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """A session of a fresh account, or of any account in a fresh namespace."""
        if session.kind != "serviceaccount" or session.renewed or not self._born.entries:
            return ()
        links = []
        for key in (f"account {session.user}", f"namespace {session.namespace}"):
            kind, _, name = key.partition(" ")
            for cause in self._born.get(key, now):
                if cause.ref.session == session.number:
                    continue
                what = "the account itself" if kind == "account" else f"its namespace {name}"
                links.append(
                    Link(
                        id="L13",
                        cause=cause.ref.session,
                        effect=session.number,
                        strength=STRENGTH,
                        scope="session",
                        text=f"{session.user} became active; {cause.ref.user} had created {what}",
                        source=Entity("identity" if kind == "account" else "namespace", name),
                        target=Entity("identity", session.user),
                        cause_ref=cause.ref,
                        seconds=now,
                    ),
                )
        return links
