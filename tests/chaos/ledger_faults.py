"""What befalls the ledger: locked, full, damaged, away."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial

from tests.brokers import eventually
from tests.chaos.faults import Fault
from tests.chaos.kafka_faults import STOPPED
from tests.chaos.reading import SqliteTables
from tests.chaos.stage import KILLED, Setting, Stage


async def lock(stage: Stage, seconds: float) -> None:
    """Another program holds the file's lock for writing."""
    assert isinstance(stage.tables, SqliteTables)
    await stage.asked(40)
    with closing(sqlite3.connect(stage.tables.path, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await _paused(stage, seconds)
        other.execute("ROLLBACK")
    await _back(stage)


async def fill(stage: Stage, seconds: float) -> None:
    """The disk that the ledger is on has no room left."""
    assert isinstance(stage.tables, SqliteTables)
    await stage.asked(40)
    filler = stage.tables.path.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4_096)
        except OSError:
            pass
    await _paused(stage, seconds)
    filler.unlink()
    await _back(stage)


async def _paused(stage: Stage, seconds: float) -> None:
    """The worker says that the ledger is away, and waits."""
    (worker,) = stage.workers
    before = worker.said.count('"ledger_unavailable"')
    await eventually(lambda: worker.said.count('"ledger_unavailable"') > before, 60)
    await asyncio.sleep(seconds)
    assert worker.is_running, f"it ended with {worker.ends}"
    stage.hits += 1


async def _back(stage: Stage) -> None:
    await stage.flowed(100)
    await eventually(lambda: '"ledger_available"' in stage.workers[0].said, 60)


async def damage(stage: Stage) -> None:
    """The file's pages are overwritten; the worker says so and ends, and `ledger rebuild` makes it anew."""
    assert isinstance(stage.tables, SqliteTables)
    (worker,) = stage.workers
    await stage.flowed(300)
    async with stage.paused():
        await stage.quiet()
        stage.held = {0}
        await worker.stop()
        path = stage.tables.path
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
        stage.held = set()
        await eventually(lambda: STOPPED in worker.ends, 60)
        assert "ledger_corrupt" in worker.said
        stage.hits += 1
        stage.held = {0}
        worker.kill()
        await stage.command("ledger", "rebuild")
        stage.held = set()
    await stage.flowed(200)


async def break_off(stage: Stage, times: int, seconds: float) -> None:
    """The database crashes while workers are on it, and is back after so long."""
    for _ in range(times):
        await stage.asked(60)
        noticed = _away(stage) + 1
        await asyncio.to_thread(stage.database.kill)
        await eventually(partial(_is_away, stage, noticed), 60)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(stage.database.start)
        stage.hits += 1
        await stage.asked(20, 180)


async def silence(stage: Stage, seconds: float) -> None:
    """The database keeps its connections and answers nothing."""
    await stage.asked(60)
    with stage.database.frozen():
        await asyncio.sleep(seconds)
    stage.hits += 1
    await stage.asked(20, 180)


def _is_away(stage: Stage, noticed: int) -> bool:
    return _away(stage) >= noticed


def _away(stage: Stage) -> int:
    return sum(worker.said.count('"ledger_unavailable"') for worker in stage.workers)


SEVERAL = Setting(ledger="postgresql", workers=2, sites=2, rate=60, is_quiet_in=240)
FAULTS = [
    Fault(
        "PostgreSQL killed",
        "ledger",
        "its processes are ended at once and started 5 s later, 3 times; two workers",
        partial(break_off, times=3, seconds=5),
        SEVERAL,
        least=3,
        checks="the workers wait and say `ledger_unavailable`",
    ),
    Fault(
        "PostgreSQL silent",
        "ledger",
        "SIGSTOP of its processes, on again after 40 s; two workers",
        partial(silence, seconds=40),
        SEVERAL,
    ),
    Fault(
        "SQLite locked",
        "ledger",
        "another program holds the lock for writing until the worker notices, and 10 s more",
        partial(lock, seconds=10),
        Setting(rate=60),
        checks="the worker waits, says `ledger_unavailable` and then `ledger_available`",
    ),
    Fault(
        "disk full",
        "ledger",
        "a tmpfs of 64 MB is filled until the worker notices, and 10 s more",
        partial(fill, seconds=10),
        Setting(rate=60, tmpfs="64m"),
        checks="the worker waits, says `ledger_unavailable` and then `ledger_available`",
    ),
    Fault(
        "SQLite corrupted",
        "ledger",
        "its pages are overwritten; `ledger rebuild` makes it anew",
        damage,
        Setting(rate=60),
        checks="the worker ends with 3 and says `ledger_corrupt`",
        ends=frozenset({0, KILLED, STOPPED}),
    ),
]
