"""The dead-letter topic: finds letters, and settles them by a replay or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from bridge.errors import BridgeError, KafkaUnavailable, TopicUnfit
from bridge.kafka.cluster import Cluster
from bridge.kafka.dead_letters import Fate, Place, marker, replay
from bridge.kafka.reader import read_topic
from bridge.kafka.survey import Letter, Query, Survey, place_of
from bridge.model import Record
from bridge.ports import Publish


async def find(
    cluster: Cluster, topic: str, query: Query, oldest: int, topics: Collection[str]
) -> list[Letter]:
    """The letters on `topic` that `query` asks for, oldest first, each with what became of it.

    A letter whose record is older than `oldest` (milliseconds since the epoch) is expired,
    one that is not of one of `topics` foreign.
    Raises TopicUnfit and KafkaUnavailable, as the other functions here.
    """
    survey = Survey(query, oldest, topics)

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
    told: Callable[[Place, BridgeError | None], None],
) -> None:
    """Give the letters their fate: replay them, or not, and mark them; `told` of each, or why it failed.

    A mark goes out once the broker has the replay. After a crash or an error between the two the
    letter is replayed once more, which changes nothing: its event is as old as it was. One that
    fails does not stop the others; one that is no longer on the topic is not told.
    """

    async def one(record: Record) -> None:
        place = place_of(record)
        try:
            if fate is Fate.REPLAYED:
                await publish(*replay(record))
            await publish(*marker(topic, place, fate))
        except (KafkaUnavailable, TopicUnfit) as error:
            told(place, error)
        else:
            told(place, None)

    await fetch(cluster, topic, frozenset(letter.place for letter in letters), one)
