"""A real `kubewake serve` in a process of its own, and events to send it."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

START = datetime(2026, 1, 1, tzinfo=UTC)
READY_SECONDS = 60


class Server:
    """Starts on a free port with its state in `folder`; `url` is where it listens."""

    def __init__(self, folder: Path, *flags: str, client: httpx.Client | None = None) -> None:
        self.folder = folder
        self.out = folder / "findings.jsonl"
        command = [
            sys.executable, "-m", "kubewake", "serve", "--state-dir", str(folder / "state"), "--out", str(self.out),
            "--log-format", "json", "--snapshot-seconds", "0.7", *flags,
        ]  # fmt: skip
        if "--listen" not in flags:
            command += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.said: list[str] = []
        self.printed: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stderr, self.said), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stdout, self.printed), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.client = client or httpx.Client()
        self.url = ""
        self._wait_until_ready()

    @staticmethod
    def _read(stream, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in list(self.said):
                if line.startswith("State is kept"):
                    return
                if match := re.match(r"kubewake listens on (\S+)", line):
                    self.url = match[1]
            threading.Event().wait(0.05)
        self.kill()
        raise AssertionError("serve did not start:\n" + "\n".join(self.said))

    def post(self, items: list[dict], cluster: str = "prod", **headers: str) -> httpx.Response:
        body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}
        return self.client.post(f"{self.url}/v1/audit/{cluster}?timeout=30s", json=body, headers=headers)

    def lines(self) -> list[dict]:
        text = self.out.read_text() if self.out.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def execs(self) -> dict[str, int]:
        """By person: how many requests the findings of rule pod-exec tell of. Fails if a finding was opened twice."""
        people: dict[str, str] = {}
        counts: dict[str, int] = {}
        for line in self.lines():
            if line["type"] != "finding":
                continue
            if line.get("rule") == "pod-exec":
                assert line["id"] not in people, f"told twice: {line}"
                people[line["id"]] = line["actor"]["name"]
                counts[line["actor"]["name"]] = line["count"]
            elif line["id"] in people:
                counts[people[line["id"]]] = line["count"]
        return counts

    def wait_for(self, condition, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, "\n".join(self.said)
            assert time.monotonic() < deadline, f"waited in vain; it said: {self.said[-10:]}, told {len(self.lines())}"
            threading.Event().wait(0.05)

    def wait_until_judged(self, number: int) -> None:
        """Wait until so many events that were posted to this process are judged."""
        judged = f'kubewake_events_total{{source="webhook",stage="judged"}} {number}.0'
        self.wait_for(lambda: judged in self.client.get(f"{self.url}/metrics").text)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._end(self.process.wait(30))

    def kill(self) -> int:
        self.process.kill()
        return self._end(self.process.wait(30))

    def _end(self, code: int) -> int:
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        self.client.close()
        return code


def exec_event(number: int, user: str = "alice", **values) -> dict:
    """A person opens a shell in a pod; `number` sets its audit id and time."""
    stamp = (START + timedelta(milliseconds=10 * number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "level": "Metadata",
        "auditID": f"00000000-0000-4000-8000-{number:012d}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web-0/exec?command=sh&stdin=true&tty=true",
        "verb": "create",
        "user": {"username": user, "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["10.0.0.7"],
        "userAgent": "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd",
        "objectRef": {
            "resource": "pods",
            "subresource": "exec",
            "namespace": "shop",
            "name": "web-0",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 101},
        "requestReceivedTimestamp": stamp,
        "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        **values,
    }
