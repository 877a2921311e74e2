import json
from pathlib import Path

import pytest
import zstandard

from kubewake.errors import InputError
from kubewake.rbac.model import Grant, Request, Rule
from kubewake.rbac.reach import reach
from kubewake.rbac.state import RbacState, load_dump
from kubewake.rbac.usage import RbacUsage
from tests.unit.engine.stubs import stub

DATA = Path(__file__).parents[2] / "data" / "rbac"


@pytest.fixture(scope="module")
def recorded() -> RbacState:
    state = RbacState()
    state.put(json.loads(zstandard.ZstdDecompressor().decompress((DATA / "rbac.json.zst").read_bytes())))
    return state


def recorded_entries() -> list[dict]:
    with zstandard.open(DATA / "decisions.jsonl.zst", "rt") as lines:
        return [json.loads(line) for line in lines]


def role(name: str, *rules: dict, namespace: str = "", labels: dict | None = None, **more) -> dict:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"kind": "Role" if namespace else "ClusterRole", "metadata": metadata, "rules": list(rules), **more}


def binding(name: str, to: str, *subjects: dict, namespace: str = "", kind: str = "ClusterRole") -> dict:
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"kind": kind, "name": to},
        "subjects": list(subjects),
    }


def user(name: str) -> dict:
    return {"kind": "User", "name": name}


def account(name: str, namespace: str) -> dict:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def state_of(*objects: dict) -> RbacState:
    state = RbacState()
    for item in objects:
        state.put(item)
    return state


def rule(verbs: str, resources: str, groups: str = "", **more) -> dict:
    return {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": groups.split() or [""], **more}


def replay() -> list[tuple[dict, Grant | None]]:
    """Every recorded decision with the grant that this project finds, RBAC writes applied as they happened."""
    state = RbacState()
    state.put(json.loads(zstandard.ZstdDecompressor().decompress((DATA / "rbac.json.zst").read_bytes())))
    found = []
    for entry in recorded_entries():
        if "removed" in entry:
            state.remove(*entry["removed"])
        elif "written" in entry:
            state.put(entry["written"])
        else:
            found.append((entry, state.why(request_of(entry), entry["user"], tuple(entry["groups"]))))
    return found


class TestAgainstTheApiServer:
    def test_agrees_with_every_recorded_decision(self):
        answers = replay()

        assert [] == [decision for decision, grant in answers if (grant is not None) != decision["allowed"]]
        assert sum(decision["allowed"] for decision, _ in answers) > 300
        assert sum(not decision["allowed"] for decision, _ in answers) > 50

    def test_names_the_binding_that_the_server_named(self):
        named = [(decision, grant) for decision, grant in replay() if decision["reason"].startswith("RBAC: allowed by")]
        same = sum(f'"{grant.binding.name}' in decision["reason"] for decision, grant in named if grant is not None)

        assert same > 0.95 * len(named)


def request_of(decision: dict) -> Request:
    names = ("verb", "resource", "subresource", "api_group", "namespace", "name", "path")
    return Request(**{name: decision[name] for name in names})


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        (Rule(("get",), ("",), ("pods",)), Request(verb="get", resource="pods"), True),
        (Rule(("get",), ("",), ("pods",)), Request(verb="get", resource="pods", subresource="log"), False),
        (Rule(("get",), ("",), ("pods/log",)), Request(verb="get", resource="pods", subresource="log"), True),
        (Rule(("get",), ("",), ("*/log",)), Request(verb="get", resource="pods", subresource="log"), True),
        (Rule(("get",), ("",), ("*",)), Request(verb="get", resource="pods", subresource="log"), True),
        (Rule(("*",), ("apps",), ("*",)), Request(verb="get", resource="pods"), False),
        (Rule(("get",), ("*",), ("*",), ("a",)), Request(verb="get", resource="pods", name="a"), True),
        (Rule(("get",), ("*",), ("*",), ("a",)), Request(verb="get", resource="pods", name="b"), False),
        (Rule(("list",), ("*",), ("*",), ("a",)), Request(verb="list", resource="pods"), False),
        (Rule(("get",), non_resource_urls=("/healthz*",)), Request(verb="get", path="/healthz/etcd"), True),
        (Rule(("get",), non_resource_urls=("/healthz",)), Request(verb="get", path="/healthz/etcd"), False),
    ],
)
def test_a_rule_allows_what_the_api_server_would(granted, asked, allowed):
    assert granted.allows(asked) is allowed


class TestState:
    def test_a_role_binding_grants_only_in_its_namespace(self):
        state = state_of(role("r", rule("get", "secrets")), binding("b", "r", user("eve"), namespace="shop"))

        assert state.why(Request(verb="get", resource="secrets", namespace="shop"), "eve") is not None
        assert state.why(Request(verb="get", resource="secrets", namespace="bank"), "eve") is None

    def test_aggregated_roles_hold_what_labelled_roles_hold(self):
        whole = role("whole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "whole"}}]})
        part = role("part", rule("get", "pods"), labels={"to": "whole"})
        state = state_of(whole, part, binding("b", "whole", user("eve")))

        assert state.why(Request(verb="get", resource="pods"), "eve") is not None

    def test_groups_expand(self):
        state = state_of(
            role("r", rule("get", "pods")),
            binding("b", "r", {"kind": "Group", "name": "system:serviceaccounts:shop"}),
        )
        asked = Request(verb="get", resource="pods", namespace="shop")

        assert state.why(asked, "system:serviceaccount:shop:web") is not None
        assert state.why(asked, "system:serviceaccount:bank:web") is None

    def test_masters_pass_without_any_binding(self):
        assert state_of().why(Request(verb="delete", resource="nodes"), "root", ("system:masters",)) is not None

    def test_who_can_names_each_subject_once_with_its_grant(self):
        state = state_of(role("r", rule("get", "secrets")), binding("b", "r", user("eve"), account("web", "shop")))

        names = [grant.subject.identity for grant in state.who_can(Request(verb="get", resource="secrets"))]

        assert ["system:masters", "system:serviceaccount:shop:web", "eve"] == names

    def test_a_deleted_binding_grants_nothing(self):
        state = state_of(role("r", rule("get", "pods")), binding("b", "r", user("eve")))
        state.remove("ClusterRoleBinding", "", "b")

        assert state.why(Request(verb="get", resource="pods"), "eve") is None

    def test_survives_a_restart(self, recorded):
        copy = RbacState()
        copy.restore(recorded.snapshot())

        assert list(copy.roles) == list(recorded.roles)
        assert list(copy.bindings) == list(recorded.bindings)

    def test_a_binding_to_a_missing_role_is_dangling(self):
        state = state_of(binding("b", "gone", user("eve")))

        assert ["b"] == [item.name for item in state.dangling()]

    @pytest.mark.parametrize(
        "hostile",
        [
            {"kind": "ClusterRole", "metadata": None, "rules": 7},
            {"kind": "Role", "metadata": {"name": 3}, "rules": [None, {"verbs": "get"}]},
            {"kind": "RoleBinding", "subjects": [{"kind": []}, 5], "roleRef": []},
            {"kind": "List", "items": [None, {"kind": "ClusterRole"}]},
        ],
    )
    def test_wrong_types_grant_nothing(self, hostile):
        state = state_of(hostile)

        assert state.why(Request(verb="get", resource="pods"), "eve") is None

    @pytest.mark.parametrize("text", ["", "{}", "kind: ConfigMap", "{ broken", "\x00"])
    def test_a_dump_without_rbac_is_an_error_that_says_how_to_make_one(self, tmp_path, text):
        path = tmp_path / "dump.yaml"
        path.write_text(text)

        with pytest.raises(InputError, match=r"(?s)dump\.yaml: .*kubectl get"):
            load_dump(path)


class TestReach:
    def test_finds_the_way_through_a_service_account(self):
        state = state_of(
            role("start", rule("create", "pods")),
            binding("b1", "start", user("eve"), namespace="kube-system"),
            role("all", rule("*", "*", "*")),
            binding("b2", "all", account("robot", "kube-system")),
            {"kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "kube-system"}},
        )

        found = reach(state, "eve")

        assert ["eve", "system:serviceaccount:kube-system:robot"] == [step.source for step in found.admin_path]
        assert "take over the whole cluster" in found.lines()[0]

    def test_a_reader_reaches_nothing(self):
        state = state_of(role("r", rule("get list", "pods")), binding("b", "r", user("eve")))

        assert [] == reach(state, "eve").lines()

    def test_a_namespaced_wildcard_is_no_cluster_admin(self):
        state = state_of(role("r", rule("*", "*", "*")), binding("b", "r", user("eve"), namespace="shop"))

        assert not reach(state, "eve").is_admin


class TestUsage:
    def test_what_nobody_used_is_unused_and_a_refusal_is_no_use(self):
        state = state_of(
            role("r", rule("get", "pods"), rule("get", "secrets")),
            binding("b", "r", user("alice")),
        )
        usage = RbacUsage()
        usage.observe(stub(1))
        usage.observe(stub(2, resource="secrets", outcome="denied", code=403))

        ((unused, rules),) = usage.unused(state)

        assert ("b", ("secrets",)) == (unused.name, rules[0].resources)
        assert 1 == len(rules)

    def test_least_privilege_allows_exactly_what_was_done(self):
        usage = RbacUsage()
        for number, (verb, resource) in enumerate([("get", "pods"), ("list", "pods"), ("create", "configmaps")]):
            usage.observe(stub(number, verb=verb, resource=resource))
        usage.observe(stub(9, verb="get", resource="", namespace="", uri="/version?timeout=3s"))
        state = state_of(*usage.least_privilege("alice"))

        for verb, resource in [("get", "pods"), ("list", "pods"), ("create", "configmaps")]:
            assert state.why(Request(verb=verb, resource=resource, namespace="shop"), "alice")
        assert state.why(Request(verb="get", path="/version"), "alice")
        assert state.why(Request(verb="get", resource="configmaps", namespace="shop"), "alice") is None
        assert state.why(Request(verb="get", resource="pods", namespace="bank"), "alice") is None
