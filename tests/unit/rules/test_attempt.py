"""A deed that was refused reads as tried."""

import re

import pytest

from kubewake.rules import attempt
from kubewake.rules.model import RuleInfo
from kubewake.rules.pack import load_rules
from kubewake.workbench.catalogue import all_infos


@pytest.mark.parametrize(
    ("story", "outcome", "told", "is_deed"),
    [
        ("{actor.name} read {target.name}. It is bad.", "allowed", "{actor.name} read {target.name}. It is bad.", True),
        (
            "{actor.name} read {target.name}. It is bad.",
            "denied",
            "{actor.name} tried to read {target.name}, and was refused. It is bad.",
            True,
        ),
        (
            "The program identity {actor.name} created or changed {target.name}.",
            "failed",
            "The program identity {actor.name} tried to create or change {target.name}, and failed.",
            True,
        ),
        (
            "Somebody at {source.ip} who never logged in started a pod.",
            "denied",
            "Somebody at {source.ip} who never logged in tried to start a pod, and was refused.",
            True,
        ),
        (
            "The token of {actor.name} was used from {source.ip}.",
            "denied",
            "The token of {actor.name} was used from {source.ip}. The request was refused.",
            False,
        ),
        (
            "{token.minter} made a token that {actor.name} uses.",
            "failed",
            "{token.minter} made a token that {actor.name} uses. The request failed.",
            False,
        ),
        ("{actor.name} asked for it and was refused.", "denied", "{actor.name} asked for it and was refused.", False),
        ("", "denied", "", False),
    ],
)
def test_story_and_title(story, outcome, told, is_deed):
    info = RuleInfo(id="r", title="Secret read", story=story)
    assert attempt.story_of(info, outcome) == told
    ending = {"denied": " (tried, refused)", "failed": " (tried, failed)"}.get(outcome, "") if is_deed else ""
    assert attempt.title_of(info, outcome) == f"Secret read{ending}"


@pytest.mark.parametrize("outcome", sorted(attempt.ENDINGS))
def test_no_story_of_the_pack_tells_a_refused_deed_as_done(outcome):
    said = re.compile(r"\b(refused|denied|tried|failed|accept)\b|\{outcome\}")
    for info in all_infos(load_rules()).values():
        assert said.search(attempt.story_of(info, outcome)), info.id


def test_stories_about_refusals_stay_as_they_are():
    infos = all_infos(load_rules())
    for rule in ("secret-read-denied", "csr-approve-denied", "request-denied", "cve-2019-11253-yaml-bomb"):
        assert attempt.story_of(infos[rule], "denied") == infos[rule].story
        assert attempt.title_of(infos[rule], "denied") == infos[rule].title
