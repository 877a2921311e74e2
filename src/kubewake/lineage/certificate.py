"""L11: a certificate asked for, approved, and used."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import EXACT_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session, identity_entity
from kubewake.lineage.state import State
from kubewake.observation import Stub

NAME_STRENGTH = 0.5
"""The same common name with some certificate: likely the one, but names can be issued twice."""
APPROVAL_STRENGTH = 0.9
NATS = 2.0
PREFIX = "X509SHA256="
NODE = "system:node:"


@link_kind(
    LinkInfo(
        "L11",
        "certificate requested, approved, then used",
        "CSR name; SHA-256 of the issued certificate equals the credential-id; else the common name",
        "RequestResponse",
        1.0,
        EXACT_HORIZON_SECONDS,
    ),
    [("certificatesigningrequests", ""), ("certificatesigningrequests", "approval"),
     ("certificatesigningrequests", "status")],
)  # fmt: skip
class Certificate:
    """Signing requests by name, certificates by hash and by common name. Kubelets renewing their own are routine."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._requests = state.ledger("csr", EXACT_HORIZON_SECONDS, 5_000, depth=4)
        self._certificates = state.ledger("certificate", EXACT_HORIZON_SECONDS, 5_000, depth=4)
        self._names = state.ledger("common-name", EXACT_HORIZON_SECONDS, 5_000, depth=4)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember requests, join approvals to them, and learn the certificate where a body shows it."""
        ref = self._state.refer(stub, session)
        name = ref.name
        values = stub.values
        sha = values.get("csr.certificate_sha256")
        if isinstance(sha, str) and sha:
            key = PREFIX + sha.removeprefix(PREFIX).lower()
            for cause in self._requests.get(name, now):
                self._certificates.put(key, cause)
        if session.machine or not name or stub.verb in {"get", "list", "watch", "delete"}:
            return ()
        if not stub.subresource and stub.verb == "create":
            common_name = values.get("csr.common_name")
            cause = Cause(ref, now, common_name if isinstance(common_name, str) else "")
            self._requests.put(name, cause)
            if cause.subject and cause.subject != session.user:
                self._names.put(cause.subject, cause)
            return ()
        if stub.subresource != "approval":
            return ()
        links = []
        for cause in self._requests.get(name, now):
            if cause.ref.session == session.number:
                continue
            links.append(
                Link(
                    id="L11",
                    cause=cause.ref.session,
                    effect=session.number,
                    strength=APPROVAL_STRENGTH,
                    scope="context",
                    text=f"approved the certificate request {name} of {cause.ref.user}",
                    source=identity_entity(cause.ref.user),
                    target=Entity("credential", f"certificate request {name}"),
                    cause_ref=cause.ref,
                    effect_ref=ref,
                    seconds=now,
                ),
            )
        return links

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """A session whose certificate was issued on someone's request."""
        if not session.user or session.user.startswith(NODE) or session.kind == "serviceaccount":
            return ()
        if session.credential.startswith(PREFIX):
            self.coverage.eligible += 1
        exact = self._certificates.get(session.credential, now) if session.credential else []
        self.coverage.covered += bool(exact)
        causes = exact or self._names.get(session.user, now)
        return [
            Link(
                id="L11",
                cause=cause.ref.session,
                effect=session.number,
                strength=1.0 if exact else NAME_STRENGTH,
                scope="session",
                text=f"logs in as {session.user} with the certificate that {cause.ref.user} had requested",
                source=identity_entity(cause.ref.user),
                target=Entity("credential", session.credential or f"certificate of {session.user}"),
                cause_ref=cause.ref,
                nats=NATS if cause.ref.user != session.user else 0.0,
                tactic="persistence",
                seconds=now,
            )
            for cause in causes
            if cause.ref.session != session.number
        ]
