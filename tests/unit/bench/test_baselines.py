"""Baselines and their grouping."""

import pytest

from bench.evaluation.baselines import GROUPED, tune
from bench.evaluation.baselines.falco import RULES as FALCO
from bench.evaluation.baselines.grouping import KEYS, precision_of, stories_of
from bench.evaluation.baselines.request import Body, Request, requests_of
from bench.evaluation.baselines.risk import stories_of_risk, stories_of_tactics
from bench.evaluation.baselines.rule import Hit, hits_of
from bench.evaluation.baselines.sigma import RULES as SIGMA
from bench.evaluation.labels import Episode, Labels, Recorded
from bench.evaluation.recording import Line

BASE = {
    "actor_kind": "human", "verb": "get", "resource": "pods", "subresource": "", "group": "", "namespace": "shop",
    "name": "", "uri": "", "client": "kubectl", "source": "192.0.2.1", "code": 200, "allowed": True,
}  # fmt: skip


def request(audit, second, user="system:serviceaccount:shop:web", **more):
    time = f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"
    return Request(time=time, audit_id=audit, user=user, **{**BASE, **more})


@pytest.mark.parametrize(
    ("rules", "more", "names"),
    [
        (SIGMA, {"verb": "create", "subresource": "exec"}, {"exec-into-container"}),
        (SIGMA, {"resource": "secrets", "verb": "list"}, {"secrets-enumeration"}),
        (SIGMA, {"code": 403}, {"unauthorised"}),
        (SIGMA, {}, set()),
        (FALCO, {"verb": "create", "subresource": "exec"}, {"Attach/Exec Pod"}),
        (FALCO, {"resource": "secrets", "code": 404}, {"K8s Secret Get Unsuccessfully Tried"}),
        (
            FALCO,
            {"verb": "create", "body": Body(is_privileged=True, repositories=["quay.io/x/y"])},
            {"Create Disallowed Pod", "Create Privileged Pod"},
        ),
        (FALCO, {"user": "alice"}, {"Disallowed K8s User"}),
    ],
)
def test_rules(rules, more, names):
    assert {hit.rule for hit in hits_of(rules, [request("a", 0, **more)])} == names


def test_stages_of_a_request_are_one():
    line = (
        b'{"auditID":"a","stage":"%s","stageTimestamp":"2026-01-01T00:00:0%dZ","verb":"get","user":{"username":"u"}%s}'
    )
    lines = [
        Line("1", "a", line % (b"ResponseStarted", 1, b"")),
        Line("2", "a", line % (b"ResponseComplete", 2, b',"responseStatus":{"code":101}')),
    ]
    (joined,) = requests_of(lines)
    assert joined.code == 101
    assert joined.time.startswith("2026-01-01T00:00:01")


def test_a_pause_ends_a_story_and_repeats_do_not_add():
    hits = [Hit(request(str(n), second), "r", 2.0) for n, second in enumerate((0, 10, 200))]
    first, second = stories_of(hits, KEYS["identity"], 60, {})
    assert (first.score, first.audit_ids) == (2.0, ["0", "1"])
    assert second.audit_ids == ["2"]


def test_identity_gathers_what_session_keeps_apart():
    hits = [Hit(request("1", 0), "r", 1), Hit(request("2", 1, source="192.0.2.9"), "s", 1)]
    assert len(stories_of(hits, KEYS["identity"], 60, {})) == 1
    assert len(stories_of(hits, KEYS["session"], 60, {})) == 2


def test_precision_and_tuning_follow_the_labels():
    attack = Episode("A", "attack", "single", "", "", ["1"])
    labels = Labels(Recorded("", "", ""), [attack], [])
    hits = [
        Hit(request("1", 0), "good", 1),
        *(Hit(request(f"x{n}", 300 * n, user="u"), "noisy", 2) for n in range(1, 9)),
    ]
    precision = precision_of(hits, labels)
    assert precision["good"] == 1
    assert precision["noisy"] == pytest.approx(0.2)
    assert tune(hits, labels).weighed


def test_risk_opens_at_the_hundredth_point():
    hits = [Hit(request(str(n), n), "r", 4.0) for n in range(4)]
    (story,) = stories_of_risk(hits)
    assert story.score == 160
    assert story.opened_at == hits[2].request.time
    assert stories_of_risk(hits[:2]) == []


def test_three_tactics_make_a_story():
    hits = [Hit(request(str(n), n), "r", 1.0, tactic) for n, tactic in enumerate(("a", "b", "b", "c"))]
    assert stories_of_tactics(hits[:3]) == []
    assert stories_of_tactics(hits)[0].opened_at == hits[3].request.time


@pytest.mark.parametrize("name", [name for name in GROUPED if name != "isolation forest"])
def test_a_stranger_stands_out(name):
    usual = [request(f"u{n}", n, user="system:serviceaccount:shop:web") for n in range(4500)]
    strange = request(
        "strange", 4600, "mallory", resource="secrets", verb="list", code=403, allowed=False, client="curl"
    )
    hits = GROUPED[name]([*usual, strange, request("last", 4601)], usual[4300].time)
    assert "strange" in {hit.request.audit_id for hit in hits}
