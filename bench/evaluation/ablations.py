"""The engine with one part taken out, to see what the part is worth."""

from collections.abc import Callable, Iterable
from typing import Any

from kubewake.engine import Fold
from kubewake.incidents import Accusation, Stories
from kubewake.lineage import all_links
from kubewake.observation import Signal, Stub
from kubewake.rules.ruleset import RuleSet

Prepare = Callable[[RuleSet], Fold]


class Deaf(Stories):
    """Stories that hear nothing of rules."""

    def observe(self, stub: Stub, accusations: Iterable[Accusation] = (), *more: Any, **named: Any) -> None:
        """Pass the stub on without its accusations."""
        del accusations
        super().observe(stub, (), *more, **named)


class Unsurprised(Stories):
    """Stories that hear nothing of statistics."""

    def observe(
        self,
        stub: Stub,
        accusations: Iterable[Accusation] = (),
        surprises: Iterable[Signal] = (),
        **named: Any,
    ) -> None:
        """Pass the stub on without its surprises."""
        del surprises
        super().observe(stub, accusations, (), **named)


def fold_with(stories: type[Stories] = Stories, links: frozenset[str] = frozenset()) -> Prepare:
    """Makes folds whose clusters tell stories in another way, or without these links."""

    class Altered(Fold):
        def _cluster(self, name: str) -> Any:
            known = name in self._clusters
            cluster = super()._cluster(name)
            if not known:
                cluster.stories = stories(self._infos, reach=cluster._access, disabled_links=links)
            return cluster

    return Altered


def ablations() -> dict[str, Prepare]:
    """Every ablation by name, the full engine first."""
    links = list(all_links())
    table: dict[str, Prepare] = {
        "full": Fold,
        "no links": fold_with(links=frozenset(links)),
        **{f"no {link}": fold_with(links=frozenset({link})) for link in links},
        "no rules": fold_with(Deaf),
        "no statistics": fold_with(Unsurprised),
    }
    return table
