"""Logs to RBAC: what was granted in them, and what was used."""

from collections.abc import Sequence

from kubewake.engine import Reader
from kubewake.engine.access import Access
from kubewake.engine.order import Order
from kubewake.errors import InputError
from kubewake.facts import Context
from kubewake.pipeline.numbering import numbered
from kubewake.pipeline.reading import read_all
from kubewake.rbac import RbacState
from kubewake.rbac.usage import RbacUsage
from kubewake.rules.ruleset import RuleSet
from kubewake.sources.files import FileSource


def learn(paths: Sequence[str], state: RbacState, usage: RbacUsage) -> None:
    """Add the role writes of the logs to `state` and their allowed requests to `usage`; InputError where they hold no event."""
    reader = Reader(RuleSet(()), Context())
    order = Order()
    access = Access(state)
    events = 0
    for observation in numbered(read_all(FileSource(paths).chunks(), reader)):
        events += observation.events
        order.put(observation)
        for stub in order.take():
            access.observe(stub)
            usage.observe(stub)
    if not events:
        raise InputError(f"{', '.join(paths)}: no audit events in there; check --log")
    for stub in order.take(flush=True):
        access.observe(stub)
        usage.observe(stub)
