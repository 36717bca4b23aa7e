"""The dead-letter topic: finds letters, and settles them by a replay or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from bridge.kafka.cluster import Cluster
from bridge.kafka.dead_letters import Fate, Place, marker, replay
from bridge.kafka.reader import read_topic
from bridge.kafka.survey import Letter, Query, Survey, place_of
from bridge.model import Record
from bridge.ports import Publish


async def find(cluster: Cluster, topic: str, query: Query, oldest: int) -> list[Letter]:
    """The letters on `topic` that `query` asks for, oldest first, each with what became of it.

    A letter whose record is older than `oldest` (milliseconds since the epoch) is expired.
    Raises TopicUnfit and KafkaUnavailable, as the other functions here.
    """
    survey = Survey(query, oldest)

    async def take(records: list[Record]) -> None:
        for record in records:
            survey.add(record)

    await read_topic(cluster, topic, take)
    return survey.letters()


async def fetch(
    cluster: Cluster, topic: str, places: Collection[Place], each: Callable[[Record], Awaitable[None]]
) -> None:
    """Hand the records that stand at `places` to `each`, those of a batch at once.

    A second pass over the topic, so that bodies are never kept.
    """

    async def take(records: list[Record]) -> None:
        await asyncio.gather(*(each(record) for record in records if place_of(record) in places))

    await read_topic(cluster, topic, take)


async def settle(
    cluster: Cluster,
    topic: str,
    letters: Collection[Letter],
    fate: Fate,
    *,
    publish: Publish,
    settled: Callable[[], None],
) -> None:
    """Give the letters their fate: replay them, or not, and mark them; `settled` is told of each.

    A mark goes out once the broker has the replay. After a crash or an error between the two the
    letter is replayed once more, which changes nothing: its event is as old as it was.
    """

    async def one(record: Record) -> None:
        if fate is Fate.REPLAYED:
            await publish(*replay(record))
        await publish(*marker(topic, place_of(record), fate))
        settled()

    await fetch(cluster, topic, frozenset(letter.place for letter in letters), one)
