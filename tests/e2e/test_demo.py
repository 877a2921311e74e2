import re
import subprocess
import sys
import time

import msgspec
import pytest

from kubewake.demo.recording import BATCH_EVENTS, lines, posts
from kubewake.event import decode_event

SECRETS = re.compile(
    rb"eyJ[A-Za-z0-9_-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY|LS0tLS1CRUdJTiBSU0EgUFJJVkFURS|AKIA[0-9A-Z]{16}"
)


def test_the_recording_is_small_whole_and_without_credentials():
    events = lines()
    assert len(events) > 20_000
    assert not SECRETS.search(b"\n".join(events))
    assert all(decode_event(event).audit_id for event in events[::50])
    batches = list(posts(events))
    assert sum(batch.events for batch in batches) == len(events)
    assert max(batch.events for batch in batches) <= BATCH_EVENTS
    assert [batch.due_seconds for batch in batches] == sorted(batch.due_seconds for batch in batches)
    first = msgspec.json.decode(batches[0].body)
    assert (first["kind"], first["metadata"], len(first["items"])) == ("EventList", {}, batches[0].events)


def test_the_demo_tells_of_attacks_and_ends_with_what_to_try():
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "kubewake", "demo", "--speed", "60"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert len(re.findall(r"^(?:\[|  \+ )(?:HIGH|CRITICAL)\b", text, re.MULTILINE)) >= 10
    assert "24,454 requests received and judged" in text
    assert "What to try next" in text
    assert "Traceback" not in done.stderr
    assert "could not be judged" not in done.stderr
    assert "\x1b" not in text
    assert time.monotonic() - begun < 120


def test_a_wrong_speed_is_a_usage_error():
    done = subprocess.run(
        [sys.executable, "-m", "kubewake", "demo", "--speed", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--speed" in done.stderr


@pytest.mark.parametrize("number", [2, 15])
def test_keep_goes_on_until_told_to_stop(number):
    process = subprocess.Popen(
        [sys.executable, "-m", "kubewake", "demo", "--speed", "600", "--keep"], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if "until Ctrl-C" in line:
                break
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
