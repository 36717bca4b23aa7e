"""The ledger in one SQLite file: one process, one thread, every method one transaction."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from bridge.errors import LedgerBusy, LedgerCorrupt, LedgerUnavailable, UsageError
from bridge.ledger.sqlite_tables import SqliteRows, SqliteTables
from bridge.model import CallKind, Entry, LinkKey, Position, Row
from bridge.ports import Item, Lease, Merged, Repair, Settled, Turn

_ASIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file, and belongs to it alone."""

T = TypeVar("T")


class SqliteLedger:
    """`bridge.ports.Ledger` on a file: the transactions run in order on one thread.

    The file serves one process, so that a lease never ends, and is never another's.
    """

    def __init__(self, path: Path) -> None:
        """Open for this process alone. Raises LedgerBusy, LedgerFormat, LedgerCorrupt, LedgerUnavailable."""
        self._path = path
        self._lock = _lock(path)
        try:
            with _told(path):
                _put_in_place(path)
                self._tables = SqliteTables(str(path))
                self._tables.free_all()
        except BaseException:
            os.close(self._lock)
            raise
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    def on_news(self, tell: Callable[[str], None]) -> None:
        """See `bridge.ports.Ledger`; there is no other worker."""

    async def close(self) -> None:
        """See `bridge.ports.Ledger`."""
        await self._run(self._tables.close)
        self._thread.shutdown()
        os.close(self._lock)

    async def positions(self, group: str) -> list[Position]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.positions, group)

    async def merge(
        self,
        items: Sequence[Item],
        group: str,
        read: Sequence[tuple[Position, Position]],
        now: float,
        held: Mapping[str, int],
    ) -> Merged:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.merge, items, group, read, now, held)

    async def hold(
        self, worker: str, sites: Sequence[str], kept: Mapping[str, int], seconds: float, now: float
    ) -> tuple[list[Lease], list[str]]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.hold, worker, sites, kept, seconds, now)

    async def release(self, lease: Lease) -> None:
        """See `bridge.ports.Ledger`."""
        await self._run(self._tables.release, lease, time.time())

    async def turn(
        self,
        lease: Lease,
        settled: Sequence[Settled],
        starting: Mapping[LinkKey, CallKind],
        room: int,
        now: float,
    ) -> Turn:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.turn, lease, settled, starting, room, now)

    async def doubt(self, keys: Sequence[LinkKey], now: float) -> None:
        """See `bridge.ports.Ledger`."""
        await self._run(self._tables.doubt, keys, now)

    async def rows(self) -> list[Row]:
        """All rows, by key."""
        return await self._run(self._tables.rows)

    async def page(self, site: str, after: str, most: int) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.page, site, after, most)

    async def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.find, keys)

    async def repair(self, repairs: Sequence[Repair], now: float) -> int:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.repair, repairs, now)

    async def explain(self, event: str) -> list[Entry]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.explain, event)

    async def waiting(self, event: str) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.waiting, event)

    async def prune(self, journal_before: float, tombstones_before: float) -> int:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.prune, journal_before, tombstones_before)

    async def _run(self, transaction: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - passed on
        with _told(self._path):
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction, *args)


def open_ledger(url: str, _password: str | None = None) -> SqliteLedger:
    """The ledger at this URL, for this process alone. Raises as `SqliteLedger` does."""
    return SqliteLedger(_path(url))


class SqliteReader:
    """The ledger for one who only looks, beside a worker that may be writing: WAL allows it."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where there is no ledger, and LedgerUnavailable."""
        if not path.is_file():
            raise UsageError(f"{path}: there is no such ledger; name the worker's with --ledger or --config")
        self._path = path
        with _told(path):
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self._rows = SqliteRows(self._db)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    async def explain(self, event: str) -> list[Entry]:
        """See `bridge.ports.Ledger`."""
        with _told(self._path):
            return self._rows.explain(event)

    async def waiting(self, event: str) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        with _told(self._path):
            return self._rows.waiting(event)

    async def page(self, site: str, after: str, most: int) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        with _told(self._path):
            return self._rows.page(site, after, most)

    async def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        with _told(self._path):
            return self._rows.find(keys)


@asynccontextmanager
async def open_reader(url: str, _password: str | None = None) -> AsyncIterator[SqliteReader]:
    """The ledger at this URL, for one who only looks. Raises UsageError and LedgerUnavailable."""
    with closing(SqliteReader(_path(url))) as reader:
        yield reader


@asynccontextmanager
async def open_anew(url: str, _password: str | None = None) -> AsyncIterator[SqliteLedger]:
    """See `bridge.ledger`; the file that was there is kept, as PATH.before-rebuild-TIME."""
    path = _path(url)
    new = path.with_name(f"{path.name}.rebuilding")
    with _locked(path):
        _drop(new)
        ledger = SqliteLedger(new)
        try:
            yield ledger
        finally:
            await ledger.close()
        _finish(new, path)


def _drop(new: Path) -> None:
    """Drop what a rebuild that was not finished left."""
    for suffix in ("", *_ASIDE):
        Path(f"{new}{suffix}").unlink(missing_ok=True)


def _finish(new: Path, path: Path) -> None:
    Path(f"{new}-lock").unlink()
    new.replace(rebuilt(path))
    _put_in_place(path)


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _lock(path: Path) -> int:
    """The file's lock, which names its process for the next one. Raises LedgerBusy, LedgerUnavailable."""
    with _told(path):
        lock = os.open(f"{path}-lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = os.pread(lock, 200, 0).decode("utf-8", "replace").strip() or "another process"
        os.close(lock)
        raise LedgerBusy(f"{path} is in use by {other}. {LedgerBusy.advice}") from None
    with suppress(OSError):  # a full disk is told of where it matters
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return lock


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep every other process from the ledger, without opening it. Raises LedgerBusy, LedgerUnavailable."""
    lock = _lock(path)
    try:
        with _told(path):
            yield
    finally:
        os.close(lock)


def rebuilt(path: Path) -> Path:
    """Where a ledger that was made anew for `path` stands once it is whole."""
    return path.with_name(f"{path.name}.rebuilt")


def _put_in_place(path: Path) -> None:
    """Let a ledger that was made anew be the one at `path`; what was there is kept beside it.

    Only whoever has the lock may. Wherever it was broken off, it is finished by the next opening.
    """
    new = rebuilt(path)
    if not new.exists():
        return
    made = datetime.fromtimestamp(new.stat().st_mtime, UTC)
    kept = path.with_name(f"{path.name}.before-rebuild-{made:%Y%m%dT%H%M%SZ}")
    if path.exists() and not kept.exists():
        try:
            os.link(path, kept)
        except OSError:  # no hard links here
            path.rename(kept)
    for suffix in _ASIDE:  # a new file must not meet them
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what the database says in the bridge's words; a fault of the bridge's own stays as it is."""
    try:
        yield
    except OSError as error:
        raise LedgerUnavailable(f"{path}: {error.strerror}. {LedgerUnavailable.advice}") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more of the same
        if code in _DAMAGE:
            raise LedgerCorrupt(f"{path}: {error}. {LedgerCorrupt.advice}") from error
        if code in _PASSING:
            raise LedgerUnavailable(f"{path}: {error}. {LedgerUnavailable.advice}") from error
        raise
