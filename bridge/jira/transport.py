"""Sends requests over aiohttp: each one time, as it is, and with two ways to fail.

aiohttp would by itself send a GET, PUT or DELETE anew when a kept connection turns out to be
closed; `_once` hides such failures from it, since only the caller may decide about a request that
perhaps took effect.
"""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.request import getproxies

import aiohttp
from yarl import URL

from bridge.errors import ConfigError
from bridge.jira.wire import HttpAnswer, HttpRequest

MAX_BODY_BYTES: Final = 16_000_000
"""The longest body that is read, unpacked: eight kilobytes for each of the 2,000 links of an issue."""

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


class NeverLeft(Exception):
    """No connection: nobody has seen the request."""


class AnswerLost(Exception):
    """The request left and no whole answer came back."""


class Transport:
    """A pool of connections; open from `open` to `close`."""

    def __init__(self, timeout: float) -> None:
        """Connects to nothing yet.

        Args:
            timeout: seconds for one exchange, connecting and reading included.
        """
        # To connect ends first, so that what ends in the whole time has perhaps left.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout / 3, _CONNECT_SECONDS))
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool; a proxy is taken from the environment.

        Raises:
            ConfigError: a variable names a proxy that cannot be one.
        """
        _check_proxies()
        self._session = aiohttp.ClientSession(
            # Who sends bounds how much: to wait here for a place would count as time to connect.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),  # a session cookie could outlive the credentials
            headers=_HEADERS,
            timeout=self._timeout,
            trust_env=True,
        )

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session:
            await session.close()

    async def exchange(self, request: HttpRequest) -> HttpAnswer:
        """Send a request and read its answer; a redirect is an answer.

        Args:
            request: what to send.

        Returns:
            The whole answer, whatever its status.

        Raises:
            NeverLeft: the request was surely not seen.
            AnswerLost: it perhaps was, and its answer did not come, or is too long.
            RuntimeError: the transport is not open.
        """
        if self._session is None:
            raise RuntimeError("not open: a JiraClient is used within `async with`")
        failure: NeverLeft | AnswerLost
        try:
            async with self._session.request(
                request.method,
                # `encoded`: the path is escaped already, and escaping it anew would change a globalId.
                URL(request.url, encoded=True),
                data=request.body,
                allow_redirects=False,
                middlewares=(partial(_once, request),),
            ) as answer:
                body = await _body(answer)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, headers, body)
        except _NEVER_LEFT as error:
            failure = NeverLeft(_said(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = AnswerLost(_said(error))
        # Raised here, since aiohttp's errors hold the request with its credentials.
        raise failure


def _check_proxies() -> None:
    """See that aiohttp can use the environment's proxies: it would pass over one of https."""
    for scheme in getproxies().keys() & {"http", "https"}:
        try:
            proxy = URL(getproxies()[scheme])
        except ValueError:
            proxy = URL()
        if proxy.scheme != "http" or not proxy.host:
            raise ConfigError(f"{scheme}_proxy: expected http://[USER:PASSWORD@]HOST[:PORT]")


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The body, unpacked piece by piece, so that a small one cannot become huge."""
    pieces, length = [], 0
    async for piece in answer.content.iter_any():
        length += len(piece)
        if length > MAX_BODY_BYTES:
            raise aiohttp.ClientConnectionError(f"more than {MAX_BODY_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _once(
    wanted: HttpRequest, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send one request one time, as who we are and not as ~/.netrc says."""
    request.headers.pop("Authorization", None)
    request.headers.update(wanted.headers)
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(_said(error)) from None


def _said(error: BaseException) -> str:
    """What happened, without the request that some of aiohttp's errors show."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{type(error).__name__}: {cause.strerror}"
    if type(error) is aiohttp.ClientConnectionError:
        return str(error)
    return type(error).__name__
