"""One actor's flood of made-up programs and names through the whole engine: `python -m tests.fuzz.flood --agents 5000000`.

Every request of the flood names another user agent and another object. It fills the hours before the bundled recording
and goes on in it. It is checked that memory stays under the cap, and that of everybody else the same is found, with the
same scores, as where the actor sent a single request at the beginning. 5 million take about half an hour.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubewake.demo.recording import lines
from kubewake.finding import ResultDocument
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.chunk import Chunk

ACTOR = "mallory"
A_SECOND = 50
CAP_MB = 1_000
CHUNK_LINES = 3_000
STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def request(number: int, moment: datetime) -> bytes:
    stamp = moment.strftime(STAMP)
    name = f"made-up-{number}"
    event = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"flood-{number}",
        "stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/shop/configmaps/{name}", "verb": "get",
        "user": {"username": ACTOR, "groups": ["system:authenticated"]}, "sourceIPs": ["192.0.2.99"],
        "userAgent": f"{name}/1.0", "objectRef": {"resource": "configmaps", "namespace": "shop", "name": name},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": stamp, "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":")).encode()


def stream(agents: int, sent: int) -> Iterator[bytes]:
    """The recording, and of a flood of so many requests that ends with it those that were sent."""
    recorded = [(json.loads(line)["stageTimestamp"], line) for line in lines()]
    end = max(stamp for stamp, _ in recorded)
    begin = datetime.strptime(end, STAMP).replace(tzinfo=UTC) - timedelta(seconds=agents / A_SECOND)
    waiting = iter(sorted(recorded))
    stamp, line = next(waiting)
    for number in range(sent):
        moment = begin + timedelta(seconds=number / A_SECOND)
        while stamp <= moment.strftime(STAMP) and line:
            yield line
            stamp, line = next(waiting, ("~", b""))
        yield request(number, moment)
    while line:
        yield line
        stamp, line = next(waiting, ("~", b""))


def chunks(agents: int, sent: int) -> Iterator[Chunk]:
    held: list[bytes] = []
    number = 1
    for line in stream(agents, sent):
        held.append(line)
        if len(held) >= CHUNK_LINES:
            yield chunk(held, number)
            number += len(held)
            held = []
    if held:
        yield chunk(held, number)


def chunk(held: list[bytes], number: int) -> Chunk:
    data = b"\n".join(held) + b"\n"
    return Chunk(file="flood", first_line=number, length=len(data), data=data, format="native")


def of_others(document: ResultDocument) -> dict[str, Any]:
    """What was found of everybody but the actor: every finding, and every incident with its score."""
    return {
        **{item.id: (item.rule, item.count) for item in document.findings if item.actor.name != ACTOR},
        **{
            item.id: (item.title, item.severity, item.score, sorted(item.audit_ids))
            for item in document.incidents
            if all(entity.name != ACTOR for entity in item.entities)
        },
    }


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(arguments: list[str]) -> int:
    """Read the command line and run; 1 where a bound or the others' result does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=5_000_000)
    options = parser.parse_args(arguments)
    calm = of_others(scan(chunks(options.agents, 1), Knowledge()))
    started = time.monotonic()
    flooded = scan(chunks(options.agents, options.agents), Knowledge())
    found, peak = of_others(flooded), peak_mb()
    different = [key for key in calm.keys() | found.keys() if calm.get(key) != found.get(key)]
    print(
        f"{flooded.input.events:,} events in {time.monotonic() - started:.0f} s, peak {peak:.0f} MB (cap {CAP_MB}); "
        f"of others {len(calm)} findings and incidents, {len(different)} different"
    )
    for key in different[:10]:
        print(f"  {key}: {calm.get(key)} -> {found.get(key)}")
    return 1 if different or peak > CAP_MB else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
