import contextlib
import gzip
import http.server
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import httpx
import msgspec
import pytest
import trustme

from kubewake.demo.recording import lines
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource
from kubewake.store.state import State
from tests.e2e.server import Server, exec_event

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture
def start(tmp_path):
    servers = []

    def begin(*flags, client=None):
        servers.append(Server(tmp_path, *flags, client=client))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def test_over_tls_with_tokens_from_post_to_printed_finding(start, tmp_path):
    ca = trustme.CA()
    certificate = ca.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    ca.configure_trust(context)
    (tmp_path / "tokens").write_text("prod prod-token-0123456789\n")
    server = start(
        "--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--token-file",
        str(tmp_path / "tokens"), "--output", "jsonl", "--audience", "pedantic", client=httpx.Client(verify=context),
    )  # fmt: skip
    assert server.url.startswith("https://")
    assert server.post([exec_event(1)]).status_code == 401
    assert server.post([exec_event(1)], cluster="dev", Authorization="Bearer prod-token-0123456789").status_code == 403
    secret = exec_event(
        2,
        requestURI=f"/api/v1/namespaces/shop/pods/web-0/exec?command=curl&command=-H&command=Authorization:%20Bearer%20{JWT}",
    )
    answer = server.post([exec_event(1), secret, 7], Authorization="Bearer prod-token-0123456789")
    assert (answer.status_code, answer.json()) == (200, {"stored": 3})
    server.wait_for(lambda: server.execs() == {"alice": 2})
    server.wait_for(lambda: any('"pod-exec"' in line for line in server.printed))
    [opened] = [line for line in server.lines() if line.get("rule") == "pod-exec"]
    assert (opened["cluster"], opened["locations"][0]["file"]) == ("prod", "webhook:prod#1")
    assert server.client.get(f"{server.url}/readyz").text == "ok\n"
    metrics = server.client.get(f"{server.url}/metrics").text
    for text in (
        'kubewake_events_total{source="webhook",stage="received"} 3.0',
        'kubewake_events_total{source="webhook",stage="judged"} 2.0',
        'kubewake_events_dropped_total{reason="malformed"} 1.0',
        'kubewake_findings_total{rule="pod-exec",severity="medium"} 1.0',
        'kubewake_webhook_posts_total{code="401"} 1.0',
        "kubewake_ingest_lag_seconds 0.0",
        "kubewake_build_info{",
    ):
        assert text in metrics
    assert re.search(r'kubewake_sink_deliveries_total\{outcome="delivered",sink="jsonl"\} [1-9]', metrics)
    assert server.stop() == 0
    everything = server.out.read_text() + "\n".join(server.said + server.printed)
    assert JWT not in everything
    assert "prod-token" not in everything


def test_a_restart_goes_on_and_repeats_alert_once(start):
    server = start("--output", "none")
    server.post([exec_event(1), exec_event(2, "bob")])
    server.wait_for(lambda: server.execs() == {"alice": 1, "bob": 1})
    assert server.stop() == 0
    server = start("--output", "none")
    # A webhook retry of what was judged before the restart, and one more of the same.
    server.post([exec_event(1), exec_event(2, "bob"), exec_event(3)])
    server.wait_for(lambda: server.execs() == {"alice": 2, "bob": 1})
    assert server.stop() == 0
    grown = [line for line in server.lines() if "audit_ids_added" in line and "rule" not in line]
    assert grown[0]["audit_ids_added"] == [exec_event(3)["auditID"]]
    assert server.execs() == {"alice": 2, "bob": 1}


def test_kill_9_loses_and_doubles_nothing(start):
    acknowledged = 0
    number = 0
    for _ in range(4):
        server = start("--output", "none")
        stop = threading.Timer(0.8, server.process.kill)
        stop.start()
        try:
            while True:
                # Batch n: one new person, and one more shell of the person of batch n - 1.
                items = [exec_event(2 * number, f"person-{number}")]
                if number:
                    items.append(exec_event(2 * number + 1, f"person-{number - 1}"))
                if server.post(items).status_code == 200:
                    number += 1
                    acknowledged = number
        except httpx.TransportError:
            pass  # the batch in hand was not acknowledged: sent again by the next round, as an API server does
        server.kill()
    server = start("--output", "none")
    expected = {f"person-{n}": 2 for n in range(acknowledged - 1)} | {f"person-{acknowledged - 1}": 1}
    assert acknowledged > 20
    server.wait_for(lambda: len(server.execs()) >= acknowledged, 90)
    assert server.stop() == 0
    got = server.execs()
    got.pop(f"person-{acknowledged}", None)  # stored, but killed before it could answer
    assert {name: got[name] for name in list(expected)[:-1]} == {name: expected[name] for name in list(expected)[:-1]}
    assert list(got) and set(got) == set(expected)


def test_what_serve_comes_to_is_what_scan_finds(start, tmp_path):
    """Events arrive in small bodies, up to 20 seconds out of order, one body twice, and kill -9 comes in between."""
    rng = random.Random(5)
    events = [msgspec.json.decode(line) for line in lines()[:6_000]]
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    moments = [datetime.fromisoformat(event["stageTimestamp"]).timestamp() + rng.uniform(0, 20) for event in events]
    arriving = [event for _, event in sorted(zip(moments, events, strict=True), key=lambda pair: pair[0])]
    bodies = [arriving[begin : begin + 300] for begin in range(0, len(arriving), 300)]
    server = start("--output", "none")
    for body in bodies[:12]:
        assert server.post(body).status_code == 200
    server.wait_until_judged(3_600)
    server.kill()
    server = start("--output", "none")
    for body in [bodies[5], *bodies[12:]]:
        assert server.post(body).status_code == 200
    assert server.stop() == 0  # which judges what is in the spool

    found = scan(FileSource([str(log)], cluster="prod").chunks(), Knowledge())
    with contextlib.closing(State(tmp_path / "state" / "state.db")) as state:
        told = {
            kind: {item.id: msgspec.json.decode(item.body) for item in state.all_items(kind)}
            for kind in ("finding", "incident")
        }
    incidents = {id_: item for id_, item in told["incident"].items() if not item["title"].startswith("Part of ")}
    assert incidents == {incident.id: msgspec.to_builtins(incident) for incident in found.incidents}
    assert len(incidents) > 3

    def plain(finding: dict) -> dict:
        return {key: value for key, value in finding.items() if key not in {"locations", "incident"}}

    assert {id_: plain(item) for id_, item in told["finding"].items()} == {
        finding.id: plain(msgspec.to_builtins(finding)) for finding in found.findings
    }


def test_followed_files_across_rotation_and_restart(start, tmp_path):
    log = tmp_path / "logs" / "audit.log"
    written = 0

    def write(count):
        nonlocal written
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:
            for _ in range(count):
                file.write(json.dumps({"kind": "Event", "apiVersion": "audit.k8s.io/v1", **exec_event(written)}) + "\n")
                written += 1

    flags = (
        "--listen",
        "",
        "--follow",
        str(log),
        "--cluster",
        "edge",
        "--output",
        "none",
        "--follow-poll-seconds",
        "0.2",
    )
    server = start(*flags)
    write(3)
    server.wait_for(lambda: server.execs() == {"alice": 3})
    write(2)
    log.rename(log.with_name("audit.log.1"))
    write(2)
    server.wait_for(lambda: server.execs() == {"alice": 7})
    assert server.stop() == 0
    write(1)
    log.rename(log.with_name("audit.log.2"))
    log.with_name("audit.log.2.gz").write_bytes(gzip.compress(log.with_name("audit.log.2").read_bytes()))
    log.with_name("audit.log.2").unlink()
    write(1)
    server = start(*flags)
    server.wait_for(lambda: server.execs() == {"alice": 9})
    write(1)
    server.wait_for(lambda: server.execs() == {"alice": 10})
    assert server.stop() == 0
    assert {line["cluster"] for line in server.lines() if "cluster" in line} == {"edge"}


class Inbox(http.server.BaseHTTPRequestHandler):
    bodies: ClassVar[list[dict]] = []

    def do_POST(self):
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_alerts_wait_for_a_target_that_is_down(start):
    inbox = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    port = inbox.server_address[1]
    inbox.server_close()
    flags = (
        "--output",
        "none",
        "--notify",
        f"json://127.0.0.1:{port}",
        "--notify-min-severity",
        "medium",
        "--audience",
        "pedantic",
    )
    server = start(*flags)
    server.post([exec_event(1)])
    server.wait_for(lambda: any("not delivered" in line for line in server.said))
    server.kill()
    inbox = http.server.ThreadingHTTPServer(("127.0.0.1", port), Inbox)
    threading.Thread(target=inbox.serve_forever, daemon=True).start()
    try:
        server = start(*flags)
        server.wait_for(lambda: Inbox.bodies)
        server.post([exec_event(2)])  # a repeat inside the window grows the finding and alerts nobody
        server.wait_for(lambda: server.execs() == {"alice": 2})
        assert server.stop() == 0
    finally:
        inbox.shutdown()
        inbox.server_close()
    titles = [body["title"] for body in Inbox.bodies]
    assert len(titles) == len(set(titles)) > 0
    assert any("alice" in body["message"] for body in Inbox.bodies)


def test_reload_and_wrong_starts(start, tmp_path):
    server = start("--output", "none")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda: any("rules read again" in line for line in server.said))
    server.post([exec_event(1)])
    server.wait_for(lambda: server.execs() == {"alice": 1})
    with pytest.raises(AssertionError, match="in use by another kubewake"):
        Server(tmp_path)
    with pytest.raises(AssertionError, match="is another program using the port"):
        Server(tmp_path / "other", "--listen", server.url.removeprefix("http://"))
    assert server.stop() == 0


def receivers(pid):
    """The processes that receive webhooks for a server: its children of that command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_the_webhook_comes_back_when_its_process_dies_and_ends_with_the_engine(start):
    server = start("--output", "none")
    [child] = receivers(server.process.pid)
    os.kill(child, signal.SIGKILL)

    def posted():
        try:
            return server.post([exec_event(1)]).status_code == 200
        except httpx.TransportError:
            return False

    server.wait_for(posted, 60)
    server.wait_for(lambda: server.execs() == {"alice": 1})
    assert any("starting another" in line for line in server.said)
    [child] = receivers(server.process.pid)
    server.kill()
    for _ in range(200):
        if not Path(f"/proc/{child}").exists():
            break
        threading.Event().wait(0.05)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--listen", "0.0.0.0:9443"], 2, "without TLS"),
        (["--listen", ""], 2, "nothing to do"),
        (["--tls-cert", "none.pem", "--tls-key", "none.pem"], 2, "none.pem: cannot be read"),
        (["--token-file", "none"], 2, "check --token-file"),
        (["--rules", "none"], 12, "none"),
        (["--state-dir", "/proc/none"], 13, "--state-dir"),
        (["--notify", "pigeon://secret"], 2, "Apprise does not understand"),
    ],
)
def test_wrong_starts_say_what_and_where(tmp_path, flags, code, words):
    usual = {"--listen": "127.0.0.1:0", "--state-dir": str(tmp_path)}
    flags = flags + [part for name, value in usual.items() if name not in flags for part in (name, value)]
    command = [sys.executable, "-m", "kubewake", "serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def heeds_signals(pid):
    """Whether the process has a handler for SIGHUP, which `serve` sets last: it has read its arguments."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.search(r"SigCgt:\s*([0-9a-f]+)", status)[1], 16) >> (signal.SIGHUP - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (signal.SIGTERM, 0.0),
        (signal.SIGINT, 0.1),
        (signal.SIGTERM, 0.25),
        (signal.SIGINT, 0.5),
        (signal.SIGTERM, 0.8),
        (signal.SIGINT, 1.1),
        (signal.SIGTERM, 1.5),
    ],
)
def test_it_stops_cleanly_at_any_moment_of_its_start(tmp_path, number, seconds, whole_group):
    """Terminals signal the whole group, service managers the whole unit: the webhook's process starts under fire."""
    command = [sys.executable, "-m", "kubewake", "serve", "--listen", "127.0.0.1:0", "--state-dir", str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    pause = threading.Event()
    while process.poll() is None and not heeds_signals(process.pid):
        pause.wait(0.005)
    pause.wait(seconds)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_second_signal_forces_the_end(start):
    server = start("--output", "none")
    server.process.send_signal(signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)
    server.process.send_signal(signal.SIGCONT)
    assert server.process.wait(30) == 130
    assert server.kill() == 130
    assert any("forced to stop" in line for line in server.said)


def test_senders_that_waited_are_served_at_once(start):
    """After a restart the API servers' connections wait in the socket before the receiver is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = []

    def post(number):
        body = {"kind": "EventList", "items": [exec_event(number)]}
        for _ in range(600):
            try:
                answers.append(httpx.post(f"http://127.0.0.1:{port}/v1/audit/prod", json=body, timeout=60).status_code)
                return
            except httpx.TransportError:
                threading.Event().wait(0.05)

    senders = [threading.Thread(target=post, args=(number,)) for number in range(6)]
    for sender in senders:
        sender.start()
    server = start("--listen", f"127.0.0.1:{port}", "--output", "none")
    for sender in senders:
        sender.join()
    assert answers == [200] * 6
    server.wait_for(lambda: server.execs() == {"alice": 6})
    assert server.stop() == 0


class ListServer(http.server.BaseHTTPRequestHandler):
    """Serves a list while it is well, and otherwise a line now and then, without end."""

    is_well: ClassVar[bool] = True
    asked: ClassVar[int] = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"198.18.7.7\n")
            while not self.is_well:
                time.sleep(0.2)
                self.wfile.write(b"# x\n")

    def log_message(self, *args):
        pass


@pytest.fixture
def lists(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ListServer, "is_well", True)
    monkeypatch.setattr(ListServer, "asked", 0)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ListServer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "lists.yml"
    config.write_text(f"lists: {{malicious: 'http://127.0.0.1:{server.server_address[1]}/'}}\nrefresh_seconds: 1\n")
    yield config
    ListServer.is_well = True
    server.shutdown()
    server.server_close()


def test_nobody_waits_for_a_list_from_a_slow_server(start, lists):
    server = start("--output", "none", "--intelligence", str(lists))
    server.wait_for(lambda: any("rules read again" in line for line in server.said))
    ListServer.is_well = False
    asked = ListServer.asked
    time.sleep(1)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda: ListServer.asked > asked)
    server.post([exec_event(1)])
    server.wait_for(lambda: server.execs() == {"alice": 1}, 10)
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 10
    server = start("--output", "none", "--intelligence", str(lists))  # with the copy, at once
    assert time.monotonic() - begun < 20
    assert server.stop() == 0


def test_it_stops_while_it_waits_for_its_first_list(tmp_path, lists):
    ListServer.is_well = False
    command = [sys.executable, "-m", "kubewake", "serve", "--listen", "127.0.0.1:0", "--state-dir", str(tmp_path)]
    process = subprocess.Popen([*command, "--intelligence", str(lists)], stderr=subprocess.PIPE, text=True)
    while not ListServer.asked and process.poll() is None:
        time.sleep(0.05)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert time.monotonic() - begun < 10
    assert "Traceback" not in said
