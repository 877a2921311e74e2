"""Detections that Sigma cannot express: one module each, found by the `@detector` decorator.

A detector is a deterministic function of the stubs it has seen, in event-time order: no clock, no input or output, no
randomised hash. Its state can be saved and restored, and is bounded.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec
from msgspec import Struct

from kubewake.detectors.failure import Failures, note, restore_parts, save_parts
from kubewake.finding import Severity
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo
from kubewake.snapshot import decode_state


class Detection(Struct, frozen=True, kw_only=True):
    """A detector says that something happened: the finding takes actor, target and time from `stub`.

    `rule` is the id of one of the detector's `infos`. `evidence` are earlier events of the same matter, oldest first,
    without `stub` itself. `values` are further story placeholders and go into the finding's `explain`.
    """

    rule: str
    stub: Stub
    evidence: tuple[Evidence, ...] = ()
    values: dict[str, Any] = {}
    severity: Severity | None = None
    """Overrides the level of the rule where the evidence is stronger or weaker than usual."""


class Scene(NamedTuple):
    """What decides, together with a detector's memory, whether a stub can matter to it at all."""

    verb: str
    resource: str
    subresource: str
    api_group: str
    outcome: str
    actor_kind: str
    is_hit: bool
    """Whether a rule has hit the stub."""
    of_component: bool
    """Whether a known component did it within its job."""
    from_pod: bool
    """Whether the credential is bound to a pod."""
    by_secret: bool
    """Whether the token that it came with is kept in a Secret."""
    has_credential: bool
    """Whether the credential has an id."""
    by_admin: bool
    """Whether the role that allowed it is cluster-admin."""
    by_cluster_binding: bool
    """Whether a ClusterRoleBinding allowed it."""


def scene_of(stub: Stub) -> Scene:
    """The scene of a stub."""
    return Scene(
        stub.verb,
        stub.resource,
        stub.subresource,
        stub.api_group,
        stub.outcome,
        stub.actor_kind,
        bool(stub.hits),
        bool(stub.values.get("actor.in_profile")),
        bool(stub.pod),
        bool(stub.secret_token),
        bool(stub.credential),
        '"cluster-admin"' in stub.reason,
        "ClusterRoleBinding" in stub.reason,
    )


Wants = Callable[[Scene], bool]
"""Whether stubs of a scene can matter; asked once a scene."""


class Detector(Protocol):
    """What the engine asks of a detector. One instance serves one cluster."""

    infos: ClassVar[tuple[RuleInfo, ...]]
    """What it can say, one entry a rule id; the version of its state is `version`."""
    version: ClassVar[int]
    resources: ClassVar[frozenset[str] | None]
    """Resources (plural, "" for non-resource requests) whose stubs it wants; None for all."""
    fleet: ClassVar[bool]
    """True for a detector that compares clusters: one instance then sees the stubs of all of them."""
    counts: ClassVar[bool]
    """True for a detector that measures rates: it also gets the repeats of ordinary behaviours."""
    of_people: ClassVar[bool]
    """True for a detector that has no use for what known components do within their job."""
    of_hits: ClassVar[bool]
    """True for a detector that has no use for what no rule has hit."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        ...

    def snapshot(self) -> bytes:
        """All state, as bytes for `restore`."""
        ...

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot of the same version."""
        ...


@runtime_checkable
class Briefed(Protocol):
    """A detector that weighs the hits of rules, and so must know their cards."""

    def brief(self, rules: Mapping[str, RuleInfo]) -> None:
        """Take the cards of all rules that can hit; called once, before the first stub."""
        ...


__all__ = [
    "Briefed",
    "Detection",
    "Detector",
    "DetectorSet",
    "Evidence",
    "Scene",
    "all_detectors",
    "cluster_detectors",
    "detector",
    "detector_infos",
    "evidence_of",
    "fleet_detectors",
    "scene_of",
]

D = TypeVar("D", bound=type[Any])
_DETECTORS: dict[str, type[Any]] = {}


def detector(
    *infos: RuleInfo,
    resources: Iterable[str] | None = None,
    version: int = 1,
    counts: bool = False,
    of_people: bool = False,
    of_hits: bool = False,
    wants: Wants | None = None,
) -> Callable[[D], D]:
    """Register a detector class and what it can say.

    `@detector(INFO, resources={"pods"})` sets the class's `infos`, `resources` and `version`. One that measures rates
    `counts`: it also gets the repeats of ordinary behaviours, which others see once an hour. One `of_people` does not
    get what known components do within their job, unless a rule has hit it. One `of_hits` gets only what a rule has
    hit. `wants` keeps stubs away that it would pass over in silence; of a repeat it is told who acts, and nothing else.
    """

    def register(cls: D) -> D:
        cls.infos = infos
        cls.resources = None if resources is None else frozenset(resources)
        cls.version = version
        cls.counts = counts
        cls.of_people = of_people
        cls.of_hits = of_hits
        cls.wants = None if wants is None else staticmethod(wants)
        cls.fleet = getattr(cls, "fleet", False)
        for info in infos:
            owner = _DETECTORS.setdefault(info.id, cls)
            if owner.__module__ != cls.__module__:
                raise ValueError(f"detector rule id {info.id!r} is claimed by {owner.__module__} and {cls.__module__}")
        return cls

    return register


def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def all_detectors() -> tuple[type[Detector], ...]:
    """Every detector class of the package, in the order of its first rule id."""
    _load()
    return tuple(dict.fromkeys(_DETECTORS[rule] for rule in sorted(_DETECTORS)))


def cluster_detectors(classes: Iterable[type[Detector]] | None = None) -> tuple[type[Detector], ...]:
    """Those of the classes (default: all) of which each cluster gets an instance of its own."""
    return tuple(cls for cls in (all_detectors() if classes is None else classes) if not cls.fleet)


def fleet_detectors(classes: Iterable[type[Detector]] | None = None) -> tuple[type[Detector], ...]:
    """Those of the classes (default: all) of which one instance sees all clusters."""
    return tuple(cls for cls in (all_detectors() if classes is None else classes) if cls.fleet)


def detector_infos() -> dict[str, RuleInfo]:
    """What all detectors can say, by rule id, sorted."""
    infos = (info for cls in all_detectors() for info in cls.infos)
    return {info.id: info for info in sorted(infos, key=lambda info: info.id)}


class DetectorSet:
    """One instance of every detector for one cluster, with stubs dispatched by resource.

    A detector that raises costs the others nothing: `failures` counts it, and it sees the next stub again.
    """

    def __init__(
        self,
        classes: Iterable[type[Detector]] | None = None,
        rules: Mapping[str, RuleInfo] | None = None,
    ) -> None:
        self._detectors: dict[str, Detector] = {}
        for cls in all_detectors() if classes is None else classes:
            item = self._detectors[f"{cls.infos[0].id}/{cls.version}"] = cls()
            if rules is not None and isinstance(item, Briefed):
                item.brief(rules)
        self.of_hits = all(item.of_hits for item in self._detectors.values())
        """Whether no detector here has a use for what no rule has hit."""
        self._watchers: dict[tuple[Any, ...], tuple[Observe, ...]] = {}
        self._by_kind: dict[int, tuple[Observe, ...]] = {}
        """What `_watchers` says of stubs without hits."""
        self._by_kind_of_hits: dict[int, tuple[Observe, ...]] = {}
        self._counters: dict[str, tuple[Observe, ...]] = {}
        """Detectors that measure rates, by kind of actor."""
        self.failures: Failures = {}
        """What detectors failed on, since the start: not part of a snapshot."""

    @property
    def infos(self) -> dict[str, RuleInfo]:
        """What these detectors can say, by rule id."""
        return {info.id: info for item in self._detectors.values() for info in item.infos}

    def observe(self, stub: Stub, repeat: bool = False) -> Sequence[Detection]:
        """Pass the stub to every detector that wants its scene; the `repeat` of an ordinary behaviour to those that count.

        Stubs are many, so that whom to ask is looked up and asked in one place.
        """
        if repeat:
            asked = self._counters.get(stub.actor_kind)
        elif stub.hits:
            asked = self._by_kind_of_hits.get(stub.kind)
        else:
            asked = self._by_kind.get(stub.kind)
        if asked is None:
            asked = self._counting(stub) if repeat else self._watching(stub)
        if not asked:
            return ()
        found: list[Detection] = []
        try:
            for observe in asked:
                said = observe(stub)
                if said:
                    found.extend(said)
        except Exception as error:  # noqa: BLE001  # counted and told; the other detectors go on
            self._go_on(asked, observe, stub, error, found)
        return found

    def _watching(self, stub: Stub) -> "tuple[Observe, ...]":
        scene = scene_of(stub)
        watchers = self._watchers.get(scene)
        if watchers is None:
            watchers = _remember(self._watchers, scene, self._of_scene(scene, stub))
        if stub.kind:
            by_kind = self._by_kind_of_hits if stub.hits else self._by_kind
            if len(by_kind) >= KINDS_MAX:
                by_kind.clear()
            by_kind[stub.kind] = watchers
        return watchers

    def _counting(self, stub: Stub) -> "tuple[Observe, ...]":
        scene = Scene("", "", "", "", "allowed", stub.actor_kind, False, False, False, False, False, False, False)
        counting = [item for item in self._detectors.values() if item.counts and item.resources is None]
        wanted = tuple(item.observe for item in counting if self._is_wanted(item, scene, stub))
        self._counters[stub.actor_kind] = wanted
        return wanted

    def _go_on(
        self, asked: "tuple[Observe, ...]", failed: "Observe", stub: Stub, error: Exception, found: list[Detection]
    ) -> None:
        """Note what failed, and ask those behind it. What it said of the stub before it failed stays in `found`."""
        self._note(failed, stub, error)
        for observe in asked[asked.index(failed) + 1 :]:
            try:
                found.extend(observe(stub) or ())
            except Exception as another:  # noqa: BLE001  # as in `observe`
                self._note(observe, stub, another)

    def _note(self, failed: "Observe", stub: Stub, error: Exception) -> None:
        owner = next(item for item in self._detectors.values() if item.observe == failed)
        note(self.failures, owner.infos[0].id, error, stub)

    def _is_wanted(self, item: Detector, scene: Scene, stub: Stub) -> bool:
        wants: Wants | None = getattr(item, "wants", None)
        try:
            return wants is None or wants(scene)
        except Exception as error:  # noqa: BLE001  # counted and told; asking the detector itself misses nothing
            note(self.failures, item.infos[0].id, error, stub)
            return True

    def _of_scene(self, scene: Scene, stub: Stub) -> "tuple[Observe, ...]":
        return tuple(
            item.observe
            for item in self._detectors.values()
            if (item.resources is None or scene.resource in item.resources)
            and (scene.is_hit or not (item.of_hits or (item.of_people and scene.of_component)))
            and self._is_wanted(item, scene, stub)
        )

    def snapshot(self) -> bytes:
        """State of all detectors, by first rule id and version."""
        return msgspec.msgpack.encode(save_parts(self._detectors, self.failures))

    def restore(self, data: bytes) -> None:
        """Take the state of every detector that the snapshot knows at its present version; others begin anew.

        Raises StoreError where it is no snapshot.
        """
        states = decode_state(data, dict[str, bytes], "saved state of detectors")
        restore_parts(self._detectors, states, self.failures)


SCENES_MAX = 20_000
"""Scenes whose detectors are remembered; their words come from the log, so the memory must have a bound."""

KINDS_MAX = 100_000
"""Kinds of stubs whose detectors are remembered."""

Observe = Callable[[Stub], Iterable[Detection]]


def _remember(
    memory: dict[tuple[Any, ...], tuple[Observe, ...]], key: tuple[Any, ...], found: tuple[Observe, ...]
) -> tuple[Observe, ...]:
    if len(memory) >= SCENES_MAX:
        memory.clear()
    memory[key] = found
    return found
