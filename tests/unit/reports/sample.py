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
