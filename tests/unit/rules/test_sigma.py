"""Sigma as the specification says it: every modifier, value, condition and correlation, on events."""

import base64

import msgspec
import pytest
import yaml

from kubewake.errors import RuleError
from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.rules.lists import merged
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.example import complete

HEAD = {"title": "A test", "logsource": {"product": "kubernetes", "service": "audit"}}


def facts(**change):
    return Facts(decode_event(msgspec.json.encode(complete(change))), "")


def matches(detection, event, lists=None):
    text = yaml.safe_dump({**HEAD, "detection": detection})
    rules = RuleSet([compile_text(text, "x.yml")], lists=merged(lists or {}))
    return "x" in rules.matches(facts(**event))


def item(key, value):
    return {"selection": {key: value}, "condition": "selection"}


POD = {"verb": "create", "objectRef": {"resource": "pods", "namespace": "shop", "name": "Web-0"}}
USER = {"user": {"username": "Alice", "groups": ["dev", "system:authenticated"]}}
WIDE = base64.b64encode("ping".encode("utf-16le")).decode()
ENCODED = {"requestObject": {"a": base64.b64encode(b"foobar").decode(), "b": base64.b64encode(b"x foobar").decode()}}
COMMAND = {"requestObject": {"command": ["cmd", "/c", "a"], "name": "shop", "n": "5", "size": 7, "flag": True}}

ITEMS = [
    ("plain", "verb", "create", POD, True),
    ("ignores case", "objectRef.name", "WEB-0", POD, True),
    ("cased", "objectRef.name|cased", "WEB-0", POD, False),
    ("cased the same", "objectRef.name|cased", "Web-0", POD, True),
    ("list", "verb", ["get", "create"], POD, True),
    ("list without", "verb", ["get", "list"], POD, False),
    ("field that is a list", "user.groups", "dev", USER, True),
    ("all", "user.groups|all", ["dev", "system:authenticated"], USER, True),
    ("not all", "user.groups|all", ["dev", "ops"], USER, False),
    ("contains", "objectRef.name|contains", "eb-", POD, True),
    ("contains all", "objectRef.name|contains|all", ["eb", "0"], POD, True),
    ("contains not all", "objectRef.name|contains|all", ["eb", "1"], POD, False),
    ("startswith", "objectRef.name|startswith", "web", POD, True),
    ("startswith not", "objectRef.name|startswith", "eb", POD, False),
    ("endswith", "objectRef.name|endswith", "-0", POD, True),
    ("startswith cased", "objectRef.name|startswith|cased", "web", POD, False),
    ("wildcard", "objectRef.name", "w*0", POD, True),
    ("single wildcard", "objectRef.name", "w?b-0", POD, True),
    ("single wildcard needs one", "objectRef.name", "we?b-0", POD, False),
    ("any value", "objectRef.name", "*", POD, True),
    ("any value, absent", "objectRef.name", "*", {}, False),
    ("escaped wildcard", "requestURI", "/a\\*b", {"requestURI": "/a*b"}, True),
    ("escaped wildcard is literal", "requestURI", "/a\\*b", {"requestURI": "/axb"}, False),
    ("escaped backslash", "requestURI", "a\\\\*", {"requestURI": "a\\b"}, True),
    ("plain backslash", "requestURI", "a\\b", {"requestURI": "a\\b"}, True),
    ("number", "responseStatus.code", 200, {}, True),
    ("number as text", "responseStatus.code", "200", {}, True),
    ("number wildcard", "responseStatus.code", "2*", {}, True),
    ("text of digits", "requestObject.n", 5, COMMAND, True),
    ("boolean", "requestObject.flag", True, COMMAND, True),
    ("boolean as text", "requestObject.flag", "true", COMMAND, True),
    ("boolean is no number", "requestObject.flag", 1, COMMAND, False),
    ("null", "objectRef.subresource", None, POD, True),
    ("null with a value", "objectRef.name", None, POD, False),
    ("null or value", "objectRef.name", [None, "web-0"], POD, True),
    ("empty text", "annotations.authorization\\.k8s\\.io/reason", "", {}, True),
    ("empty text is not absence", "objectRef.subresource", "", POD, False),
    ("exists", "objectRef.name|exists", True, POD, True),
    ("exists not", "objectRef.subresource|exists", True, POD, False),
    ("exists false", "objectRef.subresource|exists", False, POD, True),
    ("lt", "responseStatus.code|lt", 201, {}, True),
    ("lte", "responseStatus.code|lte", 200, {}, True),
    ("gt", "responseStatus.code|gt", 200, {}, False),
    ("gte", "responseStatus.code|gte", 200, {}, True),
    ("gte of digits", "requestObject.n|gte", 5, COMMAND, True),
    ("gt of text", "verb|gt", 5, {}, False),
    ("neq", "verb|neq", "create", POD, False),
    ("neq other", "verb|neq", "delete", POD, True),
    ("neq list", "user.groups|neq", "dev", USER, False),
    ("regex", "objectRef.name|re", "b-[0-9]$", POD, True),
    ("regex minds case", "objectRef.name|re", "^web", POD, False),
    ("regex i", "objectRef.name|re|i", "^web", POD, True),
    ("regex m", "requestURI|re|m", "^b$", {"requestURI": "a\nb"}, True),
    ("regex without m", "requestURI|re", "^b$", {"requestURI": "a\nb"}, False),
    ("regex s", "requestURI|re|s", "a.b", {"requestURI": "a\nb"}, True),
    ("regex without s", "requestURI|re", "a.b", {"requestURI": "a\nb"}, False),
    ("cidr", "sourceIPs|cidr", "10.0.0.0/8", {}, True),
    ("cidr other", "sourceIPs|cidr", ["192.168.0.0/16", "fd00::/8"], {}, False),
    ("cidr v6", "sourceIPs|cidr", "fd00::/8", {"sourceIPs": ["fd00::7"]}, True),
    ("cidr of garbage", "sourceIPs|cidr", "0.0.0.0/0", {"sourceIPs": ["garbage"]}, False),
    ("base64", "requestObject.a|base64", "foobar", ENCODED, True),
    ("base64 contains", "requestObject.a|base64|contains|cased", "foobar", ENCODED, True),
    ("base64offset", "requestObject.b|base64offset|contains", "foobar", ENCODED, True),
    ("wide base64offset", "requestObject.w|wide|base64offset|contains", "ping", {"requestObject": {"w": WIDE}}, True),
    ("utf16 base64", "requestObject.w|utf16|base64|contains", "ping", {"requestObject": {"w": WIDE}}, False),
    ("windash", "requestObject.command|windash", "-c", COMMAND, True),
    ("fieldref", "objectRef.namespace|fieldref", "requestObject.name", {**COMMAND, **POD}, True),
    ("fieldref other", "objectRef.name|fieldref", "objectRef.namespace", POD, False),
    ("fieldref startswith", "requestURI|fieldref|startswith", "requestObject.p", {"requestObject": {"p": "/AP"}}, True),
    ("fieldref endswith", "requestURI|fieldref|endswith", "requestObject.p", {"requestObject": {"p": "pi"}}, True),
    ("hour", "stageTimestamp|hour", 10, {}, True),
    ("minute", "stageTimestamp|minute", 1, {}, False),
    ("day", "stageTimestamp|day", 4, {}, True),
    ("week", "stageTimestamp|week", 10, {}, True),
    ("month", "stageTimestamp|month", [1, 3], {}, True),
    ("year", "stageTimestamp|year", 2025, {}, False),
]


@pytest.mark.parametrize(("name", "key", "value", "event", "expected"), ITEMS, ids=[case[0] for case in ITEMS])
def test_items(name, key, value, event, expected):
    assert matches(item(key, value), event) is expected


SEARCHES = {
    "sel_one": {"verb": "create"},
    "sel_two": {"objectRef.resource": "secrets"},
    "filter": {"objectRef.namespace": "shop"},
}
CONDITIONS = [
    ("sel_one", True),
    ("not sel_two", True),
    ("sel_one and sel_two", False),
    ("sel_one or sel_two and filter", True),
    ("(sel_one or sel_two) and not filter", False),
    ("1 of sel_*", True),
    ("any of sel_*", True),
    ("all of sel_*", False),
    ("1 of them", True),
    ("all of them", False),
    ("sel_one and not 1 of filter*", False),
    ("not (sel_two or not filter)", True),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS)
def test_conditions(condition, expected):
    assert matches({**SEARCHES, "condition": condition}, POD) is expected


def test_several_conditions_are_alternatives():
    assert matches({**SEARCHES, "condition": ["sel_two", "sel_one"]}, POD)


KEYWORDS = [
    (["nothing", "shop"], True),
    ("EB-", True),
    ("nothing", False),
    ({"|all": ["shop", "web"]}, True),
    ({"|all": ["shop", "nothing"]}, False),
    ({"|re": "^sh.p$"}, True),
    ("s*p", True),
]


@pytest.mark.parametrize(("search", "expected"), KEYWORDS)
def test_keywords_search_the_whole_event(search, expected):
    assert matches({"keywords": search, "condition": "keywords"}, POD) is expected


def test_a_list_of_maps_is_alternatives():
    search = [{"verb": "get"}, {"verb": "create", "objectRef.resource": "pods"}]
    assert matches({"selection": search, "condition": "selection"}, POD)
    assert not matches({"selection": search, "condition": "selection"}, {**POD, "verb": "list"})


def containers(*items):
    return {**POD, "requestObject": {"spec": {"containers": list(items)}}}


def test_items_on_elements_hold_within_one_element():
    search = {"workload.containers.image|startswith": "evil", "workload.containers.privileged": True}
    evil, root = {"name": "a", "image": "evil/x"}, {"name": "b", "image": "ok", "securityContext": {"privileged": True}}
    both = {**evil, "securityContext": {"privileged": True}}
    assert not matches({"selection": search, "condition": "selection"}, containers(evil, root))
    assert matches({"selection": search, "condition": "selection"}, containers(both))
    apart = {"one": {"workload.containers.image|startswith": "evil"}, "two": {"workload.containers.privileged": True}}
    assert matches({**apart, "condition": "all of them"}, containers(evil, root))


LISTS = {"images": ("evil/*", "Other"), "networks": ("10.0.0.0/16", "8.8.8.8"), "none": ()}
EXPANSIONS = [
    ("user.username|expand", "%names%", {"names": ("alice",)}, True),
    ("user.username|expand", "%names%", {"names": ("bob", "al?ce")}, True),
    ("user.username|expand", "%names%", {"names": ()}, False),
    ("user.username|expand|cased", "%names%", {"names": ("Alice",)}, False),
    ("userAgent|contains|expand", "%tools%", {"tools": ("KUBECTL",)}, True),
    ("userAgent|expand", "%tools%/v1*", {"tools": ("curl", "kubectl")}, True),
    ("sourceIPs|expand", "%nets%", {"nets": ("10.0.0.0/8",)}, True),
    ("sourceIPs|expand", "%nets%", {"nets": ("10.9.0.0/16",)}, False),
]


@pytest.mark.parametrize(("key", "value", "lists", "expected"), EXPANSIONS)
def test_lists_fill_placeholders(key, value, lists, expected):
    assert matches(item(key, value), {}, lists) is expected


def test_unknown_list_is_an_error():
    with pytest.raises(RuleError, match=r"x\.yml:\d+: list 'nope' does not exist"):
        matches(item("verb|expand", "%nope%"), {})


WRONG = [
    (item("verb|nonsense", "x"), r"x\.yml:3: .*Unknown modifier"),
    (item("verb|re", "(?=look)ahead"), r"x\.yml:3: .*RE2 has no look-around"),
    (item("verb|re", "("), r"x\.yml:3: "),
    (item("sourceIPs|cidr", "10.0.0.0/99"), r"x\.yml:3: .*CIDR"),
    (item("verb|exists", "yes"), r"x\.yml:3: "),
    (item("verb", []), r"x\.yml:3: .*empty list"),
    (item("verb", {"a": "b"}), r"x\.yml:3: .*dots"),
    ({"selection": {}, "condition": "selection"}, r"x\.yml:\d: .*match everything"),
    ({"selection": {"verb": "x"}, "condition": "other"}, r"x\.yml:\d: .*'other' is not defined"),
    ({"selection": {"verb": "x"}, "condition": "selection and"}, r"x\.yml:\d: condition"),
    ({"selection": {"verb": "x"}, "condition": "selection | count() > 5"}, r"x\.yml:\d: .*pipe"),
    ({"selection": {"verb": "x"}, "condition": "1 of nothing*"}, r"x\.yml:\d: .*nothing"),
    ({"selection": {"verb": "x"}, "timeframe": "5m", "condition": "selection"}, r"x\.yml:\d: .*timeframe"),
    ({"selection": {"verb": "x"}}, r"x\.yml:\d: 'condition'"),
]


@pytest.mark.parametrize(("detection", "message"), WRONG)
def test_what_cannot_be_done_is_refused_with_its_line(detection, message):
    text = yaml.safe_dump({"detection": detection, **HEAD}, sort_keys=False)
    with pytest.raises(RuleError, match=message):
        compile_text(text, "x.yml")


SIGMAHQ = """
title: Potential Sidecar Injection Into Running Deployment
id: ad9012a6-e518-4432-9890-f3b82b8fc71f
status: test
description: An unmodified rule in the style of the public repository.
references: [https://kubernetes.io]
author: Somebody
date: 2024-03-26
tags: [attack.t1609]
logsource: {category: application, product: kubernetes, service: audit}
detection:
    selection:
        verb: 'patch'
        apiGroup: 'apps'
        objectRef.resource: 'deployments'
        hostPath: '*'
    condition: selection
falsepositives: [Unknown]
level: medium
"""


def test_public_rules_load_with_fields_we_do_not_know():
    compiled = compile_text(SIGMAHQ, "kubernetes_audit_sidecar_injection.yml")
    assert compiled.rules[0].info.id == "kubernetes_audit_sidecar_injection"
    assert compiled.rules[0].alerts
    assert compiled.rules[0].info.attack.techniques == ["T1609"]


def test_rules_about_other_logs_are_skipped_and_said():
    text = SIGMAHQ.replace("product: kubernetes", "product: windows")
    compiled = compile_text(text, "w.yml")
    assert compiled.rules == ()
    assert "windows" in compiled.skipped[0]


def test_public_names_of_fields_are_understood():
    compiled = compile_text(SIGMAHQ.replace("apiGroup: 'apps'", "apiGroup: apps").replace("'*'", "'/etc*'"), "s.yml")
    rules = RuleSet([compiled])
    volumes = [{"name": "h", "hostPath": {"path": "/etc"}}]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "a"}], "volumes": volumes}}}}
    event = {"verb": "patch", "objectRef": {"resource": "deployments", "apiGroup": "apps"}, "requestObject": body}
    assert rules.matches(facts(**event)) == ("s",)
    body["spec"]["template"]["spec"]["volumes"] = []
    assert rules.matches(facts(**event)) == ()
