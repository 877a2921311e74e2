"""Lists from files, folders and servers, and databases of who owns an address."""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import maxminddb
import pytest

from kubewake.errors import SettingsError
from kubewake.event import AuditEvent
from kubewake.facts import Facts, Ownership
from kubewake.intelligence import (
    Answer,
    get,
    load_context,
    load_intelligence,
    make_context,
    merge_ownership,
    number_of_asn,
    open_databases,
    parse_list,
)

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
        (b"", True, []),
    ],
)  # fmt: skip
def test_lists_are_read_as_lines_or_json(data: bytes, addresses: bool, entries: list[str]) -> None:
    assert list(parse_list(data, addresses=addresses)) == entries


def test_a_broken_json_list_is_named() -> None:
    with pytest.raises(SettingsError, match="starts as JSON"):
        list(parse_list(b'{"prefixes": ['))


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lists: [a]", "may hold lists"),
        ("list: {}", "may hold lists"),
        ("lists: {tor: missing.txt}", "cannot be read"),
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


@pytest.mark.parametrize("failure", [OSError("timed out"), Answer(500, {}, b"oops")])
def test_the_last_copy_serves_when_a_server_does_not(tmp_path: Path, failure: Answer | OSError) -> None:
    config = tmp_path / "i.yml"
    config.write_text(f"lists: {{malicious-x: '{URL}'}}\nrefresh_seconds: 1\n")
    server = Server(Answer(200, {}, b"198.18.7.7"), failure)
    load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda: 0.0)
    known = load_intelligence(config, cache=tmp_path / "cache", fetch=server, now=lambda: 10.0)
    assert known.names == {"malicious-x": ("198.18.7.7",)}
    assert "out of date" in known.notices[0]


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
    """Serves one list, with an ETag, behind one redirect."""

    def do_GET(self) -> None:
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


def test_what_is_too_large_or_unreachable_is_an_os_error(feed: str) -> None:
    with pytest.raises(OSError, match="max_bytes"):
        get(f"{feed}/list", {}, 4)
    with pytest.raises(OSError):
        get("http://127.0.0.1:1/list", {}, 100)


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_holds_no_list_is_noticed(tmp_path: Path, is_folder: bool) -> None:
    place = tmp_path if is_folder else tmp_path / "lists.yml"
    if not is_folder:
        place.write_text("")
    (notice,) = load_intelligence(place).notices
    assert notice == f"{place} holds no list and no database: nothing is compared with it"
