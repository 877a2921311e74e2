import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from kubewake.finding import InputSummary, ResultDocument, Step
from kubewake.reports import Style, default_audience
from kubewake.reports.telling import command, in_words, sentences, timeline
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

EVERYONE = Style(audience="everyone")
VOID = {"meta", "path", "rect", "circle"}


class Page(HTMLParser):
    """Elements and text of a page; an unclosed or wrongly closed element fails."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.open = []
        self.words = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(
    scope="module", params=[sample.scanned, sample.hostile, ResultDocument], ids=["demo", "hostile", "empty"]
)
def page(request):
    return Page(rendered("html", request.param(), EVERYONE))


def test_asks_for_nothing_outside(page):
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "input"}
        assert not any(name.startswith("on") or name in {"src", "srcset"} for name in attributes)
        if "href" in attributes:
            assert re.fullmatch(r"#[\w-]+", attributes["href"])


def test_has_a_strict_policy(page):
    policies = [attributes for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert [item["http-equiv"] for item in policies] == ["Content-Security-Policy"]
    rules = policies[0]["content"].split("; ")
    assert "default-src 'none'" in rules
    assert "style-src 'unsafe-inline'" in rules
    assert not any("script" in rule for rule in rules)


def test_headings_go_down_one_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_links_arrive(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        if "href" in attributes:
            assert attributes["href"][1:] in ids
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids


def test_tables_have_heads(page):
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == len(tables)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_tells_what_was_found():
    document = sample.scanned()
    page = Page(rendered("html", document, EVERYONE))
    assert f"{len(document.incidents)} incidents" in page.text
    for incident in document.incidents:
        assert incident.title in page.text
        assert incident.id in page.text
        for step in incident.remediation:
            assert " ".join(command(step)[0].split()) in page.text
        for audit_id in incident.audit_ids[:100]:
            assert audit_id in page.text
    for rule in {item.rule for item in document.findings if item.audience == "everyone"}:
        assert f"rule {rule}" in page.text
    assert "prod-eu" in page.text


def test_hostile_text_is_shown_and_nothing_else():
    text = rendered("html", sample.hostile(), EVERYONE)
    page = Page(text)
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "{{7*7}}" in page.text
    assert not any(character in text for character in "\x1b\x00\r\u202e\u2028")
    assert "and the first 100 are listed" not in text
    assert "301 log entries belong to this story; the first 100 are listed" in page.text
    assert "A" * 129 not in text


def test_says_what_could_not_be_seen_and_what_was_suppressed():
    page = Page(rendered("html", sample.hostile(), EVERYONE))
    assert "Unreadable input: 4 pieces" in page.text
    assert "Suppressed by your own filters" in page.text
    assert "filter-" in page.text
    assert "1 request with fields" in page.text
    quiet = ResultDocument(input=InputSummary(events=3))
    assert "Nothing in it looks like an attack" in Page(rendered("html", quiet, EVERYONE)).text


def test_an_input_without_events_is_not_called_harmless():
    text = Page(rendered("html", ResultDocument(), EVERYONE)).text
    assert "Nothing could be judged" in text
    assert "looks like an attack" not in text
    assert "Nothing alarming" not in text


def test_shows_one_audience_and_counts_the_rest():
    assert default_audience("html") == "everyone"
    few, many = (rendered("html", sample.scanned(), Style(audience=audience)) for audience in ("everyone", "auditor"))
    hidden = sum(finding.audience != "everyone" for finding in sample.scanned().findings)
    assert f"{hidden} more, for threat hunters and auditors" in Page(few).text
    assert "more, for threat hunters" not in many
    assert len(many) > len(few)


@pytest.mark.parametrize(
    ("story", "questions"),
    [
        ("A from 10.0.0.1 did b. This matters because c. First, ask d; then: kubectl get e.", 3),
        ("Something else. Entirely.", 1),
    ],
)
def test_a_story_is_three_answers(story, questions):
    found = sentences(story)
    assert len(found) == questions
    if questions == 3:
        assert [text for _, text in found] == ["A from 10.0.0.1 did b.", "C.", "Ask d; then: kubectl get e."]


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ("kubectl get pods  # changes nothing", ("kubectl get pods", "changes nothing")),
        ("kubectl get pods", ("kubectl get pods", "")),
        ("Ask the owner.", ("", "Ask the owner.")),
        ("# withdraw the login  # it stays valid", ("", "Withdraw the login (it stays valid)")),
    ],
)
def test_commands_are_apart_from_what_is_said_of_them(step, parts):
    assert command(step) == parts


def test_times_are_for_people():
    assert in_words("at 2026-11-23T07:13:24.028721Z from x") == "at 23 Nov 2026, 07:13:24 UTC from x"


def test_the_timeline_says_nothing_twice():
    rows = timeline(
        [
            Step("t1", "a did b [Rule one; Rule two]", "1", "the first step known", "Binding x"),
            Step("t2", "a did b [Rule two]", "2", "the same login", "Binding x"),
            Step("t3", "a did c [Rule one; Rule three]", "3", "the same login", "Binding x"),
            Step("t4", "k made d", "4", "made by k", "Binding y", context=True),
            Step("t5", "k made e", "5", "made by k", "Binding y", context=True),
            Step("t6", "a read list [1]", "6", "", "Binding x"),
            Step("t7", "a ran commands (test [ -f x ]; curl -p [redacted]) [Rule four; Rule one]", "7"),
            Step("t8", "a ran commands (curl -p [redacted])", "8"),
        ]
    )
    assert [(row.text, row.times, row.until) for row in rows] == [
        ("a did b", 2, "t2"),
        ("a did c", 1, "t3"),
        ("k made d, and similar", 2, "t5"),
        ("a read list", 1, "t6"),
        ("a ran commands (test [ -f x ]; curl -p [redacted])", 1, "t7"),
        ("a ran commands (curl -p [redacted])", 1, "t8"),
    ]
    assert [row.matches for row in rows] == [["Rule one", "Rule two"], ["Rule three"], [], ["1"], ["Rule four"], []]
    assert [row.allowed_by for row in rows] == ["Binding x", "", "Binding y", "Binding x", "", ""]
