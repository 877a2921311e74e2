import msgspec

from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.rules.condition import Each, Match, Named, Not, all_of, any_of
from kubewake.rules.explain import explain_condition, lines, spell_seconds
from kubewake.workbench.example import complete


def text(tree, **change):
    facts = Facts(decode_event(msgspec.json.encode(complete(change))), "")
    return "\n".join(lines(explain_condition(tree, facts)))


def test_every_part_is_judged_and_shown():
    tree = all_of(
        [
            Named("who", any_of([Match("user.username", "eq", ("bob",)), Match("verb", "startswith", ("g",))])),
            Not(Named("filter", Match("objectRef.name", "exists"))),
        ]
    )
    assert text(tree) == (
        "✓ all of\n"
        "  ✓ search 'who'\n"
        "    ✓ at least one of\n"
        "      ✗ user.username is 'bob'   (here: 'alice')\n"
        "      ✓ verb starts with 'g'   (here: 'get')\n"
        "  ✓ none of\n"
        "    ✗ search 'filter'\n"
        "      ✗ objectRef.name is there   (here: nothing)"
    )


def test_elements_are_judged_one_by_one():
    tree = Each("workload.containers", all_of([Match("image", "eq", ("a",)), Match("privileged", "eq", (True,))]))
    body = {"spec": {"containers": [{"name": "x", "image": "a"}, {"name": "y", "image": "b"}]}}
    shown = text(tree, verb="create", objectRef={"resource": "pods"}, requestObject=body)
    assert "✗ one and the same element of workload.containers meets all of" in shown
    assert "  ✗ element 1\n    ✓ workload.containers.image is 'a'" in shown
    assert "  ✗ element 2\n    ✗ workload.containers.image is 'a'" in shown
    assert "needs audit level Request" in text(tree, verb="create", objectRef={"resource": "pods"})


def test_credentials_are_not_shown():
    secret = {
        "verb": "create",
        "objectRef": {"resource": "secrets"},
        "requestObject": {"data": {"k": "hunter2hunter2"}},
    }
    shown = text(Match("requestObject.data.k", "eq", ("x",)), **secret)
    assert "hunter2" not in shown
    assert "contents of a Secret, not shown" in shown
    token = text(Match("requestObject.password", "eq", ("x",)), requestObject={"password": "hunter2hunter2"})
    assert "hunter2" not in token


def test_unknown_fields_are_named():
    assert "audit events have no such field; did you mean objectRef.resource?" in text(Match("resource", "eq", ("x",)))


def test_durations_are_spelled():
    assert [spell_seconds(n) for n in (45, 60, 300, 3600, 172800)] == [
        "45 seconds",
        "1 minute",
        "5 minutes",
        "1 hour",
        "2 days",
    ]
