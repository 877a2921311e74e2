"""What every run needs before the first event: rules, lists, the context of facts; loadable again in a worker."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from kubewake.facts import Context
from kubewake.rules.ruleset import RuleSet


class Knowledge(Struct, frozen=True, kw_only=True):
    """What to detect with. Small and picklable, so that worker processes can load the same."""

    rule_paths: tuple[Path, ...] = ()
    only_rules: tuple[str, ...] = ()
    intelligence: Path | None = None
    builtin: bool = True

    def load(self) -> tuple[RuleSet, Context]:
        """The rules and the context; raises RuleError or SettingsError."""
        from kubewake.detectors import detector_infos
        from kubewake.intelligence import Intelligence, load_intelligence
        from kubewake.rules.pack import load_rules

        known = load_intelligence(self.intelligence) if self.intelligence is not None else Intelligence()
        rules = load_rules(
            self.rule_paths,
            builtin=self.builtin,
            lists=known.names,
            today=datetime.now(UTC).date().isoformat(),
            only=self.only_rules or None,
            others=detector_infos(),
        )
        rules.notices.extend(known.notices)
        return rules, known.context(rules.lists)
