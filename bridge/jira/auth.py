"""How a request to Jira says who asks: each scheme is a function of the headers it adds.

Cloud: Basic with an account's e-mail address and API token. Data Center: Bearer with a personal
access token. https://developer.atlassian.com/cloud/jira/platform/basic-auth-for-rest-apis/
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Protocol

from bridge.errors import ConfigError


class Auth(Protocol):
    """A scheme: called for each request, so that a token may change between two."""

    def __call__(self) -> dict[str, str]:
        """The headers to add."""
        ...


@dataclass(frozen=True, slots=True)
class Basic:
    """`Authorization: Basic`, RFC 7617, in UTF-8."""

    email: str
    token: str = field(repr=False)

    def __call__(self) -> dict[str, str]:
        """The header to add."""
        return {"Authorization": f"Basic {b64encode(f'{self.email}:{self.token}'.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer`, RFC 6750."""

    token: str = field(repr=False)

    def __call__(self) -> dict[str, str]:
        """The header to add."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials, where a site allows that."""

    def __call__(self) -> dict[str, str]:
        """Nothing to add."""
        return {}


def parse_auth(text: str) -> Auth:
    """`basic:EMAIL:TOKEN`, `bearer:TOKEN` or `anonymous`. Raises ConfigError, without the text."""
    match text.split(":", 2):
        case ["anonymous"]:
            return Anonymous()
        case ["basic", email, token] if email and _is_sendable(token):
            return Basic(email, token)
        case ["bearer", *parts] if _is_sendable(token := ":".join(parts)):
            return Bearer(token)
    raise ConfigError("Jira credentials: expected basic:EMAIL:TOKEN, bearer:TOKEN or anonymous")


def _is_sendable(token: str) -> bool:
    """Whether the token fits into a header; a line break that came along in copying does not."""
    return bool(token) and token.isascii() and token.isprintable()
