"""Cut the bundled slice of `kubewake demo` out of a labelled recording of a real API server.

    python bench/make_demo_slice.py RECORDING --since 2026-01-01T00:00:00Z --until 2026-01-01T00:05:00Z --out FILE.jsonl.zst

RECORDING is a folder with `audit.jsonl.zst` and `labels.json`. Events keep their order and content, except that
credentials are replaced: tokens of TokenRequest answers, JSON Web Tokens and private keys anywhere.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import zstandard

REPLACED = "[redacted]"
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,2}")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
ENCODED_PRIVATE_KEY = re.compile(
    r"LS0tLS1CRUdJTi[A-Za-z0-9+/]*(?:UFJJVkFURSBLRVk|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW)[A-Za-z0-9+/=]*"
)
ACCESS_KEY = re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b")
LEAKS = (JWT, PRIVATE_KEY, ENCODED_PRIVATE_KEY, ACCESS_KEY)
LEVEL = 19


def redacted(value: Any) -> Any:
    """The value without credentials."""
    if isinstance(value, str):
        for pattern in LEAKS:
            value = pattern.sub(REPLACED, value)
        return value
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, dict):
        return {
            key: REPLACED if key == "token" and isinstance(item, str) and item else redacted(item)
            for key, item in value.items()
        }
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--since", required=True, help="first stage timestamp, RFC 3339")
    parser.add_argument("--until", required=True, help="first stage timestamp that is left out")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    lines: list[str] = []
    ids: set[str] = set()
    reader = zstandard.ZstdDecompressor().stream_reader((arguments.recording / "audit.jsonl.zst").open("rb"))
    for line in reader.readall().splitlines():
        event = json.loads(line)
        if not arguments.since <= event["stageTimestamp"] < arguments.until:
            continue
        ids.add(event["auditID"])
        lines.append(json.dumps(redacted(event), separators=(",", ":"), ensure_ascii=False))
    content = "\n".join(lines) + "\n"
    for pattern in LEAKS:
        if found := pattern.search(content):
            raise SystemExit(f"a credential is left: {found[0][:30]}…")
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(content.encode())
    arguments.out.write_bytes(packed)
    labels = json.loads((arguments.recording / "labels.json").read_text())
    print(f"{len(lines):,} events, {len(content):,} bytes, {len(packed):,} compressed")
    for campaign in labels["campaigns"]:
        held = len(ids & set(campaign["audit_ids"]))
        if held:
            print(f"  {held:3} of {len(campaign['audit_ids']):3}  {campaign['name']}: {campaign['story']}")


if __name__ == "__main__":
    main()
