"""A consumer in a process of its own, which may be frozen and killed; it merges into a file.

    python -m tests.consuming_process BOOTSTRAP TOPIC GROUP FILE [--hold] [NAME=VALUE…]

Each state that it tells is a line. With --hold each batch with records waits for a line to come in
before it is merged. NAME=VALUE is a setting of the consumer, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bridge.errors import PositionMoved
from bridge.kafka.cluster import Cluster
from bridge.kafka.consumer import Consumer
from bridge.model import Position, Record
from bridge.observe.health import Health

_TABLES = """
CREATE TABLE IF NOT EXISTS positions (topic, partition, next, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS merged (value);
"""


class FileBook:
    """A ledger of positions and of what was merged, which processes share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db:
            db.executescript(_TABLES)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)

    async def positions(self) -> list[Position]:
        """How far the group has merged."""
        with closing(self._open()) as db:
            return [Position(*row) for row in db.execute("SELECT * FROM positions")]

    async def take(self, records: Sequence[Record], read: Sequence[tuple[Position, Position]]) -> None:
        """Merge as a ledger does: all or nothing, and only from where it stands."""
        at = "SELECT next FROM positions WHERE topic = ? AND partition = ?"
        with closing(self._open()) as db:
            db.execute("BEGIN IMMEDIATE")
            for before, after in read:
                found = db.execute(at, (before.topic, before.partition)).fetchone()
                if found not in (None, (before.offset,)):
                    raise PositionMoved(f"{before}")
                row = (after.topic, after.partition, after.offset)
                db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", row)
            values = [((record.value or b"").decode(),) for record in records]
            db.executemany("INSERT INTO merged VALUES (?)", values)
            db.execute("COMMIT")

    @property
    def values(self) -> list[str]:
        """The values that were merged, sorted."""
        with closing(self._open()) as db:
            return [value for (value,) in db.execute("SELECT value FROM merged ORDER BY value")]


def observe(state: str, /, **fields: object) -> None:
    """Tell a state as a line."""
    if state != "lag":
        sys.stdout.write(json.dumps([state, fields], default=str) + "\n")
        sys.stdout.flush()


async def main(bootstrap: str, topic: str, group: str, file: str, *rest: str) -> None:
    """Consume until the process is ended."""
    book = FileBook(Path(file))

    async def take(records: Sequence[Record], read: Sequence[tuple[Position, Position]]) -> None:
        if records and "--hold" in rest:
            observe("holding", records=len(records))
            await asyncio.to_thread(sys.stdin.readline)
        await book.take(records, read)
        observe("merged", records=len(records))

    given = dict(each.split("=", 1) for each in rest if "=" in each)
    settings: dict[str, Any] = {name: json.loads(value) for name, value in given.items()}
    consumer = Consumer(
        Cluster(bootstrap),
        [topic],
        group,
        positions=book.positions,
        take=take,
        observe=observe,
        health=Health(asyncio.get_running_loop().time),
        **settings,
    )
    await consumer.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
