"""What is newborn looks like what was newborn before."""

from kubewake.baseline import Baseline
from kubewake.baseline.birth import NEW, Births
from tests.unit.baseline.house import House, at, learnt, said, total


def rollout(house: House, day: float, name: str) -> list:
    """What a GitOps controller does for a new team: a namespace, a binding and a workload in it."""
    agent = {"account": "agent"}
    steps = [
        {"verb": "create", "resource": "namespaces", "namespace": name, "name": name},
        {"verb": "create", "resource": "rolebindings", "namespace": name, "name": "team-edit"},
        {"verb": "create", "resource": "deployments", "namespace": name, "name": "web"},
    ]
    return [house.program("gitops", at(day, number), **agent, **step) for number, step in enumerate(steps)]


def test_what_was_created_is_young_for_an_hour() -> None:
    births = Births({}, begun=1.0)
    births.see("ns old", 1000.0)
    births.see("ns shop", 1000.0, created=True)

    assert not births.is_young("ns old", 1001.0)
    assert births.is_young("ns shop", 1000.0 + 3599)
    assert not births.is_young("ns shop", 1000.0 + 3600)


def test_later_first_sights_are_births() -> None:
    births = Births({}, begun=1.0)
    births.see("user robot", 5000.0)
    assert births.is_young("user robot", 5001.0)


def test_the_next_new_namespace_of_a_gitops_controller_is_familiar() -> None:
    house, baseline = learnt(4)
    for number in range(4):
        said(baseline, rollout(house, 4 + number * 0.5, f"team-{number}x"))
    said(baseline, house.history(3, first=6))

    assert not said(baseline, rollout(house, 9.6, "team-entirely-other"))


def test_without_that_past_it_is_not() -> None:
    house, baseline = learnt(9)
    said(baseline, [house.program("gitops", at(9, 60), account="agent", verb="get", resource="configmaps", name="x")])
    said(baseline, house.history(2, first=10))

    assert total(said(baseline, rollout(house, 12.5, "team-b"))) > 0.3


def test_young_namespaces_are_one_value() -> None:
    house, baseline = House(), Baseline()
    for item in rollout(house, 0, "team-a"):
        baseline.observe(item)
    scopes = baseline.archive.identities["system:serviceaccount:gitops:agent"].contexts["scope sensitive"].values
    assert set(scopes) == {NEW, "team-a"}
