"""First times: names taken apart, days, bounds."""

import pytest

from kubewake.detectors import new_value
from kubewake.detectors.network import INSIDE, network_of
from kubewake.detectors.new_value import NewValue
from kubewake.detectors.novelty_table import ENTRIES, registry_of, repository_of, workload_of
from tests.unit.engine.stubs import stub


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", INSIDE),
        ("127.0.0.1", INSIDE),
        ("100.64.0.1", INSIDE),
        ("fd00::1", INSIDE),
        ("8.8.4.4", "8.8.4.0/24"),
        ("2600:1900:1:2::3", "2600:1900:1::/48"),
        ("", ""),
        ("localhost", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d9f8c6b5-x2k4q", "web"),
        ("agent-h7h9z", "agent"),
        ("db-0", "db"),
        ("backup-28391040-x2k4q", "backup"),
        ("kube-proxy", "kube-proxy"),
        ("web", "web"),
    ],
)
def test_workloads_of_pods(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


@pytest.mark.parametrize(
    ("image", "repository", "registry"),
    [
        ("nginx", "nginx", "nginx"),
        ("nginx:1.27", "nginx", "nginx"),
        ("docker.io/team/app:1@sha256:aa", "docker.io/team/app", "docker.io/team"),
        ("registry:5000/app", "registry:5000/app", "registry:5000/app"),
        ("registry:5000/app:2", "registry:5000/app", "registry:5000/app"),
    ],
)
def test_images(image: str, repository: str, registry: str) -> None:
    assert repository_of(image) == repository
    assert registry_of(image) == registry


def rules(detector: NewValue, *stubs: object) -> set[str]:
    return {item.rule for each in stubs for item in detector.observe(each)}  # type: ignore[arg-type]


def ordinary(number: int, day: int, hour: int = 10, **changes: object) -> object:
    return stub(number, f"2026-05-{day:02d}T{hour:02d}:00:00.000000Z", **changes)


def known() -> NewValue:
    detector = NewValue()
    rules(detector, *(ordinary(number, 1, 8) for number in range(1, 30)))
    return detector


def test_what_was_not_seen_for_long_is_new_again() -> None:
    detector = known()
    assert "user-agent-new" in rules(detector, ordinary(50, 1, user_agent="x/1"))
    assert "user-agent-new" not in rules(detector, ordinary(51, 20, user_agent="x/1"))
    late = stub(52, "2026-06-25T10:00:00.000000Z", user_agent="x/1")
    assert "user-agent-new" in rules(detector, late)


def test_somebody_else_s_past_does_not_count() -> None:
    detector = known()
    assert rules(detector, ordinary(50, 1, user="bob", user_agent="x/1")) == set()


def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_value, "SEEN_MAX", 50)
    detector = known()
    for number in range(100):
        rules(detector, ordinary(100 + number, 1, user_agent=f"tool-{number}/1"))
    assert len(detector._seen) <= 50
    assert "user-agent-new" not in rules(detector, ordinary(300, 2, user_agent="tool-99/1"))
    assert "user-agent-new" in rules(detector, ordinary(301, 2, user_agent="tool-1/1"))


def test_every_entry_judges_any_request_without_failing() -> None:
    requests = [
        stub(1), stub(2, resource="", uri="/x", name=""), stub(3, user="", actor_kind="anonymous", source=""),
        stub(4, resource="pods", verb="create", values={"workload.images": [], "workload.risks": None}),
    ]  # fmt: skip
    for entry in ENTRIES:
        for each in requests:
            if entry.applies(each):
                assert all(isinstance(value, tuple) for value in entry.values(each))
