"""Drives an auth scheme's flows over a transport, so that each request goes out as somebody's."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from yarl import URL

from bridge.errors import JiraError, JiraUnreachable
from bridge.jira import limits
from bridge.jira.auth import Auth, Flow, TokenRequest
from bridge.jira.transport import AnswerLost, NeverLeft, Transport
from bridge.jira.wire import HttpAnswer, HttpRequest
from bridge.model import Budget


class Session:
    """One scheme's requests to one site.

    Flows are advanced one at a time, and the lock is given up only while Jira is asked: those who
    need a token find the one that was granted while they waited, or share the failure.
    """

    def __init__(self, auth: Auth, transport: Transport) -> None:
        """Sends nothing yet.

        Args:
            auth: who we are.
            transport: what to send over; opened and closed here.
        """
        self.budget = Budget()
        self._auth = auth
        self._transport = transport
        self._advancing = asyncio.Lock()
        self._no_token: JiraError | None = None

    async def open(self) -> None:
        """Open the transport."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the transport, once no token is being renewed any more."""
        async with self._advancing:
            await self._transport.close()

    async def exchange(self, request: HttpRequest) -> HttpAnswer:
        """Send a request with the scheme's credentials.

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
        flow = self._auth.flow(request, time.time())
        step = await self._advanced(flow)
        while isinstance(step, HttpRequest):
            answer = await self._transport.exchange(step)
            self.budget = limits.budget(answer.headers)
            step = await self._advanced(flow, answer)
        return step

    async def _advanced(self, flow: Flow, answer: HttpAnswer | None = None) -> HttpRequest | HttpAnswer:
        """Shielded: a caller that gives up must not lose the refresh token that is on its way."""
        return await asyncio.shield(self._advance(flow, answer))

    async def _advance(self, flow: Flow, answer: HttpAnswer | None) -> HttpRequest | HttpAnswer:
        """The flow's next request to Jira, or the answer that it ends with."""
        failure = self._no_token
        async with self._advancing:
            try:
                step = next(flow) if answer is None else flow.send(answer)
                while isinstance(step, TokenRequest):
                    if self._no_token and self._no_token is not failure:
                        raise self._no_token
                    step = flow.send(await self._grant(step))
            except StopIteration as end:
                return cast(HttpAnswer, end.value)
            except JiraError as error:
                self._no_token = error
                raise
        return step

    async def _grant(self, request: TokenRequest) -> HttpAnswer:
        try:
            return await self._transport.exchange(request)
        except (NeverLeft, AnswerLost) as error:
            host = URL(request.url).host
            raise JiraUnreachable(f"No access token: {host} does not answer ({error})") from None
