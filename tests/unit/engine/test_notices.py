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
    assert details(["RequestResponse"], about_rules=["filter x expired"]) == ["filter x expired"]
