"""What an attacker would try against statistics, and what benign change must not cause. No rules: statistics alone."""

import pytest

from kubewake.baseline.probation import PENDING_EACH
from kubewake.observation import Stub
from tests.unit.baseline.house import PEOPLE, Cluster, House, at, learnt, said, total

WATCHED = 10


def watched(days: int = WATCHED) -> tuple[House, Cluster]:
    house, cluster = House(), Cluster()
    return house, cluster.watch(house.history(days))


def test_statistics_alone_open_an_incident_and_explain_it() -> None:
    house, cluster = watched()
    assert not cluster.incidents

    cluster.watch(house.theft(WATCHED))

    [incident] = cluster.incidents
    assert {part["kind"] for part in incident.score_parts} <= {"surprise", "order"}
    assert len({part["tactic"] for part in incident.score_parts if part["kind"] == "surprise"}) >= 2
    assert incident.score == pytest.approx(sum(part["nats"] for part in incident.score_parts), abs=0.01)


def test_one_anomaly_is_never_an_incident() -> None:
    house, cluster = watched()
    cluster.watch(house.theft(WATCHED)[:1])
    cluster.watch(
        [house.person("dirk", at(WATCHED, 80_000), verb="delete", resource="namespaces", namespace="", name="pay")]
    )

    assert not cluster.incidents


def test_frog_boil() -> None:
    """One novel harmless-looking action a day for fourteen days does not hide the attack."""
    house, cluster = watched(4)
    kinds = ("services", "jobs", "cronjobs", "ingresses", "events", "replicasets", "endpoints")
    for day in range(14):
        cluster.watch(house.day(4 + day))
        step = {"verb": ("get", "list")[day % 2], "resource": kinds[day // 2], "namespace": "shop"}
        cluster.watch([house.person("carla", at(4 + day, 60_000), **step)])
    assert not cluster.incidents

    cluster.watch(house.theft(18))

    assert len(cluster.incidents) == 1


def test_the_same_campaign_on_three_days_is_detected_three_times() -> None:
    house, cluster = watched()
    for day in range(3):
        cluster.watch(house.theft(WATCHED + 2 * day))
        cluster.watch(house.history(2, first=WATCHED + 1 + 2 * day))

    assert len(cluster.incidents) == 3


def flood(house: House, number: int, day: float = WATCHED) -> list[Stub]:
    return [
        house.person("fritz", at(day, 1000 + n / 100), verb="get", resource="pods", client=f"c{n}", user_agent=f"c{n}/1",
                     namespace=f"ns{n}", name=f"p{n}")
        for n in range(number)
    ]  # fmt: skip


def test_a_flood_of_made_up_names_stays_bounded_and_changes_nothing_for_others() -> None:
    house, baseline = learnt()
    other_house, calm = learnt()
    said(baseline, flood(house, 6_000))
    bytes_after = len(baseline.snapshot())
    said(baseline, flood(house, 5_000, WATCHED + 0.1))

    assert len(baseline.snapshot()) < 1.6 * bytes_after
    assert baseline.evicted()["pending"] >= 10_000 - PENDING_EACH
    assert total(said(baseline, house.theft(WATCHED))) == pytest.approx(total(said(calm, other_house.theft(WATCHED))))


def test_a_campaign_within_a_thousand_novel_reads_is_still_over_the_bar() -> None:
    house, cluster = watched()
    common = {"source": "203.0.113.9", "client": "curl", "user_agent": "curl/8.1"}
    noise = [
        house.person("carla", at(WATCHED, 14 * 3600 + n * 0.03), verb="get", resource=f"kind{n % 97}",
                     namespace=f"ns{n % 61}", name=f"x{n}", **common)
        for n in range(1_000)
    ]  # fmt: skip
    attack = house.theft(WATCHED)
    cluster.watch(sorted([*noise, *attack], key=lambda item: item.time))

    assert len(cluster.incidents) == 1


def test_ten_thousand_repeats_leave_the_score_unchanged() -> None:
    house, cluster = watched()
    attack = house.theft(WATCHED)
    cluster.watch(attack)
    before = cluster.incidents[0].score
    common = {"source": "203.0.113.9", "client": "curl", "user_agent": "curl/8.1"}
    cluster.watch(
        house.person("carla", at(WATCHED, 14 * 3600 + 56 + n / 1000), verb="create", resource="clusterrolebindings",
                     namespace="", name="helper", **common)
        for n in range(10_000)
    )  # fmt: skip

    assert len(cluster.incidents) == 1
    assert cluster.incidents[0].score == pytest.approx(before, abs=0.01)


def test_a_copied_user_agent_leaves_most_of_the_surprise() -> None:
    detected = 0
    for victim in PEOPLE[2:]:
        house, baseline = learnt()
        signals = said(baseline, house.theft(WATCHED, who=victim, client="kubectl"))
        detected += total(signals) > 3.5

    assert detected == len(PEOPLE) - 2


def test_one_step_a_day_for_six_days_adds_up_by_the_fourth() -> None:
    house, cluster = watched()
    common = {"source": "203.0.113.9", "client": "curl", "user_agent": "curl/8.1"}
    steps = [
        {"verb": "list", "resource": "pods", "namespace": "pay"},
        {"verb": "get", "resource": "secrets", "namespace": "pay", "name": "card-keys"},
        {"verb": "create", "resource": "clusterrolebindings", "namespace": "", "name": "helper"},
        {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "pay", "name": "db-0"},
        {"verb": "create", "resource": "daemonsets", "namespace": "pay", "name": "agent"},
        {"verb": "delete", "resource": "networkpolicies", "namespace": "pay", "name": "deny"},
    ]
    opened_by = 0
    for number, step in enumerate(steps):
        cluster.watch([house.person("carla", at(WATCHED + number, 20 * 3600), **common, **step)])
        if cluster.incidents and not opened_by:
            opened_by = number + 1
        cluster.watch(house.day(WATCHED + 1 + number))

    assert 0 < opened_by <= 4


def test_twenty_rollouts_an_operator_and_an_upgrade_are_no_incident() -> None:
    house, cluster = watched()
    for number in range(20):
        name = f"team-{'abcdefghijklmnopqrst'[number]}"
        start = 5 * 3600 + number * 400
        cluster.watch(
            house.program("gitops", at(WATCHED, start + step), account="agent", verb="create", resource=resource,
                          namespace=name, name=name)
            for step, resource in enumerate(("namespaces", "rolebindings", "serviceaccounts", "deployments", "secrets"))
        )  # fmt: skip
    for step, resource in enumerate(
        ("customresourcedefinitions", "clusterroles", "clusterrolebindings", "deployments")
    ):
        values = {"verb": "create", "resource": resource, "namespace": "", "name": "operator"}
        cluster.watch([house.person("anna", at(WATCHED, 9 * 3600 + step), **values)])
    new_version = list(house.day(WATCHED + 1))
    for item in new_version:
        item.user_agent = item.user_agent.replace("v1", "v2")
    cluster.watch(new_version)

    assert not cluster.incidents


def test_without_the_annotations_of_newer_clusters_it_still_speaks() -> None:
    house, baseline = learnt()
    attack = house.theft(WATCHED)
    for item in attack:
        item.credential = item.reason = ""

    assert total(said(baseline, attack)) > 3.5
