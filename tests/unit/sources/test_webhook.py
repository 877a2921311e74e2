import gzip
import json
import ssl
import time
from concurrent.futures import Future

import httpx
import pytest
import trustme

from kubewake.errors import KubewakeError, SettingsError, StoreError
from kubewake.sources.binding import bind
from kubewake.sources.listener import Listener
from kubewake.sources.tokens import Tokens, Verdict
from kubewake.sources.webhook import Terms, receiver, split, unpacked

EVENT = {"auditID": "1", "stage": "ResponseComplete", "verb": "get"}
LIST = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [EVENT, EVENT]}


class Room:
    """Stands for the spool."""

    def __init__(self):
        self.bodies = []
        self.answers = []
        self.seconds = []
        self.full = ""
        self.broken = ""
        self.missing = []

    def store(self, cluster, body):
        if self.full:
            raise StoreError(self.full)
        future = Future()
        if self.broken:
            future.set_exception(StoreError(self.broken))
        else:
            self.bodies.append((cluster, body))
            future.set_result(len(self.bodies))
        return future

    def problems(self):
        return self.missing

    def metrics_text(self):
        return b"metrics\n"

    def answered(self, code, seconds, events, reason):
        assert seconds >= 0
        self.seconds.append(seconds)
        self.answers.append((code, events, reason))


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def serve(room):
    listeners = []

    def start(terms=None, **tls):
        listener = Listener(receiver(room, terms or Terms(100_000, 7)), bind("127.0.0.1", 0), **tls)
        listeners.append(listener)
        listener.start()
        return listener

    yield start
    for listener in listeners:
        listener.stop()


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(LIST).encode(),
        json.dumps(LIST, indent=2).replace("\n", "\r\n").encode(),
        json.dumps([EVENT, EVENT]).encode(),
        json.dumps({**LIST, "items": [EVENT, 7]}).encode(),
        json.dumps({**LIST, "items": [{"auditID": ["wrong"], "user": 3}, None]}).encode(),
    ],
    ids=["list", "indented", "array", "number inside", "wrong types"],
)
def test_lists_are_stored_then_answered(serve, room, body):
    answer = httpx.post(f"{serve().url}/v1/audit/prod?timeout=30s", content=body)
    assert (answer.status_code, answer.json()) == (200, {"stored": 2})
    [(cluster, stored)] = room.bodies
    assert cluster == "prod"
    sent = json.loads(body)
    assert [json.loads(line) for line in stored.split(b"\n")] == (sent if isinstance(sent, list) else sent["items"])
    assert b"\r" not in stored
    assert room.answers == [(200, 2, "")]


def test_a_slow_sender_does_not_count_as_a_slow_answer(serve, room):
    body = json.dumps(LIST).encode()

    def slowly():
        yield body[:10]
        time.sleep(0.5)
        yield body[10:]

    assert httpx.post(f"{serve().url}/v1/audit/prod", content=slowly()).status_code == 200
    assert room.seconds[0] < 0.4


def test_gzip_is_unpacked(serve, room):
    body = json.dumps(LIST).encode()
    url = f"{serve().url}/v1/audit/prod"
    answer = httpx.post(url, content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert room.bodies == [("prod", b"\n".join([json.dumps(EVENT).encode()] * 2))]


REFUSED = [
    (b"", {}, 400, "not JSON"),
    (b"hello", {}, 400, "not JSON"),
    (b'{"kind":"EventList","items":[{"a":}]}', {}, 400, "not JSON"),
    (b'{"kind":"Pod"}', {}, 400, "'Pod'"),
    (b'{"kind":"EventList","items":7}', {}, 400, "items of type int"),
    (b'"text"', {}, 400, "another kind of JSON"),
    (b"x" * 100_001, {}, 413, "body_max_bytes"),
    (gzip.compress(b" " * 5_000_000), {"Content-Encoding": "gzip"}, 413, "body_max_bytes"),
    (gzip.compress(b"[]")[:-4], {"Content-Encoding": "gzip"}, 400, "cut short"),
    (b"[]", {"Content-Encoding": "gzip"}, 400, "not gzip"),
    (b"[]", {"Content-Encoding": "br"}, 400, "not supported"),
]


@pytest.mark.parametrize(("body", "headers", "code", "words"), REFUSED, ids=range(len(REFUSED)))
def test_garbage_is_refused_with_a_reason(serve, room, body, headers, code, words):
    answer = httpx.post(f"{serve().url}/v1/audit/prod", content=body, headers=headers)
    assert answer.status_code == code
    assert words in answer.json()["error"]
    assert room.bodies == []
    assert room.answers[0][0] == code
    assert room.answers[0][2]


def test_a_chunked_body_beyond_the_limit_is_refused(serve, room):
    answer = httpx.post(f"{serve().url}/v1/audit/prod", content=(b"x" * 10_000 for _ in range(30)))
    assert answer.status_code == 413
    assert room.bodies == []


def test_deep_nesting_does_not_cost_the_batch(serve, room):
    deep = b'{"auditID":"1","requestObject":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    body = b'{"kind":"EventList","items":[' + deep + b"," + json.dumps(EVENT).encode() + b"]}"
    assert httpx.post(f"{serve().url}/v1/audit/prod", content=body).status_code == 200
    assert room.bodies == [("prod", body)]


@pytest.mark.parametrize(("attribute", "code"), [("full", 429), ("broken", 503)])
def test_never_200_for_what_was_not_stored(serve, room, attribute, code):
    setattr(room, attribute, "no room left")
    answer = httpx.post(f"{serve().url}/v1/audit/prod", json=LIST)
    assert (answer.status_code, answer.headers["retry-after"]) == (code, "7")
    assert "no room left" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("/v1/audit/bad%20name", 400), ("/v1/audit/..%2fetc", 404), ("/v1/audit", 404), ("/v1/audit/dev", 403)],
)
def test_cluster_names_are_judged(serve, path, code):
    listener = serve(Terms(1000, 7, clusters=frozenset({"prod"})))
    assert httpx.post(listener.url + path, json=LIST).status_code == code
    assert httpx.post(f"{listener.url}/v1/audit/prod", json=LIST).status_code == 200


def test_health_readiness_and_metrics(serve, room):
    url = serve().url
    assert httpx.get(f"{url}/healthz").text == "ok\n"
    assert httpx.get(f"{url}/readyz").status_code == 200
    room.missing = ["the spool cannot be written"]
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (503, "the spool cannot be written\n")
    assert httpx.get(f"{url}/metrics").text == "metrics\n"
    assert httpx.get(f"{url}/v1/audit/prod").status_code == 405


def test_bearer_tokens(serve, room, tmp_path):
    path = tmp_path / "tokens"
    path.write_text("# ours\nprod prod-token-0123456789\ndev dev-token-0123456789\n")
    url = serve(Terms(100_000, 7, tokens=Tokens(path))).url
    for token, code in [
        (None, 401),
        ("Bearer wrong-token-0123456789", 401),
        ("Basic prod-token-0123456789", 401),
        ("Bearer dev-token-0123456789", 403),
        ("Bearer prod-token-0123456789", 200),
    ]:
        headers = {"Authorization": token} if token else {}
        answer = httpx.post(f"{url}/v1/audit/prod", json=LIST, headers=headers)
        assert answer.status_code == code, token
        assert (answer.headers.get("www-authenticate") == "Bearer") == (code == 401)
    assert len(room.bodies) == 1
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_tokens_are_read_again_when_exchanged(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("first-token-0123456789\n")
    tokens = Tokens(path)
    assert tokens.check("Bearer first-token-0123456789", "any") is Verdict.ACCEPTED
    path.write_text("second-token-0123456789-longer\n")
    assert tokens.check("Bearer first-token-0123456789", "any") is Verdict.UNKNOWN
    assert tokens.check("Bearer second-token-0123456789-longer", "any") is Verdict.ACCEPTED
    path.unlink()
    assert tokens.check("Bearer second-token-0123456789-longer", "any") is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), ("", "no token"), ("a b c", ":1: expected"), ("short", "can be guessed")],
)
def test_token_files_are_checked(tmp_path, content, words):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=words):
        Tokens(path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    server = ca.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    server.private_key_pem.write_to_path(folder / "key.pem")
    for name, issuer in (("client", ca), ("stranger", other)):
        issuer.issue_cert("apiserver.example").private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder


def client(authority, certificate=None):
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    if certificate:
        context.load_cert_chain(authority / f"{certificate}.pem")
    return httpx.Client(verify=context)


def test_mutual_tls(serve, room, authority):
    tls = {"cert": authority / "cert.pem", "key": authority / "key.pem", "client_ca": authority / "ca.pem"}
    listener = serve(Terms(100_000, 7, needs_certificate=True), **{name: str(path) for name, path in tls.items()})
    url = listener.url
    assert url.startswith("https://")
    with client(authority, "client") as known:
        assert known.post(f"{url}/v1/audit/prod", json=LIST).status_code == 200
    with client(authority) as nobody:
        assert nobody.get(f"{url}/healthz").status_code == 200
        assert nobody.post(f"{url}/v1/audit/prod", json=LIST).status_code == 401
    with client(authority, "stranger") as stranger, pytest.raises(httpx.TransportError):
        stranger.post(f"{url}/v1/audit/prod", json=LIST)
    assert len(room.bodies) == 1
    listener.reload()
    with client(authority, "client") as known:
        assert known.post(f"{url}/v1/audit/prod", json=LIST).status_code == 200


def test_wrong_certificates_and_taken_ports_are_named(room, authority, tmp_path, monkeypatch):
    app = receiver(room, Terms(1000, 7))
    monkeypatch.setattr("kubewake.sources.binding._PATIENCE_SECONDS", 0.1)
    with bind("127.0.0.1", 0) as bound:
        with pytest.raises(SettingsError, match="cannot be read"):
            Listener(app, bound, cert=str(tmp_path / "none.pem"), key=str(tmp_path / "none.pem"))
        with pytest.raises(SettingsError, match="must be PEM"):
            Listener(app, bound, cert=str(authority / "ca.pem"), key=str(authority / "key.pem"))
        with pytest.raises(KubewakeError, match="--listen"):
            bind("127.0.0.1", bound.getsockname()[1])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{}}]}', "an object of kind 'PodList'"),
        (b"{}", "an object without kind"),
        (b'{"items":{}}', "no kind with items of type dict"),
    ],
)
def test_other_lists_are_refused_by_name(body, words):
    with pytest.raises(ValueError, match=words):
        split(body)


def test_splitting_and_unpacking():
    assert split(b'{"items":[{}]}') == [b"{}"]
    assert split(b'{"kind":"EventList","items":null}') == []
    assert split(b'{"kind":"Event","auditID":"1"}') == [b'{"kind":"Event","auditID":"1"}']
    assert split(b"[1, {}]") == [b"1", b"{}"]
    two = gzip.compress(b"[1,") + gzip.compress(b"2]")
    assert unpacked(two, "gzip", 100) == b"[1,2]"
    with pytest.raises(OverflowError):
        unpacked(two, "gzip", 3)
