"""Sends requests over aiohttp: each one time, as it is, and with two ways to fail.

aiohttp would by itself send a GET, PUT or DELETE anew when a kept connection turns out to be
closed; `_once` hides such failures from it, since only the caller may decide about a request that
perhaps took effect.
"""

from __future__ import annotations

from functools import partial

import aiohttp
from yarl import URL

from bridge.jira.wire import HttpAnswer, HttpRequest

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

    def __init__(self, timeout: float, max_connections: int) -> None:
        """Connects to nothing yet.

        Args:
            timeout: seconds for one exchange, connecting and reading included.
            max_connections: connections that may be open at once.
        """
        # To connect ends first, so that what ends in the whole time has perhaps left.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout / 3, _CONNECT_SECONDS))
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession

    async def open(self) -> None:
        """Make the pool; a proxy is taken from the environment."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections),
            cookie_jar=aiohttp.DummyCookieJar(),  # a session cookie could outlive the credentials
            headers=_HEADERS,
            timeout=self._timeout,
            trust_env=True,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def exchange(self, request: HttpRequest) -> HttpAnswer:
        """Send a request and read its answer; a redirect is an answer.

        Args:
            request: what to send.

        Returns:
            The whole answer, whatever its status.

        Raises:
            NeverLeft: the request was surely not seen.
            AnswerLost: it perhaps was.
        """
        try:
            async with self._session.request(
                request.method,
                # `encoded`: the path is escaped already, and escaping it anew would change a globalId.
                URL(request.url, encoded=True),
                data=request.body,
                allow_redirects=False,
                middlewares=(partial(_once, request),),
            ) as answer:
                body = await answer.read()
        # `from None`: aiohttp's errors hold the request with its credentials.
        except _NEVER_LEFT as error:
            raise NeverLeft(_said(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AnswerLost(_said(error)) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpAnswer(answer.status, headers, body)


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
