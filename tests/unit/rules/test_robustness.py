"""Whatever a rule file says, loading it works or names the line; windows agree with counting by hand."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewake.errors import RuleError
from kubewake.observation import Hit
from kubewake.rules.compiled import Alternative, CorrelationRule, Threshold
from kubewake.rules.correlation import Correlator
from kubewake.rules.lint import lint_text
from kubewake.rules.model import RuleInfo
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from tests.unit.engine.stubs import second, stub

KEYS = ["verb", "verb|re", "a|contains|all", "x|cidr", "y|exists", "|all", "z|base64offset", "u|expand", "t|hour", "q|gt",
        "workload.containers.image|startswith", "f|fieldref", "w|windash", "n|neq", "bad|modifier", "", "condition"]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.floats(allow_nan=True),
    st.sampled_from(
        ["", "*", "a*b", "%list%", "10.0.0.0/8", "(", "[a-z]+", "\\", "selection", "1 of them", "not x", "é"]
    ),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=6,
)
DETECTIONS = st.dictionaries(st.sampled_from(["selection", "filter", "condition", "1st", "x-y"]), VALUES, max_size=3)
BLOCKS = st.dictionaries(
    st.sampled_from(["covers", "needs", "story", "group_by", "always", "nonsense"]), VALUES, max_size=3
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.one_of(st.just("A title"), VALUES),
        "name": SCALARS,
        "id": SCALARS,
        "level": SCALARS,
        "tags": VALUES,
        "date": SCALARS,
        "logsource": st.one_of(st.just({"product": "kubernetes"}), VALUES),
        "detection": st.one_of(DETECTIONS, VALUES),
        "correlation": st.dictionaries(
            st.sampled_from(["type", "rules", "timespan", "group-by", "condition", "aliases", "generate"]),
            st.one_of(VALUES, st.sampled_from(["temporal", "event_count", "5m", ["a"], {"gte": 2}])),
        ),
        "filter": DETECTIONS,
        "kubewake": st.one_of(BLOCKS, VALUES),
        "values": VALUES,
        "falsepositives": VALUES,
    },
)


@settings(max_examples=400, deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=2))
def test_any_document_compiles_or_is_refused(documents):
    text = yaml.safe_dump_all(documents, allow_unicode=True)
    try:
        compiled = compile_text(text, "any.yml")
        RuleSet([compiled], lists={"list": ("a",)})
    except RuleError as error:
        assert str(error).startswith("any.yml:")
    for problem in lint_text(text, "any.yml"):
        assert problem.line >= 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_compiles_or_is_refused(text):
    try:
        compile_text(text, "any.yml")
    except RuleError as error:
        assert str(error).startswith("any.yml:")


MOMENTS = st.lists(
    st.tuples(
        st.integers(0, 3000), st.sampled_from(["u", "v"]), st.sampled_from(["x", "y", "z"]), st.sampled_from(["a", "b"])
    ),
    min_size=1,
    max_size=40,
)
RULES = {
    "event_count": (["a"], Threshold("gte", 3), ()),
    "value_count": (["a"], Threshold("gte", 2), ()),
    "temporal": (["a", "b"], None, (Alternative(("a", "b")),)),
    "temporal_ordered": (["a", "b"], None, (Alternative(("a", "b")),)),
}
SPAN = 60


def by_hand(kind, events):
    """Indexes of the events at which the window that ends there satisfies the condition."""
    found = []
    names = RULES[kind][0]
    for index, (moment, user, _, rule) in enumerate(events):
        if rule not in names:
            continue
        window = [e for e in events[: index + 1] if e[1] == user and e[3] in names and e[0] >= moment - SPAN * 10]
        if kind == "event_count":
            holds = len(window) >= 3
        elif kind == "value_count":
            holds = len({e[2] for e in window}) >= 2
        elif kind == "temporal":
            holds = {e[3] for e in window} == {"a", "b"}
        else:
            order = "".join(e[3] for e in window)
            holds = "b" in order[order.find("a") :] if "a" in order else False
        if holds:
            found.append(index)
    return found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(RULES)), MOMENTS)
def test_windows_agree_with_counting_by_hand(kind, moments):
    events = sorted(moments, key=lambda event: event[0])
    names, threshold, ways = RULES[kind]
    rule = CorrelationRule(
        info=RuleInfo(id="c", title="c"),
        type=kind,
        rules=tuple(names),
        timespan_seconds=SPAN,
        group_by=("user.username",),
        threshold=threshold,
        fields=("objectRef.name",) if kind == "value_count" else (),
        alternatives=ways,
    )
    correlator = Correlator([rule])
    fired = []
    for index, (moment, user, name, base) in enumerate(events):
        item = stub(index + 1, second(moment / 10), user=user, name=name, hits=(Hit(base),))
        if list(correlator.observe(item)):
            fired.append(index)
    assert fired == by_hand(kind, events)
