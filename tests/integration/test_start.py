"""Where a consumer begins to read, over a real Kafka."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from bridge.errors import LedgerUnavailable, PositionLost
from bridge.kafka.cluster import Cluster
from tests.brokers import create_topic, eventually
from tests.consuming import Book, a_group, admin_of, committed, publish, working


async def read_by(cluster: Cluster, topic: str, group: str, count: int) -> None:
    """Let the group commit that it has read so many records of partition 0."""
    book = Book()
    async with working(cluster, topic, group, book) as worker:
        await eventually(lambda: len(book.merged) == count)
        await worker.leave()
    assert (await committed(cluster, group))[TopicPartition(topic, 0)] == count


def told(states: list[tuple[str, dict[str, Any]]], state: str) -> list[tuple[object, object]]:
    """The place and the group's offset of each time that the state was told."""
    return [(fields["place"], fields["group"]) for name, fields in states if name == state]


async def test_a_ledger_that_knows_nothing_goes_on_where_the_group_stands(real_kafka: Cluster) -> None:
    """What the group has read is not read again; that is told, once, since the ledger then knows it."""
    topic, group, book = await create_topic(real_kafka, 2), a_group(), Book()
    await publish(real_kafka, topic, "a", "b", partition=0)
    await read_by(real_kafka, topic, group, 2)
    async with working(real_kafka, topic, group, book) as worker:
        await eventually(lambda: book.at == {(topic, 0): 2, (topic, 1): 0})
        assert told(worker.told, "position_adopted") == [(f"{topic}/0", 2)]
        await publish(real_kafka, topic, "c", partition=0)
        await eventually(lambda: book.values == ["c"])
        await worker.leave()
    async with working(real_kafka, topic, group, book) as worker:
        await publish(real_kafka, topic, "d", partition=0)
        await eventually(lambda: book.values == ["c", "d"])
        assert told(worker.told, "position_adopted") == []


async def test_two_workers_that_adopt_one_position_merge_it_once(real_kafka: Cluster) -> None:
    """A worker that was overtaken before the ledger knew the partition has its batch refused."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    await publish(real_kafka, topic, "a")
    await read_by(real_kafka, topic, group, 1)
    await publish(real_kafka, topic, "b", "c")
    book.gate.clear()
    async with working(real_kafka, topic, group, book) as worker:
        await eventually(lambda: bool(book.gate._waiters))
        book.at[topic, 0] = 2  # another worker began at the same offset, and has merged b
        book.gate.set()
        await eventually(lambda: book.values == ["c"])
        assert "position_moved" in worker.states()
    assert book.at[topic, 0] == 3


@pytest.mark.parametrize(("start", "values"), [("earliest", ["a", "b", "c"]), ("latest", ["c"])])
async def test_what_nobody_has_read_begins_as_configured(
    real_kafka: Cluster, start: str, values: list[str]
) -> None:
    """`latest` leaves out what stood in the topic, and nothing that comes while the worker restarts."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    await publish(real_kafka, topic, "a", "b")
    async with working(real_kafka, topic, group, book, start=start) as worker:
        await eventually(lambda: book.at == {(topic, 0): 2})
        await worker.leave()
    await publish(real_kafka, topic, "c")
    async with working(real_kafka, topic, group, book, start=start) as worker:
        await eventually(lambda: book.at == {(topic, 0): 3})
        assert "position_adopted" not in worker.states()
    assert book.values == values


async def test_an_empty_topic_is_entered_at_its_start(real_kafka: Cluster) -> None:
    """A worker that starts at the latest record reads whatever comes after its first start."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    async with working(real_kafka, topic, group, book, start="latest") as worker:
        await eventually(lambda: book.at == {(topic, 0): 0})
        await worker.leave()
    await publish(real_kafka, topic, "a")
    async with working(real_kafka, topic, group, book, start="latest"):
        await eventually(lambda: book.values == ["a"])


@pytest.mark.parametrize("lost", ["stop", "earliest"])
async def test_a_groups_offset_that_is_no_longer_in_the_topic_is_a_lost_position(
    real_kafka: Cluster, lost: str
) -> None:
    """Without a word of the ledger's, the group's offset is as loud when its records are gone."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    await publish(real_kafka, topic, "a")
    await read_by(real_kafka, topic, group, 1)
    await publish(real_kafka, topic, "b", "c")
    async with admin_of(real_kafka) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})
    async with working(real_kafka, topic, group, book, on_lost_position=lost) as worker:
        if lost == "stop":
            with pytest.raises(
                PositionLost, match=f"{topic}/0: the group stands at 1, the topic holds 2 to 3"
            ):
                await asyncio.wait_for(worker.task, 20)
        else:
            await eventually(lambda: book.values == ["c"])
        assert told(worker.told, "position_lost") == [(f"{topic}/0", 1)]
        assert "position_adopted" not in worker.states()


async def test_a_start_at_the_latest_record_is_kept_until_the_ledger_has_it(real_kafka: Cluster) -> None:
    """What comes while the ledger refuses the first merge is not passed over by the second."""
    topic, group = await create_topic(real_kafka, 1), a_group()
    await publish(real_kafka, topic, "a")
    book = Book(refusals=[LedgerUnavailable("away")])
    async with working(real_kafka, topic, group, book, start="latest") as worker:
        await eventually(lambda: "ledger_unavailable" in worker.states())
        await publish(real_kafka, topic, "b")
        await eventually(lambda: book.values == ["b"])
