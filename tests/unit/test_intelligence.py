"""Lists from files, folders and servers, and databases of who owns an address."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import maxminddb
import msgspec
import pytest

from kubewake.errors import SettingsError
from kubewake.event import AuditEvent
from kubewake.facts import AddressSet, Facts, Ownership
from kubewake.intelligence import Intelligence, load_context, load_intelligence, make_context
from kubewake.intelligence.fetching import Answer, get
from kubewake.intelligence.lists import parse_list
from kubewake.intelligence.ownership import merge_ownership, number_of_asn, open_databases
from kubewake.pipeline.detection import Knowledge

URL = "https://feeds.example/bad.txt"


class Server:
    """A server that answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Answer | OSError) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    def __call__(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Answer:
        self.asked.append(dict(headers))
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def facts(address: str, context_of: Path | None = None, **lists: list[str]) -> Facts:
    context = load_context(context_of) if context_of is not None else make_context(lists)
    return Facts(AuditEvent(source_ips=(address,), user_agent="evil-tool/1.0"), "", context)


@pytest.mark.parametrize(
    ("data", "addresses", "entries"),
    [
        (b"1.2.3.4\n# note\n\n5.6.0.0/16 ; SBL1\n", True, ["1.2.3.4", "5.6.0.0/16"]),
        (b"\xef\xbb\xbf1.2.3.4,2026-01-01,bot\n", True, ["1.2.3.4"]),
        (b'{"prefixes": [{"ip_prefix": "3.5.0.0/16", "region": "x"}, {"ipv6Prefix": "2600::/32"}], "n": "12"}', True,
         ["3.5.0.0/16", "2600::/32"]),
        (b'["docker.io/bad/*", "worse"]', False, ["docker.io/bad/*", "worse"]),
        (b"bad image # why\nother;kept\n", False, ["bad image", "other;kept"]),
        (b"# feed\nip,first_seen\n1.2.3.4,2026-01-01\n", True, ["1.2.3.4"]),
        (b"", True, []),
    ],
)  # fmt: skip
def test_lists_are_read_as_lines_or_json(data: bytes, addresses: bool, entries: list[str]) -> None:
    assert parse_list(data, "a.txt", addresses=addresses) == entries


def test_a_broken_json_list_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^a\.json: .*starts as JSON"):
        parse_list(b'{"prefixes": [', "a.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1.2.3.4\n\n10.0.0.0/33\n", r"^a\.txt:3: '10\.0\.0\.0/33' .*addresses and CIDRs"),
        (b"1.2.3.4\nip,first_seen\n", r"^a\.txt:2: 'ip' "),
        (b"kubectl\n", r"^a\.txt:1: 'kubectl' "),
        (b'{"error": "come back later"}', r"^a\.txt: no text of this JSON is an address"),
        (b"\n<!DOCTYPE html><html></html>", r"^a\.txt: this is a page"),
        (b"[" * 100_000, r"^a\.txt: .*starts as JSON"),
    ],
)
def test_what_is_no_address_is_told_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_list(data, "a.txt", addresses=True)


@pytest.mark.parametrize(
    ("name", "address", "listed"),
    [
        ("malicious-bots", "198.18.7.7", True),
        ("malicious-bots", "::ffff:198.18.7.7", True),
        ("malicious-bots", "198.19.0.1", False),
        ("tor", "198.18.7.7", True),
        ("torture", "198.18.7.7", False),
    ],
)
def test_address_lists_are_known_by_name(name: str, address: str, listed: bool) -> None:
    found = facts(address, **{name: ["198.18.0.0/16"]}).value("source.lists")
    assert found == ([name] if listed else [])


@pytest.mark.parametrize(
    ("entry", "address", "listed"),
    [
        ("::ffff:198.18.7.7", "198.18.7.7", True),
        ("::ffff:198.18.7.7", "::ffff:198.18.7.7", True),
        ("::ffff:10.0.0.0/104", "10.9.9.9", True),
        ("::ffff:10.0.0.0/104", "11.9.9.9", False),
        ("::/0", "10.9.9.9", False),
        ("::/0", "2600::1", True),
    ],
)
def test_mapped_entries_are_the_addresses_that_they_stand_for(entry: str, address: str, listed: bool) -> None:
    assert (address in AddressSet([entry])) is listed


def test_lists_of_rules_and_of_intelligence_are_one() -> None:
    context = Intelligence(names={"tor": ("198.18.7.7",)}).context({"tor": ["198.18.7.8"], "other": ["x"]})
    assert "198.18.7.7" in context.addresses["tor"]
    assert "198.18.7.8" in context.addresses["tor"]
    assert context.names["other"] == {"x"}


@pytest.mark.parametrize(
    ("entry", "agent", "listed"),
    [
        ("backup/?", "backup/1", True),
        ("backup/?", "backup/12", False),
        ("backup/*", "Backup/1.0 (linux)", True),
        ("backup/*", "my-backup/1", False),
        ("*backup*", "my-backup/1", True),
        ("backup/1.?", "backup/1x2", False),
        (r"what\?", "so what?", True),
        (r"what\?", "whatx", False),
        (r"a\*b*", "a*bc", True),
        (r"a\*b*", "axbc", False),
        ("evil", "my EVIL-tool/2", True),
        (r"c:\tool", r"run c:\tool", True),
    ],
)
def test_user_agents_match_as_a_whole_where_an_entry_has_wildcards(entry: str, agent: str, listed: bool) -> None:
    context = make_context({}, {"red-team": [entry, "never seen"]})
    found = Facts(AuditEvent(user_agent=agent), "", context).value("client.attack_tool")
    assert found == ("red-team" if listed else "")


def test_an_address_list_of_something_else_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"list 'threat-x'.*addresses and CIDRs"):
        make_context({"threat-x": ["kubectl/*"]})


def test_trusted_addresses_are_the_clusters_own() -> None:
    context = make_context({"trusted-nat": ["198.51.100.0/24"], "trusted": ["203.0.113.7"], "tor": ["198.18.0.1"]})
    trusted = context.trusted_sources
    assert trusted is not None
    assert "198.51.100.9" in trusted
    assert "203.0.113.7" in trusted
    assert "198.18.0.1" not in trusted


def test_a_configuration_file_names_lists_and_user_agents(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("198.18.7.7 # seen in March\n")
    (tmp_path / "agents.txt").write_text("evil-tool/*\n")
    config = tmp_path / "intelligence.yml"
    config.write_text("lists: {malicious-ours: bad.txt, allowed_images: [a, b]}\nuser_agents: {red-team: agents.txt}\n")
    found = facts("198.18.7.7", config)
    assert found.value("source.lists") == ["malicious-ours"]
    assert found.value("client.attack_tool") == "red-team"
    assert sorted(found.value("list.configured")) == ["allowed_images", "malicious-ours"]


def test_a_toml_file_and_a_folder_serve_too(tmp_path: Path) -> None:
    (tmp_path / "tor.txt").write_text("198.18.7.7\n")
    (tmp_path / "i.toml").write_text('[lists]\ntor = "tor.txt"\n')
    assert facts("198.18.7.7", tmp_path / "i.toml").value("source.tor") is True
    assert facts("198.18.7.7", tmp_path).value("source.tor") is True
    assert facts("198.18.7.8", tmp_path).value("source.tor") is False


def test_every_file_of_a_folder_is_a_list_or_is_named(tmp_path: Path) -> None:
    (tmp_path / "malicious.txt").write_text("198.18.7.7\n")
    (tmp_path / "malicious.csv").write_text("ip,first_seen\n198.18.7.8,2026-01-01\n")
    (tmp_path / "tor.ipset").write_text("198.18.7.9\n")
    (tmp_path / "threat-x").write_text("198.18.7.10\n")
    (tmp_path / "notes.md").write_text("nothing")
    (tmp_path / "..data").mkdir()  # as a mounted ConfigMap has
    known = load_intelligence(tmp_path)
    assert {name: set(entries) for name, entries in known.names.items()} == {
        "malicious": {"198.18.7.7", "198.18.7.8"},
        "tor": {"198.18.7.9"},
        "threat-x": {"198.18.7.10"},
    }
    ((title, text),) = known.notices
    assert title == "A file is not taken for a list"
    assert f"{tmp_path / 'notes.md'} is not read: lists are files that end in .csv, .ipset, .json" in text


def test_a_list_that_nothing_uses_is_noticed_with_the_name_that_was_meant(tmp_path: Path) -> None:
    lists = {"malicous": ["198.18.7.7"], "tor_exits": ["198.18.7.7"], "mine": ["x"], "other": ["y"]}
    used = {"tor-a": ["198.18.7.7"], "malicious_images": ["x"], "allowed_nodes": ["x"], "in_filter": ["x"]}
    (tmp_path / "i.json").write_bytes(msgspec.json.encode({"lists": lists | used}))
    source = "logsource: {product: kubernetes, service: audit}"
    (tmp_path / "f.yml").write_text(
        f"title: F\nname: f\n{source}\nfilter:\n  rules: any\n  known: {{user.username|cased|expand: '%in_filter%'}}\n"
        "  condition: not known\n---\nname: mine\nvalues: []\n"
    )
    rules, _ = Knowledge(rule_paths=(tmp_path / "f.yml",), intelligence=tmp_path / "i.json").load()
    assert [notice.partition(" of ")[0] for notice in rules.notices] == [
        "no rule uses the list 'malicous'",
        "no rule uses the list 'other'",
        "no rule uses the list 'tor_exits'",
    ]
    assert "(did you mean 'malicious'?)" in rules.notices[0]
    assert "(did you mean 'tor-exits'?)" in rules.notices[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lists: [a]", "may hold lists"),
        ("list: {}", "may hold lists"),
        ("lists: {tor: missing.txt}", "cannot be read"),
        ("lists: {tor: [1.2.3.4/40]}", r"list 'tor': .*i\.yml: '1\.2\.3\.4/40' .*addresses and CIDRs"),
        ("lists: {tor: big.txt}\nmax_bytes: 4", "larger than max_bytes"),
        ("databases: [big.txt]", "MaxMind"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "big.txt").write_text("198.18.7.7\n")
    (tmp_path / "i.yml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_intelligence(tmp_path / "i.yml")


def test_a_server_is_asked_once_in_a_while_and_with_its_etag(tmp_path: Path) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\nrefresh_seconds: 100\n")
    server = Server(Answer(200, {"etag": '"v1"', "last-modified": "Mon"}, b"198.18.7.7"), Answer(304, {}, b""))
    for now in (1000.0, 1050.0, 1200.0, 1250.0):
        known = load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda now=now: now)
        assert known.names == {"malicious-x": ("198.18.7.7",)}
        assert known.notices == ()
    assert len(server.asked) == 2
    assert "if-none-match" not in server.asked[0]
    assert server.asked[1]["if-none-match"] == '"v1"'
    assert server.asked[1]["if-modified-since"] == "Mon"


PAGE = b"<html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    "failure",
    [
        OSError("timed out"),
        Answer(500, {}, b"oops"),
        Answer(200, {"content-type": "text/html; charset=utf-8"}, b"198.18.7.9"),
        Answer(200, {}, PAGE),
        Answer(200, {}, b" \n"),
        Answer(200, {}, b"no such list"),
    ],
)
def test_the_last_copy_serves_when_a_server_does_not(tmp_path: Path, failure: Answer | OSError) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\nrefresh_seconds: 1\n")
    server = Server(Answer(200, {}, b"198.18.7.7"), failure)
    load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda: 0.0)
    known = load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda: 10.0)
    assert known.names == {"malicious-x": ("198.18.7.7",)}
    ((title, text),) = known.notices
    assert title == "A list is out of date"
    assert f"list 'malicious-x' is out of date: {URL} cannot be fetched" in text


def test_a_server_that_fails_is_asked_again_after_minutes_and_then_forgiven(tmp_path: Path) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\nrefresh_seconds: 1\n")
    server = Server(
        Answer(200, {}, b"198.18.7.7"), OSError("down"), Answer(502, {}, b""), Answer(200, {}, b"198.18.7.8")
    )
    seen = []
    for now in (1000.0, 1010.0, 1100.0, 1309.0, 1310.0, 1320.0, 1610.0, 1610.5):
        known = load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda now=now: now)
        seen.append((len(server.asked), len(known.notices), known.names["malicious-x"]))
    old, new = ("198.18.7.7",), ("198.18.7.8",)
    assert seen == [
        (1, 0, old), (2, 1, old), (2, 1, old), (2, 1, old), (3, 1, old), (3, 1, old), (4, 0, new), (4, 0, new),
    ]  # fmt: skip


def test_copies_serve_first_where_nobody_may_wait(tmp_path: Path) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\nrefresh_seconds: 1\n")
    server = Server(Answer(200, {}, b"198.18.7.7"))
    for now in (0.0, 9000.0):
        known = load_intelligence(
            config, cache=tmp_path / "cache", fetch=server, now=lambda now=now: now, copies_first=True
        )
        assert known.names == {"malicious-x": ("198.18.7.7",)}
    assert known.notices == ()


@pytest.mark.parametrize("name", ["malicious-x", "allowed_images"])
def test_a_copy_that_is_no_list_is_none(tmp_path: Path, name: str) -> None:
    """As earlier versions kept whatever came."""
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{{name}: '{URL}'}}\n")
    load_intelligence(config, cache=tmp_path / "c", fetch=Server(Answer(200, {}, b"198.18.7.7")), now=lambda: 0.0)
    (body,) = (tmp_path / "c").glob("*.body")
    body.write_bytes(PAGE)
    server = Server(Answer(200, {}, b"198.18.7.8"))
    known = load_intelligence(config, cache=tmp_path / "c", fetch=server, now=lambda: 1.0)
    assert known.names == {name: ("198.18.7.8",)}
    with pytest.raises(SettingsError, match=rf"list '{name}': {URL} cannot be fetched .*page.* no earlier copy"):
        load_intelligence(config, cache=tmp_path / "d", fetch=Server(Answer(200, {}, PAGE)), now=lambda: 1.0)


def test_a_list_that_was_never_fetched_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\n")
    with pytest.raises(SettingsError, match="no earlier copy"):
        load_intelligence(config, cache=tmp_path / "c", fetch=Server(OSError("no route")), now=lambda: 0.0)


@pytest.mark.parametrize(
    ("records", "owner"),
    [
        ([{"autonomous_system_number": 64496, "autonomous_system_organization": "Example"}],
         Ownership(64496, "Example", None)),
        ([{"asn": 64496}, {"country": {"iso_code": "NL"}}], Ownership(64496, None, "NL")),
        ([{"asn": "AS64497", "as_name": "X", "country_code": "DE"}], Ownership(64497, "X", "DE")),
        ([{"asn": "AS64497", "name": "X", "country": "DE"}], Ownership(64497, "X", "DE")),
        ([{"registered_country": {"iso_code": "BR"}}], Ownership(None, None, "BR")),
    ],
)  # fmt: skip
def test_owners_are_read_from_several_layouts(records: list[dict[str, object]], owner: Ownership) -> None:
    assert merge_ownership(records) == owner


@pytest.mark.parametrize(("value", "number"), [(7, 7), ("AS7", 7), ("7", 7), ("AS", None), (None, None), ("x7", None)])
def test_as_numbers(value: object, number: int | None) -> None:
    assert number_of_asn(value) == number


def test_databases_answer_by_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        def get(self, address: str) -> object:
            if ":" in address:
                raise ValueError("IPv4 only")
            return {"asn": 64496, "country": {"iso_code": "NL"}} if address == "198.18.7.7" else None

    monkeypatch.setattr(maxminddb, "open_database", lambda path: Reader())
    owner_of = open_databases([tmp_path / "a.mmdb"])
    assert owner_of("198.18.7.7") == Ownership(64496, None, "NL")
    assert owner_of("198.18.7.8") is None
    assert owner_of("2600::1") is None


class Feed(BaseHTTPRequestHandler):
    """Serves one list, with an ETag, behind one redirect; and others of which a little comes at a time."""

    def drip(self, piece: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(piece)
                time.sleep(0.05)

    def do_GET(self) -> None:
        if self.path == "/slow-head":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nx-long: ")
            self.drip(b"x")
            return
        if self.path == "/slow-body":
            self.send_response(200)
            self.end_headers()
            self.drip(b"198.18.7.7\n")
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/list")
            self.end_headers()
            return
        if self.headers.get("if-none-match") == '"v1"':
            self.send_response(304)
            self.end_headers()
            return
        body = b"198.18.7.7\n"
        self.send_response(200)
        self.send_header("etag", '"v1"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """Say nothing."""


@pytest.fixture
def feed() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Feed)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_lists_come_over_http(feed: str) -> None:
    answer = get(f"{feed}/moved", {}, 100)
    assert (answer.status, answer.headers["etag"], answer.body) == (200, '"v1"', b"198.18.7.7\n")
    assert get(f"{feed}/list", {"if-none-match": '"v1"'}, 100).status == 304


@pytest.mark.parametrize("path", ["slow-head", "slow-body"])
def test_an_answer_that_comes_a_little_at_a_time_is_given_up(
    feed: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubewake.intelligence.fetching.DEADLINE_SECONDS", 0.6)
    begun = time.monotonic()
    with pytest.raises(OSError, match="longer than"):
        get(f"{feed}/{path}", {}, 10**6)
    assert time.monotonic() - begun < 5
    assert "fetch" not in [thread.name for thread in threading.enumerate()]


def test_what_is_too_large_or_unreachable_is_an_os_error(feed: str) -> None:
    with pytest.raises(OSError, match="max_bytes"):
        get(f"{feed}/list", {}, 4)
    with pytest.raises(OSError):
        get("http://127.0.0.1:1/list", {}, 100)
    with pytest.raises(OSError):
        get("http://127.0.0.1:port/list", {}, 100)


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_holds_no_list_is_noticed(tmp_path: Path, is_folder: bool) -> None:
    place = tmp_path if is_folder else tmp_path / "lists.yml"
    if not is_folder:
        place.write_text("")
    ((_, notice),) = load_intelligence(place).notices
    assert notice == f"{place} holds no list and no database: nothing is compared with it"
