"""Connections to one PostgreSQL: a pool, one that listens for news, and what is told of their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from bridge.drain import pause
from bridge.errors import BridgeError, LedgerCorrupt, LedgerFormat, LedgerUnavailable, UsageError
from bridge.ledger import statements as sql

REVISION = "0001"
"""The format that this version reads and writes: the last of `bridge.ledger.migrations`."""
REVISION_TABLE = "jira_bridge_revision"
MOST = 10
"""Connections at the same time; more than that many transactions wait for one."""
SECONDS = 30.0
"""How long a statement, or the wait for a connection, may take."""
_CONNECT_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_TRIES = 5
_PULSE_SECONDS = 10.0

_SESSION = {
    "application_name": "jira-bridge",
    "statement_timeout": "30s",
    # A worker that is frozen within a transaction holds its locks no longer than this.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # The tables grow from nothing to millions of rows within the life of a prepared statement.
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
}
_AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,
)
"""What a whole transaction is tried again for."""
_AWAY = (
    OSError,
    TimeoutError,
    *_AGAIN,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.TargetServerAttributeNotMatched,
)
_LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
    OSError,
    TimeoutError,
)
"""What a rollback fails with where the connection is no more."""
_DAMAGE = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)

_LOST_WORDS = ("closed", "released back to the pool")
"""In the driver's words for the use of a connection that was lost between two statements."""

T = TypeVar("T")
Connection = Any
"""An `asyncpg.Connection`; the package has no types."""


class Again(Exception):
    """What the transaction rests on has changed under it; it is done anew."""


async def connect(url: str, password: str | None, seconds: float = SECONDS) -> Connection:
    """One connection; `seconds` is how long a statement may take. Raises what `told` tells of."""
    return await asyncpg.connect(url, timeout=_CONNECT_SECONDS, **_arguments(password, seconds))


def _arguments(password: str | None, seconds: float) -> dict[str, Any]:
    session = {**_SESSION, "statement_timeout": f"{seconds:.0f}s"}
    given = {} if password is None else {"password": password}
    return {"command_timeout": seconds, "server_settings": session, **given}


async def revision(connection: Connection) -> str | None:
    """The format of the tables; None where there are none."""
    if await connection.fetchval("SELECT to_regclass($1)", REVISION_TABLE) is None:
        return None
    found = await connection.fetchval(f"SELECT version_num FROM {REVISION_TABLE}")  # noqa: S608 - a constant
    return None if found is None else str(found)


class Connections:
    """A pool. Nothing is connected before it is needed, so that the database may be away at first."""

    def __init__(self, url: str, password: str | None) -> None:
        """`url` is `postgresql://…` without a password."""
        self.where = where(url)
        self._url, self._password = url, password
        self._pool: Any = None
        self._listener: asyncio.Task[None] | None = None

    async def transaction(self, body: Callable[[Connection], Awaitable[T]]) -> T:
        """What `body` comes to in a transaction of its own, READ COMMITTED.

        It is tried again as a whole where it collided with another. Raises LedgerUnavailable,
        LedgerCorrupt and LedgerFormat.
        """
        with told(self.where):
            for _ in range(_TRIES - 1):
                with suppress(Again, *_AGAIN):
                    return await self._try(body)
            return await self._try(body)

    async def _try(self, body: Callable[[Connection], Awaitable[T]]) -> T:
        async with (await self._started()).acquire(timeout=SECONDS) as connection:
            transaction = connection.transaction(isolation="read_committed")
            try:
                await transaction.start()
                result = await body(connection)
                await transaction.commit()
            except (asyncio.CancelledError, TimeoutError):
                connection.terminate()  # to tell the server politely may take as long again
                raise
            except BaseException:
                await _undo(connection, transaction)
                raise
            return result

    async def close(self) -> None:
        """Let go of all connections."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        if self._pool is not None:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await self._pool.close()
            except (TimeoutError, asyncpg.PostgresError, OSError):
                self._pool.terminate()

    def listen(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called with each site of which there is news, and with all once it listens (again)."""
        self._listener = asyncio.create_task(self._listen(tell))

    async def _listen(self, tell: Callable[[str], None]) -> None:
        while True:
            try:
                with told(self.where):
                    await self._hear(tell)
            except BridgeError:  # whoever does a transaction is told of it
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _hear(self, tell: Callable[[str], None]) -> None:
        """Until the connection is lost."""
        connection = await connect(self._url, self._password)
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await self._check(connection)
            await connection.add_listener(
                await connection.fetchval(sql.CHANNEL), lambda *news: tell(sql.values(news[3:])[0])
            )
            for (site,) in await connection.fetch(sql.SITES):
                tell(site)
            while not closed.is_set():
                await pause(closed, _PULSE_SECONDS)
                if not closed.is_set():
                    await connection.execute("SELECT 1", timeout=_CONNECT_SECONDS)
        finally:
            connection.terminate()
        raise ConnectionResetError("the connection was closed")

    async def _started(self) -> Any:  # noqa: ANN401 - see Connection
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=MOST,
                timeout=_CONNECT_SECONDS,
                init=self._check,
                reset=_leave,
                **_arguments(self._password, SECONDS),
            )
        return self._pool

    async def _check(self, connection: Connection) -> None:
        """Of each new connection, since the tables may have been brought forward. Raises LedgerFormat."""
        found = await revision(connection)
        if found is None or found < REVISION:
            has = "has no tables of the bridge yet" if found is None else f"has format {found}"
            raise LedgerFormat(f"{self.where} {has}, this version needs {REVISION}. {LedgerFormat.advice}")
        if found != REVISION:
            raise LedgerFormat(
                f"{self.where} has format {found}, this version knows {REVISION}. {LedgerFormat.advice}"
            )


async def _undo(connection: Connection, transaction: Any) -> None:  # noqa: ANN401 - see Connection
    """Take the transaction back; where that cannot be, the connection goes, and the transaction with it."""
    try:
        await transaction.rollback()
    except _LOST:
        with suppress(asyncpg.InterfaceError):  # it is gone already
            connection.terminate()


async def _leave(_: Connection) -> None:
    """Transactions set nothing that outlasts them: nothing is to be reset, which would be one more trip."""


def where(url: str) -> str:
    """The server and the database that the URL names, for messages."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.netloc.rpartition("@")[2] or query.get("host", ["localhost"])[0]
    return f"PostgreSQL at {host}, database {unquote(parts.path[1:]) or 'of the user'}"


@contextmanager
def told(place: str) -> Iterator[None]:
    """Raise what the database says in the bridge's words; a fault of the bridge's own stays as it is."""
    try:
        yield
    except (asyncpg.ClientConfigurationError, *_DAMAGE, *_AWAY, Again) as error:
        raise _kind(error)(f"{place}: {_text(error)}") from error
    except asyncpg.InternalClientError as error:  # the server's farewell crossed the next statement
        raise LedgerUnavailable(f"{place}: the connection was lost. {LedgerUnavailable.advice}") from error
    except asyncpg.InterfaceError as error:
        if not any(word in str(error) for word in _LOST_WORDS):  # a misuse
            raise
        raise LedgerUnavailable(f"{place}: the connection was lost. {LedgerUnavailable.advice}") from error


def _kind(error: Exception) -> type[BridgeError]:
    if isinstance(error, asyncpg.ClientConfigurationError):
        return UsageError
    return LedgerCorrupt if isinstance(error, _DAMAGE) else LedgerUnavailable


def _text(error: Exception) -> str:
    kind = _kind(error)
    said = str(error).rstrip(".") or type(error).__name__
    return f"{said}. {kind.advice}"
