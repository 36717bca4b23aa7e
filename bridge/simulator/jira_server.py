"""The simulated Jira behind HTTP: credentials, content types, faults, and a log of the calls.

It answers under /rest/api/2 and /rest/api/3. Beside them, for whoever tests with it, stand
/_simulator (page, or JSON), /_simulator/calls (DELETE) and /_simulator/knobs (GET, PUT).
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from random import Random
from secrets import compare_digest
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import orjson
from aiohttp import web
from pydantic import ValidationError

from bridge.simulator import rate_limit
from bridge.simulator.faults import KNOBS, Fate, Knobs, Login
from bridge.simulator.jira_model import NO_ISSUE, JiraModel, Reply, Request, refusal
from bridge.simulator.page import render

CALLS_KEPT = 10_000
"""The log's length; the counts have no end."""

_BODY_BYTES = 8 * 1024 * 1024
_GRACE_SECONDS = 0.5
_SERVER_ERRORS = (500, 502, 503, 504)
_JSON = "application/json"
_PAGE_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_BAD_LOGIN = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
_LOGIN_DENIED = {
    "X-Seraph-LoginReason": "AUTHENTICATION_DENIED",
    "X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE",
}

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
AfterApply = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` as on the wire, with its query; `at` in seconds since the epoch.

    `status` is None when the connection was closed without an answer.
    """

    method: str
    path: str
    status: int | None
    at: float


class JiraServer:
    """Serves a model over HTTP while its context lasts.

    Args:
        model: the Jira behind it.
        port: to listen on; 0 takes a free one.
        auth: EMAIL:TOKEN that is accepted as Basic, and its TOKEN as Bearer.
        host: the address to listen on.
        is_anonymous_allowed: requests without credentials are done too.
        seed: of the faults' chance.

    Attributes:
        model: as given.
        knobs: the faults; may be replaced at any time.
        calls: the last requests to /rest, the oldest first.
        counts: of all requests to /rest since the log was cleared, by "METHOD STATUS".
        after_apply: awaited with method and raw path when the model has done a request, before
            the answer is sent.
    """

    def __init__(
        self,
        model: JiraModel,
        *,
        port: int = 0,
        auth: str = "demo@example.com:demo",
        host: str = "127.0.0.1",
        is_anonymous_allowed: bool = False,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.knobs = Knobs()
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.counts: Counter[str] = Counter()
        self.after_apply: AfterApply | None = None
        self._address = (host, port)
        self._accepted = _accepted(auth)
        self._is_anonymous_allowed = is_anonymous_allowed
        self._random = Random(seed)  # noqa: S311 - chance that can be repeated is the point
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_GRACE_SECONDS)

    async def __aenter__(self) -> Self:
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

    def _app(self) -> web.Application:
        api = web.Application(middlewares=[self._log, self._suffer, self._authenticate])
        links = "/{version:[23]}/issue/{issue}/remotelink"
        api.router.add_get("/{version:[23]}/serverInfo", self._server_info)
        api.router.add_get("/{version:[23]}/myself", self._myself)
        api.router.add_route("*", links, self._links)
        api.router.add_route("*", links + "/{link_id}", self._links)
        app = web.Application(client_max_size=_BODY_BYTES)
        app.add_subapp("/rest/api", api)
        app.router.add_get("/_simulator", self._show)
        app.router.add_delete("/_simulator/calls", self._clear)
        app.router.add_get("/_simulator/knobs", self._show_knobs)
        app.router.add_put("/_simulator/knobs", self._turn_knobs)
        return app

    # --- around every request to Jira --------------------------------------------------------

    @web.middleware
    async def _log(self, request: web.Request, handler: Next) -> web.StreamResponse:
        status: int | None = None
        try:
            answer = await handler(request)
            status = answer.status if _is_connected(request) else None
        except web.HTTPException as error:
            status = error.status
            raise
        except ConnectionError:  # the client left before its body was here
            answer = web.Response(status=400)
        finally:
            self.calls.append(Call(request.method, request.raw_path, status, time.time()))
            self.counts[f"{request.method} {status}"] += 1
        return answer

    @web.middleware
    async def _suffer(self, request: web.Request, handler: Next) -> web.StreamResponse:
        knobs = self.knobs
        fate = knobs.fate(self._random.random())
        await asyncio.sleep(knobs.latency)
        if knobs.is_down:
            return _refuse(503, "Jira is down.", {"Retry-After": f"{knobs.retry_after:g}"})
        match fate:
            case Fate.LIMITED:
                return _refuse(429, "Rate limit exceeded.", _limit_headers(knobs.retry_after, time.time()))
            case Fate.FAILED:
                return _error_page(self._random.choice(_SERVER_ERRORS))
            case Fate.DROPPED:
                return _close(request)
        answer = await handler(request)
        return _close(request) if fate is Fate.LOST else answer

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Next) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if given is None and not self._is_anonymous_allowed:
            return _refuse(401, "You are not authenticated.", {"WWW-Authenticate": "Basic"})
        if given is None or (self.knobs.login is Login.CHECKED and self._is_accepted(given)):
            return await handler(request)
        return self._bad_login(request)

    def _bad_login(self, request: web.Request) -> web.Response:
        match self.knobs.login:
            case Login.DENIED:
                return _refuse(403, "A CAPTCHA is to be solved.", _LOGIN_DENIED)
            case Login.UNSCOPED:
                said = {"code": 401, "message": "Unauthorized; scope does not match"}
                return _response(Reply(401, {}, said))
            case Login.HIDDEN if "issue" in request.match_info:
                return _refuse(404, NO_ISSUE, _BAD_LOGIN)
        return _refuse(401, "The credentials are not valid.", _BAD_LOGIN)

    def _is_accepted(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        wanted = self._accepted.get(scheme.lower(), "")
        return bool(wanted) and compare_digest(_octets(credentials.strip()), _octets(wanted))

    # --- Jira ------------------------------------------------------------------------------

    async def _links(self, request: web.Request) -> web.Response:
        typed = {"POST", "PUT", "DELETE"} if self.knobs.is_delete_typed else {"POST", "PUT"}
        if request.method in typed and request.content_type != _JSON:
            return _refuse(415, f"The content type must be {_JSON}.")
        asked = Request(
            request.method,
            request.match_info["issue"],
            request.match_info.get("link_id"),
            _global_id(request.raw_path),
            await request.read(),
            f"{self.url}/rest/api/{request.match_info['version']}",
        )
        reply = self.model.answer(asked, time.time())
        if self.after_apply:
            await self.after_apply(request.method, request.raw_path)
        return _response(reply)

    async def _server_info(self, _request: web.Request) -> web.Response:
        info = {"baseUrl": self.url, "version": "1001.0.0", "deploymentType": "Cloud", "serverTitle": "Jira"}
        return _response(Reply(200, {}, info))

    async def _myself(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return _refuse(401, "You are not authenticated.")
        who = {"accountId": "simulator", "accountType": "app", "displayName": "Jira bridge", "active": True}
        return _response(Reply(200, {}, who))

    # --- the simulator's own -----------------------------------------------------------------

    async def _show(self, request: web.Request) -> web.Response:
        state = self._state()
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(text=render(state), content_type="text/html", headers=_PAGE_POLICY)
        return _response(Reply(200, {}, state))

    def _state(self) -> dict[str, Any]:
        history = Counter(entry.action for entry in self.model.history)
        history["needless"] = sum(entry.needless for entry in self.model.history)
        return {
            "calls": [asdict(call) for call in self.calls],
            "counts": dict(self.counts),
            "links": self.model.links(),
            "history": {name: history[name] for name in ("created", "updated", "deleted", "needless")},
        }

    async def _clear(self, _request: web.Request) -> web.Response:
        self.calls.clear()
        self.counts.clear()
        return web.Response(status=204)

    async def _show_knobs(self, _request: web.Request) -> web.Response:
        return web.Response(body=KNOBS.dump_json(self.knobs), content_type=_JSON)

    async def _turn_knobs(self, request: web.Request) -> web.Response:
        try:
            self.knobs = KNOBS.validate_json(await request.read())
        except ValidationError as error:
            faults = {".".join(map(str, fault["loc"])) or "knobs": fault["msg"] for fault in error.errors()}
            return _response(refusal(400, "No such knobs; nothing was changed.", errors=faults))
        return await self._show_knobs(request)


def _accepted(auth: str) -> dict[str, str]:
    """What follows each scheme of `Authorization`."""
    return {"basic": b64encode(auth.encode()).decode(), "bearer": auth.partition(":")[2]}


def _global_id(raw_path: str) -> str | None:
    """The query's first globalId, read off the wire: `+` is a space there and `%2B` a plus."""
    query = parse_qs(raw_path.partition("?")[2], keep_blank_values=True)
    return query.get("globalId", [None])[0]


def _octets(header: str) -> bytes:
    """A header's value as on the wire, where it need not be UTF-8."""
    return header.encode("utf-8", "surrogateescape")


def _response(reply: Reply) -> web.Response:
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return web.Response(
        status=reply.status,
        headers=reply.headers,
        body=orjson.dumps(reply.body),
        content_type=_JSON,
        charset="utf-8",
    )


def _refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _response(refusal(status, message)._replace(headers=headers or {}))


def _limit_headers(wait: float, now: float) -> dict[str, str]:
    """Those of a burst: chance knows no other limit."""
    return rate_limit.headers("jira-burst-based", now + wait, 100, now)


def _error_page(status: int) -> web.Response:
    """A gateway's page: it is not JSON."""
    return web.Response(status=status, text=f"<h1>{status}</h1>", content_type="text/html")


def _close(request: web.Request) -> web.Response:
    """Close the connection; what is returned is written to nobody."""
    if request.transport:
        request.transport.close()
    return web.Response()


def _is_connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()
