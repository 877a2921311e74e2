"""The indexed, narrowed, memoised matcher answers as the naive one does."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.rules.compiled import CompiledFile, EventRule
from kubewake.rules.condition import Compare, Each, Match, Not, all_of, any_of, negation
from kubewake.rules.model import RuleInfo
from kubewake.rules.ruleset import CompiledRule, RuleSet
from kubewake.workbench.example import complete, merge
from tests.unit.rules.naive import holds

VERBS = ["get", "list", "create", "delete", "PATCH", "update"]
RESOURCES = ["pods", "secrets", "nodes", "clusterroles"]
USERS = ["alice", "Bob", "system:anonymous", "system:serviceaccount:shop:web", "system:node:n1"]
SUBRESOURCES = ["exec", "log", "token"]
CODES = [200, 201, 403, 404]
AGENTS = ["kubectl/v1.30", "curl/8.0", "", "kube-controller-manager/v1 (linux) kubernetes/a/*x"]
ADDRESSES = ["10.0.0.7", "8.8.8.8", "fd00::1", "not an address"]
IMAGES = ["nginx", "docker.io/evil/tool:1", "Registry.local/App"]
TEXTS = [*VERBS, *RESOURCES, *USERS, *SUBRESOURCES, *AGENTS, *ADDRESSES, *IMAGES]

TEXT_FIELDS = [
    "verb",
    "objectRef.resource",
    "objectRef.subresource",
    "objectRef.namespace",
    "objectRef.name",
    "user.username",
    "user.groups",
    "userAgent",
    "sourceIPs",
    "requestURI",
    "responseStatus.code",
    "actor.kind",
    "client.family",
    "outcome",
    "source.scope",
    "workload.images",
    "requestObject.spec.containers.image",
]
PARTS = ["image", "privileged", "name"]


def text_matches(names):
    texts = st.sampled_from([*TEXTS, "200", "403", "human", "kubectl", "allowed", "denied", "private"])

    def build(name, operation, values, cased):
        lowered = tuple(value if cased else value.lower() for value in values)
        return Match(name, operation, lowered, cased)

    return st.one_of(
        st.builds(
            build,
            st.sampled_from(names),
            st.sampled_from(["eq", "eq", "startswith", "endswith", "contains"]),
            st.lists(texts, min_size=1, max_size=3),
            st.booleans(),
        ),
        st.builds(
            build,
            st.sampled_from(names),
            st.just("glob"),
            st.lists(st.sampled_from(["*a*e", "s?crets", "*:*:*", "p*\\**", "k*/v?*"]), min_size=1, max_size=2),
            st.booleans(),
        ),
        st.builds(
            lambda name, value: Match(name, "re", (value,), cased=True),
            st.sampled_from(names),
            st.sampled_from(["^s", "e[ct]", "(?i)^P", r"\d{3}"]),
        ),
        st.builds(Match, st.sampled_from(names), st.sampled_from(["exists", "null"])),
    )


NUMBERS = st.builds(
    lambda name, operation, value: Match(name, operation, (value,)),
    st.sampled_from(["responseStatus.code", "requestObject.spec.replicas"]),
    st.sampled_from(["lt", "lte", "gt", "gte", "eq"]),
    st.sampled_from([1, 200, 403, 3.5]),
)
NETWORKS = st.builds(
    lambda name, value: Match(name, "cidr", (value,)),
    st.sampled_from(["sourceIPs", "source.ip"]),
    st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "fd00::/8"]),
)
TIMES = st.builds(
    lambda unit, value: Match("stageTimestamp", unit, (value,)),
    st.sampled_from(["minute", "hour", "day", "week", "month", "year"]),
    st.sampled_from([0, 3, 4, 10, 2026]),
)
COMPARISONS = st.builds(
    Compare,
    st.sampled_from(["user.username", "objectRef.name"]),
    st.sampled_from(["objectRef.name", "objectRef.namespace", "userAgent"]),
    st.sampled_from(["eq", "startswith", "endswith", "contains"]),
    st.booleans(),
)
ELEMENTS = st.builds(
    lambda parts: Each("workload.containers", all_of(parts)),
    st.lists(st.one_of(text_matches(PARTS), text_matches(PARTS).map(Not)), min_size=1, max_size=3),
)
LEAVES = st.one_of(
    text_matches(TEXT_FIELDS), text_matches(TEXT_FIELDS), NUMBERS, NETWORKS, TIMES, COMPARISONS, ELEMENTS
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(all_of),
        st.lists(inner, min_size=2, max_size=4).map(any_of),
        inner.map(negation),
    ),
    max_leaves=8,
)


def optional(values):
    return st.one_of(st.none(), st.sampled_from(values))


CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "pods"]), "image": st.sampled_from(IMAGES)},
        optional={"securityContext": st.fixed_dictionaries({"privileged": st.booleans()})},
    ),
    max_size=3,
)
EVENTS = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(VERBS),
        "user": st.fixed_dictionaries({"username": optional(USERS), "groups": st.lists(st.sampled_from(USERS))}),
        "sourceIPs": st.lists(st.sampled_from(ADDRESSES), max_size=2),
        "userAgent": optional(AGENTS),
        "objectRef": st.fixed_dictionaries(
            {
                "resource": optional(RESOURCES),
                "subresource": optional(SUBRESOURCES),
                "namespace": optional(["shop", "alice"]),
                "name": optional(["web", "Alice"]),
            }
        ),
        "responseStatus": st.fixed_dictionaries({"code": st.sampled_from(CODES)}),
        "requestObject": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {"spec": st.fixed_dictionaries({"containers": CONTAINERS, "replicas": st.sampled_from([1, 5])})}
            ),
        ),
    }
)


def facts_of(change):
    return Facts(decode_event(msgspec.json.encode(complete(merge({}, change)))), "")


def ruleset(trees):
    rules = tuple(
        EventRule(RuleInfo(id=f"rule-{number:02}", title="t", file="x.yml", line=1), tree, alerts=True, names=())
        for number, tree in enumerate(trees)
    )
    return RuleSet([CompiledFile("x.yml", rules)])


@settings(max_examples=100, deadline=None)
@given(st.lists(TREES, min_size=1, max_size=5), st.lists(EVENTS, min_size=1, max_size=6))
def test_indexed_and_narrowed_equals_naive(trees, changes):
    rules = ruleset(trees)
    for change in changes:
        facts = facts_of(change)
        expected = {f"rule-{number:02}" for number, tree in enumerate(trees) if holds(tree, facts_of(change).value)}
        assert set(rules.matches(facts)) == expected
        narrowed = set()
        for rule in rules.route(facts):
            answer = rule.narrow(facts)
            if answer is True or (isinstance(answer, CompiledRule) and answer.matches(facts)):
                narrowed.add(rule.id)
        assert narrowed == expected
        remembered = rules.narrowed(facts)
        assert remembered == [(rule, left) for rule in rules.route(facts) if (left := rule.narrow(facts)) is not False]


@settings(max_examples=100, deadline=None)
@given(TREES, EVENTS, EVENTS)
def test_a_residue_holds_for_every_event_of_the_same_behaviour(tree, one, other):
    """What narrowing decides on one event stands for others that differ only outside the behaviour key."""
    same = {**one, "objectRef": {**one["objectRef"], "name": other["objectRef"]["name"]}}
    same["requestObject"] = other["requestObject"]
    same["level"] = complete(merge({}, one))["level"]
    rule = CompiledRule(RuleInfo(id="r", title="t"), tree)
    answer = rule.narrow(facts_of(one))
    facts = facts_of(same)
    got = answer if isinstance(answer, bool) else answer.matches(facts)
    assert got == holds(tree, facts.value)


@pytest.mark.parametrize(
    ("operation", "bounds", "matched"),
    [("gte", (200, 1), True), ("gt", (1, 200), False), ("lte", (0, 5), True), ("lt", (1, 0), False)],
)
def test_the_loosest_of_several_bounds_decides(operation, bounds, matched):
    facts = facts_of({"requestObject": {"spec": {"replicas": 1}}})
    tree = any_of([Match("requestObject.spec.replicas", operation, (bound,)) for bound in bounds])
    assert CompiledRule(RuleInfo(id="r", title="t"), tree).matches(facts) is matched
    assert holds(tree, facts.value) is matched


def test_serialises():
    tree = all_of([Match("verb", "eq", ("get",)), Not(Each("workload.containers", Match("image", "eq", ("x",))))])
    rule = EventRule(RuleInfo(id="r", title="t"), tree, alerts=True, names=())
    data = msgspec.msgpack.encode(rule)
    assert msgspec.msgpack.decode(data, type=EventRule) == rule
