"""Ingress: takes webhooks over HTTP, and answers 202 once Kafka has them.

A delivery is verified over its raw bytes and published as it came. No more of it is parsed
than its source needs for the record's key: what is wrong with a body is found, and told, by
the consumer. Every refusal is a problem document (RFC 9457) that says what to do.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import ClassVar

import orjson
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from bridge.errors import (
    BadBody,
    BadRequest,
    BridgeError,
    ConfigError,
    KafkaUnavailable,
    Refused,
    TopicUnfit,
    WrongContentType,
)
from bridge.kafka.envelope import encode
from bridge.model import Request, Webhook
from bridge.ports import Observe, Publish, Source

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NO_ENDPOINT = "There is no endpoint of this name. See `ingress.endpoints` of the bridge's configuration."

BODY_SECONDS = 30.0
"""How long a sender may take for its body."""

RETRY_AFTER_SECONDS = 10
"""What is asked of a sender while Kafka is away."""

# A form with the JSON in one field is GitHub's default.
_MEDIA_TYPES = {"application/json", "application/x-www-form-urlencoded"}

# https://www.w3.org/TR/trace-context/#traceparent-header; all-zero ids are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class BodyTooLong(Refused):
    """The body is longer than the endpoint takes."""

    code: ClassVar[str] = "body_too_long"
    status: ClassVar[int] = 413
    advice: ClassVar[str] = "Let the sender leave parts out, or raise `ingress.max_body_bytes`."


class BodyTooSlow(Refused):
    """The body did not come in time."""

    code: ClassVar[str] = "body_too_slow"
    status: ClassVar[int] = 408
    advice: ClassVar[str] = "Look at the network between the sender and the bridge; the sender may try again."


class BodyLost(Refused):
    """The body ended before it was whole, or its chunks are none; mostly there is nobody left to tell."""

    code: ClassVar[str] = "body_lost"
    advice: ClassVar[str] = "Look at the network between the sender and the bridge; the sender may try again."


class Busy(Refused):
    """Too many bodies are on their way to Kafka at the same time; the sender may try again."""

    code: ClassVar[str] = "ingress_busy"
    status: ClassVar[int] = 503
    advice: ClassVar[str] = (
        "If it keeps happening, see why Kafka is slow, add ingress processes, or raise "
        "`ingress.max_bytes_in_flight`."
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address for webhooks: /webhooks/NAME. Raises ConfigError when anyone could post there.

    Any of `secrets` is accepted, so that one can be rotated; `open` says that none is wanted.
    """

    name: str
    source: Source
    topic: str
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    open: bool = False

    def __post_init__(self) -> None:
        if not all(self.secrets):
            raise ConfigError(f"endpoint {self.name}: a secret is empty")
        if not (self.secrets or self.open):
            raise ConfigError(f"endpoint {self.name}: has no secrets; list them, or say `open: true`")
        for secret in self.secrets:
            try:
                self.source.signature.check(secret)
            except ConfigError as error:
                raise ConfigError(f"endpoint {self.name}: {error}") from None


def make_app(
    endpoints: Iterable[Endpoint],
    publish: Publish,
    *,
    observe: Observe,
    now: Callable[[], datetime],
    max_body_bytes: int,
    max_bytes_in_flight: int,
    public_url: str | None = None,
    probes: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The application that serves the endpoints, and `probes` (/livez, /readyz, /metrics) beside them.

    `now` gives aware times. `public_url` is what senders see of the bridge where that is not what
    their requests' Host says: some vendors sign the address too. Of all bodies that came and are not
    answered yet, no more than `max_bytes_in_flight` are held. Requests under way are finished when
    its runner is cleaned up.
    """
    bodies = _Bodies(max_body_bytes, max_bytes_in_flight)
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    ingress = _Ingress(by_name, publish, observe, now, bodies, public_url)
    app = web.Application(middlewares=[ingress.tell])
    path = "/webhooks/{endpoint}"
    app.add_routes([web.post(path, ingress.take), web.head(path, ingress.is_there), *probes])
    return app


class _Ingress:
    def __init__(
        self,
        endpoints: dict[str, Endpoint],
        publish: Publish,
        observe: Observe,
        now: Callable[[], datetime],
        bodies: _Bodies,
        public_url: str | None,
    ) -> None:
        self._endpoints = endpoints
        self._publish = publish
        self._observe = observe
        self._now = now
        self._bodies = bodies
        self._public_url = public_url

    async def take(self, request: web.Request) -> web.Response:
        """One delivery: verified, stamped, published, answered."""
        began = time.monotonic()
        endpoint = self._endpoints.get(request.match_info["endpoint"])
        if endpoint is None:
            raise web.HTTPNotFound
        async with self._bodies.of(request) as body:
            webhook, key = self._stamp(endpoint, self._sent(request, body))
            value, headers = encode(webhook)
            await self._publish(endpoint.topic, key, value, headers)
        self._observe(
            "delivery_taken",
            endpoint=endpoint.name,
            delivery_id=webhook.delivery_id,
            traceparent=webhook.traceparent,
            bytes=len(value),
            seconds=time.monotonic() - began,
        )
        return web.json_response({"deliveryId": webhook.delivery_id}, status=202)

    async def is_there(self, request: web.Request) -> web.Response:
        """Intercom asks so before it takes an address; there is no body to verify, nothing is taken."""
        if request.match_info["endpoint"] not in self._endpoints:
            raise web.HTTPNotFound
        return web.Response()

    def _sent(self, request: web.Request, body: bytes) -> Request:
        base = self._public_url or f"{request.scheme}://{request.host}"
        return Request(request.method, base + request.raw_path, _lower(request), body)

    def _stamp(self, endpoint: Endpoint, sent: Request) -> tuple[Webhook, bytes]:
        """The delivery, and the key of its record. Raises BadSignature and BadRequest."""
        source, now = endpoint.source, self._now()
        if endpoint.secrets:
            source.signature.verify(sent, endpoint.secrets, now)
        kept = source.keep(sent.headers, sent.body)
        webhook = Webhook(
            endpoint=endpoint.name,
            source=source.kind,
            delivery_id=source.delivery_id(kept, sent.body),
            headers=kept,
            body=sent.body,
            received_at=now,
            traceparent=_traceparent(sent.headers.get("traceparent")),
        )
        if not sent.body:
            _check_empty(source, webhook)
        return webhook, source.record_key(kept, sent.body).encode("utf-8", "replace")

    @web.middleware
    async def tell(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every error into a problem document, and tell it."""
        try:
            return await handler(request)
        except Refused as error:
            text = str(error)
            detail = text if error.advice in text else f"{text} {error.advice}"
            return self._problem(request, error.status, error.code, detail)
        except (KafkaUnavailable, TopicUnfit) as error:
            return self._problem(request, 503, error.code, KafkaUnavailable.advice, error=str(error))
        except web.HTTPException as error:
            code = HTTPStatus(error.status).name.lower()
            told = _NO_ENDPOINT if error.status == HTTPStatus.NOT_FOUND else error.reason
            return self._problem(request, error.status, code, told, allow=error.headers.get("Allow"))
        except Exception as error:  # noqa: BLE001 - the sender gets an answer whatever happens
            self._observe("unexpected_error", place="ingress", error=error, exc_info=error)
            return self._problem(
                request, 500, BridgeError.code, "The bridge failed; the sender may try again."
            )

    def _problem(
        self,
        request: web.Request,
        status: int,
        code: str,
        detail: str,
        *,
        error: str = "",
        allow: str | None = None,
    ) -> web.Response:
        name = request.match_info.get("endpoint", "")
        known = name if name in self._endpoints else ""  # a label's values are not the sender's to choose
        self._observe(
            "delivery_refused", endpoint=known, code=code, status=status, detail=detail, error=error
        )
        title = HTTPStatus(status).phrase
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
        response = web.Response(
            status=status, body=orjson.dumps(body), content_type="application/problem+json"
        )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if allow:
            response.headers["Allow"] = allow
        return response


class _Bodies:
    """Reads bodies; all that are held at the same time are no longer than a bound."""

    def __init__(self, longest: int, most: int) -> None:
        self._longest = longest
        self._most = most
        self._held = 0

    @asynccontextmanager
    async def of(self, request: web.Request) -> AsyncIterator[bytes]:
        """The raw body of a request of a type that webhooks come in. Raises Refused."""
        _check_type(request)
        body = bytearray()
        try:
            await self._read(request, body)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _read(self, request: web.Request, body: bytearray) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                # Counted as it comes: who says much and sends little takes no room from others.
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > self._longest:
                        raise BodyTooLong(f"The body is longer than {self._longest} bytes.")
                    if self._held > self._most:
                        raise Busy(f"More than {self._most} bytes are on their way to Kafka.")
        except TimeoutError:
            raise BodyTooSlow(f"The body took longer than {BODY_SECONDS:.0f} s.") from None
        except (ClientPayloadError, HttpProcessingError, OSError):
            raise BodyLost(f"The body ended after {len(body)} bytes.") from None


def _check_empty(source: Source, webhook: Webhook) -> None:
    """Refuse an empty body, unless it is one of the source's: some systems try an address so."""
    try:
        source.event(webhook)
    except BadBody:
        raise BadRequest("The body is empty.") from None


def _check_type(request: web.Request) -> None:
    media = request.content_type.lower()
    if not (media in _MEDIA_TYPES or media.endswith("+json")):
        raise WrongContentType(f"The content type is {media[:80]!r}.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A signature is over the bytes that were sent, and a small body can unpack to any size.
        raise WrongContentType("The body is compressed, which is not taken.")


def _lower(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _traceparent(given: str | None) -> str:
    """The sender's trace, or a new one, sampled."""
    if given and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
