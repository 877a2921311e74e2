"""What people read: three sentences, a timeline that says how and why, commands that are safe to paste."""

import shlex

import msgspec
import pytest

from kubewake.finding import Incident
from kubewake.incidents.phrase import PAST, SUBRESOURCES, VERBS, actor_name, describe
from kubewake.incidents.remedy import quote
from kubewake.lineage.reference import refer, words_of

ADMIN = 'RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "cluster-admin" to Group "ops"'
WEB = {"user": "system:serviceaccount:shop:web", "credential": "JTI=m", "source": "203.0.113.7", "user_agent": "curl/8"}


@pytest.fixture
def incident(teller):
    teller.say(0, verb="create", resource="serviceaccounts", subresource="token", name="web", issued_credential="JTI=m",
               reason=ADMIN)  # fmt: skip
    teller.say(20, "t-secrets", verb="list", resource="secrets", name="", reason=ADMIN, **WEB)
    teller.say(30, verb="get", resource="secrets", name="db", reason=ADMIN, **WEB)
    teller.say(
        40, "t-admin", verb="create", resource="clusterrolebindings", namespace="", name="evil", reason=ADMIN, **WEB
    )
    teller.say(
        50,
        "t-persist",
        verb="create",
        resource="daemonsets",
        namespace="kube-system",
        name="agent",
        reason=ADMIN,
        **WEB,
    )
    [incident] = teller.incidents
    return incident


def test_story_is_three_sentences_for_a_reader_who_knows_no_kubernetes(incident):
    assert incident.story.count(". ") == 2
    assert incident.story.endswith(".")
    what, why, todo = incident.story.split(". ", 2)
    assert "evil" in what
    assert why.startswith("This matters because ")
    assert todo.startswith("First, ask the owner of the login ann whether this was theirs")


@pytest.mark.parametrize(
    ("outcomes", "title"),
    [
        (["denied"], "Secrets fetched (tried, refused): ann"),
        (["failed", "denied"], "Secrets fetched (tried, refused): ann"),
        (["failed"], "Secrets fetched (tried, failed): ann"),
        (["denied", "allowed"], "Secrets fetched: ann"),
        (["allowed", "denied"], "Secrets fetched: ann"),
    ],
)
def test_what_was_refused_is_told_as_tried(teller, outcomes, title):
    for number, outcome in enumerate(outcomes):
        teller.say(number, "t-secrets", resource="secrets", name=f"s{number}", outcome=outcome)
    [incident] = teller.incidents
    assert incident.title == title
    done = "allowed" in outcomes
    what, _, _ = incident.story.split(". ", 2)
    assert what.endswith(title.removesuffix(": ann").removeprefix("S")) is True
    assert [part["text"] == "Secrets fetched" for part in incident.score_parts] == [done]
    for step, outcome in zip(incident.timeline, outcomes, strict=True):
        assert ("ann read the secret" in step.text) is (outcome == "allowed")
        assert ("ann tried to read the secret" in step.text) is (outcome != "allowed")
        assert step.text.endswith("[Secrets fetched]") is (outcome == "allowed")


def test_timeline_says_how_each_step_follows_and_what_allowed_it(incident):
    steps = incident.timeline
    assert [step.context for step in steps] == [False] * 5
    assert steps[0].link == "the first step known"
    assert "had issued" in steps[1].link
    assert steps[2].link == "the same login, address and program as the step before"
    assert all(
        step.allowed_by == "ClusterRoleBinding ops gives Group ops the ClusterRole cluster-admin" for step in steps
    )
    assert incident.allowed_by == [steps[0].allowed_by]


def test_root_cause_entities_and_graph(incident):
    assert (incident.root_cause.kind, incident.root_cause.name) == ("identity", "ann")
    kinds = {entity.kind: entity.name for entity in incident.entities}
    assert kinds["credential"] == "JTI=m"
    assert kinds["binding"] == "evil"
    assert kinds["secret"] == "shop/db"
    [edge] = incident.links
    assert edge["link"] == "L1"
    assert edge["from"] == {"kind": "identity", "name": "ann"}
    assert edge["to"] == {"kind": "credential", "name": "JTI=m"}
    assert (edge["cause"], edge["effect"]) == ("ann", WEB["user"])


def test_score_is_the_sum_of_its_parts(incident):
    assert incident.score == pytest.approx(sum(part["nats"] for part in incident.score_parts), abs=0.01)
    assert incident.score >= incident.bar


def test_attack_follows_the_kill_chain(incident):
    assert incident.attack.tactics == ["persistence", "privilege-escalation", "credential-access"]
    assert incident.attack.techniques == ["T1552.007"]
    assert incident.attack.threat_matrix == ["MS-TA9025"]


def test_remediation_names_objects_in_order_and_says_what_breaks(incident):
    commands = incident.remediation
    assert all("  # " in line for line in commands)
    position = {
        word: next(i for i, line in enumerate(commands) if word in line)
        for word in (
            "delete serviceaccount web",
            "delete clusterrolebinding evil",
            "delete daemonset agent",
            "describe secret db",
        )
    }
    assert (
        position["delete serviceaccount web"]
        < position["delete clusterrolebinding evil"]
        < position["describe secret db"]
    )


def test_severity_and_confidence(incident):
    assert incident.severity == "critical"
    assert incident.confidence == "high"


def test_blast_radius_is_asked_of_rbac(new_teller):
    class Access:
        changes = 0

        def reach(self, identity):
            return [] if self.changes else [f"{identity} can read every secret"]

    access = Access()
    teller = new_teller(reach=access)
    teller.say(0, "t-secrets", resource="secrets")
    [incident] = teller.incidents
    assert incident.blast_radius == ["ann: ann can read every secret"]
    access.changes = 1
    [incident] = teller.incidents
    assert incident.blast_radius == []


def test_incident_survives_json(incident):
    assert msgspec.json.decode(msgspec.json.encode(incident), type=Incident) == incident


HOSTILE = ["$(reboot)", "a; rm -rf /", "a\nreboot", "`id`", "-n", "--all", "a'b", 'a"b', "a b", "|sh", "& x", "é", "#x"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_one_shell_word(name):
    words = shlex.split(quote(name))
    assert len(words) == 1
    assert "\n" not in quote(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_commands_survive_hostile_names(teller, name):
    teller.say(0, "t-admin", verb="create", resource="clusterrolebindings", namespace="", name=name, user=name)
    teller.say(5, "t-persist", verb="create", resource="pods", namespace=name, name=name, user=name)
    teller.say(9, "t-secrets", verb="get", resource="secrets", namespace=name, name=name, user=name)
    [incident] = teller.incidents
    for line in incident.remediation:
        assert "\n" not in line
        if not line.startswith("#"):
            words = shlex.split(line, comments=True)
            assert words[0] == "kubectl"
            assert not {"reboot", "rm", "sh", ";", "|", "&"} & set(words)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"resource": "pods", "subresource": "exec", "name": "web-0"},
            "ran commands inside the running program web-0 in namespace shop",
        ),
        (
            {"resource": "secrets", "name": "db", "outcome": "denied"},
            "tried to read the secret (stored credentials) db in namespace shop, which was refused",
        ),
        (
            {"resource": "pods", "verb": "create", "name": "web", "outcome": "failed", "count": 2},
            "tried to create a pod (a running program) web in namespace shop, 2 times, which failed",
        ),
        (
            {"resource": "nodes", "subresource": "proxy", "name": "n1", "outcome": "denied", "impersonated": "bob"},
            "tried to talk to the agent on machine n1 in namespace shop through the API server, in the name of bob, which was refused",
        ),
        (
            {"resource": "", "uri": "/metrics", "outcome": "denied"},
            "asked the API server for /metrics, which was refused",
        ),
        (
            {"resource": "secrets", "verb": "list", "name": "", "namespace": ""},
            "listed every secret (stored credentials) in the whole cluster",
        ),
        ({"resource": "", "uri": "/version?x=1"}, "asked the API server for /version?x=1"),
        (
            {"resource": "widgets", "verb": "scale", "name": "w"},
            "did scale on the object of kind widgets w in namespace shop",
        ),
        (
            {"resource": "ingresses", "verb": "create", "name": "i"},
            "created an entry point from outside i in namespace shop",
        ),
        ({"resource": "namespaces", "verb": "patch", "name": "shop"}, "changed the namespace shop"),
        ({"resource": "selfsubjectaccessreviews", "verb": "create"}, "asked the API server what this login may do"),
        (
            {"resource": "pods", "verb": "list", "name": "", "count": 7},
            "listed every pod (a running program) in namespace shop, 7 times",
        ),
    ],
)
def test_requests_in_plain_words(make, fields, text):
    stub = make(0, **fields)

    assert describe(refer(stub, 1, words_of(stub))) == text


@pytest.mark.parametrize("words", [*SUBRESOURCES.values(), *VERBS.values()], ids=lambda words: words.partition(" ")[0])
def test_every_deed_has_a_past(words):
    assert words.partition(" ")[0] in PAST


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("system:serviceaccount:shop:web", "service account web (namespace shop)"),
        ("system:node:n1", "machine n1"),
        ("system:anonymous", "someone without a login"),
        ("", "someone without a known login"),
        ("ann@example.com", "ann@example.com"),
    ],
)
def test_identities_in_plain_words(user, text):
    assert actor_name(user) == text


def test_mailed_stories_name_no_token(slice_of, new_teller):
    """Recorded: tokens that were farmed."""
    teller = new_teller()
    for stub in slice_of("farmed-tokens"):
        teller.tell(stub, "t-secrets")
    assert teller.incidents
    assert b"eyJ" not in msgspec.json.encode(teller.incidents)
