"""Certificate signing requests: what identity is asked for, and the certificate that was issued."""

import base64
import binascii
import hashlib
from functools import lru_cache

from msgspec import Struct

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field
from kubewake.facts.shapes import dig, elements, optional_text, text, texts, whole

MAX_ENCODED = 1 << 17
"""Characters of an encoded request or certificate that are looked at; real ones have some thousands."""


class Subject(Struct, frozen=True):
    """The identity that a certificate stands for: common name is the username, organisations are groups."""

    common_name: str
    organizations: tuple[str, ...]


def _is_request(facts: Facts) -> bool:
    return facts.resource == "certificatesigningrequests"


def _decoded(encoded: str) -> bytes | None:
    if not encoded or len(encoded) > MAX_ENCODED:
        return None
    try:
        return base64.b64decode(encoded, validate=False)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=512)
def read_subject(encoded: str) -> Subject | None:
    """The subject of a base64-encoded certificate request (PEM or DER); None where it cannot be read."""
    from cryptography import x509  # noqa: PLC0415  # slow to import, and few streams have a request
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    raw = _decoded(encoded)
    if raw is None:
        return None
    try:
        if b"-----BEGIN" in raw:
            request = x509.load_pem_x509_csr(raw)
        else:
            request = x509.load_der_x509_csr(raw)
        subject = request.subject
    except ValueError:
        return None
    names = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return Subject(names[0] if names else "", tuple(groups))


@lru_cache(maxsize=512)
def certificate_digest(encoded: str) -> str | None:
    """SHA-256 of the first certificate of a base64-encoded PEM chain or DER, in hex as credential ids spell it."""
    raw = _decoded(encoded)
    if raw is None:
        return None
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    if begin in raw:
        body = raw.partition(begin)[2].partition(end)[0]
        try:
            raw = base64.b64decode(b"".join(body.split()), validate=True)
        except (binascii.Error, ValueError):
            return None
    return hashlib.sha256(raw).hexdigest() if raw[:1] == b"\x30" else None


def _subject(facts: Facts) -> Subject | None:
    if not _is_request(facts):
        return None
    encoded = text(dig(facts.written, "spec", "request")) or text(dig(facts.response_object, "spec", "request"))
    return read_subject(encoded) if encoded else None


@field("csr.signer", "text", "Who is asked to sign the certificate.", level="Request",
       example="kubernetes.io/kube-apiserver-client")  # fmt: skip
def signer(facts: Facts) -> str | None:
    if not _is_request(facts):
        return None
    return optional_text(dig(facts.written, "spec", "signerName")) or optional_text(
        dig(facts.object, "spec", "signerName")
    )


@field("csr.usages", "list", "What the certificate is meant for.", level="Request", example="[client auth]")
def usages(facts: Facts) -> list[str] | None:
    if not _is_request(facts):
        return None
    return texts(dig(facts.written, "spec", "usages")) or texts(dig(facts.object, "spec", "usages"))


@field("csr.common_name", "text", "Username that the certificate would stand for.", level="Request",
       example="system:admin")  # fmt: skip
def common_name(facts: Facts) -> str | None:
    subject = _subject(facts)
    return subject.common_name if subject is not None else None


@field("csr.organizations", "list", "Groups that the certificate would stand for.", level="Request",
       example="[system:masters]")  # fmt: skip
def organizations(facts: Facts) -> list[str] | None:
    subject = _subject(facts)
    return list(subject.organizations) if subject is not None else None


@field("csr.expiration_seconds", "number", "Lifetime asked for, in seconds.", level="Request", example="86400")
def expiration_seconds(facts: Facts) -> int | None:
    return whole(dig(facts.object, "spec", "expirationSeconds")) if _is_request(facts) else None


def _has_condition(facts: Facts, kind: str) -> bool | None:
    if not _is_request(facts) or facts.written is None:
        return None
    return any(condition.get("type") == kind for condition in elements(dig(facts.written, "status", "conditions")))


@field("csr.approved", "boolean", "Whether the write approves the request.", level="Request", example="true")
def is_approved(facts: Facts) -> bool | None:
    return _has_condition(facts, "Approved")


@field("csr.denied", "boolean", "Whether the write denies the request.", level="Request", example="true")
def is_denied(facts: Facts) -> bool | None:
    return _has_condition(facts, "Denied")


@field("csr.requester", "text", "Who made the certificate request, as the server recorded it.",
       level="RequestResponse", example="alice")  # fmt: skip
def requester(facts: Facts) -> str | None:
    return optional_text(dig(facts.object, "spec", "username")) if _is_request(facts) else None


@field("csr.certificate_sha256", "text", "SHA-256 of the issued certificate, as credential.id spells it after "
       "X509SHA256=.", level="Request", example="18c4c54e6dce71bb8f1df285ad1532f63d2a4573582165da3fb15ea4887fd1cb")  # fmt: skip
def certificate_sha256(facts: Facts) -> str | None:
    if not _is_request(facts):
        return None
    encoded = text(dig(facts.written, "status", "certificate")) or text(dig(facts.object, "status", "certificate"))
    return certificate_digest(encoded) if encoded else None
