"""A server between the bridge and Jira that now and then answers in Jira's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

Answer = tuple[int, Mapping[str, str]]
"""A status and headers."""

_PASSED_ON = ("Authorization", "Content-Type", "Accept")
_PASSED_BACK = ("Content-Type", "ATL-TraceId")


@dataclass(slots=True)
class Front:
    """Passes requests on; each of the `every`-th is answered with the next of `answers` instead."""

    upstream: str
    session: aiohttp.ClientSession
    url: str = ""
    answers: Sequence[Answer] = ()
    every: int = 5
    given: Counter[int] = field(default_factory=Counter)
    _asked: int = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        self._asked += 1
        if self.answers and self._asked % self.every == 0:
            number = sum(self.given.values()) % len(self.answers)
            self.given[number] += 1
            status, headers = self.answers[number]
            return web.Response(status=status, headers=headers, body=b"{}")
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = self.upstream + request.raw_path
        body = await request.read()
        async with self.session.request(
            request.method, URL(url, encoded=True), data=body, headers=headers
        ) as answer:
            back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
            return web.Response(status=answer.status, headers=back, body=await answer.read())


@asynccontextmanager
async def front(upstream: str, session: aiohttp.ClientSession) -> AsyncIterator[Front]:
    """A front on a port of its own."""
    server = Front(upstream, session)
    runner = web.ServerRunner(web.Server(server, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
