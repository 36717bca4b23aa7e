"""The simulated Jira behind HTTP: bytes in and out, pauses, and connections that end badly."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from importlib import resources
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from bridge.simulator.admin import ROOT, Admin
from bridge.simulator.faults import Fate, Knobs
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.page import render
from bridge.simulator.paths import HttpRequest
from bridge.simulator.reply import PAGE, Reply, refusal
from bridge.simulator.simulation import Call, Simulation, Turn
from bridge.simulator.site import Answer
from bridge.simulator.users import User, read_login

AfterApply = Callable[[str, str], Awaitable[None]]

_GRACE_SECONDS = 0.5
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JSON = {"Content-Type": "application/json;charset=UTF-8"}
_COMMON = {"Cache-Control": "no-cache, no-store, no-transform", "X-Content-Type-Options": "nosniff"}
_PAGE_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src http: https:"
}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST."""


class JiraServer:
    """Serves a model over HTTP while its context lasts.

    Args:
        model: the Jira behind it.
        port: to listen on; 0 takes a free one.
        auth: EMAIL:TOKEN that is accepted as Basic, and but for a Cloud site's own URL as Bearer.
        host: the address to listen on.
        seed: of the faults' chance.
        users: more users, by name.

    Attributes:
        model: as given.
        simulation: all that can be turned and seen.
        after_apply: awaited with method and raw path when Jira has done a request, before the
            answer is sent.
    """

    def __init__(
        self,
        model: JiraModel,
        *,
        port: int = 0,
        auth: str = "demo@example.com:demo",
        host: str = "127.0.0.1",
        seed: int = 0,
        users: dict[str, User] | None = None,
    ) -> None:
        self.model = model
        name, user = read_login(auth)
        self.simulation = Simulation(model, seed=seed, users={name: user, **(users or {})})
        self.after_apply: AfterApply | None = None
        self._admin = Admin(self.simulation)
        self._address = (host, port)

    async def __aenter__(self) -> Self:
        server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The site's URL without a slash at the end; known once the server listens."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def knobs(self) -> Knobs:
        """The faults; may be replaced at any time."""
        return self.simulation.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self.simulation.knobs = knobs

    @property
    def calls(self) -> deque[Call]:
        """The last requests to Jira, the oldest first."""
        return self.simulation.calls

    @property
    def counts(self) -> Counter[str]:
        """Of all requests to Jira since the log was cleared, by "METHOD STATUS"."""
        return self.simulation.counts

    # --- Jira ------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        target = _target(request.raw_path)
        if target.startswith(ROOT):
            try:
                return _response(await self._administer(request, target))
            except ConnectionError:  # as below
                return web.Response()
        turn = self.simulation.begin(self._asked(request, target), time.time())
        answer = None
        try:
            answer = await self._answer(request, turn)
        except ConnectionError:  # the client left before its body was here
            _close(request)
        finally:
            self.simulation.end(turn, answer, is_sent=_is_connected(request))
        return _response(self.simulation.sign(answer.reply, turn)) if answer else web.Response()

    def _asked(self, request: web.BaseRequest, target: str) -> HttpRequest:
        """The request without its body; the site's URL is as the client calls it."""
        headers = request.headers
        host = headers.get("Host", "")
        return HttpRequest(
            request.method,
            target,
            f"http://{host}" if host and host.isascii() else self.url,
            headers.get("Authorization"),
            headers.get("Content-Type", ""),
            accept=headers.get("Accept", ""),
        )

    async def _answer(self, request: web.BaseRequest, turn: Turn) -> Answer | None:
        """The answer; None where Jira had no part in the connection's end."""
        knobs, fate = self.knobs, turn.fate
        await _pause(knobs.latency + (knobs.slow if fate is Fate.SLOW_BEFORE else 0))
        if answer := self.simulation.instead(turn):
            return answer
        if fate in {Fate.DROPPED, Fate.RESET_BEFORE}:
            _close(request, with_reset=fate is Fate.RESET_BEFORE)
            return None
        body = await _read(request)
        if isinstance(body, Reply):
            return Answer(body)
        written = len(self.model.history)
        answer = self.simulation.apply(turn._replace(asked=turn.asked._replace(body=body)), time.time())
        entries = self.model.history[written:]
        if self.after_apply:
            await self.after_apply(turn.asked.method, turn.asked.target)
        await _pause(knobs.slow if fate is Fate.SLOW_AFTER else 0)
        if fate in {Fate.LOST, Fate.RESET_AFTER}:
            _close(request, with_reset=fate is Fate.RESET_AFTER)
        for entry in entries:
            entry.is_answered = _is_connected(request)
        return answer

    # --- the simulator's own -----------------------------------------------------------------

    async def _administer(self, request: web.BaseRequest, target: str) -> Reply:
        path = target.partition("?")[0]
        if path == f"{ROOT}/page.js" and _SCRIPT:
            return Reply(200, {"Content-Type": "text/javascript;charset=UTF-8"}, _SCRIPT)
        if path == ROOT and request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return Reply(200, {**PAGE, **_PAGE_POLICY}, render(self.simulation.state()).encode())
        body = await _read(request)
        if isinstance(body, Reply):
            return body
        return self._admin.answer(request.method, target, body, time.time())


def _script() -> bytes:
    """The page's script, nothing where it has none."""
    file = resources.files("bridge.simulator") / "page.js"
    return file.read_bytes() if file.is_file() else b""


_SCRIPT = _script()


def _target(raw_path: str) -> str:
    """The path with its query; clients may send a whole URL (RFC 9112, 3.2.2)."""
    return raw_path if raw_path.startswith("/") else "/" + raw_path.partition("://")[2].partition("/")[2]


def _response(reply: Reply) -> web.Response:
    if reply.body is None:
        return web.Response(status=reply.status, headers={**_COMMON, **reply.headers})
    if isinstance(reply.body, bytes):
        return web.Response(status=reply.status, headers={**_COMMON, **reply.headers}, body=reply.body)
    body = orjson.dumps(reply.body)
    return web.Response(status=reply.status, headers={**_JSON, **_COMMON, **reply.headers}, body=body)


async def _read(request: web.BaseRequest) -> bytes | Reply:
    """The body, or the refusal of one that cannot be taken in.

    A client that waits for leave to send it is given leave.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, "The request is too large.")
    except web.RequestPayloadError:
        return refusal(400, "The request's body is not in the encoding that its headers tell.")


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def _close(request: web.BaseRequest, *, with_reset: bool = False) -> None:
    """End the connection; what is answered then is written to nobody."""
    if request.transport is None:
        return
    if with_reset:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    else:
        request.transport.close()


def _is_connected(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()
