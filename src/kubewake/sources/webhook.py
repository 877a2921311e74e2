"""The receiver of API servers' audit webhooks: `POST /v1/audit/{cluster}`, answered 200 only for what is stored.

An API server retries on errors and drops a batch when its retries run out; a slow receiver can hold it up
(https://github.com/kubernetes/kubernetes/issues/85489). So: check, store, answer; judging comes later.
"""

import asyncio
import re
import time
import zlib
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from msgspec import Raw, Struct

from kubewake.errors import StoreError
from kubewake.sources.tokens import Tokens, Verdict

CLIENT_CERTIFICATE = "client_certificate"
"""Key of the connection's state under which the listener puts the verified client certificate."""

_LISTS = (None, "", "EventList", "List", "Event")
"""Kinds of a body with `items` that can hold audit events; relays leave the kind out."""

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BODY_SECONDS = 60.0
"""A sender that is slower than this with its body is answered 408."""
_IN_FLIGHT_BYTES = 256 * 1024 * 1024
"""Bodies being received at once, by their announced length; beyond, senders are told to wait."""


class Door(Protocol):
    """What the receiver needs of the rest of kubewake."""

    def store(self, cluster: str, lines: bytes) -> Future[int]:
        """Append events, one a line, to the spool; raises StoreError at once when it is full."""

    def problems(self) -> list[str]:
        """Why kubewake is not ready; empty when it is."""

    def metrics_text(self) -> bytes:
        """Prometheus text."""

    def answered(self, code: int, seconds: float, events: int, reason: str) -> None:
        """Count an answered POST; `reason` says why a body was refused, empty when it was stored."""


class Terms(Struct, frozen=True):
    """On which terms bodies are taken. Empty `clusters`: any well-formed name."""

    body_max_bytes: int
    retry_after_seconds: int
    tokens: Tokens | None = None
    needs_certificate: bool = False
    clusters: frozenset[str] = frozenset()


class _Refusal(Exception):  # noqa: N818  # an answer, not an error
    def __init__(self, code: int, reason: str, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason
        self.headers = headers or {}


class _Document(Struct):
    kind: Any = None
    items: Any = None
    api_version: Any = msgspec.field(name="apiVersion", default=None)


class _List(Struct):
    kind: str | None = None
    items: list[Raw] | None = None


def split(body: bytes) -> list[bytes]:
    """The items of an EventList, a bare array or a single event; raises ValueError with what it is instead."""
    try:
        if body.lstrip()[:1] == b"[":
            return list(map(bytes, msgspec.json.decode(body, type=list[Raw])))
        listing = msgspec.json.decode(body, type=_List)
    except RecursionError:
        return [body]  # one event nested too deeply must not cost the others: the decoder sorts it out
    except msgspec.ValidationError:
        try:
            document = msgspec.json.decode(body, type=_Document)
        except (msgspec.DecodeError, RecursionError):
            raise ValueError(
                "expected an audit.k8s.io EventList or a list of events, found another kind of JSON"
            ) from None
        raise ValueError(
            "expected an audit.k8s.io EventList or a list of events, found "
            f"{f'kind {str(document.kind)[:60]!r}' if document.kind else 'no kind'} "
            f"with items of type {type(document.items).__name__}"
        ) from None
    except msgspec.DecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if listing.items is not None and listing.kind in _LISTS:
        return list(map(bytes, listing.items))
    if listing.kind == "EventList":
        return []
    if listing.kind == "Event" or b'"auditID"' in body:
        return [body]
    found = f"an object of kind {listing.kind[:60]!r}" if listing.kind else "an object without kind"
    raise ValueError(f"expected an audit.k8s.io EventList or a list of events, found {found}")


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its content encoding; raises ValueError, or OverflowError beyond `max_bytes`."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise ValueError(f"content encoding {encoding[:40]!r} is not supported; send gzip or none")
    content = bytearray()
    try:
        while body:
            stream = zlib.decompressobj(wbits=31)
            content += stream.decompress(body, max_bytes + 1 - len(content))
            if len(content) > max_bytes:
                raise OverflowError
            if not stream.eof:
                raise ValueError("the gzip body is cut short")
            body = stream.unused_data
    except zlib.error as error:
        raise ValueError(f"the body is not gzip: {error}") from None
    return bytes(content)


def receiver(door: Door, terms: Terms) -> Litestar:
    """The ASGI application: `/v1/audit/{cluster}`, `/healthz`, `/readyz`, `/metrics`."""
    in_flight = 0

    def admitted(request: Request[Any, Any, Any], cluster: str) -> None:
        if terms.needs_certificate and not request.scope.get("state", {}).get(CLIENT_CERTIFICATE):
            raise _Refusal(401, "unauthenticated", "a client certificate is required")
        if terms.tokens is not None:
            verdict = terms.tokens.check(request.headers.get("authorization", ""), cluster)
            if verdict is Verdict.UNKNOWN:
                raise _Refusal(
                    401, "unauthenticated", "a valid bearer token is required", {"WWW-Authenticate": "Bearer"}
                )
            if verdict is Verdict.FOREIGN:
                raise _Refusal(403, "forbidden", "this token belongs to another cluster")
        if not _CLUSTER_NAME.fullmatch(cluster):
            raise _Refusal(400, "bad_cluster", "the cluster's name may have letters, digits, '.', '_' and '-' only")
        if terms.clusters and cluster not in terms.clusters:
            raise _Refusal(403, "forbidden", f"cluster {cluster!r} is not among those that this kubewake takes")

    again = {"Retry-After": str(terms.retry_after_seconds)}

    def too_large() -> _Refusal:
        return _Refusal(
            413, "too_large", f"the body is larger than {terms.body_max_bytes:,} bytes (setting body_max_bytes)"
        )

    async def received(request: Request[Any, Any, Any]) -> bytes:
        nonlocal in_flight
        length = request.headers.get("content-length", "")
        expected = int(length) if length.isdigit() else terms.body_max_bytes
        if expected > terms.body_max_bytes:
            raise too_large()
        if in_flight and in_flight + expected > _IN_FLIGHT_BYTES:
            raise _Refusal(429, "busy", "too many bodies at once; send again later", again)
        in_flight += expected
        try:
            return await asyncio.wait_for(request.body(), _BODY_SECONDS)
        except TimeoutError:
            raise _Refusal(408, "slow", "the body did not arrive in time") from None
        except HTTPException as error:
            raise (
                too_large() if error.status_code == 413 else _Refusal(error.status_code, "bad_request", error.detail)
            )
        finally:
            in_flight -= expected

    async def stored(cluster: str, body: bytes, encoding: str) -> int:
        try:
            body = unpacked(body, encoding.strip().lower(), terms.body_max_bytes)
            items = split(body)
        except OverflowError:
            raise too_large() from None
        except ValueError as error:
            raise _Refusal(400, "not_events", str(error)) from None
        if b"\n" in body or b"\r" in body:
            # Newlines in JSON stand only between tokens.
            items = [item.replace(b"\r", b" ").replace(b"\n", b" ") for item in items]
        if not items:
            return 0
        # One event a line: the form that is decoded fastest.
        lines = b"\n".join(items)
        try:
            appended = door.store(cluster, lines)
        except StoreError as error:
            raise _Refusal(429, "spool_full", str(error), again) from None
        try:
            await asyncio.wrap_future(appended)
        except StoreError as error:
            raise _Refusal(503, "spool_failed", str(error), again) from None
        return len(items)

    @post("/v1/audit/{cluster:str}", request_max_body_size=terms.body_max_bytes)
    async def audit(request: Request[Any, Any, Any]) -> Response[Any]:
        begun = time.perf_counter()
        cluster = str(request.path_params["cluster"])
        try:
            admitted(request, cluster)
            body = await received(request)
            begun = time.perf_counter()
            events = await stored(cluster, body, request.headers.get("content-encoding", ""))
        except _Refusal as refusal:
            door.answered(refusal.code, time.perf_counter() - begun, 0, refusal.reason)
            return Response({"error": str(refusal)}, status_code=refusal.code, headers=refusal.headers)
        door.answered(200, time.perf_counter() - begun, events, "")
        return Response({"stored": events}, status_code=200)

    @get("/healthz", sync_to_thread=False)
    def healthz() -> Response[str]:
        return Response("ok\n", media_type="text/plain")

    @get("/readyz", sync_to_thread=True)
    def readyz() -> Response[str]:
        problems = door.problems()
        text = "".join(f"{problem}\n" for problem in problems) or "ok\n"
        return Response(text, status_code=503 if problems else 200, media_type="text/plain")

    @get("/metrics", sync_to_thread=True)
    def metrics() -> Response[bytes]:
        return Response(door.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    handlers: list[ControllerRouterHandler] = [audit, healthz, readyz, metrics]
    return Litestar(route_handlers=handlers, openapi_config=None, logging_config=None)
