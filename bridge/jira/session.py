"""Drives an auth scheme's flows over a transport, so that each request goes out as somebody's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import copy
from typing import cast

from yarl import URL

from bridge.errors import JiraError, JiraUnreachable
from bridge.jira import limits
from bridge.jira.auth import Auth, Flow, TokenRequest
from bridge.jira.transport import AnswerLost, NeverLeft, Transport
from bridge.jira.wire import HttpAnswer, HttpRequest
from bridge.model import Budget

Send = Callable[[TokenRequest], Awaitable[HttpAnswer]]


class Login:
    """One scheme, at one site or at several that share its token.

    Flows are advanced one at a time, and the lock is given up only while Jira is asked: those who
    need a token find the one that was granted while they waited, or share the failure.
    """

    def __init__(self, auth: Auth) -> None:
        """Asks for nothing yet.

        Args:
            auth: who we are.
        """
        self._auth = auth
        self._turn = asyncio.Lock()
        self._no_token: JiraError | None = None

    def flow(self, request: HttpRequest) -> Flow:
        """A flow of the scheme, from now on.

        Args:
            request: the request, without credentials.

        Returns:
            What `advance` takes.
        """
        return self._auth.flow(request, time.time())

    async def advance(self, flow: Flow, answer: HttpAnswer | None, send: Send) -> HttpRequest | HttpAnswer:
        """Go on with a flow, and ask for the tokens that it needs.

        Args:
            flow: one of `flow`'s.
            answer: what came back to its last request to Jira, None at the start.
            send: sends a request for a token.

        Returns:
            The flow's next request to Jira, or the answer that it ends with.

        Raises:
            JiraError: there is no token; an error of this caller's own, though others have one like it.
        """
        failure = self._no_token
        async with self._turn:
            try:
                step = next(flow) if answer is None else flow.send(answer)
                while isinstance(step, TokenRequest):
                    if self._no_token and self._no_token is not failure:
                        raise copy(self._no_token)
                    step = flow.send(await send(step))
            except StopIteration as end:
                return cast(HttpAnswer, end.value)
            except JiraError as error:
                if self._no_token is failure:  # and not one that is shared
                    self._no_token = copy(error)
                raise
            return step


class Session:
    """One login's requests to one site."""

    def __init__(self, login: Login, transport: Transport, max_connections: int) -> None:
        """Sends nothing yet.

        Args:
            login: who we are.
            transport: what to send over; opened and closed here.
            max_connections: requests to Jira that may be under way at once.
        """
        self.budget = Budget()
        self._login = login
        self._transport = transport
        self._places = asyncio.Semaphore(max_connections)
        self._advancing: set[asyncio.Task[HttpRequest | HttpAnswer]] = set()

    async def open(self) -> None:
        """Open the transport.

        Raises:
            ConfigError: a variable names a proxy that cannot be one.
        """
        await self._transport.open()

    async def close(self) -> None:
        """Close the transport, once no token is being renewed any more."""
        await asyncio.gather(*self._advancing, return_exceptions=True)
        await self._transport.close()

    async def exchange(self, request: HttpRequest) -> HttpAnswer:
        """Send a request with the login's credentials, as soon as it is its turn.

        Args:
            request: the request, without credentials.

        Returns:
            The answer; of two, where a token was renewed, the second.

        Raises:
            NeverLeft: the request was surely not seen.
            AnswerLost: it perhaps was.
            JiraUnauthorized: no token is granted to us.
            JiraUnreachable: there is no token to be had for now.
        """
        flow = self._login.flow(request)
        step = await self._advanced(flow)
        while isinstance(step, HttpRequest):
            async with self._places:
                answer = await self._transport.exchange(step)
            self.budget = limits.budget(answer.headers)
            step = await self._advanced(flow, answer)
        return step

    async def _advanced(self, flow: Flow, answer: HttpAnswer | None = None) -> HttpRequest | HttpAnswer:
        """In a task of its own: a caller that gives up must not lose the refresh token on its way."""
        task = asyncio.create_task(self._login.advance(flow, answer, self._grant))
        self._advancing.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait([task])
        return task.result()

    def _done(self, task: asyncio.Task[HttpRequest | HttpAnswer]) -> None:
        self._advancing.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else may be there to look at it

    async def _grant(self, request: TokenRequest) -> HttpAnswer:
        try:
            return await self._transport.exchange(request)
        except (NeverLeft, AnswerLost) as error:
            host = URL(request.url).host
            raise JiraUnreachable(f"No access token: {host} does not answer ({error})") from None
