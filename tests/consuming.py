"""Consumers as members of a group, and a ledger of positions that they share."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from bridge.errors import PositionMoved
from bridge.kafka.cluster import Cluster
from bridge.kafka.consumer import Consumer
from bridge.model import Position, Record
from bridge.observe.health import Health
from bridge.observe.states import STATES

SESSION_MS = 6_000
FRAIL: dict[str, Any] = {"patience": 2.0, "session_timeout_ms": 2_000}
"""A consumer that soon gives its client, and Kafka that soon gives the consumer, up for lost."""


@dataclass
class Book:
    """A ledger of positions and of what was merged, shared by the workers of one test."""

    at: dict[tuple[str, int], int] = field(default_factory=dict)
    merged: list[Record] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Merging does not wait unless a test closes the gate."""
        self.gate.set()

    async def positions(self) -> list[Position]:
        """How far the group has merged."""
        return [Position(topic, partition, offset) for (topic, partition), offset in self.at.items()]

    async def take(self, records: Sequence[Record], read: Sequence[tuple[Position, Position]]) -> None:
        """Merge as a ledger does: all or nothing, and only from where it stands."""
        await self.gate.wait()
        if self.refusals:
            raise self.refusals.pop()
        for before, _ in read:
            if self.at.get((before.topic, before.partition), before.offset) != before.offset:
                raise PositionMoved(f"{before}")
        self.at.update({(after.topic, after.partition): after.offset for _, after in read})
        self.merged.extend(records)

    @property
    def values(self) -> list[str]:
        """The values that were merged, sorted."""
        return sorted((record.value or b"").decode() for record in self.merged)


@dataclass
class Worker:
    """A running consumer, and what it told."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    health: Health
    told: list[tuple[str, dict[str, object]]]

    def states(self) -> list[str]:
        """The states that were told, in order."""
        return [state for state, _ in self.told]

    def assigned(self) -> int:
        """How many partitions it has, 0 while they are shared out."""
        for state, fields in reversed(self.told):
            if state in {"partitions_assigned", "partitions_revoked"}:
                return int(str(fields["count"])) if state == "partitions_assigned" else 0
        return 0

    async def leave(self) -> None:
        """Stop it, and wait for its end."""
        self.stop.set()
        await self.task


@asynccontextmanager
async def working(
    cluster: Cluster, topics: str | list[str], group: str, book: Book, **more: Any
) -> AsyncIterator[Worker]:
    """A consumer of the topics that merges into the book, until the block ends."""
    told: list[tuple[str, dict[str, object]]] = []

    def observe(state: str, /, **fields: object) -> None:
        assert state in STATES
        told.append((state, fields))

    health, stop = Health(asyncio.get_running_loop().time), asyncio.Event()
    settings: dict[str, Any] = {
        "poll_ms": 100,
        "session_timeout_ms": SESSION_MS,
        "positions": book.positions,
        "take": book.take,
    }
    consumer = Consumer(
        cluster,
        [topics] if isinstance(topics, str) else topics,
        group,
        observe=observe,
        health=health,
        **(settings | more),
    )
    worker = Worker(asyncio.create_task(consumer.run(stop)), stop, health, told)
    try:
        yield worker
    finally:
        stop.set()
        book.gate.set()
        await asyncio.wait({worker.task}, timeout=20)
        assert worker.task.done()


async def publish(cluster: Cluster, topic: str, *values: str, partition: int | None = None) -> None:
    """Put the values on the topic."""
    producer = AIOKafkaProducer(**cluster.arguments(), enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value.encode(), key=value[:9].encode(), partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def admin_of(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of that cluster."""
    admin = AIOKafkaAdminClient(**cluster.arguments())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def committed(cluster: Cluster, group: str) -> dict[TopicPartition, int]:
    """The group's offsets as Kafka has them."""
    async with admin_of(cluster) as admin:
        offsets: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(group)
    return {partition: found.offset for partition, found in offsets.items()}


async def members(cluster: Cluster, group: str) -> int:
    """How many members Kafka counts in the group."""
    async with admin_of(cluster) as admin:
        (answer,) = await admin.describe_consumer_groups([group])
        return len(answer.groups[0][5])


def a_group() -> str:
    """A group's name that nobody else has."""
    return f"group-{uuid.uuid4().hex[:8]}"
