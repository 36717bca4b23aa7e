"""How much a consumer holds, whatever the backlog and the size of its records."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence

import pytest

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.model import Position, Record
from bridge.observe.health import Health
from tests.brokers import create_topic, eventually
from tests.consuming import Book, a_group, working

MIB = 1_048_576
PARTITIONS = 3


@pytest.mark.parametrize("size", [1_000_000, 10_000])
async def test_a_backlog_is_read_within_the_bound(real_kafka: Cluster, size: int) -> None:
    """Ten times and more of what may be held are read; the most that is held is what is documented."""
    topic, count = await create_topic(real_kafka, PARTITIONS), 40_000_000 // size
    health = Health(asyncio.get_running_loop().time)
    async with Producer(real_kafka, observe=lambda *_, **__: None, health=health) as send:
        for start in range(0, count, 20):
            await asyncio.gather(
                *(send(topic, b"%d" % (start + n), b"x" * size, []) for n in range(min(20, count - start)))
            )
    book, taken = Book(), 0

    async def take(records: Sequence[Record], read: Sequence[tuple[Position, Position]]) -> None:
        nonlocal taken
        await asyncio.sleep(0.05)  # slower than the broker, so that the client reads ahead
        taken += len(records)
        await book.take([], read)

    tracemalloc.start()
    try:
        async with working(real_kafka, topic, a_group(), book, take=take):
            await eventually(lambda: taken == count, seconds=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * PARTITIONS * MIB
