"""The ledger's transactions: positions with merges, unsure before calls, moved issues, one process."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from bridge.errors import (
    LedgerBusy,
    LedgerCorrupt,
    LedgerFormat,
    LedgerUnavailable,
    PositionMoved,
    UsageError,
)
from bridge.ledger.sqlite import FORMAT, SqliteLedger, SqliteTables, read_journal
from bridge.model import (
    Action,
    CallKind,
    Change,
    Deleted,
    Known,
    Link,
    LinkKey,
    Outcome,
    Phase,
    Position,
    Subject,
    Version,
    Written,
)
from bridge.ports import Item, Lease, Settled, Turn
from bridge.state.decide import decide

GLOBAL_ID = "system=ci&id=1"
SUBJECT = Subject("main", GLOBAL_ID)
NOW = 1_700_000_000.0
LEASE = Lease("main", "worker", 1)


def link(title: str = "build 1") -> Link:
    return Link.model_validate({"object": {"url": "https://ci.example/1", "title": title}})


def item(time: int, *issues: str, action: Action = Action.UPSERT, title: str | None = "build 1") -> Item:
    version = Version(0, time, 0, int(NOW * 1000), time)
    event = f"//ci event-{time}"
    return Item(event, (Change(action, SUBJECT, issues, link(title) if title else None, version, event),))


def read(first: int, last: int) -> list[tuple[Position, Position]]:
    return [(Position("events", 0, first), Position("events", 0, last))]


def reserved(tables: SqliteTables, *keys: LinkKey) -> dict[LinkKey, CallKind]:
    """The calls that a schedule hands out for these rows."""
    kinds = {row.key: decide(row) for row in tables.rows()}
    return {key: kind for key in keys if (kind := kinds[key])}


def turn(tables: SqliteTables, settled: list[Settled], starting: dict[LinkKey, CallKind]) -> Turn:
    return tables.turn(LEASE, settled, starting, 0, NOW)


@pytest.fixture
def tables() -> SqliteTables:
    tables = SqliteTables(":memory:")
    tables.hold(LEASE.worker, [LEASE.site], {}, 15.0, NOW)
    return tables


def test_a_merge_moves_the_position_with_it(tables: SqliteTables) -> None:
    """Rows and position stand in one transaction, by group."""
    merged = tables.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    assert merged.outcomes == (Outcome.MERGED,)
    assert tables.positions("one") == [Position("events", 0, 1)]
    assert tables.positions("another") == []


def test_a_merge_from_elsewhere_is_refused_whole(tables: SqliteTables) -> None:
    """A worker whose position was overtaken merges nothing."""
    tables.merge([item(1, "PROJ-1")], "one", read(0, 5), NOW, {})
    with pytest.raises(PositionMoved):
        tables.merge([item(2, "PROJ-2")], "one", read(3, 4), NOW, {})
    assert [row.key.issue for row in tables.rows()] == ["PROJ-1"]
    assert tables.positions("one") == [Position("events", 0, 5)]


def test_a_row_is_unsure_before_its_call_is_handed_out(tables: SqliteTables) -> None:
    """Whoever starts after a crash finds that a request may have left."""
    (row,) = tables.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {}).pending
    (call,) = turn(tables, [], reserved(tables, row.key)).calls
    assert call.before is Known.UNSEEN
    assert [row.known for row in tables.pending()] == [Known.UNSURE]


def test_an_answer_settles_its_row(tables: SqliteTables) -> None:
    """After the answer nothing is pending, and the journal tells both steps."""
    (row,) = tables.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {}).pending
    (call,) = turn(tables, [], reserved(tables, row.key)).calls
    after = turn(tables, [Settled(call, Written(7, "PROJ-1", created=True), NOW, 1.0)], {})
    assert after.rows[0].phase is Phase.SETTLED
    assert tables.pending() == []
    outcomes = [entry.outcome for entry in tables.explain("event-1")]
    assert outcomes == [Outcome.MERGED, Outcome.WRITTEN]
    assert tables.explain("//ci event-1") == tables.explain("event-1")


def test_rows_survive_a_reopening(tmp_path: Path) -> None:
    """Every field of a row comes back as it was."""
    path = str(tmp_path / "ledger.sqlite")
    tables = SqliteTables(path)
    tables.merge([item(1, "PROJ-1"), item(2, "PROJ-2", action=Action.SET)], "one", read(0, 2), NOW, {})
    standing = tables.rows()
    tables.close()
    again = SqliteTables(path)
    assert again.rows() == standing
    assert again.merge([item(1, "PROJ-3")], "two", read(0, 1), NOW, {}).outcomes == (Outcome.STALE,)


def test_a_moved_issue_is_one_row(tables: SqliteTables) -> None:
    """Jira tells that OLD-1 is NEW-1 now: the old key's row goes, and no delete is due for it."""
    old = tables.merge([item(1, "OLD-1", action=Action.SET)], "one", read(0, 1), NOW, {}).pending
    (call,) = turn(tables, [], reserved(tables, old[0].key)).calls
    turn(tables, [Settled(call, Written(7, "OLD-1", created=True), NOW, 1.0)], {})
    pending = tables.merge([item(2, "NEW-1", action=Action.SET)], "one", read(1, 2), NOW, {}).pending
    upsert = next(row.key for row in pending if row.wanted.link)
    (call,) = turn(tables, [], reserved(tables, upsert)).calls
    turn(tables, [Settled(call, Written(7, "NEW-1", created=False), NOW, 1.0)], {})
    assert [(row.key.issue, row.phase) for row in tables.rows()] == [("NEW-1", Phase.SETTLED)]
    tables.merge([item(3, "OLD-1", title="build 2")], "one", read(2, 3), NOW, {})
    assert [row.key.issue for row in tables.pending()] == ["NEW-1"]


def test_a_move_is_learnt_from_the_answers_own_key(tables: SqliteTables) -> None:
    """A write under the old key is answered with the new one, which the row then has."""
    (row,) = tables.merge([item(1, "OLD-1")], "one", read(0, 1), NOW, {}).pending
    (call,) = turn(tables, [], reserved(tables, row.key)).calls
    after = turn(tables, [Settled(call, Written(7, "NEW-1", created=True), NOW, 1.0)], {})
    assert [row.key.issue for row in after.rows] == ["NEW-1"]
    assert [(row.key.issue, row.known) for row in tables.rows()] == [("NEW-1", Known.PRESENT)]


def write(tables: SqliteTables, key: LinkKey, issue: str, link_id: int = 7) -> None:
    """One call and Jira's answer, which names `issue`."""
    (call,) = turn(tables, [], reserved(tables, key)).calls
    turn(tables, [Settled(call, Written(link_id, issue, created=True), NOW, 1.0)], {})


def test_an_issue_that_comes_back_is_called_by_its_first_key(tables: SqliteTables) -> None:
    """Moved there and back, the row stands under the first key, and can still be written."""
    (row,) = tables.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {}).pending
    write(tables, row.key, "NEW-1")
    (row,) = tables.merge([item(2, "PROJ-1", title="B")], "one", read(1, 2), NOW, {}).pending
    write(tables, row.key, "PROJ-1")
    (row,) = tables.merge([item(3, "NEW-1", title="C")], "one", read(2, 3), NOW, {}).pending
    assert row.key.issue == "PROJ-1"
    assert len(turn(tables, [], reserved(tables, row.key)).calls) == 1


def test_an_issue_that_moves_twice_keeps_its_link(tables: SqliteTables) -> None:
    """A set that names the first key means the issue, whatever it is called by now."""
    (row,) = tables.merge([item(1, "A-1", action=Action.SET)], "one", read(0, 1), NOW, {}).pending
    write(tables, row.key, "B-1")
    (row,) = tables.merge([item(2, "A-1", action=Action.SET, title="B")], "one", read(1, 2), NOW, {}).pending
    write(tables, row.key, "C-1")
    tables.merge([item(3, "A-1", action=Action.SET, title="C")], "one", read(2, 3), NOW, {})
    assert [(row.key.issue, row.wanted.link) for row in tables.rows()] == [("C-1", link("C"))]


def test_a_delete_of_what_was_never_seen_asks_first_where_a_link_stands(tables: SqliteTables) -> None:
    """It may be the former key of the issue whose link was just written under the new one."""
    items = [item(1, "OLD-1", action=Action.SET), item(2, "NEW-1", action=Action.SET, title="B")]
    keys = [row.key for row in tables.merge(items, "one", read(0, 2), NOW, {}).pending]
    calls = {call.key.issue: call.kind for call in turn(tables, [], reserved(tables, *keys)).calls}
    assert calls == {"OLD-1": CallKind.LOOK_UP, "NEW-1": CallKind.CREATE}


def test_old_tombstones_and_entries_are_pruned(tables: SqliteTables) -> None:
    """A settled tombstone goes once no older event can come; one that is pending stays."""
    pending = tables.merge(
        [item(1, "PROJ-1", action=Action.DELETE, title=None)], "one", read(0, 1), NOW, {}
    ).pending
    assert tables.prune(0.0, NOW + 1) == 0
    (call,) = turn(tables, [], reserved(tables, pending[0].key)).calls
    turn(tables, [Settled(call, Deleted(), NOW, 1.0)], {})
    assert tables.prune(0.0, NOW - 1) == 0
    assert tables.prune(0.0, NOW + 1) == 1
    assert tables.rows() == []
    assert tables.prune(NOW + 1, 0.0) == 2
    assert tables.explain("event-1") == []


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """SQLite is one process: another opening says so, until the first has closed."""
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerBusy, match=rf"in use by process {os.getpid()} on .*Stop the other worker"):
        SqliteLedger(path)
    await ledger.close()
    await SqliteLedger(path).close()


async def test_the_journal_is_read_beside_a_worker(tmp_path: Path) -> None:
    """`explain` needs no lock, and says when there is no ledger."""
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    (entry,), (row,) = read_journal(path, "event-1")
    assert row.phase is Phase.PENDING
    assert entry.key == LinkKey("main", "PROJ-1", GLOBAL_ID)
    await ledger.close()
    with pytest.raises(UsageError, match="no such ledger"):
        read_journal(tmp_path / "other.sqlite", "event-1")


def test_another_format_is_refused(tmp_path: Path) -> None:
    """A ledger of a later version is not touched."""
    path = str(tmp_path / "ledger.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerFormat, match="format 99"):
        SqliteTables(path)


def test_a_ledger_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """A file that is no database, or a place that cannot be written, is an error with advice."""
    (tmp_path / "text.sqlite").write_text("this is no database, and longer than a header" * 10)
    with pytest.raises(LedgerCorrupt, match="not a database"):
        SqliteLedger(tmp_path / "text.sqlite")
    with pytest.raises(LedgerCorrupt, match="not a database"):
        read_journal(tmp_path / "text.sqlite", "event-1")
    with pytest.raises(LedgerUnavailable, match="No such file or directory"):
        SqliteLedger(tmp_path / "mistyped" / "ledger.sqlite")


@pytest.mark.parametrize("first", [1, 2])
def test_a_ledger_of_an_earlier_format_is_brought_forward(tmp_path: Path, first: int) -> None:
    """Its rows are read as they were, and the file has the present format."""
    path = str(tmp_path / "ledger.sqlite")
    tables = SqliteTables(path)
    tables.merge([item(1, "PROJ-1")], "group", read(0, 1), NOW, {})
    rows = tables.rows()
    for statement in (
        *("DROP INDEX rows_due", "DROP INDEX rows_issue", "DROP TABLE leases", "DROP TABLE workers"),
        "ALTER TABLE rows DROP COLUMN claim",
        *(["ALTER TABLE rows DROP COLUMN stray"] if first == 1 else []),
        f"PRAGMA user_version = {first}",
    ):
        tables._db.execute(statement)
    tables.close()
    again = SqliteTables(path)
    assert again.rows() == rows
    assert again._db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    again.close()


async def test_a_locked_file_is_a_pause(tmp_path: Path) -> None:
    """While something else has the file locked nothing is merged; then the same is."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger._tables._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    other.execute("ROLLBACK")
    merged = await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    assert merged.outcomes == (Outcome.MERGED,)
    other.close()
    await ledger.close()


async def test_a_full_disk_is_a_pause(tmp_path: Path) -> None:
    """A transaction that finds no room leaves nothing behind; once there is room the same is done."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    (pages,) = ledger._tables._db.execute("PRAGMA page_count").fetchone()
    ledger._tables._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [item(time, f"PROJ-{time}") for time in range(1, 200)]
    with pytest.raises(LedgerUnavailable, match="full"):
        await ledger.merge(many, "one", read(0, 199), NOW, {})
    assert await ledger.rows() == []
    assert await ledger.positions("one") == []
    ledger._tables._db.execute("PRAGMA max_page_count = 100000")
    assert len((await ledger.merge(many, "one", read(0, 199), NOW, {})).pending) == 199
    await ledger.close()


async def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    """Pages that were overwritten are told as damage, with the way to make the ledger anew."""
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    await ledger.merge([item(t, f"PROJ-{t}") for t in range(1, 200)], "one", read(0, 199), NOW, {})
    await ledger.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(LedgerCorrupt, match="jira-bridge ledger rebuild"):
        await SqliteLedger(path).rows()
