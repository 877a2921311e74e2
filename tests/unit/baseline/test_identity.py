"""Caps of one identity, and its peers."""

from kubewake.baseline import days
from kubewake.baseline.identity import KEYS_MAX, VALUES_MAX, Context, Identity, role_of
from kubewake.baseline.population import Population


def identity(user: str, **contexts: list[str]) -> Identity:
    held = {name: Context(dict.fromkeys(values, days.on_day(20_000))) for name, values in contexts.items()}
    return Identity(user, "human", 0.0, contexts=held)


def test_a_full_context_lets_go_of_the_oldest_value_and_counts_it() -> None:
    context = Context({})
    for number in range(VALUES_MAX + 10):
        context.add(f"v{number:03}", days.on_day(20_000 + number // 64))

    assert len(context.values) == VALUES_MAX
    assert context.evicted == 10
    assert context.distinct == VALUES_MAX + 10
    assert "v000" not in context.values


def test_a_full_identity_forgets_its_own_oldest_behaviour() -> None:
    someone = Identity("x", "human", 0.0)
    for key in range(KEYS_MAX + 3):
        someone.add_key(key, days.on_day(20_000))

    assert len(someone.keys) == KEYS_MAX
    assert someone.keys_evicted == 3
    assert 0 not in someone.keys


def test_the_role_of_a_grant() -> None:
    assert role_of('RBAC: allowed by RoleBinding "b" of ClusterRole "edit" to Group "g"') == "edit"
    assert role_of('RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "system:discovery" to Group "g"') == ""
    assert role_of("") == ""


def test_groups_count_identities_and_small_ones_are_left_out() -> None:
    people = [identity(name, client=["kubectl"]) for name in ("a", "b", "c")]
    people[0].teams = "one"
    population = Population(people)

    assert population.levels(people[0]) == ("human identities", "everybody")
    usage = population.usages("client").get("human identities")
    assert usage is not None
    assert usage.values == {"kubectl": 3}


def test_same_roles_make_peers() -> None:
    people = [identity(name, client=["kubectl"]) for name in ("a", "b", "c", "d")]
    for person in people[:3]:
        person.roles = {"edit": days.on_day(20_000)}
    population = Population(people)

    assert population.levels(people[0])[0] == "identities with the roles edit"
    people[3].roles = {"edit": days.on_day(20_000)}
    population.enrol(people[3])
    assert population.members["identities with the roles edit"] == 4


def test_a_population_kept_up_is_the_same_as_one_made_anew() -> None:
    people = [identity(name, client=["kubectl"]) for name in ("a", "b", "c")]
    population = Population(people)
    people[0].contexts["client"].add("curl", days.on_day(20_001))
    population.add("a", "client", "curl")
    fresh = Population(people)

    for group in ("human identities", "everybody"):
        assert population.usages("client").get(group) == fresh.usages("client").get(group)
    population.dismiss(people[1])
    assert population.usages("client")["everybody"] == Population([people[0], people[2]]).usages("client")["everybody"]
