"""Nothing that authenticates anyone leaves the program."""

import base64
import json
import string
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kubewake.redact import REDACTED, redact, redact_value

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIiwic3ViIjoieCJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

HIDDEN = [
    (f"curl -H 'Authorization: Bearer {JWT}' https://kubernetes.default.svc", JWT),
    (f"token {JWT[:60]}", JWT[:60]),
    (f"echo {base64.b64encode(JWT.encode()).decode()}", "ZXlK"),
    ("authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    ("Authorization=Bearer+abcdef0123456789", "abcdef0123456789"),
    ("command=curl&command=-H&command=Authorization%3A%20Bearer%20abcdef0123456789", "abcdef0123456789"),
    ("bearer abcdef0123456789", "abcdef0123456789"),
    ("mysql -uroot -phunter2 shop", "hunter2"),
    ("mysql -u root --password=hunter2 shop", "hunter2"),
    ("mysql -u root --password hunter2 shop", "hunter2"),
    ("command=mysql&command=--password&command=hunter2&stdin=true", "hunter2"),
    ("PGPASSWORD=hunter2 psql", "hunter2"),
    ("DB_PASSWORD='hunter 2'", "hunter 2"),
    ('"password":"hunter2"', "hunter2"),
    ('{"clientPassword": "hunter2"}', "hunter2"),
    ('{\\"password\\":\\"hunter2\\"}', "hunter2"),
    ("password: hunter2", "hunter2"),
    ("redis-cli -h db -a hunter2 keys", "hunter2"),
    ("curl -u admin:hunter2 http://x", "hunter2"),
    ("docker login -u ann -p hunter2 registry.example", "hunter2"),
    ("helm registry login registry.example -u ann -p=hunter2", "hunter2"),
    ("echo hunter2 | sudo -S id", "hunter2"),
    ("echo -n 'hunter 2' | sudo -kS id", "hunter 2"),
    ("ldapsearch -x -D cn=admin -w hunter2 -b dc=x", "hunter2"),
    ("smbclient //host/share -U ann%hunter2", "hunter2"),
    ("sqlplus system/hunter2@db", "hunter2"),
    ("unzip -P hunter2 a.zip", "hunter2"),
    ("7z x -phunter2 a.7z", "hunter2"),
    ("mc alias set m https://minio ACCESS hunter2", "hunter2"),
    ("openssl rsa -in a.pem -passin pass:hunter2", "hunter2"),
    ("curl -H 'Cookie: session=hunter2; other=x' https://x", "hunter2"),
    ("rclone copy a b --sftp-pass hunter2", "hunter2"),
    ("curl --user admin:hunter2 http://x", "hunter2"),
    ("postgres://app:hunter2@db:5432/shop", "hunter2"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("aws configure set aws_access_key_id ASIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnop"),
    ("glpat-abcdefghij0123456789", "abcdefghij"),
    ("xoxb-123456789-abcdef", "123456789-abcdef"),
    ("hvs.CAESIJabcdefghijklmnop", "CAESIJ"),
    ("sha256~abcdefghijklmnopqrstuvwxyz", "abcdefghij"),
    ("kubeadm join --token abcdef.0123456789abcdef", "0123456789abcdef"),
    ("join abcdef.0123456789abcdef now", "0123456789abcdef"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEow", "MIIEow"),
    ("client-key-data: TUlJRW93SUJBQUtDQVFF", "TUlJRW93"),
    ("X-Vault-Token: abc123", "abc123"),
    ("?access_token=abc123&x=1", "abc123"),
    ("token%3Dabc123", "abc123"),
    ('{"kind":"Secret","data":{"a":"aHVudGVyMg=="}}', "aHVudGVyMg"),
    ('{"kind":"Secret","stringData":{"a":"hunter {2}"}}', "hunter {2}"),
    ('"{\\"kind\\":\\"Secret\\",\\"data\\":{\\"a\\":\\"aHVudGVyMg==\\"}}"', "aHVudGVyMg"),
    ('{"name":"DB_PASSWORD","value":"hunter2"}', "hunter2"),
]

KEPT = [
    "alice read the secret db-password in namespace shop",
    "/api/v1/namespaces/shop/secrets?limit=500&resourceVersion=0",
    "/api/v1/namespaces/shop/serviceaccounts/web/token",
    "system:serviceaccount:kube-system:token-cleaner",
    "kubectl -n shop get secret db -o yaml",
    "authorization.k8s.io/decision",
    'RBAC: allowed by ClusterRoleBinding "view" of ClusterRole "view" to User "ann"',
    "JTI=5a1f0c5e-3a55-4a3e-8f0e-1a2b3c4d5e6f",
    "X509SHA256=18c4c54e6dce71bb8f1df285ad1532f63d2a4573582165da3fb15ea4887fd1cb",
    "registry.example/shop/web@sha256:18c4c54e6dce71bb8f1df285ad1532f63d2a4573582165da3fb15ea4887fd1cb",
    "checkout-api-8c4cb89f7-p6wg9.187d3a5be1f0a9c2",
    "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
    "https://kubernetes.default.svc:443/api",
    "docker login registry.example",
    "echo hello | sudo tee /etc/motd",
    "unzip a.zip -d /tmp",
    "kubectl get pods --show-labels",
]


@pytest.mark.parametrize(("text", "secret"), HIDDEN)
def test_hides(text, secret):
    assert secret in text
    hidden = redact(text)
    assert secret not in hidden
    assert REDACTED in hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize("text", KEPT)
def test_keeps_what_is_no_credential(text):
    assert redact(text) == text


def test_secret_objects_keep_their_keys_only():
    body = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "hunter2"}}
    assert redact_value(body) == {
        "kind": "Secret",
        "metadata": {"name": "db"},
        "data": {"a": REDACTED},
        "stringData": {"b": REDACTED},
    }


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"a": "aHVudGVy"}},
        {"kind": "Secret", "metadata": {"annotations": {"k": "v"}}, "data": {"a": "aHVudGVy"}},
        {"kind": "SecretList", "items": [{"metadata": {"name": "x"}, "data": {"a": "aHVudGVy"}}]},
        [{"op": "replace", "path": "/data/a", "value": "aHVudGVy"}],
        [{"op": "replace", "path": "", "value": {"data": {"a": "aHVudGVy"}}}],
        {"data": "aHVudGVy"},
    ],
)
def test_events_about_secrets(body):
    native = {"objectRef": {"resource": "secrets", "name": "db"}, "verb": "patch", "requestObject": body}
    google = {"protoPayload": {"methodName": "io.k8s.core.v1.secrets.patch", "request": body}}
    for event in (native, google):
        hidden = redact_value(event)
        assert "aHVudGVy" not in json.dumps(hidden)
        assert REDACTED in json.dumps(hidden)
    kept = redact_value({"objectRef": {"resource": "configmaps"}, "requestObject": {"data": {"a": "b"}}})
    assert kept["requestObject"] == {"data": {"a": "b"}}


def test_lists_of_secrets():
    body = {"kind": "SecretList", "items": [{"metadata": {"name": "x"}, "data": {"a": "aHVudGVy"}}]}
    assert redact_value(body)["items"] == [{"metadata": {"name": "x"}, "data": {"a": REDACTED}}]


def test_token_answers_environment_and_arguments():
    body = {
        "status": {"token": JWT, "expirationTimestamp": "2026-11-23T06:38:08Z"},
        "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LOG_LEVEL", "value": "info"}],
        "argv": ("psql", "--password", "hunter2", "-l"),
        "raw": b"hunter2",
        "count": 3,
        "secret_token": "builder-token",
    }
    assert redact_value(body) == {
        "status": {"token": REDACTED, "expirationTimestamp": "2026-11-23T06:38:08Z"},
        "env": [{"name": "DB_PASSWORD", "value": REDACTED}, {"name": "LOG_LEVEL", "value": "info"}],
        "argv": ["psql", "--password", REDACTED, "-l"],
        "raw": REDACTED,
        "count": 3,
        "secret_token": "builder-token",
    }


def test_depth_is_bounded():
    value: object = "password=hunter2"
    for _ in range(5000):
        value = [value]
    shallow = redact_value(value)
    assert "hunter2" not in json.dumps(shallow)


_base64url = st.text(string.ascii_letters + string.digits + "-_", min_size=20, max_size=80)
_noise = st.text(string.ascii_letters + string.digits + " /.,:;=&?'\"-_{}[]\n", max_size=40)


@settings(max_examples=300, deadline=None)
@given(_noise, _base64url, _base64url, _noise)
def test_no_web_token_passes(before, payload, signature, after):
    assume(signature not in before + after)
    claims = base64.urlsafe_b64encode(json.dumps({"iss": payload}).encode()).decode().rstrip("=")
    token = f"eyJhbGciOiJSUzI1NiJ9.{claims}.{signature}"
    hidden = redact(f"{before} {token} {after}")
    assert claims not in hidden
    assert signature not in hidden
    assert redact_value({"x": [f"{before} {token}"]})["x"][0].find(claims) == -1


_password = st.text(string.ascii_letters + string.digits + "!#$%*+./<>?@^_|~", min_size=6, max_size=40)
_carriers = st.sampled_from(
    ["--password={}", "--token={}", "PASSWORD={}", "MYSQL_PWD={}", "api_key={}", "API-KEY: {}", "password: {}",
     '"password":"{}"', '"accessToken": "{}"', "secret={}", "x --password {}", "client_secret={}", "--secret-key {}"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(_carriers, _password, st.text(string.ascii_lowercase + " ", max_size=30))
def test_no_assigned_password_passes(carrier, password, before):
    assume(password not in before + carrier + REDACTED)
    hidden = redact(f"{before} {carrier.format(password)}")
    assert password not in hidden
    assert redact(hidden) == hidden


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_stable(text):
    hidden = redact(text)
    assert redact(hidden) == hidden


@given(st.text("0123456789abcdef,-"))
def test_nothing_known_as_a_credential_is_made_of_hexadecimal_digits_only(text):
    """So ids need not be looked through."""
    assert redact(f"{text} ") == f"{text} "
    assert redact_value([text, "--password", "x"]) == [text, "--password", "[redacted]"]
    assert redact_value([text, text]) == [text, text]


def test_long_texts_take_linear_time():
    for piece in ("token", "password=", "a.", "eyJ", '"', '\\"', "-p ", "mysql -", "://a:", '{"Secret data', "auth"):
        started = time.process_time()
        redact(piece * (400_000 // len(piece)))
        assert time.process_time() - started < 5, piece
