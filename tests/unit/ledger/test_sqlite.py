"""What the ledger in a file alone has: one process, formats, locks, full disks, damage."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from bridge.errors import LedgerBusy, LedgerCorrupt, LedgerFormat, LedgerUnavailable, UsageError
from bridge.ledger import open_reader
from bridge.ledger.sqlite import SqliteLedger, rebuilt
from bridge.ledger.sqlite_tables import _SELECT_UNCLAIMED, _UNCLAIMED, FORMAT, SqliteTables
from bridge.model import Outcome
from tests.ledgers import NOW, item, read


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """SQLite is one process: another opening says so, until the first has closed."""
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerBusy, match=rf"in use by process {os.getpid()} on .*Stop the other worker"):
        SqliteLedger(path)
    await ledger.close()
    await SqliteLedger(path).close()


async def test_a_reader_says_when_there_is_no_ledger(tmp_path: Path) -> None:
    """Looking makes none, so that one who looks again is told the same."""
    for _ in range(2):
        with pytest.raises(UsageError, match="no such ledger"):
            async with open_reader(f"sqlite:///{tmp_path}/other.sqlite"):
                pass


def test_another_format_is_refused(tmp_path: Path) -> None:
    """A ledger of a later version is not touched."""
    path = str(tmp_path / "ledger.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerFormat, match="format 99"):
        SqliteTables(path)


async def test_a_ledger_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """A file that is no database, or a place that cannot be written, is an error with advice."""
    (tmp_path / "text.sqlite").write_text("this is no database, and longer than a header" * 10)
    with pytest.raises(LedgerCorrupt, match="not a database"):
        SqliteLedger(tmp_path / "text.sqlite")
    with pytest.raises(LedgerCorrupt, match="not a database"):
        async with open_reader(f"sqlite:///{tmp_path}/text.sqlite") as reader:
            await reader.explain("event-1")
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


def test_a_claim_reads_no_more_than_it_claims() -> None:
    """What is unclaimed is found by its index, and each subject's rows by their key."""
    db = SqliteTables(":memory:")._db
    plans = [
        [step[-1] for step in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        for query, values in ((_UNCLAIMED, ("main", 1, 10)), (_SELECT_UNCLAIMED, ("main", "id=1", 1)))
    ]
    assert plans == [
        ["SEARCH rows USING INDEX rows_due (site=? AND claim<?)"],
        ["SEARCH rows USING PRIMARY KEY (site=? AND global_id=?)"],
    ]


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


async def test_a_file_that_may_only_be_read_is_a_pause(tmp_path: Path) -> None:
    """What is not written is not lost: the same is merged once the file may be written again."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger._tables._db.execute("PRAGMA query_only = ON")
    with pytest.raises(LedgerUnavailable, match="readonly"):
        await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    ledger._tables._db.execute("PRAGMA query_only = OFF")
    merged = await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    assert merged.outcomes == (Outcome.MERGED,)
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


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_ledger_made_anew_is_put_in_place_by_the_next_opening(tmp_path: Path, done: int) -> None:
    """Wherever that was broken off: the new one counts, and the former is whole beside it."""
    path, kept = tmp_path / "ledger.sqlite", tmp_path / "ledger.sqlite.before-rebuild-20010909T014640Z"
    for name, issue in ((path, "OLD-1"), (rebuilt(path), "NEW-1")):
        tables = SqliteTables(str(name))
        tables.merge([item(1, issue)], "one", read(0, 1), NOW, {})
        tables.close()
    Path(f"{path}-wal").write_bytes(b"the former's log")
    os.utime(rebuilt(path), (1_000_000_000, 1_000_000_000))
    if done > 0:
        os.link(path, kept)
    if done > 1:
        Path(f"{path}-wal").rename(f"{kept}-wal")
    ledger = SqliteLedger(path)
    assert [row.key.issue for row in ledger._tables.rows()] == ["NEW-1"]
    asyncio.run(ledger.close())
    assert Path(f"{kept}-wal").read_bytes() == b"the former's log"
    Path(f"{kept}-wal").unlink()
    assert [row.key.issue for row in SqliteTables(str(kept)).rows()] == ["OLD-1"]
    assert not rebuilt(path).exists()
