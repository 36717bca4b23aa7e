"""The ledger's tables in one SQLite file, and its transactions, on the calling thread.

WAL with `synchronous=FULL`: a commit survives a loss of power, since the rows say what Jira was
asked (https://www.sqlite.org/pragma.html#pragma_synchronous). Batches make that affordable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import orjson

from bridge.errors import LeaseLost, LedgerFormat, PositionMoved
from bridge.ledger.columns import (
    entry_columns,
    read_entry,
    read_row,
    read_wanted,
    row_columns,
    wanted_columns,
)
from bridge.model import CallKind, Entry, LinkKey, Position, Row, Subject, Version
from bridge.ports import Item, Lease, Merged, Repair, Settled, Turn
from bridge.state.batch import Batch
from bridge.state.leases import ARRIVAL, NOBODY, Standing, share
from bridge.state.merge import SubjectRows

FORMAT = 3

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
_LEASES = """
ALTER TABLE rows ADD COLUMN claim INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rows_due ON rows (site, claim) WHERE phase = 'pending';
CREATE INDEX rows_issue ON rows (site, issue);
CREATE TABLE leases (
  site TEXT PRIMARY KEY, fence INTEGER NOT NULL, worker TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE workers (worker TEXT PRIMARY KEY, until REAL NOT NULL, sites TEXT NOT NULL) WITHOUT ROWID;
"""
_STEPS = {
    0: (2, _SCHEMA),
    1: (2, "ALTER TABLE rows ADD COLUMN stray TEXT;"),
    2: (FORMAT, _LEASES),
}
"""What brings a file of each format to a later one; 0 is a new file's."""
_SELECT = """
SELECT issue, version, event, seen, link, known, digest, link_id, phase, not_before, attempts, reason,
  stray, site, global_id FROM rows
"""
_SELECT_SUBJECT = f"{_SELECT} WHERE site = ? AND global_id = ?"
_UNCLAIMED = """
SELECT global_id FROM rows INDEXED BY rows_due WHERE site = ? AND phase = 'pending' AND claim < ? LIMIT ?
"""
# The sign keeps it from the index over all that is unclaimed.
_SELECT_UNCLAIMED = f"{_SELECT_SUBJECT} AND phase = 'pending' AND +claim < ?"
_SELECT_PAGE = f"{_SELECT} WHERE site = ? AND issue > ? AND issue <= ? ORDER BY issue, global_id"
_SELECT_LAST = """
SELECT max(issue) FROM (SELECT DISTINCT issue FROM rows WHERE site = ? AND issue > ? ORDER BY issue LIMIT ?)
"""
_SELECT_ONE = f"{_SELECT_SUBJECT} AND issue = ?"
_SELECT_WAITING = f"{_SELECT} WHERE event = ? AND phase <> 'settled'"
_SELECT_ALL = f"{_SELECT} ORDER BY site, issue, global_id"
_SELECT_SET = "SELECT version, event, seen FROM sets WHERE site = ? AND global_id = ?"
_STORE_ROW = """
INSERT OR REPLACE INTO rows (issue, version, event, seen, link, known, digest, link_id, phase, not_before,
  attempts, reason, stray, site, global_id, claim) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLAIM = "UPDATE rows SET claim = ? WHERE site = ? AND issue = ? AND global_id = ?"
_STORE_LEASE = "INSERT OR REPLACE INTO leases (fence, worker, until, site) VALUES (?, ?, ?, ?)"
_RELEASE = "UPDATE leases SET worker = '', until = ? WHERE site = ? AND worker = ? AND fence = ?"
_HOLD_BACK = """
UPDATE rows SET not_before = max(not_before, ?)
WHERE site = ? AND phase = 'pending' AND known IN ('unsure', 'tangled')
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


class SqliteRows:
    """What is asked of rows and the journal by one who only looks."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rows(self) -> list[Row]:
        """All rows, by key."""
        return [read_row(columns) for columns in self._db.execute(_SELECT_ALL)]

    def page(self, site: str, after: str, most: int) -> list[Row]:
        """All rows of the next issues of the site, by issue."""
        (last,) = self._db.execute(_SELECT_LAST, (site, after, most)).fetchone()
        return [read_row(columns) for columns in self._db.execute(_SELECT_PAGE, (site, after, last))]

    def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """The rows of these links."""
        places = [(key.site, key.global_id, key.issue) for key in keys]
        return [read_row(columns) for place in places for columns in self._db.execute(_SELECT_ONE, place)]

    def waiting(self, event: str) -> list[Row]:
        """The rows that want a call, or were refused, for an event."""
        return [read_row(columns) for columns in self._db.execute(_SELECT_WAITING, (event,))]

    def explain(self, event: str) -> list[Entry]:
        """The journal of one event, by its whole id or the delivery's part of it."""
        return [read_entry(columns) for columns in self._db.execute(_SELECT_JOURNAL, (event, event))]


class SqliteTables(SqliteRows):
    """The transactions themselves, on the calling thread. `path` may be `:memory:`."""

    def __init__(self, path: str) -> None:
        """Open or create. Raises LedgerFormat when another version wrote it."""
        super().__init__(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in {*_STEPS, FORMAT}:
            raise LedgerFormat(
                f"{path} has format {found}, this version knows {FORMAT}. {LedgerFormat.advice}"
            )
        while found != FORMAT:
            found, step = _STEPS[found]
            self._db.executescript(f"BEGIN; {step} PRAGMA user_version = {found}; COMMIT")
        self._moved = {(site, issue): now for site, issue, now in self._db.execute("SELECT * FROM moves")}

    def close(self) -> None:
        """Close the file; a later open finds all that was committed."""
        self._db.close()

    def positions(self, group: str) -> list[Position]:
        """How far the group has merged."""
        query = "SELECT topic, partition, next_offset FROM positions WHERE consumer_group = ?"
        return [Position(*found) for found in self._db.execute(query, (group,))]

    def merge(
        self,
        items: Sequence[Item],
        group: str,
        read: Sequence[tuple[Position, Position]],
        now: float,
        held: Mapping[str, int],
    ) -> Merged:
        """Merge items in order, move the positions and claim what is held. Raises PositionMoved."""
        subjects = {change.subject for item in items for change in item.changes}
        with self._batch(subjects, now, held) as (batch, claims):
            self._move_positions(group, read)
            outcomes = batch.merge(items)
        return Merged(outcomes, tuple(batch.pending()), frozenset(claims))

    # --- leases ------------------------------------------------------------------------------

    def hold(
        self, worker: str, sites: Sequence[str], kept: Mapping[str, int], seconds: float, now: float
    ) -> tuple[list[Lease], list[str]]:
        """Renew and take leases; see `bridge.ports.Ledger.hold`."""
        with self._transaction():
            self._db.execute("DELETE FROM workers WHERE until <= ?", (now,))
            alive = (worker, now + seconds, orjson.dumps(sites).decode())
            self._db.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", alive)
            workers = self._db.execute("SELECT worker, sites FROM workers").fetchall()
            serves = {name: orjson.loads(served) for name, served in workers}
            found = self._db.execute("SELECT site, fence, worker, until FROM leases")
            standing = {site: Standing(*lease) for site, *lease in found}
            mine = share(worker, serves, kept, standing, now)
            leases = [(fence, worker, now + seconds, site) for site, fence in mine.fences.items()]
            self._db.executemany(_STORE_LEASE, leases)
            self._db.executemany(_HOLD_BACK, [(now + ARRIVAL, site) for site in mine.taken])
        return [Lease(site, worker, fence) for site, fence in mine.fences.items()], list(mine.surplus)

    def release(self, lease: Lease, now: float) -> None:
        """Give the lease up."""
        with self._transaction():
            self._db.execute(_RELEASE, (now, lease.site, lease.worker, lease.fence))

    def free_all(self) -> None:
        """Free all leases: their holders are surely gone."""
        with self._transaction():
            self._db.execute("UPDATE leases SET worker = '', until = 0")
            self._db.execute("DELETE FROM workers")

    def _compare(self, lease: Lease) -> None:
        """See that the lease stands. Raises LeaseLost."""
        if self._lease(lease.site)[:2] != (lease.fence, lease.worker):
            raise LeaseLost(f"{lease.site} is written by another worker. {LeaseLost.advice}")

    def _lease(self, site: str) -> Standing:
        found = self._db.execute("SELECT fence, worker, until FROM leases WHERE site = ?", (site,)).fetchone()
        return Standing(*found) if found else NOBODY

    # --- rows --------------------------------------------------------------------------------

    def turn(
        self,
        lease: Lease,
        settled: Sequence[Settled],
        starting: Mapping[LinkKey, CallKind],
        room: int,
        now: float,
    ) -> Turn:
        """Take in answers, mark what is about to be called, and claim more. Raises LeaseLost."""
        subjects = {one.call.key.subject for one in settled} | {key.subject for key in starting}
        held = {lease.site: lease.fence}
        with self._batch(subjects, now, held) as (batch, _):
            self._compare(lease)
            batch.settle(settled)
            calls = batch.start(starting)
            claimed, more = self._claim(lease, room)
        idle = {row.key: row for key in starting if (row := batch.row(key)) is not None}
        rows = {**claimed, **idle, **batch.changed}
        left = [row for key, row in rows.items() if key not in batch.removed]
        return Turn(tuple(left), tuple(calls), tuple(batch.entries), more)

    def _claim(self, lease: Lease, room: int) -> tuple[dict[LinkKey, Row], bool]:
        """Whole subjects: a delete waits for the upserts of its own."""
        site, fence = lease.site, lease.fence
        found = self._db.execute(_UNCLAIMED, (site, fence, room)).fetchall() if room > 0 else []
        rows = [
            read_row(columns)
            for (global_id,) in dict.fromkeys(found)
            for columns in self._db.execute(_SELECT_UNCLAIMED, (site, global_id, fence))
        ]
        keys = [(fence, row.key.site, row.key.issue, row.key.global_id) for row in rows]
        self._db.executemany(_CLAIM, keys)
        return {row.key: row for row in rows}, 0 < room == len(found)

    def doubt(self, keys: Sequence[LinkKey], now: float) -> None:
        """Have links looked up again."""
        with self._batch({key.subject for key in keys}, now) as (batch, _):
            batch.doubt(keys)

    def repair(self, repairs: Sequence[Repair], now: float) -> int:
        """Mark rows anew where they stand as they were compared; how many did."""
        with self._batch({one.after.key.subject for one in repairs}, now) as (batch, _):
            return batch.repair(repairs)

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
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself takes it back when the disk is full
                self._db.execute("ROLLBACK")
            raise

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

    @contextmanager
    def _batch(
        self, subjects: Iterable[Subject], now: float, held: Mapping[str, int] | None = None
    ) -> Iterator[tuple[Batch, dict[str, int]]]:
        """A transaction over those subjects' rows, and of what is held that of which the fence stands.

        Rows of these sites are claimed for it.
        """
        with self._transaction():
            claims = {site: fence for site, fence in (held or {}).items() if self._lease(site).fence == fence}
            batch = Batch({subject: self._subject(subject) for subject in subjects}, self._moved, now)
            yield batch, claims
            self._store(batch, claims)
        self._moved.update(batch.moves)

    def _subject(self, subject: Subject) -> SubjectRows:
        rows = [read_row(columns) for columns in self._db.execute(_SELECT_SUBJECT, subject)]
        last_set = self._db.execute(_SELECT_SET, subject).fetchone()
        return SubjectRows(
            subject, read_wanted(*last_set) if last_set else None, {row.key.issue: row for row in rows}
        )

    def _store(self, batch: Batch, claims: Mapping[str, int]) -> None:
        self._db.executemany("DELETE FROM rows WHERE site = ? AND issue = ? AND global_id = ?", batch.removed)
        rows = [(*row_columns(row), claims.get(row.key.site, 0)) for row in batch.changed.values()]
        self._db.executemany(_STORE_ROW, rows)
        self._db.executemany(
            "INSERT OR REPLACE INTO sets VALUES (?, ?, ?, ?, ?)",
            [(*subject, *wanted_columns(wanted)) for subject, wanted in batch.sets.items()],
        )
        self._db.executemany(_STORE_ENTRY, map(entry_columns, batch.entries))
        moves = [(site, issue, now) for (site, issue), now in batch.moves.items()]
        self._db.executemany("INSERT OR REPLACE INTO moves VALUES (?, ?, ?)", moves)
