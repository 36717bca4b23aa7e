"""The client of one Jira site: the six operations over aiohttp.

aiohttp normalises URLs unless told not to (`encoded=True`), follows redirects and repeats some
requests on a connection that turns out to be dead; the first two are switched off here, and the
third is harmless, since only idempotent methods are repeated.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import yarl
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from bridge.errors import Applied, JiraAnswerLost, JiraBadRequest, JiraError, JiraRejected, JiraUnreachable
from bridge.jira import protocol
from bridge.jira.auth import Auth
from bridge.jira.protocol import Answer, RemoteLinks, Request
from bridge.model import Link, RemoteLink, Written

T = TypeVar("T")

RETRY_BASE = 2.0
RETRY_MAX = 30.0
"""Seconds; Atlassian's advice: doubling from 2 s, jitter 0.7 to 1.3, at most 30 s, at most 4 tries."""


class JiraClient:
    """`async with JiraClient(url, auth) as jira`. Every operation raises JiraError.

    Args:
        url: the site, with a context path if it has one (`https://host/jira`), or the gateway's
            `https://api.atlassian.com/ex/jira/CLOUD_ID`.
        auth: see `bridge.jira.auth`.
        api_version: "2" or "3".
        attempts: how often a request is tried that failed for a reason that passes. A request
            that may have been applied is repeated only where twice is the same as once.
        timeout: seconds for one attempt.
        max_connections: open at the same time, and kept for reuse.
        sleep: how to wait between attempts.
    """

    def __init__(
        self,
        url: str,
        auth: Auth,
        *,
        api_version: str = "2",
        attempts: int = 4,
        timeout: float = 30.0,
        max_connections: int = 16,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._auth = auth
        self._requests = RemoteLinks(api_version)
        self._attempts = attempts
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(10.0, timeout))
        self._max_connections = max_connections
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            # On a DELETE without a body too: Cloud answers 415 otherwise.
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            trust_env=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """All links of the issue, in no order."""
        return await self._ask(self._requests.list(issue), protocol.read_links)

    async def get_by_global_id(self, issue: str, global_id: str) -> RemoteLink:
        """The link with that globalId."""
        return await self._ask(self._requests.get_by_global_id(issue, global_id), protocol.read_link)

    async def get(self, issue: str, link_id: int) -> RemoteLink:
        """The link with that id."""
        return await self._ask(self._requests.get(issue, link_id), protocol.read_link)

    async def upsert(self, issue: str, link: Link, global_id: str | None) -> Written:
        """Create, or replace the link with that globalId; without one, add a link."""
        return await self._ask(self._requests.upsert(issue, link, global_id), protocol.read_written)

    async def update(self, issue: str, link_id: int, link: Link, global_id: str | None) -> None:
        """Replace the link with that id, its globalId too: without one, no globalId reaches it."""
        await self._ask(self._requests.update(issue, link_id, link, global_id), protocol.read_none)

    async def delete_by_global_id(self, issue: str, global_id: str) -> None:
        """Delete the link with that globalId."""
        await self._ask(self._requests.delete_by_global_id(issue, global_id), protocol.read_none)

    async def delete(self, issue: str, link_id: int) -> None:
        """Delete the link with that id."""
        await self._ask(self._requests.delete(issue, link_id), protocol.read_none)

    async def probe(self) -> None:
        """Return when Jira accepts the credentials."""
        await self._ask(self._requests.myself(), protocol.read_none)

    async def _ask(self, request: Request, read: Callable[[Request, Answer], T]) -> T:
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            retry=retry_if_exception(lambda error: is_passing(request, error)),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return await attempts(self._once, request, read)

    async def _once(self, request: Request, read: Callable[[Request, Answer], T]) -> T:
        if self._session is None:
            raise RuntimeError("the client is not open: use `async with`")
        try:
            async with self._session.request(
                request.method,
                yarl.URL(self._url + request.path, encoded=True),
                data=request.body,
                headers=self._auth(),
                allow_redirects=False,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, headers, await response.read(), time.time())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise JiraUnreachable(f"{request}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise JiraAnswerLost(f"{request}: {type(error).__name__} {error}".rstrip()) from error
        return read(request, answer)


def is_passing(request: Request, error: BaseException) -> bool:
    """Whether asking again may help and can do no harm."""
    if not isinstance(error, JiraError):
        return False
    if error.applied is Applied.MAYBE and not request.is_repeatable:
        return False
    if isinstance(error, JiraBadRequest):
        # Two first writes of one globalId that meet: the other one has created it by now.
        return (
            error.status is not None and error.is_blank and request.method == "POST" and request.is_repeatable
        )
    return (
        isinstance(error, JiraError)
        and not isinstance(error, JiraRejected)
        and error.status not in {401, 403, 404}
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    least = (error.retry_after or 0.0) if isinstance(error, JiraError) else 0.0
    jitter = random.uniform(0.7, 1.3)  # noqa: S311 - spreads retries, guards nothing
    return float(max(least, min(RETRY_MAX, RETRY_BASE * 2 ** (state.attempt_number - 1)) * jitter))
