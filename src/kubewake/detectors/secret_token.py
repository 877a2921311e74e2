"""A long-lived token that was read out of its Secret, and its use elsewhere (link L12)."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.detectors.shared_credential import HANDS_ON
from kubewake.facts.source import scope_of_address
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_SECRETS = 20_000
MAX_READERS = 8
"""Readers remembered per Secret or collection of Secrets, the latest ones."""
MAX_ORIGINS = 32
CREATED = 201
HORIZON_SECONDS = 14 * 86_400
"""Exact credential links are followed this long."""
FIRST_USE_SECONDS = 3600
"""How soon after a reading the very first use of a token is suspicious; what is at home nowhere may settle anywhere."""

STOLEN = RuleInfo(
    id="stolen-secret-token-use",
    title="Token read from a Secret and used elsewhere",
    level="critical",
    description="Somebody reads or lists Secrets, and afterwards the token of a Secret that was among them is used from "
    "an address and with a client that never used it before. The server names the Secret whose token was used. A token "
    "that was never used before is reported where it comes from the reader's address; and, if a person read that Secret "
    "in the hour before and did not make it, also from a public address or with a tool that people type commands into. "
    "High instead of critical where the Secrets were only listed.",
    attack=Attack(["credential-access", "lateral-movement"], ["T1552.007", "T1528", "T1550.001"], ["MS-TA9025"]),
    falsepositives=("A build system that starts to work from a new address soon after a backup read all Secrets.",),
    references=(
        "https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    covers=("stolen-secret-token-use",),
    confidence="high",
    story="{token.reader} read the stored access token {token.secret} (namespace {token.namespace}), and now that token "
    "is used from {source.ip} with {client.family}, where it was never used before. It was stolen, does not expire, and "
    "gives the rights of {actor.name} to whoever has it.",
    remediation=(
        (
            "kubectl -n {token.namespace} delete secret {token.secret}   # makes the token invalid; programs that use it "
            "must get a new one"
        ),
        "kubectl auth can-i --list --as {actor.name}   # what the thief could do",
        "Look at every request of {actor.name} from {source.ip}, and at what else {token.reader} read",
        "Replace long-lived tokens by TokenRequest tokens; take the right to read Secrets from {token.reader}",
    ),
    kind="detector",
    tactic="credential-access",
)


class Reading(Struct, array_like=True):
    """Who read a Secret, and where from."""

    reader: str
    source: str
    listed: bool
    by_hand: bool
    """Whether a person read it who did not make it."""
    evidence: Evidence


class Token(Struct, array_like=True):
    """Where a Secret's token was used from: address and client family, and whether that use is suspicious."""

    origins: dict[str, bool] = {}


class _Saved(Struct):
    readings: list[tuple[str, list[Reading]]]
    tokens: list[tuple[str, Token]]
    makers: list[tuple[str, str]]


@detector(
    STOLEN,
    version=2,
    wants=lambda scene: (
        scene.by_secret or (scene.resource == "secrets" and not scene.subresource and scene.outcome == "allowed")
    ),
)
class SecretToken:
    """Remembers who read Secrets and where each Secret's token is at home."""

    def __init__(self) -> None:
        self._readings: Ledger[str, list[Reading]] = Ledger(MAX_SECRETS)
        self._tokens: Ledger[str, Token] = Ledger(MAX_SECRETS)
        self._makers: Ledger[str, str] = Ledger(MAX_SECRETS)
        """Who made each Secret: tokens that a person makes for a place outside are read once, and then used there."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Note readings of Secrets; report tokens that turn up elsewhere after one."""
        if stub.resource == "secrets" and not stub.subresource and stub.outcome == "allowed":
            self._note(stub)
        return self._judge(stub) if stub.secret_token else ()

    def _note(self, stub: Stub) -> None:
        reader = stub.impersonated or stub.user
        if stub.code == CREATED and not stub.values.get("request.dry_run"):
            self._makers.put(f"{stub.namespace}/{stub.name or stub.values.get('object.name', '')}", reader)
        if stub.verb not in ("get", "list", "watch") or stub.actor_kind in ("node", "control-plane", "cloud"):
            return
        if stub.values.get("actor.in_profile"):
            return
        listed = stub.verb != "get"
        key = f"{stub.namespace or '*'}/{'*' if listed else stub.name}"
        by_hand = stub.actor_kind == "human" and self._makers.get(key) != reader
        reading = Reading(reader, stub.source, listed, by_hand, evidence_of(stub))
        known = [item for item in self._readings.get(key) or [] if item.reader != reading.reader]
        self._readings.put(key, [*known[-(MAX_READERS - 1) :], reading])

    def _judge(self, stub: Stub) -> Iterator[Detection]:
        parts = stub.user.split(":")
        namespace = parts[2] if len(parts) == 4 else ""
        key = f"{namespace}/{stub.secret_token}"
        token = self._tokens.get(key)
        if token is None:
            token = Token({})
            self._tokens.put(key, token)
        origin = f"{stub.source} {stub.client}"
        suspicious = token.origins.get(origin)
        if suspicious is False:
            return
        first = suspicious is None
        reading = self._reading(stub, key, namespace)
        if suspicious is None:
            at_home = any(not bad for bad in token.origins.values())
            suspicious = reading is not None and (
                at_home or reading.source == stub.source or _is_first_use_of_thief(stub, token, reading)
            )
            if len(token.origins) < MAX_ORIGINS:
                token.origins[origin] = suspicious
        if not suspicious or reading is None:
            return
        yield Detection(
            rule=STOLEN.id,
            stub=stub,
            evidence=(reading.evidence,) if first else (),
            values={
                "token.reader": reading.reader,
                "token.secret": stub.secret_token,
                "token.namespace": namespace,
                "token.read_at": reading.evidence.time,
            },
            severity="high" if reading.listed else None,
        )

    def _reading(self, stub: Stub, key: str, namespace: str) -> Reading | None:
        """The reading that explains best how the token got out: of the Secret itself, else of a list with it."""
        now = moment(stub.time)
        for name in (key, f"{namespace}/*", "*/*"):
            readings = [
                item
                for item in self._readings.get(name) or []
                if item.reader != stub.user and 0 <= now - moment(item.evidence.time) <= HORIZON_SECONDS
            ]
            same = [item for item in readings if item.source == stub.source]
            if readings:
                return (same or readings)[-1]
        return None

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._readings.items(), self._tokens.items(), self._makers.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._readings.fill(list(saved.readings))
        self._tokens.fill(list(saved.tokens))
        self._makers.fill(list(saved.makers))


def _is_first_use_of_thief(stub: Stub, token: Token, reading: Reading) -> bool:
    """Whether a token that nobody has used goes, soon after somebody read just it, where programs of the cluster are not."""
    return (
        not token.origins
        and reading.by_hand
        and not reading.listed
        and moment(stub.time) - moment(reading.evidence.time) <= FIRST_USE_SECONDS
        and (scope_of_address(stub.source) == "public" or stub.client in HANDS_ON)
    )
