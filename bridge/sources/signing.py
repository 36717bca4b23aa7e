"""How deliveries are signed: HMACs over what was sent, tokens, Standard Webhooks.

Each is a `bridge.ports.Signature`. All secrets are tried, also after one has matched, so that time
tells nothing of which. Compared in constant time and as bytes: `hmac.compare_digest` raises
TypeError for non-ASCII text, and a header may hold anything.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bridge.errors import BadSignature, ConfigError
from bridge.model import Request
from bridge.ports import Signature
from bridge.times import parse_time

TOLERANCE = 300
"""Seconds that a timestamp may be off; what Standard Webhooks and most vendors recommend."""

Encoding = Literal["hex", "base64"]
Message = Callable[[Request, bytes], bytes]
"""What is signed, of the request and the timestamp as it was sent."""


def digest(message: bytes, secret: bytes, algorithm: str = "sha256", encoding: Encoding = "hex") -> str:
    """The HMAC as text, hexadecimal in lower case."""
    made = hmac.digest(secret, message, algorithm)
    return made.hex() if encoding == "hex" else b64encode(made).decode()


def header(request: Request, name: str) -> str:
    """A header that a signature needs. Raises BadSignature."""
    value = request.headers.get(name)
    if not value:
        raise BadSignature(f"The header {name} is missing: the delivery is not signed. {BadSignature.advice}")
    return value


def check_age(text: str, place: str, now: datetime) -> None:
    """See that a timestamp is no further from `now` than TOLERANCE. Raises BadSignature."""
    sent = parse_time(text)
    if sent is None:
        raise BadSignature(f"The timestamp in {place} is no time. {BadSignature.advice}")
    age = (now - sent).total_seconds()
    if abs(age) > TOLERANCE:
        off = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s ahead"
        raise BadSignature(
            f"The timestamp in {place} is {off}; {TOLERANCE} s are allowed. Set the clocks of both sides."
        )


def accept(claims: Iterable[str], expected: Iterable[str]) -> None:
    """Raise BadSignature unless one of the claims is one of the expected texts."""
    claimed = [claim.encode("utf-8", "replace") for claim in claims]
    found = [hmac.compare_digest(text.encode(), claim) for text in expected for claim in claimed]
    if not any(found):
        raise BadSignature(f"No secret of the endpoint signs this body. {BadSignature.advice}")


class _Signature:
    def check(self, secret: bytes) -> None:
        """Any secret will do."""


@dataclass(frozen=True)
class Hmac(_Signature):
    """An HMAC over the raw body in a header, behind `prefix`; `several`: a list with commas."""

    header: str
    prefix: str = ""
    algorithm: str = "sha256"
    encoding: Encoding = "hex"
    several: bool = False

    @property
    def described(self) -> str:
        """The header and the algorithm."""
        return f"{self.header}: {self.prefix}HMAC-{self.algorithm.upper()} of the body, {self.encoding}"

    @property
    def headers(self) -> tuple[str, ...]:
        """The one header."""
        return (self.header,)

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002
        """Raise BadSignature unless one of `secrets` signs the raw body."""
        given = header(request, self.header)
        claims = [claim.strip() for claim in given.split(",")] if self.several else [given.strip()]
        claims = [claim.removeprefix(self.prefix) for claim in claims if claim.startswith(self.prefix)]
        if not claims:
            raise BadSignature(
                f"The header {self.header} does not begin with {self.prefix}. {BadSignature.advice}"
            )
        accept(claims, (self._digest(request, secret) for secret in secrets))

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG002
        """The header."""
        return {self.header: self.prefix + self._digest(request, secret)}

    def _digest(self, request: Request, secret: bytes) -> str:
        return digest(request.body, secret, self.algorithm, self.encoding)


@dataclass(frozen=True)
class TimedHmac(_Signature):
    """An HMAC-SHA256 over a message that holds a timestamp, which must be recent.

    `timestamp` names the timestamp's header; or, with `field`, both are fields of one header that
    reads `timestamp=…,field=…`. `signed` describes what `message` makes. `unit` is how a timestamp
    is written: seconds, milliseconds, or ISO 8601.
    """

    header: str
    timestamp: str
    message: Message
    signed: str
    field: str = ""
    encoding: Encoding = "hex"
    unit: Literal["s", "ms", "iso"] = "s"

    @property
    def described(self) -> str:
        """The header, the algorithm, what is signed, and for how long."""
        return f"{self.header}: HMAC-SHA256 of {self.signed}, {self.encoding}, {TOLERANCE} s"

    @property
    def headers(self) -> tuple[str, ...]:
        """The signature's, and the timestamp's where it has its own."""
        return (self.header,) if self.field else (self.header, self.timestamp)

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:
        """Raise BadSignature unless one of `secrets` signs the message, a short time ago."""
        sent, claims = self._fields(request) if self.field else self._headers(request)
        accept(claims, (self._digest(request, sent, secret) for secret in secrets))
        place = f"{self.header}'s field {self.timestamp}" if self.field else self.timestamp
        check_age(sent, place, now)

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:
        """The header, or the two."""
        sent = now.isoformat() if self.unit == "iso" else str(int(now.timestamp() * _PER_SECOND[self.unit]))
        made = self._digest(request, sent, secret)
        if self.field:
            return {self.header: f"{self.timestamp}={sent},{self.field}={made}"}
        return {self.header: made, self.timestamp: sent}

    def _headers(self, request: Request) -> tuple[str, list[str]]:
        claim = header(request, self.header).strip()
        return header(request, self.timestamp), [claim]

    def _fields(self, request: Request) -> tuple[str, list[str]]:
        parts = [part.strip().partition("=") for part in header(request, self.header).split(",")]
        sent = next((value for name, _, value in parts if name == self.timestamp), "")
        claims = [value for name, _, value in parts if name == self.field]
        if not (sent and claims):
            expected = f"{self.timestamp}=…,{self.field}=…"
            raise BadSignature(f"The header {self.header} is not `{expected}`. {BadSignature.advice}")
        return sent, claims

    def _digest(self, request: Request, sent: str, secret: bytes) -> str:
        message = self.message(request, sent.encode("utf-8", "replace"))
        return digest(message, secret, encoding=self.encoding)


_PER_SECOND = {"s": 1, "ms": 1000}


@dataclass(frozen=True)
class Token(_Signature):
    """The secret itself, in the header that is named.

    Without a name, wherever a sender can put it: `Authorization` (Bearer, or Basic with the secret
    `user:password`), `X-Webhook-Token`, or `token` in the URL's query.
    """

    header: str = ""

    @property
    def described(self) -> str:
        """Where it stands."""
        return f"{self.header}: the secret" if self.header else "Bearer, Basic, X-Webhook-Token or ?token="

    @property
    def headers(self) -> tuple[str, ...]:
        """The one header, or none that must be there."""
        return (self.header,) if self.header else ()

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002
        """Raise BadSignature unless one of `secrets` was sent."""
        claims = [header(request, self.header)] if self.header else _tokens(request)
        if not claims:
            raise BadSignature(f"The delivery has no token: {self.described}. {BadSignature.advice}")
        try:
            accept(claims, (secret.decode("utf-8", "replace") for secret in secrets))
        except BadSignature:
            raise BadSignature(
                f"The token is none of the endpoint's secrets. {BadSignature.advice}"
            ) from None

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG002
        """The header."""
        text = secret.decode("utf-8", "replace")
        return {self.header: text} if self.header else {"authorization": f"Bearer {text}"}


def _tokens(request: Request) -> list[str]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    found = [request.headers.get("x-webhook-token", "")]
    if scheme.lower() == "bearer":
        found.append(given.strip())
    if scheme.lower() == "basic":
        found.append(_unpacked(given.strip()))
    query = request.url.partition("?")[2].partition("#")[0]
    for each in (query, query.replace("+", "%2B")):  # Base64 has a plus, which few encode
        found += parse_qs(each).get("token", [])
    return [token for token in found if token]


def _unpacked(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


class Either(_Signature):
    """One of several: the first whose headers are all there, else the last."""

    def __init__(self, *signatures: Signature) -> None:
        self._signatures = signatures

    @property
    def described(self) -> str:
        """Each of them."""
        return "; or ".join(each.described for each in self._signatures)

    @property
    def headers(self) -> tuple[str, ...]:
        """Those of the last, which is asked where nothing else is there."""
        return self._signatures[-1].headers

    def check(self, secret: bytes) -> None:
        """As each of them; none knows yet which will be asked. Raises ConfigError."""
        for each in self._signatures:
            each.check(secret)

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:
        """As that one."""
        self._present(request).verify(request, secrets, now)

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:
        """As the first."""
        return self._signatures[0].sign(request, secret, now)

    def _present(self, request: Request) -> Signature:
        for each in self._signatures[:-1]:
            if all(request.headers.get(name) for name in each.headers):
                return each
        return self._signatures[-1]


_SYMMETRIC, _PUBLIC, _PRIVATE = b"whsec_", b"whpk_", b"whsk_"


@dataclass(frozen=True)
class StandardWebhooks(_Signature):
    """The signature of Standard Webhooks: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

    A secret is `whsec_` and Base64; without the prefix it may be Base64 or the key itself, so that
    both are tried. A public key is `whpk_` and Base64. `prefixes` begin the three headers' names.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """

    prefixes: tuple[str, ...] = ("webhook", "svix")

    @property
    def described(self) -> str:
        """The header and both algorithms."""
        name = f"{self.prefixes[0]}-signature"
        return f"{name}: v1 HMAC-SHA256 or v1a Ed25519 of id.timestamp.body, base64, {TOLERANCE} s"

    @property
    def headers(self) -> tuple[str, ...]:
        """The three, as they are called first."""
        return self._names(self.prefixes[0])

    def check(self, secret: bytes) -> None:
        """Raise ConfigError for a key that is none, or is the sender's own."""
        if secret.startswith(_PRIVATE):
            raise ConfigError("whsk_ begins the sender's private key; expected its public one, whpk_…")
        try:
            _keys(secret)
        except ValueError:
            raise ConfigError("a secret that begins with whsec_ or whpk_ goes on in Base64") from None

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:
        """Raise BadSignature unless one of `secrets` signs the delivery, a short time ago."""
        # By the id, which names the delivery: one that is kept beside a signed one must be it.
        sent_as = (each for each in self.prefixes if f"{each}-id" in request.headers)
        prefix = next(sent_as, self.prefixes[0])
        id_, sent, given = (header(request, name) for name in self._names(prefix))
        message = _message(id_, sent, request.body)
        claims = [claim.partition(",") for claim in given.split()]
        if not any(version in {"v1", "v1a"} for version, _, _ in claims):
            raise BadSignature(f"{prefix}-signature has neither v1 nor v1a. {BadSignature.advice}")
        symmetric = [claim for version, _, claim in claims if version == "v1"]
        asymmetric = [claim for version, _, claim in claims if version == "v1a"]
        keys = [key for secret in secrets for key in _keys(secret)]
        public = [key for key in keys if isinstance(key, Ed25519PublicKey)]
        found = [_signs(key, message, claim) for key in public for claim in asymmetric]
        if not any(found):
            shared = [key for key in keys if isinstance(key, bytes)]
            accept(symmetric, (digest(message, key, encoding="base64") for key in shared))
        check_age(sent, f"{prefix}-timestamp", now)

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:
        """The three headers; an id that the request has is kept. `whsk_` signs with Ed25519."""
        id_name, time_name, signature = self.headers
        id_, sent = request.headers.get(id_name, "msg_1"), str(int(now.timestamp()))
        message = _message(id_, sent, request.body)
        if secret.startswith(_PRIVATE):
            private = Ed25519PrivateKey.from_private_bytes(b64decode(secret.removeprefix(_PRIVATE))[:32])
            made = f"v1a,{b64encode(private.sign(message)).decode()}"
        else:
            key = _keys(secret)[0]
            made = f"v1,{digest(message, key if isinstance(key, bytes) else secret, encoding='base64')}"
        return {id_name: id_, time_name: sent, signature: made}

    @staticmethod
    def _names(prefix: str) -> tuple[str, ...]:
        return f"{prefix}-id", f"{prefix}-timestamp", f"{prefix}-signature"


def _message(id_: str, sent: str, body: bytes) -> bytes:
    return f"{id_}.{sent}.".encode("utf-8", "replace") + body


def _keys(secret: bytes) -> tuple[bytes | Ed25519PublicKey, ...]:
    """The keys that a secret may stand for, the likeliest first. Raises ValueError."""
    secret = secret.removeprefix(b"v1,")  # Supabase shows its secrets as `v1,whsec_…`
    if secret.startswith(_PUBLIC):
        return (Ed25519PublicKey.from_public_bytes(_decoded(secret.removeprefix(_PUBLIC))),)
    if secret.startswith(_SYMMETRIC):
        return (_decoded(secret.removeprefix(_SYMMETRIC)),)
    try:
        return _decoded(secret), secret
    except ValueError:
        return (secret,)


def _decoded(text: bytes) -> bytes:
    """What is written in Base64, its padding left out or not. Raises ValueError, for nothing too."""
    found = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if not found:
        raise ValueError("empty")
    return found


def _signs(key: Ed25519PublicKey, message: bytes, claim: str) -> bool:
    try:
        key.verify(b64decode(claim, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True
