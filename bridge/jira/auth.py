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

from bridge.errors import ConfigError
from bridge.jira.wire import HttpAnswer, HttpRequest


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
    ConfigError for an address that is empty, has a colon or is not of printable characters, and for
    a token that is empty or not of printable ASCII.
    """

    email: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.email or ":" in self.email or not self.email.isprintable():
            raise ConfigError("Jira credentials: expected an e-mail address in one line, without a colon")
        checked_secret("token", self.token)

    def flow(self, request: HttpRequest, now: float) -> Flow:  # noqa: ARG002 - an Auth
        """Add the address and the token.

        Args:
            request: the request.
            now: of no meaning here.

        Returns:
            A flow of one request.
        """
        credentials = b64encode(f"{self.email}:{self.token}".encode()).decode()
        return (yield signed(request, f"Basic {credentials}"))


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer` (RFC 6750): on Data Center a personal access token.

    https://confluence.atlassian.com/enterprise/using-personal-access-tokens-1026032365.html. Raises
    ConfigError for a token that is empty or not of printable ASCII.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        checked_secret("token", self.token)

    def flow(self, request: HttpRequest, now: float) -> Flow:  # noqa: ARG002 - an Auth
        """Add the token.

        Args:
            request: the request.
            now: of no meaning here.

        Returns:
            A flow of one request.
        """
        return (yield signed(request, f"Bearer {self.token}"))


def signed(request: HttpRequest, authorization: str) -> HttpRequest:
    """The request with its credentials.

    Args:
        request: the request, without credentials.
        authorization: the value of the header `Authorization`.

    Returns:
        A request of its own.
    """
    return replace(request, headers={**request.headers, "Authorization": authorization})


def checked_secret(name: str, text: str) -> None:
    """See that a secret can be sent: a line break that came along in copying would not.

    Args:
        name: what it is, for the message.
        text: the secret.

    Raises:
        ConfigError: it is empty or not of printable ASCII.
    """
    if not (text and text.isascii() and text.isprintable()):
        raise ConfigError(f"Jira credentials: expected a {name} of printable ASCII characters, in one line")
