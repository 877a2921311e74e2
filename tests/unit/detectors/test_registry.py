"""The registry of detectors, and what every detector promises."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubewake.detectors import Detection, Detector, DetectorSet, all_detectors, detector, detector_infos
from kubewake.errors import StoreError
from kubewake.observation import Stub
from kubewake.rules.model import TACTICS, RuleInfo
from tests.unit.engine.stubs import stub

RULE_TESTS = Path(__file__).parents[2] / "rules"


def stream(seed: int, length: int = 400) -> list[Stub]:
    """Requests of a few identities over some hours: ordinary ones, reads of Secrets, sessions, grants, refusals."""
    draw = random.Random(seed)
    identities = [
        ("alice", "human", "", ""),
        ("system:serviceaccount:shop:web", "serviceaccount", "JTI=1", "web-0"),
        ("system:serviceaccount:ci:runner", "serviceaccount", "", ""),
        ("system:node:n1", "node", "X509SHA256=2", ""),
        ("system:anonymous", "anonymous", "", ""),
    ]
    kinds: list[dict[str, Any]] = [
        {"verb": "list", "resource": "pods"},
        {"verb": "get", "resource": "secrets"},
        {"verb": "list", "resource": "secrets", "namespace": ""},
        {"verb": "create", "resource": "pods", "subresource": "exec"},
        {"verb": "create", "resource": "selfsubjectrulesreviews"},
        {"verb": "delete", "resource": "deployments"},
        {"verb": "create", "resource": "rolebindings", "api_group": "rbac.authorization.k8s.io"},
        {
            "verb": "create",
            "resource": "pods",
            "values": {"workload.images": ["a/b:1"], "workload.risks": ["privileged"]},
        },
        {"verb": "get", "resource": "", "uri": "/apis"},
        {"verb": "create", "resource": "serviceaccounts", "subresource": "token", "issued_credential": "JTI=1"},
    ]
    stubs = []
    seconds = 0.0
    for number in range(length):
        seconds += draw.choice((1, 5, 30, 120))
        user, kind, credential, pod = draw.choice(identities)
        change = dict(draw.choice(kinds))
        time = f"2026-05-04T{10 + int(seconds // 3600):02d}:{int(seconds // 60) % 60:02d}:{seconds % 60:09.6f}Z"
        source = draw.choice(("10.0.0.1", "10.0.0.1", "10.0.0.1", "8.8.4.4", "9.9.9.9"))
        change.setdefault("uri", f"/api/v1/{change['resource']}/{number % 7}")
        stubs.append(
            stub(number + 1, time, user=user, actor_kind=kind, credential=credential, pod=pod, source=source,
                 client=draw.choice(("kubectl", "kubectl", "client-go", "curl")), name=f"object-{number % 9}",
                 outcome=(outcome := draw.choice(("allowed", "allowed", "allowed", "denied"))),
                 code=403 if outcome == "denied" else 200, **change)
        )  # fmt: skip
    return stubs


def said(detections: Iterator[Detection]) -> list[tuple[str, int, str]]:
    return [
        (item.rule, item.stub.key, msgspec.json.encode(item.values, order="sorted").decode()) for item in detections
    ]


@pytest.mark.parametrize("cls", all_detectors(), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_restart_changes_nothing(cls: type[Detector], seed: int) -> None:
    stubs = stream(seed)
    whole = DetectorSet([cls])
    through = [item for each in stubs for item in said(whole.observe(each))]
    first, second = DetectorSet([cls]), DetectorSet([cls])
    cut = len(stubs) // 2
    before = [item for each in stubs[:cut] for item in said(first.observe(each))]
    second.restore(first.snapshot())
    after = [item for each in stubs[cut:] for item in said(second.observe(each))]
    assert before + after == through
    assert not whole.failures


@pytest.mark.parametrize("info", detector_infos().values(), ids=lambda info: info.id)
def test_every_detector_rule_is_complete(info: RuleInfo) -> None:
    assert info.kind == "detector"
    assert info.title
    assert info.description
    assert info.story
    assert info.covers
    assert info.remediation
    assert info.falsepositives
    assert info.references
    assert all(reference.startswith("https://") for reference in info.references)
    assert info.tactic in TACTICS
    assert set(info.attack.tactics) <= set(TACTICS)
    assert info.attack.techniques
    assert (RULE_TESTS / f"{info.id}.yml").is_file()


def test_stubs_go_to_those_who_want_them() -> None:
    seen: list[str] = []

    class Pods:
        infos = (RuleInfo(id="x-pods", title="t"),)
        version = 1
        resources = frozenset({"pods"})
        counts = of_people = of_hits = False

        def observe(self, each: Stub) -> Iterator[Detection]:
            seen.append(each.resource)
            yield Detection(rule="x-pods", stub=each)

        def snapshot(self) -> bytes:
            return b""

        def restore(self, data: bytes) -> None:
            raise AssertionError(data)

    group = DetectorSet([Pods])
    assert [item.rule for each in (stub(1), stub(2, resource="secrets")) for item in group.observe(each)] == ["x-pods"]
    assert seen == ["pods"]
    assert set(group.infos) == {"x-pods"}


def reporting(name: str, fails_on: frozenset[int] = frozenset(), *, measures: bool = False) -> Any:
    """A detector class that speaks of each stub, and raises behind its first word on some."""

    class Reporting:
        infos = (RuleInfo(id=name, title="t"),)
        version = 1
        resources = None
        counts = measures
        of_people = of_hits = False

        def observe(self, each: Stub) -> Iterator[Detection]:
            yield Detection(rule=name, stub=each)
            if each.key >> 2 in fails_on:
                raise KeyError("text from the log")

        def snapshot(self) -> bytes:
            return b""

        def restore(self, data: bytes) -> None:
            raise AssertionError(data)

    return Reporting


@pytest.mark.parametrize("repeat", [False, True])
def test_a_detector_that_raises_costs_the_others_nothing_and_is_counted(*, repeat: bool) -> None:
    group = DetectorSet(
        [
            reporting("a", measures=True),
            reporting("b", frozenset({1, 2}), measures=True),
            reporting("c", frozenset({2}), measures=True),
            reporting("d", measures=True),
        ]
    )
    for number in (1, 2, 3):
        assert [item.rule for item in group.observe(stub(number), repeat=repeat)] == ["a", "b", "c", "d"]
    counts = {key: failure.count for key, failure in group.failures.items()}
    assert counts == {("b", "KeyError"): 2, ("c", "KeyError"): 1}
    assert "text from the log" not in str(group.failures)
    assert group.failures["b", "KeyError"].place.startswith("test_registry.py:")


def test_a_detector_that_cannot_say_what_it_wants_is_asked() -> None:
    kind = reporting("a")
    kind.wants = staticmethod(lambda scene: scene.nonsense)
    group = DetectorSet([kind])
    assert [item.rule for item in group.observe(stub(1))] == ["a"]
    assert group.failures["a", "AttributeError"].count == 1


def test_state_of_unknown_detectors_is_passed_over_and_damaged_state_is_named() -> None:
    group = DetectorSet([])
    group.restore(msgspec.msgpack.encode({"gone/1": b"x"}))
    with pytest.raises(StoreError, match="delete the state"):
        group.restore(b"\xff")


def test_a_detector_whose_state_cannot_be_saved_or_read_begins_anew_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [cls for cls in all_detectors() if cls.infos[0].id in ("privilege-probing", "identity-behaviour-anomaly")]
    assert len(kinds) == 2
    names = [f"{cls.infos[0].id}/{cls.version}" for cls in kinds]
    group, again = DetectorSet(kinds), DetectorSet(kinds)
    for each in stream(1):
        group.observe(each)
    states = msgspec.msgpack.decode(group.snapshot(), type=dict[str, bytes])
    again.restore(msgspec.msgpack.encode({**states, names[0]: b"\xc1"}))
    assert [(failure.part, failure.time) for failure in again.failures.values()] == [(names[0], "")]
    kept = msgspec.msgpack.decode(again.snapshot(), type=dict[str, bytes])
    assert kept[names[1]] == states[names[1]]
    assert kept[names[0]] == msgspec.msgpack.decode(DetectorSet(kinds).snapshot(), type=dict[str, bytes])[names[0]]

    def broken() -> bytes:
        raise LookupError

    monkeypatch.setattr(group._detectors[names[0]], "snapshot", broken)
    assert msgspec.msgpack.decode(group.snapshot(), type=dict[str, bytes]) == {names[1]: states[names[1]]}
    assert list(group.failures) == [(names[0], "LookupError")]


def test_an_id_has_one_owner() -> None:
    class Other:
        pass

    with pytest.raises(ValueError, match="claimed by"):
        detector(detector_infos()["privilege-probing"])(Other)
