"""Time from POST to printed finding, and of the POST itself, at a steady rate of events: `python -m bench.latency`.

A real `kubewake serve` process receives EventLists of a recording (the bundled slice, or --recording FILE) at --rate
events a second, over HTTP on loopback. Every batch also holds one probe: a shell in a pod by a person seen never before.
The latency of a probe runs from the moment its POST begins until its finding stands in the server's standard output.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import zstandard

from kubewake.demo.recording import lines

BATCH_EVENTS = 400
BAR_SECONDS = 2.0
BAR_POST_SECONDS = 0.010
RULE = "pod-exec"


def probe(number: int) -> dict[str, Any]:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "level": "Metadata", "auditID": f"probe-{number}", "stage": "ResponseComplete", "verb": "create",
        "requestURI": "/api/v1/namespaces/shop/pods/web-0/exec?command=sh",
        "user": {"username": f"prober-{number}", "groups": ["system:authenticated"]},
        "sourceIPs": ["10.0.0.7"], "userAgent": "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd",
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0"},
        "responseStatus": {"code": 101}, "requestReceivedTimestamp": stamp, "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }  # fmt: skip


class Printed(threading.Thread):
    """When the finding of each probe was printed."""

    def __init__(self, stream: Any) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.at: dict[str, float] = {}

    def run(self) -> None:
        for line in self._stream:
            now = time.perf_counter()
            item = json.loads(line)
            if item.get("rule") == RULE and item["actor"]["name"].startswith("prober-"):
                self.at.setdefault(item["actor"]["name"], now)


def recording(path: Path | None) -> list[bytes]:
    if path is None:
        return lines()
    data = path.read_bytes()
    return (zstandard.ZstdDecompressor().stream_reader(data).read() if path.suffix == ".zst" else data).splitlines()


CHANGING = re.compile(rb'("auditID":"|"requestReceivedTimestamp":"|"stageTimestamp":")([^"]*)')


def template(event: bytes) -> list[bytes]:
    """The event cut at its audit id and times: even pieces stay, odd ones are keys whose values change."""
    pieces: list[bytes] = []
    position = 0
    for match in CHANGING.finditer(event):
        pieces += [event[position : match.end(1)], match[1]]
        position = match.end()
    return [*pieces, event[position:]]


def fresh(pieces: list[bytes], number: int, stamp: bytes) -> bytes:
    """The event as it would be sent now, under an audit id of its own."""
    values = [b"bench-%d" % number if piece.startswith(b'"audit') else stamp for piece in pieces[1::2]]
    whole = list(pieces)
    whole[1::2] = values
    return b"".join(whole)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered_within(metrics: str, seconds: float) -> float:
    """The share of POSTs, warm-up included, that the server's own histogram has within so many seconds."""
    found = dict(
        re.findall(r"^kubewake_webhook_post_seconds_(count|bucket\{le=\"[^\"]+\"\}) (\S+)$", metrics, re.MULTILINE)
    )
    return float(found[f'bucket{{le="{seconds}"}}']) / float(found["count"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--recording", type=Path, help="JSON Lines, plain or zstd; default: the demo's slice")
    arguments = parser.parse_args()
    events = list(map(template, recording(arguments.recording)))
    with tempfile.TemporaryDirectory(prefix="kubewake-latency-") as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "kubewake", "serve", "--listen", "127.0.0.1:0", "--state-dir", folder,
             "--output", "jsonl", "--print-min-severity", "informational", "--audience", "auditor", "--log-format", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        url = ""
        for line in server.stderr or ():
            if match := re.match(r"kubewake listens on (\S+)", line):
                url = match[1]
            if line.startswith("State is kept"):
                break
        threading.Thread(target=lambda: list(server.stderr or ()), daemon=True).start()
        printed = Printed(server.stdout)
        printed.start()
        posts: list[float] = []
        sent: dict[str, float] = {}
        refused = 0
        warm_up = int(3 * arguments.rate / BATCH_EVENTS)
        batches = warm_up + int(arguments.seconds * arguments.rate / BATCH_EVENTS)
        position = 0
        with httpx.Client() as client:
            begun = time.perf_counter()
            cpu_begun = 0.0
            for number in range(batches):
                if number == warm_up:
                    cpu_begun = cpu_seconds(server.pid)
                due = begun + number * BATCH_EVENTS / arguments.rate
                time.sleep(max(0.0, due - time.perf_counter()))
                stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
                items = []
                for _ in range(BATCH_EVENTS - 1):
                    items.append(fresh(events[position % len(events)], position, stamp))
                    position += 1
                items.append(json.dumps(probe(number)).encode())
                body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[%s]}' % b",".join(
                    items
                )
                start = time.perf_counter()
                answer = client.post(f"{url}/v1/audit/bench?timeout=30s", content=body)
                if answer.status_code != 200:
                    refused += 1
                elif number >= warm_up:
                    posts.append(time.perf_counter() - start)
                    sent[f"prober-{number}"] = start
            elapsed = time.perf_counter() - begun
            cpu = cpu_seconds(server.pid) - cpu_begun
            deadline = time.perf_counter() + 60
            while time.perf_counter() < deadline and not sent.keys() <= printed.at.keys():
                time.sleep(0.05)
            within = answered_within(client.get(f"{url}/metrics").text, BAR_POST_SECONDS)
            memory = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1]) / 1024  # type: ignore[index]
        server.terminate()
        code = server.wait(60)
    missing = [name for name in sent if name not in printed.at]
    latencies = [printed.at[name] - start for name, start in sent.items() if name in printed.at]
    p99 = percentile(latencies, 0.99)
    print(
        f"rate: {batches * BATCH_EVENTS / elapsed:,.0f} events/s asked {arguments.rate:,}; {len(posts)} POSTs of {BATCH_EVENTS}"
    )
    print(
        f"POST to printed finding: median {statistics.median(latencies):.3f} s, p99 {p99:.3f} s, max {max(latencies):.3f} s"
    )
    print(
        f"POST answered: median {statistics.median(posts) * 1000:.1f} ms, p99 {percentile(posts, 0.99) * 1000:.1f} ms"
    )
    print(f"of these, by the server's clock from the last byte: {within:.1%} within {BAR_POST_SECONDS * 1000:.0f} ms")
    print(
        f"engine process: {cpu / arguments.seconds:.2f} CPU seconds a second, {memory:.0f} MiB peak, exit code {code}"
    )
    print(
        f"refused {refused}, probes without a finding {len(missing)}; bars: {BAR_SECONDS} s, {BAR_POST_SECONDS * 1000:.0f} ms"
    )
    return 0 if p99 <= BAR_SECONDS and not missing and not refused and code == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
