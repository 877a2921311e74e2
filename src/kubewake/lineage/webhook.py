"""L6: a mutating webhook written, and the objects that it changed."""

from collections.abc import Iterable
from typing import Final

from kubewake.finding import Entity
from kubewake.lineage.grant import WRITES
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

STRENGTH = 0.8
MUTATED_BY: Final = "admission.mutated_by"


def configurations(values: object) -> list[str]:
    """Names of webhook configurations in a carried value, "configuration/webhook" or plain."""
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list | tuple):
        return []
    return [str(value).partition("/")[0] for value in values]


@link_kind(
    LinkInfo(
        "L6",
        "mutating webhook written, then an object changed by it",
        "annotations mutation.webhook.admission.k8s.io/… and patch.webhook.admission.k8s.io/… name the configuration",
        "Metadata",
        STRENGTH,
    ),
    [("mutatingwebhookconfigurations", "")],
    verbs=WRITES,
    reads=MUTATED_BY,
)
class WebhookChange:
    """Fresh webhook configurations by name."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self.causes = state.ledger("webhook", PATH_HORIZON_SECONDS, 2_000)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who wrote a webhook configuration."""
        if not session.machine:
            ref = self._state.refer(stub, session)
            self.causes.put(ref.name, Cause(ref, now))
        return ()

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """This request, where a fresh webhook changed its object."""
        links = []
        names = configurations(stub.values.get(MUTATED_BY))
        self.coverage.covered += bool(names)
        for name in names:
            for cause in self.causes.get(name, now):
                links.append(
                    Link(
                        id="L6",
                        cause=cause.ref.session,
                        effect=session.number,
                        strength=STRENGTH,
                        scope="context",
                        text=f"the object was changed on its way in by webhook {name}, which {cause.ref.user} had written",
                        source=Entity("webhook", name),
                        target=Entity("workload", f"{stub.resource}/{stub.namespace}/{stub.name}"),
                        cause_ref=cause.ref,
                        effect_ref=self._state.refer(stub, session),
                        seconds=now,
                    ),
                )
        return links
