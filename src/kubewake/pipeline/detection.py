"""What every run needs before the first event: rules, lists, the context of facts; loadable again in a worker."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from kubewake.baseline import Archive, decode, train_anew
from kubewake.errors import SettingsError
from kubewake.facts import Context
from kubewake.rules.ruleset import RuleSet


def load_archives(path: Path) -> dict[str, Archive]:
    """Baselines by cluster, of a file that `kubewake baseline` wrote; raises SettingsError or StoreError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: the baseline cannot be read ({error.strerror}); {train_anew('LOGS')}") from error
    return decode(data, str(path))


class Knowledge(Struct, frozen=True, kw_only=True):
    """What to detect with. Small and picklable, so that worker processes can load the same."""

    rule_paths: tuple[Path, ...] = ()
    only_rules: tuple[str, ...] = ()
    intelligence: Path | None = None
    baseline: Path | None = None
    """A file of `kubewake baseline`, to start warm."""
    builtin: bool = True

    def baselines(self) -> dict[str, Archive]:
        """What is usual already, by cluster; raises StoreError or SettingsError."""
        if self.baseline is None:
            return {}
        return load_archives(self.baseline)

    def load(self, *, copies_first: bool = False) -> tuple[RuleSet, Context]:
        """The rules and the context; raises RuleError or SettingsError.

        With `copies_first`, no server is asked for a list of which there is a copy.
        """
        from kubewake.detectors import detector_infos
        from kubewake.intelligence import Intelligence, load_intelligence
        from kubewake.rules.pack import load_rules

        known = Intelligence()
        if self.intelligence is not None:
            known = load_intelligence(self.intelligence, copies_first=copies_first)
        detectors = detector_infos()

        def load(only: tuple[str, ...] | None) -> RuleSet:
            return load_rules(
                self.rule_paths,
                builtin=self.builtin,
                lists=known.names,
                today=datetime.now(UTC).date().isoformat(),
                only=only,
                others=detectors,
            )

        rules = load(self.only_rules or None)
        if detectors.keys() & set(self.only_rules):
            # A detector weighs what rules say: all must speak for it to be right, and only it is told.
            asked, rules = rules.asked, load(None)
            rules.asked = asked
        return rules, known.context(rules.lists)
