"""The ledger in one SQLite file: one process, one writer thread, every method one transaction.

WAL with `synchronous=FULL`: a commit survives a loss of power, since the rows say what Jira was
asked (https://www.sqlite.org/pragma.html#pragma_synchronous). Batches make that affordable.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson

from bridge.errors import LedgerBusy, LedgerUnavailable, LedgerFormat, PositionMoved, UsageError
from bridge.model import (
    Adoption,
    CallKind,
    Entry,
    Known,
    Link,
    LinkKey,
    Outcome,
    Phase,
    Position,
    Row,
    Stray,
    Subject,
    Version,
    Wanted,
)
from bridge.ports import Item, Merged, Settled, Turn
from bridge.state.batch import Batch
from bridge.state.merge import SubjectRows

FORMAT = 2

_SCHEMA = """
CREATE TABLE rows (
  site TEXT, global_id TEXT, issue TEXT,
  version TEXT NOT NULL, event TEXT NOT NULL, seen TEXT NOT NULL, link BLOB,
  known TEXT NOT NULL, digest TEXT, link_id INTEGER,
  phase TEXT NOT NULL, not_before REAL NOT NULL, attempts INTEGER NOT NULL, reason TEXT,
  stray TEXT,
  PRIMARY KEY (site, global_id, issue)
) WITHOUT ROWID;
CREATE INDEX rows_open ON rows (phase) WHERE phase <> 'settled';
CREATE TABLE sets (
  site TEXT, global_id TEXT, version TEXT NOT NULL, event TEXT NOT NULL, seen TEXT NOT NULL,
  PRIMARY KEY (site, global_id)
) WITHOUT ROWID;
CREATE TABLE moves (
  site TEXT, issue TEXT, now TEXT NOT NULL, PRIMARY KEY (site, issue)
) WITHOUT ROWID;
CREATE TABLE positions (
  consumer_group TEXT, topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)
) WITHOUT ROWID;
CREATE TABLE journal (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, event TEXT NOT NULL, event_id TEXT NOT NULL,
  outcome TEXT NOT NULL, reason TEXT, site TEXT, issue TEXT, global_id TEXT, detail BLOB NOT NULL
);
CREATE INDEX journal_event ON journal (event);
CREATE INDEX journal_event_id ON journal (event_id);
CREATE INDEX journal_at ON journal (at);
"""
_STEPS = {0: _SCHEMA, 1: "ALTER TABLE rows ADD COLUMN stray TEXT;", FORMAT: ""}
"""What brings a file of each format to the present one."""
_SELECT = """
SELECT issue, version, event, seen, link, known, digest, link_id, phase, not_before, attempts, reason,
  stray, site, global_id FROM rows
"""
_SELECT_SUBJECT = f"{_SELECT} WHERE site = ? AND global_id = ?"
_SELECT_PHASE = f"{_SELECT} WHERE phase = ?"
_SELECT_WAITING = f"{_SELECT} WHERE event = ? AND phase <> 'settled'"
_SELECT_ALL = f"{_SELECT} ORDER BY site, issue, global_id"
_SELECT_SET = "SELECT version, event, seen FROM sets WHERE site = ? AND global_id = ?"
_STORE_ROW = """
INSERT OR REPLACE INTO rows (issue, version, event, seen, link, known, digest, link_id, phase, not_before,
  attempts, reason, stray, site, global_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT_JOURNAL = """
SELECT at, event, outcome, reason, site, issue, global_id, detail FROM journal
WHERE event = ? OR event_id = ? ORDER BY id
"""
_STORE_ENTRY = """
INSERT INTO journal (at, event, event_id, outcome, reason, site, issue, global_id, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT_TOMBSTONES = (
    "SELECT site, global_id, issue, version FROM rows WHERE link IS NULL AND phase <> 'pending'"
)
_SELECT_EMPTY_SETS = """
SELECT site, global_id, version FROM sets
WHERE (site, global_id) NOT IN (SELECT site, global_id FROM rows)
"""

T = TypeVar("T")


class SqliteTables:
    """The transactions themselves, on the calling thread. `path` may be `:memory:`."""

    def __init__(self, path: str) -> None:
        """Open or create. Raises LedgerFormat when another version wrote it."""
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in _STEPS:
            raise LedgerFormat(
                f"{path} has format {found}, this version knows {FORMAT}. {LedgerFormat.advice}"
            )
        if step := _STEPS[found]:
            self._db.executescript(f"BEGIN; {step} PRAGMA user_version = {FORMAT}; COMMIT")
        self._moved = {(site, issue): now for site, issue, now in self._db.execute("SELECT * FROM moves")}

    def close(self) -> None:
        """Close the file; a later open finds all that was committed."""
        self._db.close()

    def positions(self, group: str) -> list[Position]:
        """How far the group has merged."""
        query = "SELECT topic, partition, next_offset FROM positions WHERE consumer_group = ?"
        return [Position(*found) for found in self._db.execute(query, (group,))]

    def merge(
        self, items: Sequence[Item], group: str, read: Sequence[tuple[Position, Position]], now: float
    ) -> Merged:
        """Merge items in order and move the positions. Raises PositionMoved."""
        subjects = {change.subject for item in items for change in item.changes}
        with self._transaction():
            self._move_positions(group, read)
            batch = self._load(subjects, now)
            outcomes = batch.merge(items)
            self._store(batch)
        return Merged(outcomes, tuple(batch.pending()))

    def turn(self, settled: Sequence[Settled], starting: Mapping[LinkKey, CallKind], now: float) -> Turn:
        """Take in answers and mark what is about to be called."""
        subjects = {one.call.key.subject for one in settled} | {key.subject for key in starting}
        with self._transaction():
            batch = self._load(subjects, now)
            batch.settle(settled)
            calls = batch.start(starting)
            self._store(batch)
        idle = {row.key: row for key in starting if (row := batch.row(key)) is not None}
        return Turn(tuple({**idle, **batch.changed}.values()), tuple(calls), tuple(batch.entries))

    def pending(self) -> list[Row]:
        """All rows that want a call."""
        return [_row(columns) for columns in self._db.execute(_SELECT_PHASE, (Phase.PENDING,))]

    def rows(self) -> list[Row]:
        """All rows, by key."""
        return [_row(columns) for columns in self._db.execute(_SELECT_ALL)]

    def explain(self, event: str) -> list[Entry]:
        """The journal of one event, by its whole id or the delivery's part of it."""
        return [_entry(columns) for columns in self._db.execute(_SELECT_JOURNAL, (event, event))]

    def prune(self, journal_before: float, tombstones_before: float) -> int:
        """Drop journal entries, and tombstones that want no call, older than these seconds; how many went.

        A tombstone's age is its record's: an older event may come as long as the topic keeps it.
        """
        oldest = int(tombstones_before * 1000)
        with self._transaction():
            gone = self._db.execute("DELETE FROM journal WHERE at < ?", (journal_before,)).rowcount
            old = self._older(_SELECT_TOMBSTONES, oldest)
            self._db.executemany("DELETE FROM rows WHERE site = ? AND global_id = ? AND issue = ?", old)
            stale = self._older(_SELECT_EMPTY_SETS, oldest)
            self._db.executemany("DELETE FROM sets WHERE site = ? AND global_id = ?", stale)
        return gone + len(old) + len(stale)

    def _older(self, query: str, oldest: int) -> list[list[str]]:
        """The keys of what the query finds whose version, its last column, is of an older record."""
        return [key for *key, version in self._db.execute(query) if Version.parse(version).timestamp < oldest]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _move_positions(self, group: str, read: Sequence[tuple[Position, Position]]) -> None:
        standing = {(found.topic, found.partition): found.offset for found in self.positions(group)}
        for before, _ in read:
            at = standing.get((before.topic, before.partition), before.offset)
            if at != before.offset:
                place = f"{before.topic}/{before.partition}"
                raise PositionMoved(f"{place} stands at {at}, not at {before.offset}. {PositionMoved.advice}")
        self._db.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
            [(group, after.topic, after.partition, after.offset) for _, after in read],
        )

    def _load(self, subjects: Iterable[Subject], now: float) -> Batch:
        return Batch({subject: self._subject(subject) for subject in subjects}, self._moved, now)

    def _subject(self, subject: Subject) -> SubjectRows:
        rows = [_row(columns) for columns in self._db.execute(_SELECT_SUBJECT, subject)]
        last_set = self._db.execute(_SELECT_SET, subject).fetchone()
        return SubjectRows(
            subject, _wanted(*last_set) if last_set else None, {row.key.issue: row for row in rows}
        )

    def _store(self, batch: Batch) -> None:
        self._db.executemany("DELETE FROM rows WHERE site = ? AND issue = ? AND global_id = ?", batch.removed)
        self._db.executemany(_STORE_ROW, map(_columns, batch.changed.values()))
        self._db.executemany(
            "INSERT OR REPLACE INTO sets VALUES (?, ?, ?, ?, ?)",
            [(*subject, *_wanted_columns(wanted)) for subject, wanted in batch.sets.items()],
        )
        self._db.executemany(_STORE_ENTRY, map(_journal_columns, batch.entries))
        if batch.moves:
            moves = [(site, issue, now) for (site, issue), now in batch.moves.items()]
            self._db.executemany("INSERT OR REPLACE INTO moves VALUES (?, ?, ?)", moves)
            self._moved.update(batch.moves)


def read_journal(path: Path, event: str) -> tuple[list[Entry], list[Row]]:
    """The journal of one event, and the rows that wait for its wish, beside a worker that may be writing.

    Raises UsageError and LedgerUnavailable.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such ledger; name the worker's with --ledger or --config")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            entries = [_entry(columns) for columns in db.execute(_SELECT_JOURNAL, (event, event))]
            events = {entry.event for entry in entries}
            rows = [_row(columns) for each in events for columns in db.execute(_SELECT_WAITING, (each,))]
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{path}: {error}. {LedgerUnavailable.advice}") from error
    return entries, rows


class SqliteLedger:
    """`bridge.ports.Ledger` on a file: the transactions run in order on one thread."""

    def __init__(self, path: Path) -> None:
        """Open for this process alone. Raises LedgerBusy and LedgerFormat."""
        try:
            self._lock = os.open(f"{path}-lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise LedgerUnavailable(f"{path}: {error.strerror}. {LedgerUnavailable.advice}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tables = SqliteTables(str(path))
        except OSError:
            os.close(self._lock)
            raise LedgerBusy(f"{path} is in use by another process. {LedgerBusy.advice}") from None
        except sqlite3.Error as error:
            os.close(self._lock)
            raise LedgerUnavailable(f"{path}: {error}. {LedgerUnavailable.advice}") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    async def close(self) -> None:
        """Finish the transaction under way and release the file."""
        await self._run(self._tables.close)
        self._thread.shutdown()
        os.close(self._lock)

    async def positions(self, group: str) -> list[Position]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.positions, group)

    async def merge(
        self, items: Sequence[Item], group: str, read: Sequence[tuple[Position, Position]], now: float
    ) -> Merged:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.merge, items, group, read, now)

    async def turn(
        self, settled: Sequence[Settled], starting: Mapping[LinkKey, CallKind], now: float
    ) -> Turn:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.turn, settled, starting, now)

    async def pending(self) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.pending)

    async def rows(self) -> list[Row]:
        """All rows, by key."""
        return await self._run(self._tables.rows)

    async def explain(self, event: str) -> list[Entry]:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.explain, event)

    async def prune(self, journal_before: float, tombstones_before: float) -> int:
        """See `bridge.ports.Ledger`."""
        return await self._run(self._tables.prune, journal_before, tombstones_before)

    async def _run(self, transaction: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - passed on
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction, *args)
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{error}. {LedgerUnavailable.advice}") from error


def _row(columns: Sequence[Any]) -> Row:
    (
        issue,
        version,
        event,
        seen,
        link,
        known,
        digest,
        link_id,
        phase,
        not_before,
        attempts,
        reason,
        stray,
        *subject,
    ) = columns
    return Row(
        LinkKey(subject[0], issue, subject[1]),
        _wanted(version, event, seen, link),
        Known(known),
        digest,
        link_id,
        Phase(phase),
        not_before,
        attempts,
        reason,
        _stray(stray),
    )


def _columns(row: Row) -> tuple[Any, ...]:
    return (
        row.key.issue,
        *_wanted_columns(row.wanted),
        row.wanted.link.json_bytes if row.wanted.link else None,
        row.known,
        row.digest,
        row.link_id,
        row.phase,
        row.not_before,
        row.attempts,
        row.reason,
        _stray_column(row.stray),
        row.key.site,
        row.key.global_id,
    )


def _stray(column: str | None) -> Stray | None:
    if column is None:
        return None
    adoption, link_id, digest = orjson.loads(column)
    return Stray(Adoption(adoption), link_id, digest)


def _stray_column(stray: Stray | None) -> str | None:
    return orjson.dumps((stray.adoption, stray.id, stray.digest)).decode() if stray else None


def _wanted(version: str, event: str, seen: str, link: bytes | None = None) -> Wanted:
    content = Link.model_validate_json(link) if link is not None else None
    return Wanted(Version.parse(version), content, event, frozenset(orjson.loads(seen)))


def _wanted_columns(wanted: Wanted) -> tuple[str, str, str]:
    return wanted.version.text(), wanted.event, orjson.dumps(sorted(wanted.seen)).decode()


def _entry(columns: Sequence[Any]) -> Entry:
    at, event, outcome, reason, site, issue, global_id, detail = columns
    key = None if site is None else LinkKey(site, issue, global_id)
    return Entry(at, event, Outcome(outcome), reason, key, orjson.loads(detail))


def _journal_columns(entry: Entry) -> tuple[Any, ...]:
    key = entry.key or (None, None, None)
    event_id = entry.event.partition(" ")[2] or entry.event
    return (entry.at, entry.event, event_id, entry.outcome, entry.reason, *key, orjson.dumps(entry.detail))
