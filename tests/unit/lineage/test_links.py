"""Each link on recorded events where the recordings have it, on hand-written ones (marked so) where they do not."""

import msgspec
import pytest

from kubewake.lineage import LINKS, all_links
from kubewake.lineage.pod_birth import pod_owners
from kubewake.lineage.session import session_number


def of(links, name, *, path=True):
    return [link for link in links if link.id == name and bool(link.cause) == path]


def test_table_holds_fifteen_links_with_what_a_reader_needs():
    assert list(all_links()) == [f"L{number}" for number in range(1, 16)]
    for kind in LINKS.values():
        assert kind.INFO.title
        assert kind.INFO.joined_by
        assert 0 < kind.INFO.strength <= 1
        assert kind.INFO.horizon_seconds > 0


def test_l1_token_minted_and_used(slice_of, run):
    stubs = slice_of("token-minted-and-used")
    _, links = run(stubs)
    [link] = of(links, "L1")
    assert link.strength == 1.0
    assert link.cause_ref.audit_id == stubs[0].audit_id
    assert link.effect == session_number(stubs[1].user, stubs[1].credential, stubs[1].source, stubs[1].user_agent)
    assert stubs[0].user in link.text


def test_l1_is_absent_without_the_annotation(slice_of, run):
    stubs = slice_of("token-minted-and-used")
    stubs[0].issued_credential = ""
    lineage, links = run(stubs)
    assert not of(links, "L1")
    coverage = lineage.coverage()["L1"]
    assert (coverage.eligible, coverage.covered) == (1, 0)


def test_l1_forgets_the_routine_of_kubelets(make, run):
    """Hand-written: a kubelet has a token issued for its pod."""
    kubelet = {"user": "system:node:n1", "actor_kind": "node", "client": "kubelet", "user_agent": "kubelet/v1"}
    mint = make(
        0,
        verb="create",
        resource="serviceaccounts",
        subresource="token",
        name="web",
        issued_credential="JTI=1",
        **kubelet,
    )
    use = make(1, user="system:serviceaccount:shop:web", credential="JTI=1", pod="web-0")
    assert not of(run([mint, use])[1], "L1")
    mint.client = "curl"
    assert of(run([mint, use])[1], "L1")


def test_l2_names_pod_and_node(slice_of, run):
    stubs = slice_of("pod-token-elsewhere")
    _, links = run(stubs)
    link = of(links, "L2", path=False)[0]
    assert link.scope == "context"
    assert link.source.kind == "pod"
    assert stubs[0].pod in link.text
    assert stubs[0].node in link.text


def test_l3_pod_token_at_another_address(slice_of, run):
    stubs = slice_of("pod-token-elsewhere")
    _, links = run(stubs)
    [link] = of(links, "L3", path=False)
    assert link.nats >= 3.5
    assert stubs[-1].source in link.text
    assert link.effect == session_number(stubs[-1].user, stubs[-1].credential, stubs[-1].source, stubs[-1].user_agent)


def test_l3_is_absent_with_address_and_client_blanked(slice_of, run):
    stubs = slice_of("pod-token-elsewhere")
    for stub in stubs:
        stub.source, stub.source_ips, stub.user_agent, stub.client = "", (), "", "empty"
    lineage, links = run(stubs)
    assert not of(links, "L3", path=False)
    assert lineage.coverage()["L3"].covered == 0


def test_l3_spares_the_pods_of_the_host_network(make, run):
    """Hand-written: a pod's token from its node's own address."""
    account = {
        "user": "system:serviceaccount:shop:web",
        "credential": "JTI=1",
        "pod": "web-0",
        "node": "n1",
        "client": "client-go",
    }
    kubelet = make(
        0, user="system:node:n1", actor_kind="node", client="kubelet", source="10.0.0.7", user_agent="kubelet/v1"
    )
    home = make(1, source="10.244.0.5", user_agent="web/1", **account)
    host = make(2, source="10.0.0.7", user_agent="web/1", **account)
    away = make(3, source="10.9.9.9", user_agent="web/1", **account)
    _, links = run([kubelet, home, host, away])
    assert [link.target.name for link in of(links, "L3", path=False)] == ["10.9.9.9"]


def test_l4_grant_and_its_first_uses(slice_of, run):
    stubs = slice_of("grant-and-use")
    _, links = run(stubs)
    found = of(links, "L4")
    reads = [stub for stub in stubs if stub.resource == "secrets"]
    assert {link.effect_ref.audit_id for link in found} == {stub.audit_id for stub in reads}
    assert {link.cause_ref.audit_id for link in found} == {stubs[0].audit_id}
    assert all(link.scope == "request" for link in found)


def test_l4_ignores_what_an_older_grant_allowed_before(slice_of, run):
    stubs = slice_of("grant-and-use")
    before = [msgspec.structs.replace(stub, time=stubs[0].time[:11] + "00:00:00.000000Z", key=stub.key + 64 + n)
              for n, stub in enumerate(stub for stub in stubs if stub.resource == "secrets")]  # fmt: skip
    assert not of(run([*before, *stubs])[1], "L4")


def test_l4_is_absent_without_the_reason(slice_of, run):
    stubs = slice_of("grant-and-use")
    assert run(stubs)[0].coverage()["L4"].covered == len(stubs)
    for stub in stubs:
        stub.reason = ""
    lineage, links = run(stubs)
    assert not of(links, "L4")
    assert lineage.coverage()["L4"].covered == 0
    assert lineage.coverage()["L4"].eligible >= len(stubs)


def test_l5_role_edited_and_used(slice_of, run):
    stubs = slice_of("role-edited")
    _, links = run(stubs)
    [link] = of(links, "L5")
    assert link.strength == 0.9
    assert link.cause_ref.verb == "patch"
    assert link.effect_ref.resource == "secrets"


def test_l6_object_changed_by_a_fresh_webhook(make, run):
    """Hand-written: the recordings have no patches by webhooks."""
    write = make(0, verb="create", resource="mutatingwebhookconfigurations", namespace="", name="inject")
    made = make(
        60,
        user="bob",
        verb="create",
        resource="pods",
        name="web-0",
        values={"admission.mutated_by": ["inject/pods.example"]},
    )
    other = make(
        61,
        user="bob",
        verb="create",
        resource="pods",
        name="web-1",
        values={"admission.mutated_by": ["istio/pods.example"]},
    )
    _, links = run([write, made, other])
    [link] = of(links, "L6")
    assert (link.strength, link.scope) == (0.8, "context")
    assert link.effect_ref.name == "web-0"


def test_l7_pod_entered_then_its_token_used_elsewhere(slice_of, run):
    stubs = slice_of("pod-entered")
    _, links = run(stubs)
    entry = next(stub for stub in stubs if stub.subresource == "exec")
    found = of(links, "L7")
    assert found
    assert {link.cause_ref.user for link in found} == {entry.user}
    assert all(link.strength == 0.7 and link.scope == "session" for link in found)
    assert all(link.nats >= 2 for link in found), "the pod had another address and client before"


def test_l7_ends_after_six_hours(make, run):
    """Hand-written."""
    entry = make(0, verb="create", resource="pods", subresource="exec", name="web-0")
    late = make(6 * 3600 + 1, user="system:serviceaccount:shop:web", credential="JTI=1", pod="web-0", source="10.1.1.1")
    assert not of(run([entry, late])[1], "L7")
    soon = make(6 * 3600 - 1, user="system:serviceaccount:shop:web", credential="JTI=1", pod="web-0", source="10.1.1.1")
    assert of(run([entry, soon])[1], "L7")


def test_l7_leaves_renewed_tokens_alone(make, run):
    """Hand-written: an hour after a visit the pod's own program goes on with a fresh token."""
    pod = {"user": "system:serviceaccount:shop:web", "pod": "web-0", "source": "10.1.1.1", "user_agent": "web/1"}
    stubs = [make(0, credential="JTI=1", **pod), make(5, verb="create", resource="pods", subresource="exec", name="web-0"),
             make(3600, credential="JTI=2", **pod)]  # fmt: skip
    assert not of(run(stubs)[1], "L7")


def test_l8_workload_started_then_its_account_used(slice_of, run):
    stubs = slice_of("workload-started")
    _, links = run(stubs)
    found = of(links, "L8")
    assert found
    assert found[0].cause_ref.user == stubs[0].user
    assert found[0].strength == pytest.approx(0.63)


def test_l8_pod_created_directly(make, run):
    """Hand-written."""
    create = make(0, verb="create", resource="pods", name="tool", values={"workload.service_account": "admin"})
    use = make(9, user="system:serviceaccount:shop:admin", credential="JTI=1", pod="tool")
    assert [link.strength for link in of(run([create, use])[1], "L8")] == [0.9]


def test_pod_owners():
    assert pod_owners("web-7d9f-x2x4q") == ["web-7d9f-x2x4q", "web-7d9f", "web"]
    assert pod_owners("web") == ["web"]


def test_l9_deployment_made_real(slice_of, run):
    stubs = slice_of("deployment-rolled-out")
    _, links = run(stubs)
    found = of(links, "L9")
    assert [link.effect_ref.resource for link in found] == ["replicasets", "pods"]
    assert all(link.scope == "context" and link.strength == 0.9 for link in found)
    assert {link.cause_ref.user for link in found} == {stubs[0].user}


def test_l9_without_owner_references_only_for_a_minute(slice_of, run):
    stubs = slice_of("deployment-rolled-out")[:2]
    stubs[1].values = {key: value for key, value in stubs[1].values.items() if not key.startswith("object.owner")}
    [link] = of(run(stubs)[1], "L9")
    assert link.strength == 0.6
    stubs[1].time = stubs[1].last_time = stubs[0].time[:11] + "23:59:00.000000Z"
    assert not of(run(stubs)[1], "L9")


def test_l10_impersonation(slice_of, run):
    stubs = slice_of("impersonation")
    _, links = run(stubs)
    found = [link for link in links if link.id == "L10"]
    assert len(found) == len(stubs)
    assert found[0].source.name == stubs[0].user
    assert found[0].target.name == stubs[0].impersonated


def test_l11_certificate_by_its_hash(slice_of, run):
    stubs = slice_of("certificate-issued-and-used")
    _, links = run(stubs)
    [link] = [link for link in of(links, "L11") if link.scope == "session"]
    assert link.strength == 1.0
    assert link.cause_ref.audit_id == stubs[0].audit_id
    assert link.target.name.startswith("X509SHA256=")


def test_l11_by_name_where_no_body_shows_the_certificate(slice_of, run):
    stubs = slice_of("certificate-issued-and-used")
    for stub in stubs:
        stub.values = {key: value for key, value in stub.values.items() if key != "csr.certificate_sha256"}
    [link] = [link for link in of(run(stubs)[1], "L11") if link.scope == "session"]
    assert link.strength == 0.5


def test_l12_secret_read_then_its_token_used(slice_of, run):
    stubs = slice_of("secret-read-and-used")
    [link] = of(run(stubs)[1], "L12")
    assert link.strength == 0.95
    assert link.cause_ref.name == stubs[1].secret_token
    assert link.nats == 3.0, "reader and user came from the same address"


def test_l12_autogenerated_token_and_list(make, run):
    """Hand-written: the recordings have no autogenerated tokens."""
    listing = make(0, verb="list", resource="secrets", name="")
    use = make(60, user="system:serviceaccount:shop:web", secret_token="web-token-x7k2p", source="203.0.113.9")
    [link] = of(run([listing, use])[1], "L12")
    assert link.strength == pytest.approx(0.7)


def test_l13_fresh_account_becomes_active(make, run):
    """Hand-written."""
    create = make(0, verb="create", resource="serviceaccounts", name="spare")
    use = make(60, user="system:serviceaccount:shop:spare", credential="JTI=1")
    assert [link.strength for link in of(run([create, use])[1], "L13")] == [0.6]
    room = make(0, verb="create", resource="namespaces", namespace="shop", name="shop")
    assert [link.source.kind for link in of(run([room, use])[1], "L13")] == ["namespace"]


def test_l14_one_hand_two_names(slice_of, run):
    stubs = slice_of("one-address-two-names")
    found = of(run(stubs)[1], "L14")
    assert [link.strength for link in found] == [0.3]
    assert found[0].source.name == stubs[0].source


def test_l14_is_dropped_at_shared_addresses(slice_of, make, run):
    stubs = slice_of("one-address-two-names")
    crowd = []
    for number in range(6):
        person = make(0, user=f"person{number}", user_agent=f"tool/{number}", source=stubs[0].source)
        person.time = person.last_time = stubs[0].time
        crowd.append(person)
    assert not of(run([*crowd, *stubs])[1], "L14")


def test_l15_node_identity_in_a_foreign_program(slice_of, run):
    stubs = slice_of("node-identity-stolen")
    [link] = of(run(stubs)[1], "L15", path=False)
    assert link.nats == 4.0
    assert "curl" in link.text


def test_l15_follows_an_escape_prone_pod_on_the_node(slice_of, make, run):
    """Partly hand-written: the pod that the intruder came out of."""
    stubs = slice_of("node-identity-stolen")
    node = stubs[0].user.removeprefix("system:node:")
    pod = make(
        0,
        verb="create",
        resource="pods",
        name="tool",
        values={"workload.risks": ["privileged"], "workload.node_name": node},
    )
    pod.time = pod.last_time = stubs[0].time
    [link] = of(run([pod, *stubs])[1], "L15")
    assert link.cause_ref.name == "tool"
    assert link.strength == 0.7


def test_kubelets_at_work_give_no_evidence(slice_of, run):
    stubs = [stub for stub in slice_of("node-identity-stolen") if stub.client == "kubelet"]
    assert stubs
    assert not of(run(stubs)[1], "L15", path=False)


def test_disabled_links_are_silent(slice_of, run):
    stubs = slice_of("token-minted-and-used")
    assert not of(run(stubs, disabled=frozenset({"L1"}))[1], "L1")
