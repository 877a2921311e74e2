"""How rule findings reach incidents: as signals."""

from collections.abc import Sequence

from kubewake.finding import Severity
from kubewake.incidents.weight import RETELLINGS, rule_nats
from kubewake.observation import Evidence, Signal
from kubewake.rules.model import RuleInfo


def rule_signal(
    info: RuleInfo,
    finding: str,
    earlier: Sequence[Evidence] = (),
    *,
    severity: Severity | None = None,
    suppressed: bool = False,
) -> Signal:
    """What a finding that has just opened or grown says about the stub at hand.

    `earlier` are the other events of a correlation or detection, `severity` what it says in this case instead of the
    rule's. A suppressed finding weighs nothing.
    """
    return Signal(
        kind="rule",
        detector=info.id,
        tactic=info.tactic or next(iter(info.attack.tactics), ""),
        nats=0.0 if suppressed else rule_nats(info, severity),
        text=info.title,
        detail={
            "finding": finding,
            "always": info.always and info.id not in RETELLINGS,
            "earlier": earlier,
        },
    )
