"""The client: sends the protocol's requests over aiohttp, and tries again where that is safe.

One attempt is one request on the wire. aiohttp would by itself send a GET, PUT or DELETE anew
when a kept connection turns out to be closed; `_once` hides such failures from it, since only
the caller may decide about a request that perhaps took effect.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt
from yarl import URL

from bridge.errors import (
    ConfigError,
    JiraAnswerLost,
    JiraBadRequest,
    JiraError,
    JiraRateLimited,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.jira import protocol
from bridge.jira.auth import Auth
from bridge.model import Budget, Link, RemoteLink, Written

T = TypeVar("T")

BACKOFF_BASE = 2.0
BACKOFF_MAX = 30.0
JITTER = (0.7, 1.3)
"""Seconds, doubling, times a factor:
https://developer.atlassian.com/cloud/jira/platform/rate-limiting/."""

_CONNECT_SECONDS = 10.0
_HEADERS = {
    "Accept": "application/json",
    # On each request: Cloud has answered 415 to a DELETE without it.
    "Content-Type": "application/json",
    "User-Agent": "jira-link-bridge",
}
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


class JiraClient:
    """The remote links of one Jira site. Use it within `async with`.

    All operations raise JiraError. After a lost answer a delete that is tried again can raise
    JiraNotFound although the first one did it: either way the link is gone.
    """

    def __init__(
        self,
        url: str,
        auth: Auth,
        *,
        api_version: str = "2",
        timeout: float = 30.0,
        attempts: int = 4,
        max_connections: int = 16,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: the site's address, with its context path if it has one, or the gateway's
                (`https://api.atlassian.com/ex/jira/CLOUD_ID`).
            auth: who we are.
            api_version: of Jira's REST API, `2` or `3`.
            timeout: seconds for one attempt, connecting and reading included.
            attempts: how often one operation is tried; 1 leaves trying again to the caller.
            max_connections: connections that may be open at once.
            sleep: what waits between attempts.

        Raises:
            ConfigError: `url` is no http or https address, or has a user in it.
        """
        self._url = _checked(url)
        self._auth = auth
        self._version = api_version
        # To connect ends first, so that what ends in the whole time has perhaps left.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout / 3, _CONNECT_SECONDS))
        self._attempts = attempts
        self._max_connections = max_connections
        self._sleep = sleep
        self._session: aiohttp.ClientSession
        self._budget = Budget()

    @property
    def budget(self) -> Budget:
        """What the newest answer told of the rate limits."""
        return self._budget

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections),
            cookie_jar=aiohttp.DummyCookieJar(),  # a session cookie could outlive the credentials
            headers=_HEADERS,
            middlewares=(self._once,),
            timeout=self._timeout,
            trust_env=True,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def upsert(self, issue: str, link: Link, global_id: str | None) -> Written:
        """Create the link, or replace the one that the issue has under `global_id`.

        Without a globalId each call adds one more link, so it is not repeated when it may
        have taken effect.
        """
        return await self._ask(protocol.upsert(self._version, issue, link, global_id))

    async def delete_by_global_id(self, issue: str, global_id: str) -> None:
        """Delete the link; JiraNotFound when the issue or the link is not there."""
        await self._ask(protocol.delete_by_global_id(self._version, issue, global_id))

    async def get_by_global_id(self, issue: str, global_id: str) -> RemoteLink:
        """Read the link; JiraNotFound when the issue or the link is not there."""
        return await self._ask(protocol.get_by_global_id(self._version, issue, global_id))

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """Read all links of the issue, in no order."""
        return await self._ask(protocol.list_links(self._version, issue))

    async def get(self, issue: str, link_id: int) -> RemoteLink:
        """Read the link of that id."""
        return await self._ask(protocol.get(self._version, issue, link_id))

    async def update(self, issue: str, link_id: int, link: Link, global_id: str | None) -> None:
        """Replace the link of that id, its globalId too: None leaves it without one."""
        await self._ask(protocol.update(self._version, issue, link_id, link, global_id))

    async def delete(self, issue: str, link_id: int) -> None:
        """Delete the link of that id."""
        await self._ask(protocol.delete(self._version, issue, link_id))

    async def _ask(self, request: protocol.Request[T]) -> T:
        attempts = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            retry=lambda state: _is_worth_repeating(request, state),
            reraise=True,
        )
        return await attempts(self._send, request)

    async def _send(self, request: protocol.Request[T]) -> T:
        # `encoded`: the path is escaped already, and escaping it anew would change a globalId.
        url = URL(self._url + request.path, encoded=True)
        try:
            async with self._session.request(
                request.method, url, data=request.body, allow_redirects=False
            ) as answer:
                body = await answer.read()
        # `from None`: aiohttp's errors hold the request with its credentials.
        except _NEVER_LEFT as error:
            raise JiraUnreachable(f"{request}: no connection ({_said(error)})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise JiraAnswerLost(f"{request}: no whole answer ({_said(error)})") from None
        return protocol.decipher(request, answer.status, answer.headers, body, time.time())

    async def _once(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send one request one time, as who we are and not as ~/.netrc says."""
        request.headers.pop("Authorization", None)
        request.headers.update(self._auth())
        try:
            return await send(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise aiohttp.ClientConnectionError(_said(error)) from None


def _checked(url: str) -> str:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query_string or parsed.fragment:
        raise ConfigError("Jira's URL: expected http(s)://HOST[:PORT][/PATH]")
    if parsed.user is not None or parsed.password is not None:
        raise ConfigError("Jira's URL: has a user in it; credentials belong to the authentication")
    return str(parsed).rstrip("/")


def _said(error: BaseException) -> str:
    """What happened, without the request that some of aiohttp's errors show."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{type(error).__name__}: {cause.strerror}"
    if type(error) is aiohttp.ClientConnectionError:
        return str(error)
    return type(error).__name__


def _is_worth_repeating(request: protocol.Request[T], state: RetryCallState) -> bool:
    """Whether a further attempt may fare better, and does no harm if the last one took effect."""
    match _failure(state):
        case JiraRateLimited() | JiraUnreachable():
            return True
        case JiraUnavailable() | JiraAnswerLost():
            return request.is_repeatable
        case JiraBadRequest(is_blank=True):  # two first writes of one globalId collided
            return request.method == "POST" and request.is_repeatable and state.attempt_number == 1
    return False


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt, never less than Jira asks for."""
    backoff = min(BACKOFF_BASE * 2.0 ** (state.attempt_number - 1), BACKOFF_MAX)
    error = _failure(state)
    asked = error.retry_after if isinstance(error, JiraError) else None
    return max(backoff * random.uniform(*JITTER), asked or 0.0)  # noqa: S311 - no secret


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
