"""The HTML report in a real browser: quiet, offline, readable on a phone, without JavaScript and on paper."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from kubewake.reports import Style
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["demo", "hostile"])
def file(request, tmp_path_factory) -> Path:
    document = sample.scanned() if request.param == "demo" else sample.hostile()
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(rendered("html", document, Style(audience="everyone")), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser, file):
    contexts = []

    def visit(width, *, scheme="light", javascript=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript
        )
        contexts.append(context)
        page = context.new_page()
        page.noise, page.requests = [], []
        page.on("console", lambda message: page.noise.append(message.text))
        page.on("pageerror", lambda error: page.noise.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("dialog", lambda dialog: page.noise.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_fits_and_is_quiet(visit, file, width, scheme):
    page = visit(width, scheme=scheme)
    assert page.noise == []
    assert page.requests == [file.as_uri()]
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    too_wide = page.evaluate(
        "w => [...document.querySelectorAll('main *')].filter(e => !e.closest('thead') && !e.closest('svg')"
        " && e.getBoundingClientRect().right > w + 1).map(e => e.outerHTML.slice(0, 120))",
        width,
    )
    assert too_wide == []


def test_headings_and_landmarks_as_a_screen_reader_hears_them(visit):
    page = visit(1440)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("contentinfo").count() <= 1
    for name in ("Summary", "Incidents", "Findings by rule", "What could not be seen", "How to read this page"):
        assert page.get_by_role("region", name=name, exact=True).count() == 1
    for picture in page.locator("svg[role=img]").all():
        assert picture.evaluate("e => e.querySelector('title').textContent.length") > 0


def test_every_incident_leads_back_to_the_list_and_on_to_the_next(visit):
    page = visit(390, javascript=False)
    incidents = page.locator("section.incident")
    if incidents.count() == 1:
        assert page.locator(".back").count() == 0
        return
    for number, incident in enumerate(incidents.all(), 1):
        links = [link.get_attribute("href") for link in incident.locator(".back a").all()]
        assert links == ["#list", f"#incident-{number + 1}"][: 2 if number < incidents.count() else 1]
    targets = {link.get_attribute("href") for link in page.locator("a[href^='#']").all()}
    assert all(page.locator(f"[id='{target[1:]}']").count() == 1 for target in targets)
    last = incidents.last.get_by_role("link", name="Back to the list of incidents")
    last.click()
    assert page.locator("#list").bounding_box()["y"] < 200
    page.emulate_media(media="print")
    assert not last.is_visible()
    assert not page.get_by_role("navigation").is_visible()


def test_reads_without_javascript(visit):
    page = visit(390, javascript=False)
    text = page.locator("main").inner_text()
    for words in ("What happened", "What to do, in this order", "Evidence", "Ten words of Kubernetes"):
        assert words in text


def test_text_stands_out_from_its_ground(visit):
    for scheme in ("light", "dark"):
        poor = visit(1440, scheme=scheme).evaluate(CONTRAST)
        assert poor == []


def test_prints_on_paper(visit):
    page = visit(1440)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert page.pdf(format="Letter").startswith(b"%PDF")


CONTRAST = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return parse(getComputedStyle(document.documentElement).backgroundColor);
  };
  return [...new Set([...document.querySelectorAll('h1,h2,h3,h4,p,li,dt,dd,td,th,span,a:not(.skip),code,time,caption')]
    .filter(e => e.textContent.trim())
    .map(e => {
      const [one, other] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
      return [(one + 0.05) / (other + 0.05), e.tagName + '.' + e.className];
    })
    .filter(([ratio]) => ratio < 4.5)
    .map(([ratio, name]) => name + ' ' + ratio.toFixed(2)))];
}"""
"""WCAG 2.1 contrast ratio of every text against what it stands on; 4.5 is level AA."""
