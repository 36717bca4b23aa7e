"""What a run has left: in the ledger's tables, in Kafka, and in the words of the checker."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient

from bridge import model
from bridge.kafka.cluster import Cluster
from bridge.kafka.reader import read_topic
from tests.brokers import psql
from tests.chaos.wishes import Place, Record

_SECONDS = 5.0
"""How long a database that is silent is waited for."""
_POSITIONS = "SELECT topic, partition, next_offset FROM positions"
_PENDING = "SELECT count(*) FROM rows WHERE phase = 'pending'"
_EVENTS = "SELECT DISTINCT event FROM journal"
_REASONS = "SELECT reason, count(*) FROM journal WHERE reason IS NOT NULL GROUP BY reason"


class Tables(Protocol):
    """Where the ledger's tables stand; `ask` gives the rows of a SELECT."""

    @property
    def url(self) -> str:
        """As the worker is told."""
        ...

    def ask(self, select: str) -> list[tuple[Any, ...]]:
        """The rows that the statement finds."""
        ...


@dataclass(frozen=True, slots=True)
class SqliteTables:
    """A ledger's file, read beside the worker that writes it."""

    path: Path

    @property
    def url(self) -> str:
        """As the worker is told."""
        return f"sqlite:///{self.path}"

    def ask(self, select: str) -> list[tuple[Any, ...]]:
        """The rows that the statement finds; none where there is no ledger yet."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(select).fetchall()


@dataclass(frozen=True, slots=True)
class PostgresqlTables:
    """A ledger in a PostgreSQL, asked by the server's own client."""

    uri: str

    @property
    def url(self) -> str:
        """As the worker is told."""
        return self.uri

    def ask(self, select: str) -> list[tuple[Any, ...]]:
        """The rows that the statement finds, all columns as texts."""
        return [tuple(line.split("|")) for line in psql(self.uri, select, _SECONDS).splitlines()]


def positions(tables: Tables) -> dict[tuple[str, int], int]:
    """How far the ledger has merged, by topic and partition."""
    return {(topic, int(partition)): int(offset) for topic, partition, offset in tables.ask(_POSITIONS)}


def pending(tables: Tables) -> int:
    """How many rows want a call."""
    return sum(int(number) for (number,) in tables.ask(_PENDING))


def journal(tables: Tables) -> frozenset[str]:
    """The ids of all events that the journal tells of."""
    return frozenset(event for (event,) in tables.ask(_EVENTS))


def reasons(tables: Tables) -> Counter[str]:
    """How often the journal gives each reason."""
    return Counter({reason: int(number) for reason, number in tables.ask(_REASONS)})


async def records(cluster: Cluster, topics: Sequence[str]) -> list[Record]:
    """All that stands in the topics now."""
    found: list[Record] = []

    async def take(batch: list[model.Record]) -> None:
        found.extend(map(_record, batch))

    for topic in topics:
        await read_topic(cluster, topic, take)
    return found


def _record(record: model.Record) -> Record:
    place = Place(record.topic, record.partition, record.offset)
    return Record(place, record.timestamp, dict(record.headers), record.value)


async def committed(cluster: Cluster, group: str) -> dict[tuple[str, int], int]:
    """The offsets that Kafka has of the group, by topic and partition."""
    admin = AIOKafkaAdminClient(**cluster.arguments())
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {(key.topic, key.partition): each.offset for key, each in found.items() if each.offset >= 0}
