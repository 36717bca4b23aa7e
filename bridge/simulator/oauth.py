"""OAuth 2.0 as Atlassian's gateway has it: client credentials, and refresh tokens that rotate. Pure.

https://developer.atlassian.com/cloud/oauth/getting-started/making-calls-to-api/ and
https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

import orjson

from bridge.simulator.reply import Reply
from bridge.simulator.users import Users

CLOUD_ID = "5d1c0f2e-0000-4000-8000-73696d756c61"
"""The one site behind the gateway."""

SCOPES = "read:jira-work write:jira-work"

_GRANTS = ("client_credentials", "refresh_token")


class Tokens:
    """Access and refresh tokens that were given out; of refresh tokens an app's last one is good."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._access: dict[str, tuple[str, float]] = {}
        self._refresh: dict[tuple[str, str | None], str | None] = {}
        self._issued = 0

    def named(self, authorization: str, now: float) -> str | None:
        """Whose access token the header has, None when it is nobody's or its time is over."""
        scheme, _, token = authorization.partition(" ")
        name, until = self._access.get(token.strip(), (None, 0.0))
        return name if scheme.lower() == "bearer" and now < until else None

    def grant(self, body: bytes, seconds: int, now: float) -> Reply:
        """What the token endpoint answers; `seconds` is how long an access token lives."""
        form = _form(body)
        if form.get("grant_type") not in _GRANTS:
            return _error(400, "invalid_request", f"grant_type must be one of [{'|'.join(_GRANTS)}]")
        name = form.get("client_id", "")
        user = self._users.get(name)
        if user is None or not user.is_app or not user.token or user.token != form.get("client_secret"):
            return _error(401, "access_denied", "Unauthorized")
        if form["grant_type"] == "client_credentials":
            return Reply(200, {}, self._issue(name, seconds, now))
        first = (name, user.refresh_token)
        good = self._refresh.get(first, user.refresh_token)
        if not good or form.get("refresh_token") != good:
            return _error(403, "unauthorized_client", "refresh_token is invalid")
        self._refresh[first] = self._text("refresh", name)
        given = self._issue(name, seconds, now)
        return Reply(200, {}, {**given, "refresh_token": self._refresh[first]})

    def _issue(self, name: str, seconds: int, now: float) -> dict[str, Any]:
        token = self._text("access", name)
        self._access[token] = (name, now + seconds)
        return {"access_token": token, "expires_in": seconds, "token_type": "Bearer", "scope": SCOPES}

    def _text(self, kind: str, name: str) -> str:
        self._issued += 1
        return blake2b(f"{kind} {name} {self._issued}".encode(), digest_size=24).hexdigest()


def _form(body: bytes) -> dict[str, str]:
    """The fields of a body, which may be JSON or a form."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = dict(parse_qsl(body.decode("utf-8", "replace")))
    return {str(key): str(value) for key, value in fields.items()} if isinstance(fields, dict) else {}


def _error(status: int, error: str, description: str) -> Reply:
    return Reply(status, {}, {"error": error, "error_description": description})
