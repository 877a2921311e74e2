from kubewake.detectors.failure import Failure, together
from kubewake.engine.notices import notices_of
from kubewake.finding import InputSummary
from kubewake.rules.model import RuleInfo

INFOS = {
    name: RuleInfo(id=name, title=name, needs=needs)
    for name, needs in (("a", "Metadata"), ("b", "Request"), ("c", "RequestResponse"))
}


def details(levels, **more):
    known = {"evicted": {}, "about_rules": [], **more}
    return [notice.detail for notice in notices_of(INFOS, InputSummary(levels=levels), **known)]


def test_blind_detections_are_named():
    (text,) = details(["", "Metadata"])
    assert "above audit level Metadata" in text
    assert "b, c" in text
    (text,) = details(["Metadata", "Request"])
    assert "cannot fire: c." in text
    assert details(["Metadata", "RequestResponse"]) == []
    assert details([]) == []


def test_bounds_and_rule_notices_are_passed_on():
    assert "a forgot 3 windows" in details(["RequestResponse"], evicted={"a": 3})[0]
    assert "7 findings were closed early" in details(["RequestResponse"], closed_early=7)[0]
    assert details(["RequestResponse"], about_rules=["filter x expired"]) == ["filter x expired"]


def test_a_failure_says_what_where_and_how_often():
    on_event = Failure(part="a", error="KeyError", place="a.py:1", time="T1", cluster="c", audit_id="id-1", count=1200)
    on_state = Failure(part="b", error="StoreError", place="b.py:2", words="saved b is too old")
    first, second = notices_of(
        INFOS, InputSummary(last_time="T9"), evicted={}, about_rules=[], failures=[on_event, on_state]
    )
    assert first.time == "T1"
    assert (
        "a raised KeyError (a.py:1) 1,200 times, first on an event of T1 in cluster 'c' (audit id id-1)" in first.detail
    )
    assert second.time == "T9"
    assert "b raised StoreError (b.py:2) once while its state was saved or read: saved b is too old." in second.detail
    assert "b has to begin anew" in second.detail
    assert ["please report" in notice.detail for notice in (first, second)] == [True, False]


def test_failures_of_several_sets_add_up_and_name_the_earliest_event():
    def failures(time, cluster, count):
        return {
            ("a", "KeyError"): Failure(part="a", error="KeyError", place="", time=time, cluster=cluster, count=count)
        }

    whole = together([failures("", "", 1), failures("T2", "y", 2), failures("T1", "x", 4)])
    [failure] = whole.values()
    assert (failure.time, failure.cluster, failure.count) == ("T1", "x", 7)
