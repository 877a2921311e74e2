"""`kubewake demo`: watch real attacks being detected, on this machine, in a minute."""

import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kubewake.errors import ExitCode, SettingsError

if TYPE_CHECKING:
    from kubewake.finding import Incident
    from kubewake.pipeline.serve import Service

_SHOWN_INCIDENTS = 8
_COLUMNS = 80
"""Lines are no longer than this, however wide the terminal is."""
_SETTLE_SECONDS = 30.0


def demo(
    *,
    speed: Annotated[float, Parameter(help="How many times faster than recorded.")] = 12.0,
    keep: Annotated[bool, Parameter(help="Leave the server running until Ctrl-C.", negative=())] = False,
) -> int:
    """Watch real attacks being detected.

    Starts `kubewake serve` on loopback with a throw-away certificate and token, and sends it a few minutes of a real
    cluster's audit log over the webhook, faster than life. What it finds is printed as it happens.
    """
    if speed <= 0:
        raise SettingsError(f"--speed is {speed}, expected a number above 0, as in --speed 12")
    from kubewake import logs

    logs.configure("warning", "auto")
    stopping = threading.Event()
    before = {
        number: signal.signal(number, lambda _n, _f: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with tempfile.TemporaryDirectory(prefix="kubewake-demo-") as folder:
            return _run(Path(folder), speed, keep, stopping)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(folder: Path, speed: float, keep: bool, stopping: threading.Event) -> int:
    import secrets

    from kubewake.demo.certificate import write_certificate
    from kubewake.demo.recording import lines, posts
    from kubewake.demo.replay import replay
    from kubewake.pipeline.serve import Service
    from kubewake.settings import Settings

    token = secrets.token_hex(32)
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    cert, key = write_certificate(folder)
    settings = Settings(
        listen="127.0.0.1:0",
        tls_cert=str(cert),
        tls_key=str(key),
        token_file=str(token_file),
        state_dir=str(folder / "state"),
        print_min_severity="high",
        output="text",
    )
    events = lines()
    batches = list(posts(events))
    minutes = batches[-1].due_seconds / 60
    service = Service(settings)
    service.start()
    assert service.reception is not None
    url = f"{service.reception.url}/v1/audit/demo"
    _say(
        "kubewake demo",
        *_lines(
            f"A server listens on {service.reception.url}. It now receives {minutes:.0f} minutes of a real cluster's "
            f"audit log ({len(events):,} requests), {speed:g} times faster than life, over the same webhook that an API "
            "server uses. Ordinary work and several attacks are in it. What anyone should hear of is printed as it is "
            "found:"
        ),
        "",
    )
    begun = time.monotonic()
    try:
        taken = replay(batches, url, token, cert, speed=speed, stopping=stopping)
        if not stopping.is_set():
            service.settle(_SETTLE_SECONDS)
        _summarise(service, taken, time.monotonic() - begun)
        if keep and not stopping.is_set():
            _say(
                f"The server goes on at {service.reception.url} until Ctrl-C. Send it events of your own:",
                f"  curl --cacert {cert} -H 'Authorization: Bearer {token}' \\",
                f"    --data-binary @eventlist.json {url}",
                f"  curl --cacert {cert} {service.reception.url}/metrics",
                "",
            )
            stopping.wait()
    finally:
        service.stop()
    return ExitCode.CLEAN


def _summarise(service: "Service", taken: int, seconds: float) -> None:
    from kubewake.finding import SEVERITIES

    findings = service.findings()
    incidents = [incident for incident in service.incidents() if incident.state != "closed"]
    loud = {
        finding.id: finding
        for finding in findings
        if finding.audience == "everyone" and finding.suppressed_by is None and finding.severity in {"high", "critical"}
    }
    quiet = [finding for finding in findings if finding.id not in loud]
    counts = {severity: sum(1 for finding in quiet if finding.severity == severity) for severity in SEVERITIES}
    actors = {finding.actor.name for finding in loud.values()}
    _say(
        "",
        "─" * _width(),
        *_lines(f"{taken:,} requests received and judged in {seconds:.0f} seconds."),
        *_lines(
            f"{_many(len(loud), 'finding')} of high or critical severity, about {_many(len(actors), 'identity', 'identities')}."
        ),
        *_lines(
            f"{_many(len(quiet), 'quieter one')} for those who hunt and audit: "
            + (", ".join(f"{counts[name]} {name}" for name in reversed(SEVERITIES) if counts[name]) or "none yet")
            + "."
        ),
        *(
            [f"{service.failed_bodies} batches could not be judged: see standard error."]
            if service.failed_bodies
            else []
        ),
        *_stories(incidents),
        "",
        "What to try next",
        "  kubewake scan /var/log/kubernetes/audit.log   judge the logs that you have",
        "  kubewake serve --follow /var/log/kubernetes/audit.log --notify slack://…",
        "                                  watch a log as it grows, and be alerted",
        "  kubewake connect --help         let an API server send its events",
        "  kubewake rules list             everything that is looked for",
        "",
    )


def _stories(incidents: "list[Incident]") -> list[str]:
    from kubewake.sinks.words import plain

    if not incidents:
        return []
    shown = sorted(incidents, key=lambda incident: -incident.score)[:_SHOWN_INCIDENTS]
    told = [*_lines(f"They tell of {_many(len(incidents), 'incident')}, each the story of one attack. The strongest:")]
    for incident in shown:
        size = _many(len(incident.audit_ids), "request")
        told += _lines(f"  {incident.severity:8} {incident.first_time[11:19]}  {plain(incident.title)} ({size})", 21)
    return told


def _lines(text: str, indent: int = 0) -> list[str]:
    from kubewake.sinks.stdout import wrapped

    return wrapped(text, _width(), " " * indent)


def _width() -> int:
    from kubewake.sinks.stdout import columns

    return min(columns(sys.stdout), _COLUMNS)


def _many(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def _say(*text: str) -> None:
    sys.stdout.write("\n".join(text) + "\n")
    sys.stdout.flush()
