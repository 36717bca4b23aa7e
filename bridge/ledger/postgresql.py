"""The ledger in a PostgreSQL database, for any number of workers.

READ COMMITTED with explicit locks. The row of a subject in `subjects` is the lock of all that
concerns it, so that a subject's rows are read, decided on and stored by one transaction at a
time. `statements.py` tells the order of locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from bridge.errors import LeaseLost, LedgerBusy, PositionMoved
from bridge.ledger import statements as sql
from bridge.ledger.columns import entry_columns, read_entry, read_row, read_wanted
from bridge.ledger.connections import Again, Connection, Connections
from bridge.model import CallKind, Entry, LinkKey, Phase, Position, Row, Subject, Wanted
from bridge.ports import Item, Lease, Merged, Repair, Settled, Turn
from bridge.state.batch import Batch, issue_named_by
from bridge.state.leases import ARRIVAL, Share, Standing, share
from bridge.state.merge import SubjectRows

PRUNED_AT_A_TIME = 5_000


class PostgresqlLedger:
    """`bridge.ports.Ledger` on a PostgreSQL database.

    Its tables are made and brought forward by `bridge.ledger.migrate`, never by itself: each
    connection compares the format, and every method raises LedgerFormat where it is another.
    """

    def __init__(self, url: str, password: str | None = None) -> None:
        """`url` is `postgresql://…`; nothing is connected yet."""
        self._db = Connections(url, password)
        self._order = asyncio.Lock()
        """Held by who changes rows, so that this process is told of them in the order of the commits."""

    def on_news(self, tell: Callable[[str], None]) -> None:
        """See `bridge.ports.Ledger`; to be called within the event loop."""
        self._db.listen(tell)

    async def close(self) -> None:
        """See `bridge.ports.Ledger`."""
        await self._db.close()

    async def positions(self, group: str) -> list[Position]:
        """See `bridge.ports.Ledger`."""
        found = await self._fetch(sql.POSITIONS, group)
        return [Position(*sql.values(record)) for record in found]

    async def merge(
        self,
        items: Sequence[Item],
        group: str,
        read: Sequence[tuple[Position, Position]],
        now: float,
        held: Mapping[str, int],
    ) -> Merged:
        """See `bridge.ports.Ledger`."""
        changes = [change for item in items for change in item.changes]
        subjects = {change.subject for change in changes}
        issues = {(change.subject.site, issue) for change in changes for issue in change.issues}

        async def merge(db: Connection) -> Merged:
            await _move_positions(db, group, read)
            claims = await _standing(db, held)
            async with _batch(db, subjects, issues, now, claims, makes=True) as batch:
                outcomes = batch.merge(items)
            return Merged(outcomes, tuple(batch.pending()), frozenset(claims))

        async with self._order:
            return await self._db.transaction(merge)

    # --- leases ------------------------------------------------------------------------------

    async def hold(
        self, worker: str, sites: Sequence[str], kept: Mapping[str, int], seconds: float, now: float
    ) -> tuple[list[Lease], list[str]]:
        """See `bridge.ports.Ledger`."""

        async def hold(db: Connection) -> Share:
            clock = await _live(db, worker, sites, seconds)
            standing = await _leases(db, sites)
            serves = dict(await db.fetch(sql.SERVES))
            mine = share(worker, serves, kept, standing, clock)
            renewed = {site: fence for site, fence in mine.fences.items() if site not in mine.taken}
            await _store_leases(db, worker, renewed, clock + seconds)
            is_done = await _take_over(db, worker, mine, clock + seconds, now + ARRIVAL)
            return mine if is_done else Share(renewed, frozenset(), mine.surplus)

        mine = await self._db.transaction(hold)
        return [Lease(site, worker, fence) for site, fence in mine.fences.items()], list(mine.surplus)

    async def release(self, lease: Lease) -> None:
        """See `bridge.ports.Ledger`."""

        async def release(db: Connection) -> None:
            if await db.fetch(sql.RELEASE, lease.site, lease.worker, lease.fence):
                await db.fetch(sql.TELL, [lease.site])

        await self._db.transaction(release)

    # --- rows --------------------------------------------------------------------------------

    async def turn(
        self,
        lease: Lease,
        settled: Sequence[Settled],
        starting: Mapping[LinkKey, CallKind],
        room: int,
        now: float,
    ) -> Turn:
        """See `bridge.ports.Ledger`."""
        keys = {one.call.key for one in settled} | {*starting}
        subjects, issues = {key.subject for key in keys}, {key[:2] for key in keys}
        issues |= {(one.call.key.site, issue_named_by(one.answer) or "") for one in settled}

        async def turn(db: Connection) -> Turn:
            await _compare(db, lease)
            async with _batch(db, subjects, issues, now, {lease.site: lease.fence}) as batch:
                batch.settle(settled)
                calls = batch.start(starting)
                claimed, more = await _claim(db, lease, room)
            idle = {row.key: row for key in starting if (row := batch.row(key)) is not None}
            rows = {**claimed, **idle, **batch.changed}
            left = [row for key, row in rows.items() if key not in batch.removed]
            return Turn(tuple(left), tuple(calls), tuple(batch.entries), more)

        async with self._order:
            return await self._db.transaction(turn)

    async def doubt(self, keys: Sequence[LinkKey], now: float) -> None:
        """See `bridge.ports.Ledger`."""

        async def doubt(db: Connection) -> None:
            async with _batch(db, {key.subject for key in keys}, {key[:2] for key in keys}, now) as batch:
                batch.doubt(keys)

        async with self._order:
            await self._db.transaction(doubt)

    async def repair(self, repairs: Sequence[Repair], now: float) -> int:
        """See `bridge.ports.Ledger`."""
        keys = {one.after.key for one in repairs}
        subjects, issues = {key.subject for key in keys}, {key[:2] for key in keys}

        async def repair(db: Connection) -> int:
            async with _batch(db, subjects, issues, now, makes=True) as batch:
                return batch.repair(repairs)

        async with self._order:
            return await self._db.transaction(repair)

    async def rows(self) -> list[Row]:
        """All rows, by key."""
        return _rows(await self._fetch(sql.ALL))

    async def page(self, site: str, after: str, most: int) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return _rows(await self._fetch(sql.PAGE, site, after, most))

    async def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return _rows(await self._fetch(sql.FIND, *sql.arrays(keys))) if keys else []

    async def waiting(self, event: str) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        return _rows(await self._fetch(sql.WAITING, sql.escaped(event)))

    async def explain(self, event: str) -> list[Entry]:
        """See `bridge.ports.Ledger`."""
        found = await self._fetch(sql.EXPLAIN, sql.escaped(event))
        return [read_entry(sql.values(record)) for record in found]

    async def clear(self) -> None:
        """Empty all tables but the journal, to be filled anew. Raises LedgerBusy while a worker is alive."""

        async def clear(db: Connection) -> None:
            await db.execute(sql.ONE_AT_A_TIME)
            await db.execute(sql.FORGET_WORKERS, float(await db.fetchval(sql.CLOCK)))
            if workers := [worker for (worker,) in await db.fetch(sql.WORKERS)]:
                alive = ", ".join(workers)
                raise LedgerBusy(f"{self._db.where} is in use by {alive}. {LedgerBusy.advice}")
            for statement in sql.CLEAR:
                await db.execute(statement)

        await self._db.transaction(clear)

    async def prune(self, journal_before: float, tombstones_before: float) -> int:
        """See `bridge.ports.Ledger`; in several transactions, so that none holds many locks for long."""
        oldest = int(tombstones_before * 1000)
        gone = await self._prune(sql.PRUNE_ENTRIES, journal_before)
        gone += await self._prune(sql.PRUNE_TOMBSTONES, oldest)
        return gone + await self._prune_subjects(oldest)

    async def _prune(self, statement: str, before: float) -> int:
        gone = 0
        while found := len(await self._fetch(statement, before, PRUNED_AT_A_TIME)):
            gone += found
        return gone

    async def _prune_subjects(self, oldest: int) -> int:
        """Drop subjects without rows whose last set, if they had one, is too old; how many had one."""

        async def prune(db: Connection) -> tuple[int, int]:
            old = await db.fetch(sql.OLD_SUBJECTS, oldest, PRUNED_AT_A_TIME)
            gone = await db.fetch(sql.PRUNE_SUBJECTS, *(sql.arrays(old) or ([], [])))
            return len(gone), sum(version is not None for (version,) in gone)

        counted = 0
        while (found := await self._db.transaction(prune))[0]:
            counted += found[1]
        return counted

    async def _fetch(self, statement: str, *arguments: object) -> list[Iterable[object]]:
        async def fetch(db: Connection) -> list[Iterable[object]]:
            return list(await db.fetch(statement, *arguments))

        return await self._db.transaction(fetch)


def open_ledger(url: str, password: str | None = None) -> PostgresqlLedger:
    """The ledger at this URL."""
    return PostgresqlLedger(url, password)


@asynccontextmanager
async def open_anew(url: str, password: str | None = None) -> AsyncIterator[PostgresqlLedger]:
    """See `bridge.ledger`; the journal is kept, and a block that fails leaves what it did."""
    async with open_reader(url, password) as ledger:
        await ledger.clear()
        yield ledger


@asynccontextmanager
async def open_reader(url: str, password: str | None = None) -> AsyncIterator[PostgresqlLedger]:
    """The ledger at this URL, for one who only looks."""
    ledger = PostgresqlLedger(url, password)
    try:
        yield ledger
    finally:
        await ledger.close()


def _rows(found: Iterable[Iterable[object]]) -> list[Row]:
    return [read_row(sql.values(record)) for record in found]


# --- positions and leases ------------------------------------------------------------------


async def _move_positions(db: Connection, group: str, read: Sequence[tuple[Position, Position]]) -> None:
    """Move each partition's position from the one to the other. Raises PositionMoved."""
    if not read:
        return
    places = [(at.topic, at.partition, at.offset, to.offset) for at, to in read]
    moved = {tuple(record) for record in await db.fetch(sql.MOVE_POSITIONS, group, *sql.arrays(places))}
    if len(moved) == len(read):
        return
    standing = {tuple(record[:2]): record[2] for record in map(tuple, await db.fetch(sql.POSITIONS, group))}
    topic, partition, before, _ = next(place for place in places if place[:2] not in moved)
    at = standing.get((topic, partition))
    raise PositionMoved(f"{topic}/{partition} stands at {at}, not at {before}. {PositionMoved.advice}")


async def _standing(db: Connection, held: Mapping[str, int]) -> dict[str, int]:
    """Those whose fence still stands, and will until the transaction is over."""
    found = await db.fetch(sql.STANDING, list(held)) if held else ()
    return {site: fence for site, fence, _ in found if held[site] == fence}


async def _compare(db: Connection, lease: Lease) -> None:
    """See that the lease stands, and will until the transaction is over. Raises LeaseLost."""
    found = [Lease(site, worker, fence) for site, fence, worker in await db.fetch(sql.STANDING, [lease.site])]
    if found != [lease]:
        raise LeaseLost(f"{lease.site} is written by another worker. {LeaseLost.advice}")


async def _live(db: Connection, worker: str, sites: Sequence[str], seconds: float) -> float:
    """Give a sign of life; the database's clock. Others who do so wait until the transaction is over."""
    await db.execute(sql.ONE_AT_A_TIME)
    clock = float(await db.fetchval(sql.CLOCK))
    await db.execute(sql.FORGET_WORKERS, clock)
    await db.execute(sql.SIGN_OF_LIFE, worker, clock + seconds, list(sites))
    return clock


async def _leases(db: Connection, sites: Sequence[str]) -> dict[str, Standing]:
    await db.execute(sql.MAKE_LEASES, list(sites))
    return {site: Standing(*lease) for site, *lease in await db.fetch(sql.LEASES)}


async def _store_leases(db: Connection, worker: str, fences: Mapping[str, int], until: float) -> None:
    if fences:
        await db.execute(sql.STORE_LEASES, list(fences), worker, until, list(fences.values()))


async def _take_over(db: Connection, worker: str, mine: Share, until: float, arrived: float) -> bool:
    """Take what is to be taken, and hold back what may be on its way; whether it could be done now.

    A former holder that is frozen within a transaction is waited for another time: others want to
    renew their leases.
    """
    taken = sorted(mine.taken)
    try:
        async with db.transaction():
            await db.execute("SET LOCAL lock_timeout = '1s'")
            await db.fetch(sql.TAKE_OVER, taken)
            await _store_leases(db, worker, {site: mine.fences[site] for site in taken}, until)
            await db.execute(sql.HOLD_BACK, taken, arrived)
    except asyncpg.LockNotAvailableError:
        return False
    return True


# --- rows ----------------------------------------------------------------------------------


@asynccontextmanager
async def _batch(
    db: Connection,
    subjects: Iterable[Subject],
    issues: Iterable[tuple[str, str]],
    now: float,
    claims: Mapping[str, int] | None = None,
    *,
    makes: bool = False,
) -> AsyncIterator[Batch]:
    """Those subjects' rows, locked, and what has become of them stored in the end.

    Args:
        db: within a transaction.
        subjects: those that are concerned.
        issues: (site, issue) of all that may be asked about, beside those of the rows.
        now: seconds since the epoch.
        claims: by site, the fence for which changed rows are claimed; other sites are told of news.
        makes: whether rows of subjects that have none may come.
    """
    keys = sql.arrays(sorted(subjects)) or [[], []]
    if makes:
        await db.execute(sql.MAKE_SUBJECTS, *keys)
    sets, rows = await _load(db, keys)
    if makes and len(sets) < len(keys[0]):  # one was pruned in between
        raise Again("a subject is gone")
    by_issue: dict[Subject, dict[str, Row]] = {subject: {} for subject in subjects}
    for row, _ in rows:
        by_issue[row.key.subject][row.key.issue] = row
    states = {each: SubjectRows(each, sets.get(each), by_issue[each]) for each in by_issue}
    batch = Batch(states, await _moved(db, {*issues, *(row.key[:2] for row, _ in rows)}), now)
    _claim_with(batch, rows, claims or {})
    yield batch
    await _store(db, batch, claims or {})


async def _load(
    db: Connection, keys: Sequence[Sequence[str]]
) -> tuple[dict[Subject, Wanted | None], list[tuple[Row, int]]]:
    """Lock the subjects, then read their rows, each with its claim: none changes from then on."""
    if not keys[0]:
        return {}, []
    sets = {
        Subject(site, global_id): None if last_set[0] is None else read_wanted(*last_set)
        for site, global_id, *last_set in map(sql.values, await db.fetch(sql.SUBJECTS, *keys))
    }
    found = map(sql.values, await db.fetch(sql.ROWS, *keys))
    return sets, [(read_row(columns), claim) for *columns, claim in found]


async def _moved(db: Connection, issues: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The ways from these issues' keys to their present ones."""
    named = sql.arrays(issues)
    found = await db.fetch(sql.MOVED, *named) if named else ()
    return {(site, issue): now for site, issue, now in map(sql.values, found)}


def _claim_with(batch: Batch, rows: Iterable[tuple[Row, int]], claims: Mapping[str, int]) -> None:
    """Have what others left of the subjects claimed too: a delete waits for the upserts of its own."""
    for row, claim in rows:
        is_left = row.phase is Phase.PENDING and claim < claims.get(row.key.site, 0)
        if is_left and row.key not in batch.removed:
            batch.changed.setdefault(row.key, row)


async def _store(db: Connection, batch: Batch, claims: Mapping[str, int]) -> None:
    rows = [sql.stored_row(row, claims.get(row.key.site, 0)) for row in batch.changed.values()]
    sets = [sql.stored_set(*each) for each in batch.sets.items()]
    moves = [(site, issue, now) for (site, issue), now in batch.moves.items()]
    news = {row.key.site for row in batch.pending()} - claims.keys()
    for statement, stored in (
        (sql.REMOVE_ROWS, batch.removed),
        (sql.STORE_ROWS, rows),
        (sql.STORE_SETS, sets),
        (sql.STORE_ENTRIES, map(entry_columns, batch.entries)),
        (sql.STORE_MOVES, moves),
        (sql.TELL, [(site,) for site in news]),
    ):
        if columns := sql.arrays(stored):
            await db.execute(statement, *columns)


async def _claim(db: Connection, lease: Lease, room: int) -> tuple[dict[LinkKey, Row], bool]:
    """Whole subjects: a delete waits for the upserts of its own. Those that another transaction has wait too.

    They are locked by one statement and read by the next, which sees what the last to have them did.
    """
    found = await db.fetch(sql.LEFT, lease.site, lease.fence, room) if room > 0 else ()
    if not found:
        return {}, False
    claimed = await db.fetch(sql.CLAIM, lease.site, lease.fence, [global_id for global_id, _ in found])
    return {row.key: row for row in _rows(claimed)}, found[0][1] == room
