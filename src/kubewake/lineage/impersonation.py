"""L10: a request made in another identity's name."""

from collections.abc import Iterable

from kubewake.lineage.link import Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session, identity_entity
from kubewake.lineage.state import State
from kubewake.observation import Stub


@link_kind(
    LinkInfo("L10", "real identity acts as another", "user and impersonatedUser of the same event", "Metadata", 1.0),
    reads="impersonated",
)
class Impersonation:
    """Both identities stand in the event."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """The identity that this request borrowed."""
        self.coverage.eligible += 1
        self.coverage.covered += 1
        return [
            Link(
                id="L10",
                cause=session.number,
                effect=session.number,
                strength=1.0,
                scope="request",
                text=f"{stub.user} acted in the name of {stub.impersonated}",
                source=identity_entity(stub.user),
                target=identity_entity(stub.impersonated, "impersonated"),
                effect_ref=self._state.refer(stub, session),
                seconds=now,
            ),
        ]
