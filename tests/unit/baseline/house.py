"""A small cluster that does the same every day, and a stranger."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import xxhash

from kubewake.baseline import Baseline
from kubewake.detectors import DetectorSet
from kubewake.engine.cluster import ClusterFold
from kubewake.engine.findings import FindingBook
from kubewake.finding import Incident
from kubewake.incidents import Stories
from kubewake.observation import Signal, Stub
from kubewake.rules.ruleset import RuleSet
from tests.unit.engine.stubs import stub

START = datetime(2026, 5, 4, tzinfo=UTC)
PEOPLE = ("anna", "bert", "carla", "dirk", "elsa", "fritz")
NAMESPACES = ("shop", "pay", "mail", "docs")
HISTORY_DAYS = 10


def at(day: float, seconds: float = 0.0) -> str:
    moment = START + timedelta(days=day, seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class House:
    """Makes stubs with running keys."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, time: str, **changes: Any) -> Stub:
        self.number += 1
        if "resource" in changes and "uri" not in changes:
            changes["uri"] = f"/api/v1/{changes['resource']}"
        return stub(self.number, time, **changes)

    def person(self, who: str, time: str, **changes: Any) -> Stub:
        number = PEOPLE.index(who) if who in PEOPLE else 99
        values = {
            "user": who,
            "groups": ("developers", "system:authenticated"),
            "source": f"10.9.{number}.7",
            **changes,
        }
        return self.event(time, source_ips=(values["source"],), credential=f"X509SHA256={who}", **values)

    def program(self, home: str, time: str, account: str = "web", **changes: Any) -> Stub:
        values = {
            "user": f"system:serviceaccount:{home}:{account}",
            "groups": ("system:serviceaccounts",),
            "actor_kind": "serviceaccount",
            "source": "10.1.2.3",
            "source_ips": ("10.1.2.3",),
            "client": "client-go",
            "user_agent": f"{account}/v1",
            "credential": f"JTI={home}",
            "namespace": home,
            **changes,
        }
        return self.event(time, **values)

    def day(self, day: int) -> Iterator[Stub]:
        """Everybody's routine, in order of time; each kind of request some fifty times."""
        for step, hour in enumerate((8, 10, 13, 15)):
            seconds = hour * 3600
            for index, name in enumerate(PEOPLE):
                for offset, changes in enumerate(
                    (
                        {"verb": "list", "resource": "pods", "namespace": NAMESPACES[index % 4]},
                        {"verb": "get", "resource": "deployments", "namespace": NAMESPACES[index % 4]},
                        {"verb": "get", "resource": "configmaps", "namespace": NAMESPACES[(index + 1) % 4]},
                        {"verb": "patch", "resource": "deployments", "namespace": NAMESPACES[index % 4]},
                    )
                ):
                    yield self.often(self.person(name, at(day, seconds + index * 20 + offset), **changes))
            for index, namespace in enumerate(NAMESPACES):
                for offset, changes in enumerate(
                    (
                        {"verb": "get", "resource": "configmaps"},
                        {"verb": "watch", "resource": "pods"},
                        {"verb": "get", "resource": "secrets", "name": "web-config"},
                    )
                ):
                    yield self.often(self.program(namespace, at(day, seconds + 300 + index * 20 + offset), **changes))
            yield self.often(
                self.program(
                    "ci",
                    at(day, seconds + 500),
                    account="deployer",
                    verb="patch",
                    resource="deployments",
                    namespace="shop",
                )
            )
            yield self.person("anna", at(day, seconds + 600 + step), verb="get", resource="secrets", name="web-config")
            yield self.person(
                "bert", at(day, seconds + 620 + step), verb="create", resource="pods", subresource="exec", name="web-1"
            )

    def often(self, item: Stub) -> Stub:
        item.count = 50
        text = f"{item.user} {item.verb} {item.resource} {item.namespace} {item.client} {item.source}"
        item.behaviour = xxhash.xxh3_64_intdigest(text.encode())
        return item

    def history(self, days: int = HISTORY_DAYS, first: int = 0) -> Iterator[Stub]:
        for day in range(first, first + days):
            yield from self.day(day)

    def theft(self, day: float, *, who: str = "carla", source: str = "203.0.113.9", client: str = "curl") -> list[Stub]:
        """A person's login in other hands: secrets are listed, a shell is opened, power is granted."""
        common = {"source": source, "client": client, "user_agent": f"{client}/8.1"}
        steps: list[dict[str, Any]] = [
            {"verb": "list", "resource": "secrets", "namespace": "", "name": ""},
            {"verb": "get", "resource": "secrets", "namespace": "pay", "name": "card-keys"},
            {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "pay", "name": "db-0"},
            {"verb": "create", "resource": "clusterrolebindings", "namespace": "", "name": "helper"},
        ]
        return [
            self.person(who, at(day, 14 * 3600 + 40 + 5 * number), **common, **changes)
            for number, changes in enumerate(steps)
        ]


def learnt(days: int = HISTORY_DAYS) -> tuple[House, Baseline]:
    """A house and a baseline that has watched it for so many days."""
    house, baseline = House(), Baseline()
    for item in house.history(days):
        baseline.observe(item)
    return house, baseline


def said(baseline: Baseline, stubs: Iterable[Stub]) -> list[Signal]:
    return [signal for item in stubs for signal in baseline.observe(item)]


def total(signals: Iterable[Signal]) -> float:
    """The strongest signal of each tactic, summed: what they come to in an incident, before correction."""
    best: dict[str, float] = {}
    for signal in signals:
        best[signal.tactic] = max(best.get(signal.tactic, 0.0), signal.nats)
    return sum(best.values())


class Cluster:
    """The stateful half of the engine without rules and links: incidents rest on statistics alone."""

    def __init__(self) -> None:
        self.fold = ClusterFold(RuleSet(()), (), {}, None)
        self.fold.stories = Stories({}, disabled_links=frozenset(f"L{number}" for number in range(1, 16)))
        self.fold.baseline = Baseline(self.fold.stories.is_suspected)
        self._book, self._fleet = FindingBook({}), DetectorSet(())

    def watch(self, stubs: Iterable[Stub]) -> "Cluster":
        for item in stubs:
            self.fold.observe(item, self._book, self._fleet)
        assert not self.fold.failures
        return self

    @property
    def incidents(self) -> list[Incident]:
        return self.fold.stories.current()
