"""The reader: one pass over a topic, from its oldest record to its end, outside of any group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from bridge.errors import KafkaUnavailable, TopicUnfit
from bridge.kafka.cluster import Cluster, reason
from bridge.kafka.consumer import as_record, close_client
from bridge.model import Record

_MAX_RECORDS = 500
_POLL_MS = 500
_PATIENCE_SECONDS = 30.0
_UNFIT = (TopicAuthorizationFailedError, UnknownTopicOrPartitionError)

T = TypeVar("T")


class Bounds(NamedTuple):
    """The first offset that a partition still has, and the one after its last."""

    first: int
    end: int


async def topic_bounds(cluster: Cluster, topic: str) -> dict[int, Bounds]:
    """The topic's partitions and their bounds. Raises TopicUnfit and KafkaUnavailable."""
    async with _reading(cluster, topic) as (_, bounds):
        return {partition.partition: each for partition, each in bounds.items()}


async def read_topic(cluster: Cluster, topic: str, take: Callable[[list[Record]], Awaitable[None]]) -> None:
    """Hand all that stands in the topic now to `take`, batch by batch, each partition in its order.

    Raises TopicUnfit when the topic is missing or may not be read, KafkaUnavailable when no broker
    answers, and what `take` raises.
    """
    async with _reading(cluster, topic) as (client, bounds):
        ends = {partition: each.end for partition, each in bounds.items()}
        while records := await _patiently(_next(client, ends)):
            await take(records)


@asynccontextmanager
async def _reading(
    cluster: Cluster, topic: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, Bounds]]]:
    """A client of the topic's partitions, with their bounds. Raises TopicUnfit and KafkaUnavailable."""
    client = AIOKafkaConsumer(
        **cluster.arguments(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # as the consumer
    )
    try:
        yield client, await _patiently(_start(client, topic))
    except _UNFIT as error:
        raise TopicUnfit(f"{topic} cannot be read: {reason(error)}") from error
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(f"{topic}: {reason(error)}") from error
    finally:
        await close_client(client)


async def _start(client: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, Bounds]:
    """Connect, and find the topic's partitions and their bounds."""
    await client.start()
    if topic not in await client.topics():  # subscribed at once, the client would wait for it for ever
        raise TopicUnfit(f"{topic} is missing, or may not be read by this account")
    client.subscribe([topic])
    while not client.assignment():
        await client._client.force_metadata_update()  # noqa: SLF001 - nothing else awaits the partitions
    firsts = await client.beginning_offsets(client.assignment())
    ends = await client.end_offsets(client.assignment())
    return {partition: Bounds(first, ends[partition]) for partition, first in firsts.items()}


async def _next(client: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> list[Record]:
    """The next records of those partitions that are not read to their ends; none when all are."""
    while behind := [partition for partition in ends if await client.position(partition) < ends[partition]]:
        found = await client.getmany(*behind, timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        if records := [as_record(each) for part in found.values() for each in part]:
            return records
    return []


async def _patiently(work: Awaitable[T]) -> T:
    """The work's result; TimeoutError when it takes too long, and then the client is spent."""
    return await asyncio.wait_for(work, _PATIENCE_SECONDS)
