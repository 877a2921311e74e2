"""The promises that concern links, merging, repetition, order, duplicates and missing fields."""

import random
import time

import msgspec
import pytest

from kubewake.lineage.session import MAX_SESSIONS_EACH
from tests.unit.incidents.conftest import Teller
from tests.unit.lineage.conftest import handmade

DAY = 86_400
ADMIN_REASON = 'RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "cluster-admin" to Group "ops"'


def account(name, credential, **fields):
    return {"user": f"system:serviceaccount:{name}", "credential": credential, **fields}


def chain(start=0.0, *, who="ann", source="203.0.113.7", tool="curl/8", suffix=""):
    """One campaign over 3 identities and 2 tokens: a person mints two tokens, each used, one grants itself rights."""
    hand = {"source": source, "user_agent": tool, "client": "curl"}
    mint = {"verb": "create", "resource": "serviceaccounts", "subresource": "token", "user": who, **hand}
    web, job = account("shop:web", f"JTI=web{suffix}", **hand), account("shop:job", f"JTI=job{suffix}", **hand)
    return [
        (handmade(start, resource="serviceaccounts", verb="list", user=who, **hand), ()),
        (handmade(start + 10, name="web", issued_credential=f"JTI=web{suffix}", **mint), ("t-look",)),
        (handmade(start + 20, name="job", issued_credential=f"JTI=job{suffix}", **mint), ()),
        (handmade(start + 30, resource="pods", verb="list", **web), ()),
        (handmade(start + 40, resource="secrets", verb="list", **job), ("t-secrets",)),
        (
            handmade(start + 50, resource="clusterrolebindings", verb="create", namespace="", name="evil", **job),
            ("t-admin",),
        ),
    ]


def tell(script, **settings):
    teller = Teller(**settings)
    for stub, rules in sorted(script, key=lambda item: (item[0].time, item[0].key)):
        teller.tell(stub, *rules)
    return teller.incidents


def essence(incidents):
    return [(i.id, i.score, sorted(i.audit_ids), i.root_cause.name, sorted(i.findings)) for i in incidents]


def test_one_campaign_over_three_identities_and_two_tokens_is_one_incident():
    script = chain()
    [incident] = tell(script)
    assert incident.audit_ids == [stub.audit_id for stub, _ in script]
    assert incident.root_cause.name == "ann"
    assert len({entity.name for entity in incident.entities if entity.role == "acted"}) == 3


def test_two_campaigns_that_share_a_ci_account_a_nat_and_a_kubelet_are_two_incidents():
    nat, kubelet = (
        "198.51.100.200",
        {
            "user": "system:node:n1",
            "actor_kind": "node",
            "client": "kubelet",
            "source": "10.0.0.7",
            "user_agent": "kubelet/v1",
        },
    )
    script = []
    for number in range(8):
        script.append((handmade(number, user=f"person{number}", source=nat, user_agent=f"kubectl/{number}"), ()))
    runner = account("ci:runner", "JTI=ci", source=nat, user_agent="runner/1", client="other")
    for number in range(30):
        script.append(
            (handmade(60 + number, verb="create", resource="pods", namespace="ci", name=f"job-{number}", **runner), ())
        )
        script.append((handmade(60.5 + number, verb="create", resource="serviceaccounts", subresource="token", name="job", namespace="ci",
                                issued_credential=f"JTI=j{number}", **kubelet), ()))  # fmt: skip
    script += chain(600, who="ann", source=nat, tool="curl/8", suffix="a")
    script += chain(2400, who="bob", source=nat, tool="python/3", suffix="b")
    first, second = tell(script)
    assert first.root_cause.name == "ann"
    assert second.root_cause.name == "bob"
    assert not set(first.audit_ids) & set(second.audit_ids)


def test_same_campaign_three_days_running_is_detected_three_times():
    script = [item for day in range(3) for item in chain(day * (DAY + 7200), suffix=str(day))]
    incidents = tell(script)
    assert len(incidents) == 3
    assert len({incident.id for incident in incidents}) == 3
    assert len({incident.score for incident in incidents}) == 1, "an attack does not teach us to ignore its repetition"


def test_ten_thousand_repeats_change_no_score():
    once = Teller()
    many = Teller()
    for teller, times in ((once, 1), (many, 10_000)):
        for number in range(times):
            teller.tell(handmade(number * 0.01, verb="list", resource="secrets"), "t-secrets")
    assert [i.score for i in once.incidents] == [i.score for i in many.incidents] == [4.0]
    assert len(many.incidents[0].audit_ids) <= 2_000


def test_a_thousand_novel_reads_do_not_bury_a_campaign():
    noise = random.Random(7)
    quiet = tell(chain())
    script = chain()
    for number in range(1000):
        second = noise.uniform(0, 50)
        script.append((handmade(second, user="ann", source="203.0.113.7", user_agent="curl/8", client="curl", verb="get",
                                resource=f"thing{number}", namespace=f"ns{number % 40}", name=f"n{number}"), ()))  # fmt: skip
    [incident] = tell(script)
    assert incident.score >= incident.bar
    assert incident.score == quiet[0].score


def test_one_step_a_day_opens_by_the_fourth():
    teller = Teller()
    steps = ["t-look", "t-shell", "t-persist", "t-wipe", "t-secrets", "t-admin"]
    opened = 0
    for day, rule in enumerate(steps, 1):
        teller.say(day * DAY, rule, source="203.0.113.7", user_agent="curl/8", name=f"step{day}")
        if teller.incidents and not opened:
            opened = day
    assert 0 < opened <= 4


@pytest.mark.parametrize(
    "stripped",
    [("credential", "issued_credential"), ("reason",), ("credential", "issued_credential", "reason", "pod", "node")],
)
def test_older_clusters_without_the_fields_of_links_are_served(stripped):
    script = chain()
    for stub, _ in script:
        for field in stripped:
            setattr(stub, field, "")
    incidents = tell(script)
    loud = {stub.audit_id for stub, rules in script if "t-admin" in rules}
    assert any(loud <= set(incident.audit_ids) for incident in incidents)


def test_blanked_address_and_client_still_leave_the_exact_links():
    script = chain()
    for stub, _ in script:
        stub.source, stub.source_ips, stub.user_agent, stub.client = "", (), "", "empty"
    [incident] = tell(script)
    assert {edge["link"] for edge in incident.links} == {"L1"}
    assert incident.root_cause.name == "ann"


def test_an_intruder_who_copies_the_victims_program_is_still_found():
    house = [
        (handmade(second, user="ann", source="192.0.2.4", user_agent="curl/8", client="curl"), ())
        for second in range(-590, 0, 30)
    ]
    copied = chain(tool="curl/8")
    [incident] = tell([*house, *copied])
    share = len(set(incident.audit_ids) & {stub.audit_id for stub, _ in copied}) / len(copied)
    assert share >= 0.8


def test_five_thousand_made_up_clients_leave_others_alone():
    plain = essence(tell(chain()))
    teller = Teller()
    for number in range(5_000):
        teller.say(
            -500 + number * 0.09, user="mallory", user_agent=f"made-up/{number}", source="192.0.2.99", name=f"n{number}"
        )
    for stub, rules in chain():
        teller.tell(stub, *rules)
    assert essence(teller.incidents) == plain
    identity = teller.stories._lineage.sessions.identities["mallory"]
    assert len(identity.sessions) <= MAX_SESSIONS_EACH


def test_state_of_two_thousand_identities_stays_small():
    teller = Teller()
    for number in range(2_000):
        for request in range(40):
            stub = handmade(number * 0.1 + request * 200, user=f"user{number}", credential=f"X509SHA256={number:064x}", source=f"10.0.{number % 250}.{number // 250}",
                            resource=f"kind{request % 10}", verb="update", namespace=f"ns{number % 50}")  # fmt: skip
            teller.stories.observe(stub)
    assert len(teller.stories.snapshot()) < 100_000_000


def test_rollouts_of_gitops_are_no_incident():
    teller = Teller()
    bot = account(
        "argocd:application-controller",
        "JTI=bot",
        source="10.1.0.5",
        user_agent="argocd/v3",
        client="argocd",
        reason=ADMIN_REASON,
    )
    for number in range(20):
        start = number * 600
        for offset, resource in enumerate(("namespaces", "serviceaccounts", "rolebindings", "secrets", "deployments")):
            teller.say(
                start + offset,
                "t-note",
                verb="create",
                resource=resource,
                namespace=f"app{number}",
                name=f"app{number}",
                **bot,
            )
        teller.say(start + 60, user=f"system:serviceaccount:app{number}:app{number}", credential=f"JTI={number}", pod=f"app{number}-0",
                   reason=f'RBAC: allowed by RoleBinding "app{number}/app{number}" of Role "r" to ServiceAccount "app{number}/app{number}"')  # fmt: skip
    assert teller.incidents == []


def test_the_order_inside_a_tie_and_repeats_of_an_event_do_not_matter():
    script = chain()
    expected = essence(tell(script))
    for seed in range(5):
        mixed = list(script)
        random.Random(seed).shuffle(mixed)
        assert essence(tell(mixed)) == expected
    doubled = [item for item in script for _ in (0, 1)]
    assert [entry[:1] + entry[2:] for entry in essence(tell(doubled))] == [entry[:1] + entry[2:] for entry in expected]


def test_both_stages_of_a_request_are_one_event():
    stub = handmade(0, verb="create", resource="pods", subresource="exec", name="web-0")
    started = msgspec.structs.replace(stub, stage="ResponseStarted", key=stub.key | 1, last_key=stub.key | 1)
    teller = Teller()
    teller.tell(started, "t-secrets")
    teller.tell(stub, "t-secrets")
    [incident] = teller.incidents
    assert incident.audit_ids == [stub.audit_id]
    assert len(incident.timeline) == 1


def test_replays_are_identical():
    assert essence(tell(chain())) == essence(tell(chain()))


def test_ordinary_requests_cost_little():
    teller = Teller()
    stubs = [
        handmade(number * 0.01, behaviour=number % 50 + 1, user=f"user{number % 50}", count=5)
        for number in range(5_000)
    ]
    began = time.process_time()
    for stub in stubs:
        teller.stories.observe(stub)
    assert (time.process_time() - began) / len(stubs) < 100e-6, "a generous bound that only a blunder breaks"
