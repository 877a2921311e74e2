"""One result that every report is tested on: what the demo slice shows, plus what a hostile client would write."""

from functools import cache

import msgspec

from kubewake.demo import recording
from kubewake.event import Malformed
from kubewake.finding import (
    Actor,
    Attack,
    Entity,
    Finding,
    Incident,
    InputSummary,
    Location,
    Notice,
    ResultDocument,
    Step,
    Summary,
    Target,
    count_severities,
)

SLICE_EVENTS = 9_000
HOSTILE = (
    "<img src=x onerror=alert(1)>\"'`&|a=b\\|\r\n\x1b[2Jx\u202e\u2028\x00=cmd|' /C calc'!A0 ]]> </script>{{7*7}} {x}"
)
LONG_ID = "A" * 20_000 + "|=\n"
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "  =1")


@cache
def scanned() -> ResultDocument:
    """What `scan` says of the first part of the bundled recording."""
    import tempfile
    from pathlib import Path

    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.scan import scan
    from kubewake.sources.files import FileSource

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "audit.jsonl"
        log.write_bytes(b"\n".join(recording.lines()[:SLICE_EVENTS]) + b"\n")
        document = scan(FileSource([str(log)], cluster="prod-eu").chunks(), Knowledge())
        document.findings = list(document.findings)
        document.incidents = list(document.incidents)
    return document


@cache
def hostile() -> ResultDocument:
    """A finding and an incident in which every text that a client can choose is hostile."""
    finding = Finding(
        id="f-00000000deadbeef",
        rule="pod-exec",
        covers=["pod-exec"],
        title="Shell in a pod",
        severity="high",
        confidence="medium",
        audience="everyone",
        time="2026-11-23T07:13:21.325498Z",
        last_time="2026-11-23T07:14:16.845771Z",
        count=3,
        cluster=HOSTILE,
        actor=Actor("human", HOSTILE, [HOSTILE], ["not an address", HOSTILE], HOSTILE, "=" + HOSTILE),
        target=Target("create", "pods", "exec", HOSTILE, HOSTILE, HOSTILE),
        outcome="allowed",
        story=HOSTILE,
        remediation=[HOSTILE, "kubectl get pods"],
        attack=Attack(["execution", "no-such-tactic"], ["T1609", "T1059.004"], ["MS-TA9006"]),
        audit_ids=[LONG_ID, *(f"id-{number}" for number in range(300))],
        audit_ids_total=301,
        event_keys=["c7f77ad5f2741d74"],
        locations=[Location("logs/ä b|=%\n.jsonl", 7), Location("-", 0)],
        incident="incident-1",
    )
    suppressed = msgspec.structs.replace(
        finding, id="f-suppressed", suppressed_by="filter-" + HOSTILE, incident=None, locations=[], audit_ids=[]
    )
    formulas = [
        msgspec.structs.replace(
            finding, id=f"f-formula-{number}", rule="own-rule", story=text, title=text, incident=None
        )
        for number, text in enumerate(FORMULAS)
    ]
    incident = Incident(
        id="incident-1",
        title=HOSTILE,
        severity="critical",
        confidence="high",
        score=9.5,
        score_parts=[{"tactic": "execution", "detector": "pod-exec", "kind": "rule", "nats": 9.5, "text": HOSTILE}],
        bar=3.0,
        opened_at="2026-11-23T07:13:21.325498Z",
        first_time="2026-11-23T07:13:21.325498Z",
        last_time="2026-11-23T07:14:16.845771Z",
        cluster=HOSTILE,
        root_cause=Entity("identity", HOSTILE, HOSTILE),
        entities=[Entity("identity", HOSTILE, HOSTILE), Entity("address", "2001:db8::1"), Entity("address", HOSTILE)],
        findings=[finding.id, "f-not-in-the-document"],
        audit_ids=finding.audit_ids,
        timeline=[
            Step("2026-11-23T07:13:21.325498Z", HOSTILE, LONG_ID, HOSTILE, HOSTILE),
            Step("2026-11-23T07:13:22.325498Z", "looked on", "id-1", context=True),
        ],
        allowed_by=[HOSTILE],
        blast_radius=[HOSTILE],
        story=HOSTILE,
        remediation=[HOSTILE],
        attack=Attack(["execution"], ["T1609"], []),
        links=[
            {"link": "L4", "from": {"kind": "pod", "name": HOSTILE}, "to": {"kind": "node", "name": HOSTILE + "2"},
             "text": HOSTILE, "strength": 1.0, "cause": HOSTILE, "effect": HOSTILE},
        ],
    )  # fmt: skip
    findings = [finding, suppressed, *formulas]
    malformed = [Malformed(HOSTILE, 0, HOSTILE)]
    return ResultDocument(
        input=InputSummary(events=5, files=[HOSTILE], malformed=malformed, malformed_total=4, partial=1, faults=malformed,
                           first_time=finding.time, last_time=finding.last_time, clusters=[HOSTILE]),
        findings=findings,
        incidents=[incident],
        notices=[Notice("n-1", finding.time, HOSTILE, HOSTILE)],
        summary=Summary(findings=count_severities(findings), incidents=count_severities([incident]), suppressed=1, rules=1),
    )  # fmt: skip


@cache
def small() -> ResultDocument:
    """A short made-up result that no change of a rule changes; the golden files show it."""
    person = Actor("human", "mallory@shop.example", ["developers"], ["198.51.100.7"], "kubectl/v1.31.2")
    program = Actor("serviceaccount", "system:serviceaccount:shop:web", [], ["10.0.3.4"], "curl/8.5.0")
    shell = Finding(
        id="f-0000000000000001", rule="example-shell", covers=["pod-exec"], title="Shell opened in a pod", severity="medium",
        confidence="high", audience="everyone", time="2026-11-23T07:13:21.325498Z", last_time="2026-11-23T07:13:21.325498Z",
        count=1, cluster="prod-eu", actor=person, target=Target("create", "pods", "exec", "shop", "web-0"), outcome="allowed",
        story="mallory@shop.example opened a shell in the pod web-0 of namespace shop.",
        remediation=["kubectl -n shop get pod web-0 -o yaml  # look at it; changes nothing"],
        attack=Attack(["execution"], ["T1609"], ["MS-TA9006"]), audit_ids=["a-1"], audit_ids_total=1, event_keys=["k1"],
        locations=[Location("audit.log", 12)], incident="incident-0000000000000001",
    )  # fmt: skip
    stolen = msgspec.structs.replace(
        shell, id="f-0000000000000002", rule="example-token", covers=["stolen-token"], title="Pod's token used elsewhere",
        severity="critical", time="2026-11-23T07:14:02.000000Z", last_time="2026-11-23T07:16:40.500000Z", count=4,
        actor=program, target=Target("list", "secrets", "", "", ""),
        story="The token of web-0 was used from 10.0.3.4, where the pod does not run.",
        remediation=["kubectl -n shop delete pod web-0  # ends the token", "Ask who owns 10.0.3.4."],
        attack=Attack(["credential-access"], ["T1552.007", "T1528"], []), audit_ids=["a-2", "a-3", "a-4", "a-5"],
        audit_ids_total=4, event_keys=["k2", "k3", "k4", "k5"],
        locations=[Location("audit.log", number) for number in (20, 21, 25, 30)],
    )  # fmt: skip
    alone = msgspec.structs.replace(
        shell, id="f-0000000000000003", rule="example-denied", title="Many refusals", severity="high", confidence="medium",
        outcome="denied", incident=None, count=40, actor=msgspec.structs.replace(person, impersonating="system:admin"),
    )  # fmt: skip
    quiet = msgspec.structs.replace(
        alone, id="f-0000000000000004", rule="example-record", title="A record", severity="informational",
        audience="auditor", outcome="failed",
    )  # fmt: skip
    excused = msgspec.structs.replace(shell, id="f-0000000000000005", incident=None, suppressed_by="ci-may-open-shells")
    incident = Incident(
        id="incident-0000000000000001", title="Pod's token used elsewhere: service account web (namespace shop)",
        severity="critical", confidence="high", score=9.4,
        score_parts=[{"tactic": "credential-access", "detector": "example-token", "kind": "rule", "nats": 9.4, "text": "x"}],
        bar=3.0, opened_at="2026-11-23T07:14:02.000000Z", first_time="2026-11-23T07:13:21.325498Z",
        last_time="2026-11-23T07:16:40.500000Z", cluster="prod-eu",
        root_cause=Entity("identity", person.name, "first step of the story at 2026-11-23T07:13:21.325498Z from 198.51.100.7"),
        entities=[Entity("identity", person.name, "acted"), Entity("identity", program.name, "acted"),
                  Entity("address", "10.0.3.4", "used by service account web (namespace shop)"),
                  Entity("pod", "shop/web-0", "its token was used")],
        findings=[shell.id, stolen.id], audit_ids=["a-1", "a-2", "a-3", "a-4", "a-5"], event_keys=["k1", "k2"],
        timeline=[
            Step("2026-11-23T07:13:21.325498Z", "mallory@shop.example ran commands inside web-0 [Shell opened in a pod]", "a-1",
                 "the first step known", "ClusterRoleBinding devs gives Group developers the ClusterRole edit"),
            Step("2026-11-23T07:13:50.000000Z", "service account web (namespace shop) read the configuration", "a-9",
                 context=True),
            Step("2026-11-23T07:14:02.000000Z", "service account web (namespace shop) listed every secret", "a-2",
                 "the token of pod shop/web-0 was used after mallory@shop.example had entered it",
                 "RoleBinding web gives ServiceAccount web/shop the Role reader"),
        ],
        allowed_by=["ClusterRoleBinding devs gives Group developers the ClusterRole edit"],
        blast_radius=["service account web (namespace shop): can read every secret of the cluster"],
        story="Mallory@shop.example, from 198.51.100.7, ran commands inside web-0; then service account web listed every "
        "secret. This matters because logins are in the wrong hands. First, ask mallory@shop.example whether they did this; "
        "if not, start with: kubectl -n shop get pod web-0 -o yaml.",
        remediation=["kubectl -n shop get pod web-0 -o yaml  # look at it; changes nothing",
                     "kubectl -n shop delete pod web-0  # ends the token; the program restarts"],
        attack=Attack(["execution", "credential-access"], ["T1528", "T1552.007", "T1609"], ["MS-TA9006"]),
        links=[{"link": "L4", "from": {"kind": "pod", "name": "shop/web-0"},
                "to": {"kind": "identity", "name": program.name}, "strength": 0.9,
                "text": "the token of pod shop/web-0 was used after mallory@shop.example had entered it",
                "cause": person.name, "effect": program.name}],
    )  # fmt: skip
    findings = [shell, stolen, alone, quiet, excused]
    return ResultDocument(
        input=InputSummary(events=1234, bytes=987654, files=["audit.log"], malformed=[Malformed("audit.log", 7, "not JSON")],
                           malformed_total=1, duplicates=3, first_time="2026-11-23T07:00:00.000000Z",
                           last_time="2026-11-23T08:00:00.000000Z", clusters=["prod-eu"], levels=["Metadata"]),
        findings=findings,
        incidents=[incident],
        notices=[Notice("n-1", "2026-11-23T07:00:00.000000Z", "Some rules are blind", "The log has no request bodies.")],
        summary=Summary(findings=count_severities(findings), incidents=count_severities([incident]), suppressed=1, rules=5),
    )  # fmt: skip
