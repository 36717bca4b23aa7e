"""How a request to Jira says who asks. Pure: a scheme is a generator that the client drives.

A flow yields the request with its credentials and is sent the answer, as `auth_flow` of httpx is
(https://www.python-httpx.org/advanced/authentication/). One that needs a token first yields a
`TokenRequest`, and one whose token was refused yields the request once more.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson
from pydantic import BaseModel, Field, ValidationError

from bridge.errors import ConfigError, JiraUnauthorized, JiraUnreachable
from bridge.jira import limits
from bridge.jira.wire import HttpAnswer, HttpRequest, shown

TOKEN_URL = "https://auth.atlassian.com/oauth/token"  # noqa: S105 - an address
"""Atlassian's token endpoint: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/."""
EARLY_SECONDS = 60.0
"""A token is renewed so long before it ends, or at half of a life that is shorter than twice that."""

_UNAUTHORIZED = 401
_OK = 200


@dataclass(frozen=True, slots=True)
class TokenRequest(HttpRequest):
    """A request for a token. What it is granted serves every request: one is sent for all that wait."""


Flow = Generator[HttpRequest, HttpAnswer, HttpAnswer]
"""Yields what to send, is sent what came back, and returns the answer to the request itself."""


class Auth(Protocol):
    """A scheme. Its flows may share a token, so only one of them is advanced at a time."""

    def flow(self, request: HttpRequest, now: float) -> Flow:
        """Send a request as somebody.

        Args:
            request: the request, without credentials.
            now: seconds since the epoch.

        Returns:
            A generator. Driving it raises JiraUnauthorized when a token is refused, and
            JiraUnreachable when there is none to be had for now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials, where a site allows that."""

    def flow(self, request: HttpRequest, now: float) -> Flow:  # noqa: ARG002 - an Auth
        """Send the request as it is.

        Args:
            request: the request.
            now: of no meaning here.

        Returns:
            A flow of one request.
        """
        return (yield request)


@dataclass(frozen=True, slots=True)
class Basic:
    """`Authorization: Basic` (RFC 7617), in UTF-8: on Cloud an account's e-mail address and API token.

    https://developer.atlassian.com/cloud/jira/platform/basic-auth-for-rest-apis/. Raises
    ConfigError for a token that is empty or not of printable ASCII.
    """

    email: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.token)

    def flow(self, request: HttpRequest, now: float) -> Flow:  # noqa: ARG002 - an Auth
        """Add the address and the token.

        Args:
            request: the request.
            now: of no meaning here.

        Returns:
            A flow of one request.
        """
        credentials = b64encode(f"{self.email}:{self.token}".encode()).decode()
        return (yield _signed(request, f"Basic {credentials}"))


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer` (RFC 6750): on Data Center a personal access token.

    https://confluence.atlassian.com/enterprise/using-personal-access-tokens-1026032365.html. Raises
    ConfigError for a token that is empty or not of printable ASCII.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.token)

    def flow(self, request: HttpRequest, now: float) -> Flow:  # noqa: ARG002 - an Auth
        """Add the token.

        Args:
            request: the request.
            now: of no meaning here.

        Returns:
            A flow of one request.
        """
        return (yield _signed(request, f"Bearer {self.token}"))


# --- OAuth 2.0 -----------------------------------------------------------------------------


class RefreshTokens(Protocol):
    """Where the one refresh token that is good stands. Each use of it disables it and gives the next."""

    def read(self) -> str:
        """The token that is good.

        Returns:
            The token.

        Raises:
            JiraUnauthorized: there is none.
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
    ends: float


@dataclass(slots=True)
class OAuth:
    """OAuth 2.0 (RFC 6749): with an app's client credentials, or with a refresh token.

    https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/. Tokens are accepted by
    Atlassian's gateway only. One object is for one client, since a second one would use up the
    refresh token of the first.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_tokens: RefreshTokens | None = None
    token_url: str = TOKEN_URL
    _token: _Token | None = field(default=None, init=False, repr=False)

    def flow(self, request: HttpRequest, now: float) -> Flow:
        """Add a token that is good; where Jira refuses it, renew it and send the request once more.

        Args:
            request: the request.
            now: seconds since the epoch.

        Returns:
            A flow of one to three requests.

        Raises:
            JiraUnauthorized: the token endpoint refuses the app or its refresh token.
            JiraUnreachable: the token endpoint gives no token for now.
        """
        held = self._token
        if held and now < held.ends:
            answer = yield _signed(request, f"Bearer {held.text}")
            if answer.status != _UNAUTHORIZED:
                return answer
        # A 401 did nothing, so that the request may be sent again.
        token = yield from self._other_than(held, now)
        return (yield _signed(request, f"Bearer {token.text}"))

    def _other_than(self, held: _Token | None, now: float) -> Generator[TokenRequest, HttpAnswer, _Token]:
        """The token that another request was given meanwhile, or a new one."""
        if self._token is None or self._token is held:
            answer = yield TokenRequest("POST", self.token_url, orjson.dumps(self._grant()))
            self._token = self._granted(answer, now)
        return self._token

    def _grant(self) -> dict[str, str]:
        app = {"client_id": self.client_id, "client_secret": self.client_secret}
        if self.refresh_tokens is None:
            return {"grant_type": "client_credentials", **app}
        return {"grant_type": "refresh_token", "refresh_token": self.refresh_tokens.read(), **app}

    def _granted(self, answer: HttpAnswer, now: float) -> _Token:
        try:
            granted = TokenGranted.model_validate_json(answer.body) if answer.status == _OK else None
        except ValidationError:
            granted = None
        if granted is None:
            raise _no_token(answer, now)
        if self.refresh_tokens is not None and granted.refresh_token:
            self.refresh_tokens.keep(granted.refresh_token)
        life = granted.expires_in
        return _Token(granted.access_token, now + max(life - EARLY_SECONDS, life / 2))


class TokenGranted(BaseModel):
    """A token endpoint's answer (RFC 6749, section 5.1); `expires_in` is in seconds."""

    access_token: str = Field(pattern=r"^[!-~]+$", repr=False)
    expires_in: float = Field(3600.0, gt=0, allow_inf_nan=False)
    refresh_token: str | None = Field(None, repr=False)


class TokenRefused(BaseModel):
    """A token endpoint's refusal (RFC 6749, section 5.2), such as `invalid_grant`."""

    error: str


def _no_token(answer: HttpAnswer, now: float) -> JiraUnauthorized | JiraUnreachable:
    """A refusal of the app or its refresh token; anything else may be over soon."""
    if answer.status in {400, _UNAUTHORIZED, 403}:
        try:
            refused = TokenRefused.model_validate_json(answer.body)
        except ValidationError:
            pass
        else:
            text = f"No access token: the token endpoint says {answer.status} {shown(refused.error)}"
            return JiraUnauthorized(text, status=answer.status, messages=(shown(refused.error),))
    return JiraUnreachable(
        f"No access token: the token endpoint answers {answer.status} without one",
        status=answer.status,
        retry_after=limits.retry_after(answer.headers, now),
    )


def _signed(request: HttpRequest, authorization: str) -> HttpRequest:
    return replace(request, headers={**request.headers, "Authorization": authorization})


def _check(token: str) -> None:
    """A line break that came along in copying does not fit into a header. Raises ConfigError."""
    if not (token and token.isascii() and token.isprintable()):
        raise ConfigError("Jira credentials: expected a token of printable ASCII characters, in one line")
