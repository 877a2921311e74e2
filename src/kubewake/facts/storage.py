"""Where volumes come from: storage classes, persistent volumes, claims."""

import re
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import urlsplit

from kubewake.facts.context import parse_address
from kubewake.facts.facts import Facts
from kubewake.facts.registry import field
from kubewake.facts.shapes import dig, elements, mapping, optional_text, pairs, text, texts, unique
from kubewake.facts.template import template_of

_HOST_KEYS = frozenset(
    {"resturl", "registry", "quobyteapiserver", "gateway", "server", "monitors", "targetportal", "address",
     "host", "url", "endpoint"}
)  # fmt: skip
"""Parameters of volume plugins that name a host which the control plane then calls (CVE-2020-8555)."""
_HOST = re.compile(r"^(?:\[([0-9a-fA-F:.]+)\](?::\d+)?|([A-Za-z0-9.-]+)(?::\d+)?|([0-9a-fA-F]*:[0-9a-fA-F:.]+))$")


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,12}")


def _written(facts: Facts, *resources: str) -> dict[str, Any] | None:
    return facts.written if facts.resource in resources and facts.is_write else None


@field("storage.provisioner", "text", "Provisioner of the storage class that is written.", level="Request",
       example="ebs.csi.aws.com")  # fmt: skip
def provisioner(facts: Facts) -> str | None:
    return optional_text(mapping(_written(facts, "storageclasses")).get("provisioner"))


@field("storage.parameters", "mapping", "Parameters of the storage class that is written.", level="Request",
       example="{type: gp3}")  # fmt: skip
def parameters(facts: Facts) -> dict[str, str] | None:
    written = _written(facts, "storageclasses")
    return None if written is None else pairs(written.get("parameters"))


@field("storage.host_path", "text", "Path of the node that a persistent volume stands for.", level="Request",
       example="/data")  # fmt: skip
def host_path(facts: Facts) -> str | None:
    return optional_text(dig(_written(facts, "persistentvolumes"), "spec", "hostPath", "path"))


@field("storage.local_path", "text", "Path of a local volume.", level="Request", example="/mnt/disks/ssd1")
def local_path(facts: Facts) -> str | None:
    return optional_text(dig(_written(facts, "persistentvolumes"), "spec", "local", "path"))


def _host(value: str) -> str:
    if "://" in value:
        try:
            return _plain(urlsplit(value).hostname or "")
        except ValueError:
            return ""
    match = _HOST.match(value.strip())
    return _plain(next(filter(None, match.groups()), "")) if match is not None else ""


def _plain(host: str) -> str:
    """A host; an IPv4 address in any form that resolvers read (2130706433, 0x7f.1, ::ffff:127.0.0.1) as four numbers."""
    if ":" in host:
        address = parse_address(host)
        return str(address) if isinstance(address, IPv4Address) else host
    parts = host.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return host
    try:
        *bytes_, rest = [int(part, 16 if part[1:2] in ("x", "X") else 8 if part[0] == "0" else 10) for part in parts]
        return str(IPv4Address(bytes(bytes_) + rest.to_bytes(5 - len(parts), "big")))
    except (ValueError, OverflowError):
        return host


@field("storage.hosts", "list", "Hosts that volume parameters make the control plane or a node call.",
       level="Request", example="[169.254.169.254]")  # fmt: skip
def hosts(facts: Facts) -> list[str] | None:
    if facts.resource == "storageclasses":
        sources: list[dict[str, Any]] = [mapping(parameters(facts))]
    elif facts.resource == "persistentvolumes":
        spec = mapping(mapping(_written(facts, "persistentvolumes")).get("spec"))
        sources = [source for source in spec.values() if isinstance(source, dict)]
    elif (template := template_of(facts)) is not None:
        sources = [
            source
            for volume in elements(dig(template, "spec", "volumes"))
            for source in volume.values()
            if isinstance(source, dict)
        ]
    else:
        return None
    return unique(
        [
            found
            for source in sources
            for key, value in source.items()
            if key.lower() in _HOST_KEYS
            for entry in texts(value)
            for piece in entry.split(",")
            if (found := _host(piece))
        ]
    )


@field("storage.claims", "list", "Persistent volume claims that are mounted, or that a persistent volume is kept "
       "for (namespace/name).", level="Request", example="[data-web-0]")  # fmt: skip
def claims(facts: Facts) -> list[str] | None:
    template = template_of(facts)
    if template is not None:
        volumes = elements(dig(template, "spec", "volumes"))
        return unique(texts([dig(volume, "persistentVolumeClaim", "claimName") for volume in volumes]))
    written = _written(facts, "persistentvolumes")
    if written is None:
        return None
    claim = mapping(dig(written, "spec", "claimRef"))
    return [f"{text(claim.get('namespace'))}/{text(claim.get('name'))}"] if claim else []
