"""How stories begin, grow, join, stay apart and end."""

import pytest

from kubewake.errors import StoreError
from kubewake.finding import Entity
from kubewake.incidents import Accusation, Stories
from kubewake.incidents.story import MAX_TITLE
from kubewake.lineage import Link
from kubewake.observation import Signal, evidence_of
from tests.unit.incidents.conftest import RULES
from tests.unit.lineage.conftest import handmade

RUNNER = {"user": "system:serviceaccount:ci:runner", "credential": "JTI=r"}
POD = {"user": "system:serviceaccount:shop:web", "credential": "JTI=w", "pod": "web-0"}


def test_one_loud_finding_in_a_strangers_session(teller):
    teller.say(0, "t-secrets", verb="list", resource="secrets")
    [incident] = teller.incidents
    assert incident.score == 4.0
    assert incident.findings == ["finding-t-secrets-ann"]
    assert incident.state == "new"


def test_what_is_below_the_bar_is_no_incident(teller):
    teller.say(0, "t-look")
    assert teller.incidents == []


def test_what_led_up_to_it_and_what_follows_belong_to_a_visit(teller):
    before = teller.say(0, resource="pods", verb="list")
    loud = teller.say(20, "t-secrets", verb="list", resource="secrets")
    after = teller.say(40, resource="nodes", verb="list")
    [incident] = teller.incidents
    assert incident.audit_ids == [before.audit_id, loud.audit_id, after.audit_id]


def test_the_owners_session_gives_only_what_is_evidence(teller):
    for second in range(-599, -300, 20):
        teller.say(second, resource="pods", verb="list")
    routine = teller.say(0, resource="pods", verb="list")
    loud = teller.say(20, "t-secrets", verb="list", resource="secrets")
    new = teller.say(30, resource="deployments", verb="patch")
    [incident] = teller.incidents
    assert incident.audit_ids == [loud.audit_id]
    shown = {step.audit_id: step.context for step in incident.timeline}
    assert shown == {loud.audit_id: False, new.audit_id: True}
    assert routine.audit_id not in shown


def test_victim_and_intruder_with_one_identity(teller):
    for second in range(-599, 100, 30):
        teller.say(second, resource="pods", verb="list", source="192.0.2.10")
    theft = teller.say(100, "t-secrets", verb="list", resource="secrets", source="203.0.113.66")
    teller.say(110, resource="pods", verb="list", source="192.0.2.10")
    [incident] = teller.incidents
    assert incident.audit_ids == [theft.audit_id]


def test_growth_keeps_the_id_and_is_told_once(teller):
    teller.say(0, "t-secrets", resource="secrets")
    [first] = teller.stories.changed()
    assert teller.stories.changed() == []
    teller.say(10, "t-admin", verb="create", resource="clusterrolebindings", namespace="")
    [second] = teller.stories.changed()
    assert second.id == first.id
    assert second.score > first.score


@pytest.mark.parametrize("heard", [True, False])
def test_two_incidents_that_a_late_certificate_joins(teller, heard):
    """The certificate's user is caught first; then a body shows whose request it was."""
    sha = "ab" * 32
    csr = {"resource": "certificatesigningrequests", "namespace": "", "name": "req"}
    teller.say(0, "t-secrets", verb="create", user_agent="curl/8", values={"csr.common_name": "ghost"}, **csr)
    teller.say(
        20,
        "t-admin",
        user="bob",
        verb="create",
        resource="clusterrolebindings",
        namespace="",
        name="b",
        source="203.0.113.9",
    )
    assert len(teller.incidents) == 2
    if heard:
        teller.stories.changed()
    lineage = teller.stories._lineage
    cause, effect = (
        next(s for s in lineage.sessions.by_number.values() if s.user == user and s.newcomer) for user in ("ann", "bob")
    )
    late = Link(id="L11", cause=cause.number, effect=effect.number, strength=1.0, scope="session", text=f"uses certificate {sha[:4]}",
                source=Entity("identity", "ann"), target=Entity("credential", sha), cause_ref=cause.recent[-1], seconds=lineage.now)  # fmt: skip
    gone = next(incident.id for incident in teller.incidents if incident.root_cause.name == "bob")
    teller.stories._builder._flow.join(late, lineage.now)
    [incident] = teller.incidents
    told = {item.id: item for item in teller.stories.changed()}
    if heard:
        assert set(told) == {incident.id, gone}
        assert told[gone].state == "closed"
        assert told[gone].title.startswith(f"Part of {incident.id}: ")
    else:
        assert set(told) == {incident.id}  # nobody has heard of the other: there is nothing to take back
    assert teller.stories.merged() == {gone: incident.id}


def test_suppressed_findings_open_nothing(teller, make):
    teller.tell(make(0, resource="secrets"), "t-secrets", suppressed=True)
    assert teller.incidents == []


def test_always_opens_alone(new_teller):
    teller = new_teller(bar=50.0)
    teller.say(0, "t-secrets")
    assert teller.incidents == []
    teller.say(1, "t-always")
    assert len(teller.incidents) == 1


def test_the_machinery_is_not_accused(teller):
    controller = {
        "user": "system:serviceaccount:kube-system:deployment-controller",
        "client": "kube-controller-manager",
    }
    teller.say(0, "t-admin", "t-secrets", **controller)
    teller.say(1, "t-admin", user="system:kube-scheduler", actor_kind="control-plane")
    assert teller.incidents == []
    teller.say(2, "t-admin", "t-secrets", **{**controller, "client": "curl", "user_agent": "curl/8"})
    assert len(teller.incidents) == 1, "its stolen token is another matter"


def test_suspicion_flows_along_a_minted_token(teller):
    mint = teller.say(
        0,
        "t-secrets",
        verb="create",
        resource="serviceaccounts",
        subresource="token",
        name="web",
        issued_credential="JTI=m",
    )
    use = teller.say(30, user=POD["user"], credential="JTI=m", resource="pods", verb="list", source="203.0.113.7")
    [incident] = teller.incidents
    assert incident.audit_ids == [mint.audit_id, use.audit_id]
    assert {edge["link"] for edge in incident.links} == {"L1"}


def test_an_ordinary_cause_is_found_from_a_loud_effect(teller):
    mint = teller.say(
        0, verb="create", resource="serviceaccounts", subresource="token", name="web", issued_credential="JTI=m"
    )
    use = teller.say(
        30, "t-secrets", user=POD["user"], credential="JTI=m", resource="secrets", verb="list", source="203.0.113.7"
    )
    [incident] = teller.incidents
    assert incident.audit_ids == [mint.audit_id, use.audit_id]
    assert incident.root_cause.name == "ann"


def test_suspicion_that_comes_late_reaches_what_was_linked_before(teller):
    teller.say(0, verb="create", resource="serviceaccounts", subresource="token", name="web", issued_credential="JTI=m")
    use = teller.say(30, user=POD["user"], credential="JTI=m", resource="pods", verb="list", source="203.0.113.7")
    teller.say(60, "t-wipe", "t-secrets", verb="deletecollection", resource="events")
    [incident] = teller.incidents
    assert use.audit_id in incident.audit_ids


def test_hubs_stop_the_flow(teller):
    for number in range(30):
        teller.say(number, verb="create", resource="pods", name=f"job-{number}", **RUNNER)
        teller.say(number + 0.5, user="system:serviceaccount:ci:job", credential=f"JTI={number}", pod=f"job-{number}",
                   namespace="ci", source=f"10.1.0.{number}")  # fmt: skip
    teller.say(40, "t-secrets", resource="secrets", **RUNNER)
    [incident] = teller.incidents
    assert {entity.name for entity in incident.entities if entity.role == "acted"} == {RUNNER["user"]}


def test_weak_links_need_evidence_at_the_far_end(teller):
    teller.say(0, "t-shell", "t-secrets", verb="create", resource="pods", subresource="exec", name="web-0")
    teller.say(60, **{**POD, "source": "10.1.1.1", "user_agent": "web/1"})
    [incident] = teller.incidents
    assert {entity.name for entity in incident.entities if entity.role == "acted"} == {"ann"}


def test_a_grant_brings_in_the_request_and_not_the_session(teller):
    grant = teller.say(0, "t-admin", verb="create", resource="rolebindings", name="tmp")
    reason = 'RBAC: allowed by RoleBinding "tmp/shop" of ClusterRole "admin" to User "bob"'
    read = teller.say(30, user="bob", user_agent="k9s", verb="list", resource="secrets", reason=reason)
    teller.say(40, user="bob", user_agent="k9s", verb="list", resource="pods")
    [incident] = teller.incidents
    assert incident.audit_ids == [grant.audit_id, read.audit_id]


def test_a_story_below_the_bar_waits_and_a_house_session_forgets(teller):
    for second in range(-599, -300, 20):
        teller.say(second)
    teller.say(0, "t-shell")
    teller.say(300, "t-persist")
    assert teller.incidents == [], "five minutes apart, in the owner's own session"
    teller.say(330, "t-shell", "t-secrets")
    [incident] = teller.incidents
    assert incident.first_time >= teller.incidents[0].opened_at[:11]


def test_habits_of_the_house_lose_weight(teller):
    for day in range(5):
        teller.say(day * 86_400, "t-shell", verb="create", resource="pods", subresource="exec")
    teller.say(5 * 86_400, "t-shell", "t-persist", verb="create", resource="pods", subresource="exec")
    assert teller.incidents == []


def test_a_quiet_incident_closes_and_a_new_one_opens(teller):
    teller.say(0, "t-secrets", resource="secrets")
    teller.say(25 * 3600, "t-secrets", resource="secrets")
    first, second = teller.incidents
    assert first.state == "closed"
    assert second.state == "new"
    assert first.id != second.id


def test_snapshot_in_the_middle_changes_nothing(new_teller, make):
    script = [
        (make(0, resource="pods", verb="list"), ()),
        (
            make(
                10,
                verb="create",
                resource="serviceaccounts",
                subresource="token",
                name="web",
                issued_credential="JTI=m",
            ),
            ("t-look",),
        ),
        (make(20, user=POD["user"], credential="JTI=m", source="203.0.113.7"), ("t-secrets",)),
        (make(30, verb="create", resource="rolebindings", name="tmp"), ("t-admin",)),
        (make(40, user="bob", reason='RBAC: allowed by RoleBinding "tmp/shop" of Role "r" to User "bob"'), ()),
        (make(50, user="bob"), ("t-look",)),
    ]
    whole = new_teller()
    for stub, rules in script:
        whole.tell(stub, *rules)
    assert len(whole.incidents) == 1
    for cut in range(len(script) + 1):
        first, second = new_teller(), new_teller()
        for stub, rules in script[:cut]:
            first.tell(stub, *rules)
        second.stories.restore(first.stories.snapshot())
        for stub, rules in script[cut:]:
            second.tell(stub, *rules)
        assert second.incidents == whole.incidents
        assert second.stories.snapshot() == whole.stories.snapshot()


def test_unreadable_snapshot():
    with pytest.raises(StoreError, match="start afresh"):
        Stories({}).restore(b"\x01")


def test_surprises_join_on_the_same_scale(teller, make):
    odd = Signal("surprise", "action", "discovery", 5.0, "never did this before")
    teller.stories.observe(make(0), (), [odd])
    assert teller.incidents == [], "a lone anomaly is no incident"
    teller.stories.observe(make(10), (), [Signal("surprise", "scope", "collection", 5.0, "new place")])
    [incident] = teller.incidents
    assert incident.score == 10.0


def test_campaigns_are_bounded(new_teller, monkeypatch):
    monkeypatch.setattr("kubewake.incidents.book.MAX_CAMPAIGNS", 10)
    teller = new_teller()
    teller.say(0, "t-admin", user="first")
    for number in range(50):
        teller.say(number + 1, "t-look", "t-shell", user=f"user{number}")
    assert teller.stories.evicted()["campaigns"] > 0
    assert next(incident.root_cause.name for incident in teller.incidents) == "first", "candidates go before incidents"


BLIND = {"source": "", "source_ips": (), "user_agent": "", "client": "empty"}


def work_blind(teller):
    for second in range(-599, 0, 30):
        teller.say(second, resource="pods", verb="list", **BLIND)


def test_without_client_and_address_two_requests_may_add_up(teller):
    work_blind(teller)
    shell = teller.say(10, "t-shell", verb="create", resource="pods", subresource="exec", **BLIND)
    assert teller.incidents == []
    back = teller.say(15, "t-persist", verb="create", resource="serviceaccounts", **BLIND)
    [incident] = teller.incidents
    assert {shell.audit_id, back.audit_id} <= set(incident.audit_ids)


def test_without_client_and_address_two_rules_on_one_request_do_not(teller):
    work_blind(teller)
    teller.say(10, "t-shell", "t-persist", verb="create", resource="pods", subresource="exec", **BLIND)
    assert teller.incidents == []


def mint_blind(teller, second, *rules, **fields):
    return teller.say(second, *rules, verb="create", resource="serviceaccounts", subresource="token", name="web",
                      issued_credential=f"JTI={second}", **fields, **BLIND)  # fmt: skip


def use_blind(teller, second, minted, *rules):
    return teller.say(
        second, *rules, user=POD["user"], credential=f"JTI={minted}", resource="pods", verb="list", **BLIND
    )


@pytest.mark.parametrize(("pause", "stories"), [(10, 1), (20, 2)])
def test_without_client_and_address_a_sessions_own_pause_ends_its_story(teller, pause, stories):
    """What another identity of the story does meanwhile says nothing about the hands that share this one."""
    work_blind(teller)
    first = mint_blind(teller, 0, "t-secrets")
    for second in range(2, pause, 4):
        use_blind(teller, second, 0, "t-look")
    last = teller.say(pause, "t-admin", verb="create", resource="clusterrolebindings", namespace="", **BLIND)
    held = [set(incident.audit_ids) for incident in teller.incidents]
    assert len(held) == stories
    assert any({first.audit_id, last.audit_id} <= ids for ids in held) is (stories == 1)


def test_an_exact_link_takes_up_the_story_that_holds_its_cause(teller):
    work_blind(teller)
    mint = mint_blind(teller, 0, "t-secrets")
    other = teller.say(100, "t-admin", verb="create", resource="clusterrolebindings", namespace="", **BLIND)
    use = use_blind(teller, 110, 0, "t-secrets")
    first, second = teller.incidents
    assert set(first.audit_ids) == {mint.audit_id, use.audit_id}
    assert second.audit_ids == [other.audit_id]
    assert first.state == "new", "it goes on"


@pytest.mark.parametrize(("rule", "drawn"), [("t-secrets", True), ("t-shell", False)])
def test_at_home_only_a_loud_correlation_draws_its_earlier_events_in(teller, rule, drawn):
    for second in range(-599, -300, 20):
        teller.say(second, resource="pods", verb="list")
    earlier = teller.say(0, "t-note", verb="list", resource="configmaps")
    last = teller.say(20, "t-admin", verb="create", resource="clusterrolebindings", namespace="")
    stub = handmade(30, verb="list", resource="services")
    burst = Accusation(RULES[rule], "finding-burst", stub, (evidence_of(earlier),))
    teller.stories.observe(stub, [burst])
    [incident] = teller.incidents
    assert last.audit_id in incident.audit_ids
    assert (earlier.audit_id in incident.audit_ids) is drawn


def test_a_title_that_is_cut_says_so(teller):
    teller.say(0, "t-secrets", verb="list", resource="secrets", user="a" * 300)
    [incident] = teller.incidents
    assert len(incident.title) == MAX_TITLE
    assert incident.title.endswith("a…")
