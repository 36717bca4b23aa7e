"""The consumer over the embedded broker and over a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from bridge.errors import KafkaUnavailable, LedgerUnavailable, PositionLost
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from tests.brokers import KafkaProcess, create_topic, eventually
from tests.consuming import (
    FRAIL,
    SESSION_MS,
    Book,
    Worker,
    a_group,
    admin_of,
    committed,
    members,
    publish,
    working,
)


@dataclass
class Place:
    """A broker with a topic of one's own."""

    cluster: Cluster
    topic: str


@pytest.fixture
async def real_place(real_kafka: Cluster) -> Place:
    """A real Kafka."""
    return Place(real_kafka, await create_topic(real_kafka, partitions=4))


@pytest.fixture(params=["embedded", "real"])
async def place(request: pytest.FixtureRequest) -> Place:
    """The embedded broker, and a real Kafka."""
    if request.param == "embedded":
        return Place(request.getfixturevalue("embedded_broker"), "events")
    cluster = request.getfixturevalue("real_kafka")
    return Place(cluster, await create_topic(cluster, partitions=4))


# --- over both brokers ---------------------------------------------------------------------


async def test_records_are_taken_with_their_positions(place: Place) -> None:
    """Every record arrives whole and once, and the ledger ends where each partition ends."""
    book = Book()
    await publish(place.cluster, place.topic, *"abcdef")
    async with working(place.cluster, place.topic, a_group(), book) as worker:
        await eventually(lambda: len(book.merged) == 6)
        assert worker.health.ready()["consumer"].ok
    assert book.values == list("abcdef")
    ends = {(r.topic, r.partition): 0 for r in book.merged}
    for record in book.merged:
        ends[record.topic, record.partition] = max(ends[record.topic, record.partition], record.offset + 1)
    assert {place: offset for place, offset in book.at.items() if offset} == ends


async def test_headers_key_and_timestamp_arrive(real_place: Place) -> None:
    """What the producer's port was given is what the record holds."""
    book, health = Book(), Health(lambda: 0.0)
    async with Producer(real_place.cluster, observe=lambda *_, **__: None, health=health) as send:
        await send(real_place.topic, b"key", b"value", [("a", b"1"), ("a", b"2")], 1_767_225_600_000)
    async with working(real_place.cluster, real_place.topic, a_group(), book):
        await eventually(lambda: len(book.merged) == 1)
    (record,) = book.merged
    assert (record.key, record.value, record.timestamp) == (b"key", b"value", 1_767_225_600_000)
    assert record.headers == (("a", b"1"), ("a", b"2"))


async def test_a_consumer_goes_on_from_the_ledgers_position(place: Place) -> None:
    """What the ledger has is not read again, whatever Kafka's committed offset says."""
    book = Book()
    await publish(place.cluster, place.topic, "a", "b", "c", partition=0)
    book.at[place.topic, 0] = 2
    async with working(place.cluster, place.topic, a_group(), book):
        await eventually(lambda: bool(book.merged))
        await publish(place.cluster, place.topic, "d", partition=0)
        await eventually(lambda: len(book.merged) == 2)
    assert book.values == ["c", "d"]


async def test_a_batch_that_another_worker_merged_is_read_from_where_that_one_stands(place: Place) -> None:
    """PositionMoved is told, and the consumer goes on from the ledger's position without a loss."""
    book = Book()
    async with working(place.cluster, place.topic, a_group(), book) as worker:
        await publish(place.cluster, place.topic, "a", partition=0)
        await eventually(lambda: len(book.merged) == 1)
        book.gate.clear()
        await publish(place.cluster, place.topic, "b", "c", partition=0)
        book.at[place.topic, 0] = 2  # the other worker has merged b
        book.gate.set()
        await eventually(lambda: book.values == ["a", "c"])
        assert "position_moved" in worker.states()
    assert book.at[place.topic, 0] == 3


async def test_a_dead_letter_that_was_not_acknowledged_has_its_batch_read_again(real_place: Place) -> None:
    """KafkaUnavailable from the merge moves nothing; the batch comes again in the same group."""
    book = Book(refusals=[KafkaUnavailable("no acknowledgement")])
    async with working(real_place.cluster, real_place.topic, a_group(), book) as worker:
        await publish(real_place.cluster, real_place.topic, "a")
        await eventually(lambda: book.values == ["a"])
        assert worker.states().count("partitions_assigned") == 1


async def test_a_ledger_that_takes_nothing_is_told_until_it_does(
    real_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it may be read is not that it is back: each try is told, and the end of it once."""
    monkeypatch.setattr("bridge.kafka.consumer._PAUSE_SECONDS", 0.05)
    await publish(real_place.cluster, real_place.topic, "a")
    book = Book(refusals=[LedgerUnavailable("the disk is full")] * 3)
    async with working(real_place.cluster, real_place.topic, a_group(), book) as worker:
        await eventually(lambda: book.values == ["a"])
        await eventually(lambda: "ledger_available" in worker.states())
    told = [state for state in worker.states() if state.startswith("ledger_")]
    assert told == [*["ledger_unavailable"] * 3, "ledger_available"]


async def test_a_stop_lets_the_batch_under_way_end(real_place: Place) -> None:
    """A worker that is told to stop merges what it has taken, then ends."""
    book = Book()
    book.gate.clear()
    await publish(real_place.cluster, real_place.topic, "a")
    async with working(real_place.cluster, real_place.topic, a_group(), book) as worker:
        await eventually(lambda: bool(book.gate._waiters))
        worker.stop.set()
        done, _ = await asyncio.wait({worker.task}, timeout=0.3)
        assert not done
        book.gate.set()
        await worker.task
    assert book.values == ["a"]


async def test_several_topics_are_read(real_kafka: Cluster) -> None:
    """One consumer takes records of all its topics."""
    book, topics = Book(), [await create_topic(real_kafka, 1), await create_topic(real_kafka, 1)]
    for topic in topics:
        await publish(real_kafka, topic, topic)
    async with working(real_kafka, topics, a_group(), book):
        await eventually(lambda: len(book.merged) == 2)
    assert book.values == sorted(topics)


# --- groups: over a real Kafka only --------------------------------------------------------


async def test_offsets_are_committed_for_those_who_watch_lag(real_kafka: Cluster) -> None:
    """After a merge Kafka's committed offset is the ledger's position."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    await publish(real_kafka, topic, "a", "b")
    async with working(real_kafka, topic, group, book) as worker:
        await eventually(lambda: len(book.merged) == 2)
        await worker.leave()
        assert await committed(real_kafka, group) == {TopicPartition(topic, 0): 2}
        assert await members(real_kafka, group) == 0


async def test_a_group_is_left_at_a_stop(real_kafka: Cluster) -> None:
    """Who stops leaves at once, with nothing left running, so the next one need not wait."""
    topic, group, book = await create_topic(real_kafka, 2), a_group(), Book()
    before = asyncio.all_tasks()
    async with working(real_kafka, topic, group, book) as first:
        await eventually(lambda: first.assigned() == 2)
        await first.leave()
        assert asyncio.all_tasks() == before
    async with working(real_kafka, topic, group, book) as second:
        await eventually(lambda: second.assigned() == 2, seconds=SESSION_MS / 1000 / 2)


async def test_two_workers_share_the_partitions_and_nothing_is_merged_twice(real_kafka: Cluster) -> None:
    """Workers come and go while records flow; each record is merged once, in order."""
    topic, group, book = await create_topic(real_kafka, 4), a_group(), Book()
    wanted = [f"{number:03}" for number in range(120)]
    async with working(real_kafka, topic, group, book) as first:
        await eventually(lambda: first.assigned() == 4)
        await publish(real_kafka, topic, *wanted[:40])
        async with working(real_kafka, topic, group, book) as second:
            flow = asyncio.create_task(publish(real_kafka, topic, *wanted[40:80]))
            await eventually(lambda: (first.assigned(), second.assigned()) == (2, 2))
            await flow
            await first.leave()
            await publish(real_kafka, topic, *wanted[80:])
            await eventually(lambda: second.assigned() == 4)
            await eventually(lambda: len(book.merged) >= 120)
    assert book.values == wanted
    for partition in range(4):
        offsets = [record.offset for record in book.merged if record.partition == partition]
        assert offsets == sorted(offsets)


async def test_a_worker_without_partitions_takes_over(real_kafka: Cluster) -> None:
    """A standby beyond the number of partitions is healthy, and takes over when the other leaves."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    await publish(real_kafka, topic, "deleted")
    async with admin_of(real_kafka) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=1)})
    async with working(real_kafka, topic, group, book) as first:
        await eventually(lambda: first.assigned() == 1)
        async with working(real_kafka, topic, group, book) as second:
            await eventually(
                lambda: first.assigned() + second.assigned() == 1 and "partitions_assigned" in second.states()
            )
            active, standby = (first, second) if first.assigned() else (second, first)
            await eventually(lambda: standby.health.ready()["consumer"].ok)
            await active.leave()
            await eventually(lambda: standby.assigned() == 1)
            await publish(real_kafka, topic, "a")
            await eventually(lambda: book.values == ["a"])
            # It was polling while it was given a partition with no committed offset and nothing at 0.
            assert "consumer_rebuilt" not in standby.states()


async def test_aborted_transactions_are_not_seen_and_move_the_position(real_kafka: Cluster) -> None:
    """Records of an aborted transaction are never taken; the position goes over them all the same."""
    topic, book = await create_topic(real_kafka, 1), Book()
    producer = AIOKafkaProducer(**real_kafka.arguments(), transactional_id=topic)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"never")
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"a")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"never")
        await producer.abort_transaction()
    finally:
        await producer.stop()
    async with working(real_kafka, topic, a_group(), book):
        # never, its abort marker, a, its commit marker, never, its abort marker
        await eventually(lambda: book.at.get((topic, 0)) == 6)
    assert book.values == ["a"]


# --- positions that are lost ---------------------------------------------------------------


async def lose(cluster: Cluster, how: str) -> tuple[str, int]:
    """A topic that has `kept` but not what the ledger's position points at; and that position."""
    topic = await create_topic(cluster, 1)
    if how == "made anew":
        await publish(cluster, topic, "kept")
        return topic, 7
    await publish(cluster, topic, "deleted", "deleted", "kept")
    async with admin_of(cluster) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})
    return topic, 1


@pytest.mark.parametrize("how", ["made anew", "deleted unread"])
async def test_a_lost_position_stops_the_worker(real_kafka: Cluster, how: str) -> None:
    """A worker whose records are gone ends with an error, says so, and merges nothing."""
    topic, position = await lose(real_kafka, how)
    book = Book(at={(topic, 0): position})
    async with working(real_kafka, topic, a_group(), book) as worker:
        with pytest.raises(PositionLost, match=f"{topic}/0: the ledger stands at {position}"):
            await asyncio.wait_for(worker.task, 20)
        assert "position_lost" in worker.states()
        assert not worker.health.ready()["consumer"].ok
    assert (book.merged, book.at) == ([], {(topic, 0): position})


@pytest.mark.parametrize("how", ["made anew", "deleted unread"])
async def test_a_lost_position_goes_on_from_the_earliest_where_that_is_wanted(
    real_kafka: Cluster, how: str
) -> None:
    """With `earliest` the loss is told, what is left is read, and the ledger moves along."""
    topic, position = await lose(real_kafka, how)
    book = Book(at={(topic, 0): position})
    lost: Literal["earliest"] = "earliest"
    async with working(real_kafka, topic, a_group(), book, on_lost_position=lost) as worker:
        await eventually(lambda: book.values == ["kept"])
        assert "position_lost" in worker.states()
    assert book.at[topic, 0] == (1 if how == "made anew" else 3)


async def test_records_deleted_under_a_running_worker_are_told(real_kafka: Cluster) -> None:
    """A worker that falls behind the retention while it runs does not skip silently."""
    topic, book = await create_topic(real_kafka, 1), Book()
    async with working(real_kafka, topic, a_group(), book, max_records=1) as worker:
        await publish(real_kafka, topic, "a")
        await eventually(lambda: book.values == ["a"])
        book.gate.clear()
        await publish(real_kafka, topic, "b")
        await eventually(lambda: bool(book.gate._waiters))
        # The client reads ahead, but not so far that it has all of these.
        await publish(real_kafka, topic, *["long" * 200_000] * 5)
        async with admin_of(real_kafka) as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=7)})
        book.gate.set()
        with pytest.raises(PositionLost):
            await asyncio.wait_for(worker.task, 20)
        errors = [fields["kind"] for state, fields in worker.told if state == "consumer_rebuilt"]
        assert errors == ["OffsetOutOfRangeError"]
    assert book.at[topic, 0] < 7


# --- a broker that is away -----------------------------------------------------------------


async def recovers(worker: Worker, book: Book, wanted: Callable[[], list[str]]) -> None:
    """Wait until the consumer is well again and has merged what is wanted."""
    await eventually(lambda: book.values == wanted(), seconds=40)
    await eventually(lambda: worker.health.ready()["consumer"].ok)


async def test_a_broker_that_answers_nothing_is_told_and_outlived(kafka_process: KafkaProcess) -> None:
    """While the broker is frozen the worker is not ready; afterwards it goes on without a loss."""
    cluster = kafka_process.cluster
    topic, group, book = await create_topic(cluster, 1), a_group(), Book()
    async with working(cluster, topic, group, book, **FRAIL) as worker:
        await publish(cluster, topic, "a")

        async def is_committed() -> bool:
            return await committed(cluster, group) == {TopicPartition(topic, 0): 1}

        await eventually(is_committed)
        with kafka_process.frozen():
            await eventually(lambda: not worker.health.ready()["consumer"].ok)
        assert "kafka_unavailable" in worker.states()
        await publish(cluster, topic, "b")
        await recovers(worker, book, lambda: ["a", "b"])


async def test_a_broker_that_dies_and_comes_back_is_outlived(kafka_process: KafkaProcess) -> None:
    """After the whole cluster was gone, consumer and producer work again by themselves."""
    cluster = kafka_process.cluster
    topic, book = await create_topic(cluster, 1), Book()
    health = Health(asyncio.get_running_loop().time)
    async with (
        Producer(cluster, observe=lambda *_, **__: None, health=health, timeout=2, patience=2) as send,
        working(cluster, topic, a_group(), book, **FRAIL) as worker,
    ):
        await send(topic, b"k", b"a", [])
        await eventually(lambda: book.values == ["a"])
        kafka_process.kill()
        with pytest.raises(KafkaUnavailable):
            await send(topic, b"k", b"b", [])
        await eventually(lambda: not worker.health.ready()["consumer"].ok)
        kafka_process.start()
        await eventually(lambda: health.ready()["kafka"].ok)
        await send(topic, b"k", b"c", [])
        # b was never acknowledged: it may have arrived later, and may not
        await eventually(lambda: "c" in book.values, seconds=40)
        await eventually(lambda: worker.health.ready()["consumer"].ok)


async def test_a_stop_is_quick_while_the_broker_is_away() -> None:
    """A worker that never reached a broker ends at once when it is told to."""
    async with working(Cluster("127.0.0.1:1"), "events", a_group(), Book()) as worker:
        await eventually(lambda: "kafka_unavailable" in worker.states())
        worker.stop.set()
        await asyncio.wait_for(worker.task, 3)
    assert not worker.health.ready()["consumer"].ok


async def test_a_client_that_never_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind an address that takes connections and says nothing, the stall is told and tried again."""
    monkeypatch.setattr("bridge.kafka.consumer._STALL_SECONDS", 0.2)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with working(Cluster(f"{host}:{port}"), "events", a_group(), Book()) as worker:
        await eventually(lambda: worker.states().count("consumer_stalled") == 2)
        assert "no answer" in worker.health.ready()["consumer"].reason
    server.close()
    await server.wait_closed()
