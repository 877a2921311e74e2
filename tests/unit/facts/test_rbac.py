"""What roles and bindings grant, in any verb."""

import pytest

RBAC = "rbac.authorization.k8s.io"
FLAGS = [
    "wildcard",
    "secrets_read",
    "escalation",
    "exec",
    "node_proxy",
    "token_create",
    "workload_write",
    "rbac_write",
    "csr_approve",
    "webhook_write",
]


def _flags(facts):
    return {flag for flag in FLAGS if facts.value(f"rbac.grants_{flag}")}


def _rule(verbs, resources, groups=("",), **more):
    return {"verbs": list(verbs), "resources": list(resources), "apiGroups": list(groups), **more}


@pytest.mark.parametrize(
    ("rule", "flags"),
    [
        (_rule(["get"], ["pods"]), set()),
        (_rule(["get"], ["secrets"]), {"secrets_read"}),
        (_rule(["create"], ["secrets"]), set()),
        (_rule(["list"], ["secrets"], ["apps"]), set()),
        (_rule(["watch"], ["*"], ["*"]), {"wildcard", "secrets_read"}),
        (_rule(["*"], ["secrets"]), {"wildcard", "secrets_read"}),
        (_rule(["create"], ["pods/exec"]), {"exec"}),
        (_rule(["get"], ["pods/*"]), {"exec"}),
        (_rule(["create"], ["*/exec"]), {"exec"}),
        (_rule(["patch"], ["pods/ephemeralcontainers"]), {"exec"}),
        (_rule(["get"], ["nodes/proxy"]), {"node_proxy"}),
        (_rule(["create"], ["serviceaccounts/token"]), {"token_create"}),
        (_rule(["create"], ["pods"]), {"workload_write"}),
        (_rule(["patch"], ["daemonsets"], ["apps"]), {"workload_write"}),
        (_rule(["update"], ["rolebindings"], [RBAC]), {"rbac_write"}),
        (_rule(["bind"], ["clusterroles"], [RBAC]), {"escalation"}),
        (_rule(["impersonate"], ["users"]), {"escalation"}),
        (_rule(["update"], ["certificatesigningrequests/approval"], ["certificates.k8s.io"]), {"csr_approve"}),
        (_rule(["approve"], ["signers"], ["certificates.k8s.io"]), {"csr_approve"}),
        (_rule(["patch"], ["mutatingwebhookconfigurations"], ["admissionregistration.k8s.io"]), {"webhook_write"}),
        (_rule(["*"], ["*"], ["*"]), set(FLAGS)),
    ],
)
def test_grants(write, rule, flags):
    assert _flags(write("clusterroles", {"rules": [rule]}, group=RBAC)) == flags


@pytest.mark.parametrize(("group", "seen"), [(RBAC, True), ("", True), ("example.com", False)])
def test_an_export_without_api_group_still_names_rbac(write, group, seen):
    assert (
        write("clusterroles", {"rules": [_rule(["*"], ["*"])]}, group=group).value("rbac.rules") is not None
    ) is seen
    binding = write("clusterrolebindings", {"roleRef": {"kind": "ClusterRole", "name": "edit"}}, group=group)
    assert binding.value("rbac.role_name") == ("edit" if seen else None)


def test_flags_are_judged_rule_by_rule(write):
    facts = write("roles", {"rules": [_rule(["get"], ["pods"]), _rule(["create"], ["secrets"])]}, group=RBAC)
    assert _flags(facts) == set()


def test_elements(write):
    facts = write(
        "roles", {"rules": [_rule(["get"], ["secrets"], resourceNames=["db"]), {"nonResourceURLs": ["/x"]}]}, group=RBAC
    )
    assert facts.value("rbac.rules.resource_names") == ["db"]
    assert facts.value("rbac.rules.non_resource_urls") == ["/x"]
    assert facts.value("rbac.role_kind") == "Role"
    assert facts.value("rbac.role_name") == "web"


def test_json_patch_that_appends_a_rule(write):
    facts = write(
        "clusterroles",
        [{"op": "add", "path": "/rules/-", "value": _rule(["*"], ["*"], ["*"])}],
        verb="patch",
        group=RBAC,
    )
    assert facts.value("rbac.grants_wildcard") is True
    assert facts.value("rbac.rules.verbs") == ["*"]


def test_json_patch_of_one_verb_is_completed_from_the_answer(write):
    after = {
        "kind": "ClusterRole",
        "rules": [_rule(["get", "list"], ["pods"]), _rule(["get", "escalate"], ["clusterroles"], [RBAC])],
    }
    patch = [{"op": "add", "path": "/rules/1/verbs/-", "value": "escalate"}]
    facts = write("clusterroles", patch, verb="patch", group=RBAC, after=after)
    assert facts.value("rbac.rules") == [
        {
            "verbs": ["get", "escalate"],
            "resources": ["clusterroles"],
            "api_groups": [RBAC],
            "resource_names": [],
            "non_resource_urls": [],
        }
    ]
    without_answer = write("clusterroles", patch, verb="patch", group=RBAC)
    assert without_answer.value("rbac.grants_escalation") is True


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("part", "value", "flags"),
    [
        ("resources", "*", set(FLAGS)),
        ("verbs", "*", set(FLAGS)),
        ("resources", "secrets", {"secrets_read"}),
        ("resources", "pods/exec", {"exec"}),
        ("resources", "nodes/proxy", {"node_proxy"}),
        ("resources", "configmaps", set()),
        ("verbs", "escalate", {"escalation"}),
        ("verbs", "get", set()),
    ],
)
def test_json_patch_of_one_list_leaves_open_what_it_does_not_say(write, part, value, flags, whole):
    path = f"/rules/0/{part}" if whole else f"/rules/0/{part}/-"
    patch = [{"op": "replace" if whole else "add", "path": path, "value": [value] if whole else value}]
    assert _flags(write("clusterroles", patch, verb="patch", group=RBAC)) == flags


def test_json_patch_of_verbs_for_paths_is_about_no_resource(write):
    patch = [
        {"op": "add", "path": "/rules/0/verbs/-", "value": "*"},
        {"op": "add", "path": "/rules/0/nonResourceURLs/-", "value": "/metrics"},
    ]
    assert _flags(write("clusterroles", patch, verb="patch", group=RBAC)) == {"wildcard"}


def test_the_username_of_a_service_account_is_that_account(write):
    user = {"kind": "User", "name": "system:serviceaccount:shop:default"}
    facts = write("rolebindings", {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [user]}, group=RBAC)
    assert facts.value("rbac.subjects") == [
        {
            "kind": "ServiceAccount",
            "name": "default",
            "namespace": "shop",
            "full": "system:serviceaccount:shop:default",
        }
    ]


def test_bindings(write):
    body = {
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "default"},
            {"kind": "ServiceAccount", "name": "web", "namespace": "other"},
            {"kind": "Group", "name": "system:unauthenticated"},
        ],
    }
    facts = write("rolebindings", body, group=RBAC)
    assert facts.value("rbac.role_name") == "cluster-admin"
    assert facts.value("rbac.role_kind") == "ClusterRole"
    assert facts.value("rbac.subjects.full") == [
        "system:serviceaccount:shop:default",
        "system:serviceaccount:other:web",
        "system:unauthenticated",
    ]
    assert facts.value("rbac.rules") is None


def test_patched_binding_takes_its_role_from_the_answer(write):
    patch = [{"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "eve"}}]
    after = {
        "kind": "ClusterRoleBinding",
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    facts = write("clusterrolebindings", patch, verb="patch", group=RBAC, after=after)
    assert facts.value("rbac.role_name") == "cluster-admin"
    assert facts.value("rbac.subjects.name") == ["eve"]


def test_aggregation(write):
    body = {
        "metadata": {
            "labels": {
                "rbac.authorization.k8s.io/aggregate-to-admin": "true",
                "rbac.authorization.k8s.io/aggregate-to-view": "false",
            }
        },
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
        "rules": [],
    }
    facts = write("clusterroles", body, group=RBAC)
    assert facts.value("rbac.aggregates_to") == ["admin"]
    assert facts.value("rbac.aggregation_selectors") == 1


@pytest.mark.parametrize(("resource", "verb"), [("clusterroles", "get"), ("clusterroles", "delete"), ("roles", "list")])
def test_reads_grant_nothing(write, resource, verb):
    facts = write(resource, {"rules": [_rule(["*"], ["*"])]}, verb=verb, group=RBAC)
    assert facts.value("rbac.rules") is None
    assert facts.value("rbac.grants_wildcard") is None
