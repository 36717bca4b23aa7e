"""OAuth 2.0 (RFC 6749), a scheme whose tokens are asked for, kept and renewed. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import from_json

from bridge.errors import JiraUnauthorized, JiraUnreachable
from bridge.jira import limits
from bridge.jira.auth import Flow, TokenRequest, checked_secret, signed
from bridge.jira.wire import HttpAnswer, HttpRequest

TOKEN_URL = "https://auth.atlassian.com/oauth/token"  # noqa: S105 - an address
"""Atlassian's token endpoint: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/."""
EARLY_SECONDS = 60.0
"""A token is renewed so long before it ends, or at half of a life that is shorter than twice that."""
YOUNG_SECONDS = 60.0
"""A token that is refused so soon after it was granted lacks a scope, and another would lack it too."""
USUAL_LIFE = 3600.0
"""Seconds for which Atlassian's tokens are good."""

_OK = 200
_UNAUTHORIZED = 401
_REFUSALS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""RFC 6749, sections 4.1.2.1 and 5.2. Another text could repeat a secret that it was sent."""


class RefreshTokens(Protocol):
    """Where the one refresh token that is good stands. Each use of it disables it and gives the next."""

    def read(self) -> str:
        """The token that is good, which is about to be used up.

        Returns:
            The token.

        Raises:
            JiraUnauthorized: there is none, or the next one could not be kept.
        """
        ...

    def keep(self, token: str) -> None:
        """Put the next token in its place, so that a crash right after does not lose it.

        Args:
            token: the next one; the one before it is of no use any more.

        Raises:
            JiraUnauthorized: it could not be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    granted: float
    ends: float

    def is_young(self, now: float) -> bool:
        return now - self.granted < YOUNG_SECONDS


@dataclass(slots=True)
class OAuth:
    """OAuth 2.0: with an app's client credentials, or with a refresh token.

    https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/. Tokens are accepted by
    Atlassian's gateway only. Clients that have one refresh token share one `Login` of one such object.

    Raises ConfigError for an id or a secret that is empty or not of printable ASCII.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_tokens: RefreshTokens | None = None
    token_url: str = TOKEN_URL
    _token: _Token | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        checked_secret("client id", self.client_id)
        checked_secret("client secret", self.client_secret)

    def flow(self, request: HttpRequest, now: float) -> Flow:
        """Add a token that is good; where Jira refuses it, renew it and send the request once more.

        Args:
            request: the request, without credentials.
            now: seconds since the epoch.

        Returns:
            A flow of one to four requests.

        Raises:
            JiraUnauthorized: the token endpoint refuses the app or its refresh token, or the next
                refresh token could not be kept.
            JiraUnreachable: the token endpoint gives no token for now.
        """
        held = self._token
        if held and now < held.ends:
            answer = yield signed(request, f"Bearer {held.text}")
            if answer.status != _UNAUTHORIZED or (held is self._token and held.is_young(now)):
                return answer
        # A 401 did nothing, so that the request may be sent again.
        token = yield from self._other_than(held, now)
        return (yield signed(request, f"Bearer {token.text}"))

    def _other_than(self, held: _Token | None, now: float) -> Generator[TokenRequest, HttpAnswer, _Token]:
        """The token that another request was given meanwhile, or a new one."""
        if self._token is None or self._token is held:
            self._token = yield from self._renewed(now)
        return self._token

    def _renewed(self, now: float) -> Generator[TokenRequest, HttpAnswer, _Token]:
        grant = self._grant()
        answer = yield self._request(grant)
        # Another process may have used the refresh token up, and left the next one in its place.
        if _is_refusal(answer) and (other := self._grant()) != grant:
            answer = yield self._request(other)
        return self._granted(answer, now)

    def _grant(self) -> dict[str, str]:
        app = {"client_id": self.client_id, "client_secret": self.client_secret}
        if self.refresh_tokens is None:
            return {"grant_type": "client_credentials", **app}
        return {"grant_type": "refresh_token", "refresh_token": self.refresh_tokens.read(), **app}

    def _request(self, grant: dict[str, str]) -> TokenRequest:
        return TokenRequest("POST", self.token_url, orjson.dumps(grant))

    def _granted(self, answer: HttpAnswer, now: float) -> _Token:
        document = _object(answer) if answer.status == _OK else {}
        # Kept before anything else is judged: the one before it is used up.
        match document.get("refresh_token"):
            case str(refresh_token) if self.refresh_tokens and refresh_token.strip():
                self.refresh_tokens.keep(refresh_token)
        try:
            granted = TokenGranted.model_validate(document)
        except ValidationError:
            granted = None
        if granted is None:
            raise _no_token(answer, now)
        life = granted.expires_in
        return _Token(granted.access_token, now, now + max(life - EARLY_SECONDS, life / 2))


class TokenGranted(BaseModel):
    """A token endpoint's answer (RFC 6749, section 5.1), but for the refresh token.

    `expires_in` is in seconds; what makes no sense there is as if it were missing.
    """

    access_token: str = Field(pattern=r"^[!-~]+$", repr=False)
    expires_in: float = Field(USUAL_LIFE, gt=0, allow_inf_nan=False)

    @field_validator("expires_in", mode="wrap")
    @classmethod
    def _or_usual(cls, value: object, read: ValidatorFunctionWrapHandler) -> float:
        try:
            return float(read(value))
        except ValidationError:
            return USUAL_LIFE


def _object(answer: HttpAnswer) -> dict[str, Any]:
    """The answer's JSON object, with numbers that are out of bounds too; empty for anything else."""
    try:
        document = from_json(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_refusal(answer: HttpAnswer) -> bool:
    """Whether the token endpoint refuses the app or its refresh token (RFC 6749, section 5.2)."""
    return answer.status in {400, _UNAUTHORIZED, 403} and isinstance(_object(answer).get("error"), str)


def _no_token(answer: HttpAnswer, now: float) -> JiraUnauthorized | JiraUnreachable:
    """A refusal of the app or its refresh token; anything else may be over soon."""
    if _is_refusal(answer):
        error = _object(answer)["error"]
        said = error if error in _REFUSALS else "with an error of its own"
        text = f"No access token: the token endpoint says {answer.status} {said}"
        return JiraUnauthorized(text, status=answer.status, messages=(said,))
    return JiraUnreachable(
        f"No access token: the token endpoint answers {answer.status} without one",
        status=answer.status,
        retry_after=limits.retry_after(answer.headers, now),
    )
