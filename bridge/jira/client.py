"""The client of one site: Jira's six operations, tried again where that is safe.

One attempt is one request on the wire, but for OAuth: what was refused for an old token is sent
once more with a new one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt
from yarl import URL

from bridge.errors import (
    ConfigError,
    JiraAnswerLost,
    JiraBadRequest,
    JiraError,
    JiraForeignAnswer,
    JiraNotFound,
    JiraRateLimited,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.jira import protocol
from bridge.jira.auth import Auth
from bridge.jira.session import Login, Session
from bridge.jira.transport import AnswerLost, NeverLeft, Transport
from bridge.jira.wire import HttpRequest
from bridge.model import Budget, Link, RemoteLink, Written

T = TypeVar("T")

BACKOFF_BASE = 2.0
BACKOFF_MAX = 30.0
JITTER = (0.7, 1.3)
"""Seconds, doubling, times a factor:
https://developer.atlassian.com/cloud/jira/platform/rate-limiting/."""
LAG_WAITS = (0.5, 1.0, 1.5)
"""Seconds to wait for a link of ours that Cloud does not know by its id yet; it takes about one."""
LAG_SECONDS = 5.0
"""For how long a link that we created counts as new."""


class JiraClient:
    """The remote links of one Jira site. Use it within `async with`.

    Each operation raises JiraError of the type that stands for what happened. After a lost answer a
    delete that is tried again can raise JiraNotFound although the first one did it: either way
    the link is gone.
    """

    def __init__(
        self,
        url: str,
        auth: Auth | Login,
        *,
        api_version: str = "2",
        timeout: float = 30.0,
        attempts: int = 4,
        max_wait: float = 30.0,
        max_connections: int = 16,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_wait: Callable[[JiraError, float], None] | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: the site's address, with its context path if it has one, or the gateway's
                (`https://api.atlassian.com/ex/jira/CLOUD_ID`).
            auth: who we are; a `Login` is one that several clients share.
            api_version: of Jira's REST API, `2` or `3`.
            timeout: seconds for one attempt, connecting and reading included.
            attempts: how often one operation is tried; 1 leaves trying again to the caller.
            max_wait: seconds; where Jira asks for a longer wait, its error is raised at once.
            max_connections: requests to Jira that may be under way at once; others wait their turn.
            sleep: what waits between attempts.
            on_wait: told of each wait between attempts: the error, and the seconds.

        Raises:
            ConfigError: `url` is no http or https address, or has a user in it; or another
                argument is out of its bounds.
        """
        self._url = _checked(url)
        _check(api_version, timeout, attempts, max_connections)
        self._version = api_version
        self._attempts = attempts
        self._max_wait = max_wait
        self._sleep = sleep
        self._on_wait = on_wait
        login = auth if isinstance(auth, Login) else Login(auth)
        self._session = Session(login, Transport(timeout), max_connections)
        self._created: dict[int, float] = {}

    @property
    def budget(self) -> Budget:
        """What the newest answer told of the rate limits."""
        return self._session.budget

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    # --- the operations ----------------------------------------------------------------------

    async def upsert(self, issue: str, link: Link, global_id: str | None) -> Written:
        """Create the link, or replace the one that the issue has under `global_id`.

        Without a globalId each call adds one more link, so it is not repeated when it may
        have taken effect.

        Args:
            issue: the issue's key or id.
            link: the whole content; what it lacks is emptied in Jira.
            global_id: the link's address within the issue, None for none.

        Returns:
            The link's id, the issue's key as Jira names it, and whether the link is new.

        Raises:
            JiraError: what Jira said, or that it could not be asked.
        """
        request = protocol.upsert(self._version, issue, link, global_id)
        try:
            written = await self._ask(request)
        except JiraBadRequest as error:
            if self._attempts == 1 or not error.is_blank or not global_id:
                raise
            written = await self._after_collision(request, issue, link, global_id)
        if written.created and self._attempts > 1:
            self._remember(written.link_id)
        return written

    async def delete_by_global_id(self, issue: str, global_id: str) -> None:
        """Delete the link that the issue has under `global_id`.

        Args:
            issue: the issue's key or id.
            global_id: the link's address within the issue.

        Raises:
            JiraNotFound: the issue or the link is not there.
            JiraError: what else Jira said, or that it could not be asked.
        """
        await self._ask(protocol.delete_by_global_id(self._version, issue, global_id))

    async def get_by_global_id(self, issue: str, global_id: str) -> RemoteLink:
        """Read the link that the issue has under `global_id`.

        Args:
            issue: the issue's key or id.
            global_id: the link's address within the issue.

        Returns:
            The link as it stands.

        Raises:
            JiraNotFound: the issue or the link is not there.
            JiraError: what else Jira said, or that it could not be asked.
        """
        return await self._ask(protocol.get_by_global_id(self._version, issue, global_id))

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """Read all links of the issue.

        Args:
            issue: the issue's key or id.

        Returns:
            The links, in no order.

        Raises:
            JiraError: what Jira said, or that it could not be asked.
        """
        return await self._ask(protocol.list_links(self._version, issue))

    async def get(self, issue: str, link_id: int) -> RemoteLink:
        """Read the link of that id.

        Args:
            issue: the issue's key or id.
            link_id: the link's id in Jira.

        Returns:
            The link as it stands.

        Raises:
            JiraNotFound: the issue or the link is not there.
            JiraError: what else Jira said, or that it could not be asked.
        """
        return await self._ask_by_id(protocol.get(self._version, issue, link_id), link_id)

    async def update(self, issue: str, link_id: int, link: Link, global_id: str | None) -> None:
        """Replace the link of that id, its globalId too.

        Args:
            issue: the issue's key or id.
            link_id: the link's id in Jira.
            link: the whole content; what it lacks is emptied in Jira.
            global_id: the globalId that it has from now on; None leaves it without one.

        Raises:
            JiraNotFound: the issue or the link is not there.
            JiraError: what else Jira said, or that it could not be asked.
        """
        await self._ask_by_id(protocol.update(self._version, issue, link_id, link, global_id), link_id)

    async def delete(self, issue: str, link_id: int) -> None:
        """Delete the link of that id.

        Args:
            issue: the issue's key or id.
            link_id: the link's id in Jira.

        Raises:
            JiraNotFound: the issue or the link is not there.
            JiraError: what else Jira said, or that it could not be asked.
        """
        await self._ask_by_id(protocol.delete(self._version, issue, link_id), link_id)
        self._created.pop(link_id, None)

    # --- trying again ------------------------------------------------------------------------

    async def _ask(self, request: protocol.Request[T]) -> T:
        attempts = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            retry=lambda state: self._is_worth_repeating(request, _failure(state)),
            before_sleep=self._tell_wait,
            reraise=True,
        )
        return await attempts(self._send, request)

    def _is_worth_repeating(self, request: protocol.Request[T], error: BaseException | None) -> bool:
        """Whether a further attempt may fare better, and does no harm if the last one took effect."""
        if isinstance(error, JiraError) and (error.retry_after or 0.0) > self._max_wait:
            return False
        match error:
            case JiraForeignAnswer(status=int(status)) if status < 500:  # noqa: PLR2004
                return False  # what stands between us and Jira says the same again
            case JiraRateLimited() | JiraUnreachable():
                return True
            case JiraUnavailable() | JiraAnswerLost():
                return request.is_repeatable
        return False

    def _tell_wait(self, state: RetryCallState) -> None:
        error = _failure(state)
        if self._on_wait and isinstance(error, JiraError):
            self._on_wait(error, state.upcoming_sleep)

    async def _after_collision(
        self, request: protocol.Request[Written], issue: str, link: Link, global_id: str
    ) -> Written:
        """Two first writes of one globalId met: write once more, unless Jira holds the same by now."""
        await self._sleep(_jittered(BACKOFF_BASE))
        try:
            found = await self.get_by_global_id(issue, global_id)
        except JiraNotFound:
            return await self._ask(request)
        if found.link.digest == link.digest:
            return Written(found.id, found.issue, created=False)
        return await self._ask(request)

    async def _ask_by_id(self, request: protocol.Request[T], link_id: int) -> T:
        """Cloud may deny for about a second a link that was created just now."""
        for seconds in LAG_WAITS if self._is_new(link_id) else ():
            try:
                return await self._ask(request)
            except JiraNotFound:
                await self._sleep(seconds)
        return await self._ask(request)

    def _remember(self, link_id: int) -> None:
        now = time.monotonic()
        self._created = {known: at for known, at in self._created.items() if now - at < LAG_SECONDS}
        self._created[link_id] = now

    def _is_new(self, link_id: int) -> bool:
        return time.monotonic() - self._created.get(link_id, -LAG_SECONDS) < LAG_SECONDS

    async def _send(self, request: protocol.Request[T]) -> T:
        asked = request.asked
        plain = HttpRequest(request.method, self._url + request.path, request.body)
        try:
            answer = await self._session.exchange(plain)
        except NeverLeft as error:
            text = f"{asked}: no connection ({error})"
            raise JiraUnreachable(text, issue=asked.issue, operation=asked.operation) from None
        except AnswerLost as error:
            text = f"{asked}: no whole answer ({error})"
            raise JiraAnswerLost(text, issue=asked.issue, operation=asked.operation) from None
        except JiraError as error:  # no token
            error.issue, error.operation = asked.issue, asked.operation
            raise
        return protocol.decipher(request, answer, time.time())


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


def _check(api_version: str, timeout: float, attempts: int, max_connections: int) -> None:
    if api_version not in {"2", "3"}:
        raise ConfigError("Jira's API version: expected 2 or 3, as text")
    if not timeout > 0 or attempts < 1 or max_connections < 1:
        raise ConfigError(
            "Jira's client: expected a timeout above 0, and at least one attempt and connection"
        )


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt, never less than Jira asks for."""
    backoff = min(BACKOFF_BASE * 2.0 ** (state.attempt_number - 1), BACKOFF_MAX)
    error = _failure(state)
    asked = error.retry_after if isinstance(error, JiraError) else None
    return max(_jittered(backoff), asked or 0.0)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(*JITTER)  # noqa: S311 - no secret


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
