"""Dead letters over the embedded broker and over a real Kafka: found, replayed, marked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer

from bridge.errors import BadBody, BridgeError, KafkaUnavailable, TopicUnfit
from bridge.kafka import reader
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.dead_letter_topic import find, settle
from bridge.kafka.dead_letters import Fate, Place, dead_letter, origin
from bridge.kafka.reader import read_topic
from bridge.kafka.survey import Letter, Query, Status
from bridge.model import Record
from bridge.observe.health import Health
from bridge.ports import Publish
from tests.brokers import KafkaProcess, create_topic, free_port

WROTE = 1_767_225_600_000


@dataclass
class Broker:
    """A broker with a topic of events and one of dead letters."""

    cluster: Cluster
    events: str
    dead: str

    def producer(self) -> Producer:
        """A producer of one's own."""
        return Producer(self.cluster, observe=lambda *_, **__: None, health=Health(time.monotonic))

    async def letters(self) -> list[Letter]:
        """All letters."""
        return await find(self.cluster, self.dead, Query(), 0, {self.events})

    async def records(self, topic: str) -> list[Record]:
        """All that stands on the topic."""
        found: list[Record] = []

        async def take(records: list[Record]) -> None:
            found.extend(records)

        await read_topic(self.cluster, topic, take)
        return found

    async def settle(self, letters: list[Letter], fate: Fate, publish: Publish) -> int:
        """Settle them; how many were. Raises what the first that failed met."""
        told: dict[Place, BridgeError | None] = {}
        await settle(self.cluster, self.dead, letters, fate, publish=publish, told=told.__setitem__)
        for error in told.values():
            if error is not None:
                raise error
        return len(told)


async def lasting_topic(cluster: Cluster, partitions: int) -> str:
    """A new topic that keeps records of long ago."""
    return await create_topic(cluster, partitions, retention_ms="-1")


@pytest.fixture(params=["embedded", "real"])
async def broker(request: pytest.FixtureRequest) -> Broker:
    """The embedded broker, and a real Kafka."""
    if request.param == "embedded":
        return Broker(request.getfixturevalue("embedded_broker"), "events", "dead")
    cluster = request.getfixturevalue("real_kafka")
    return Broker(cluster, await lasting_topic(cluster, 3), await lasting_topic(cluster, 3))


def rejected(broker: Broker, number: int) -> Record:
    """A record of the topic of events that was rejected."""
    headers = (("a", b"1"), ("a", b"2"), ("odd", b"\xff"))
    return Record(broker.events, 0, number, WROTE + number, b"key %d" % number, b"body %d" % number, headers)


async def bury(broker: Broker, publish: Publish, count: int) -> None:
    """Put letters on the topic, as the intake does."""
    for number in range(count):
        letter = dead_letter(rejected(broker, number), BadBody("no JSON"), 1_000_000)
        await publish(broker.dead, *letter)


async def test_a_replay_is_the_record_as_it_was(broker: Broker) -> None:
    """Each goes back once with its key, value, headers and timestamp, and its first place beside it."""
    async with broker.producer() as publish:
        await bury(broker, publish, 20)
        letters = await broker.letters()
        assert {letter.status for letter in letters} == {Status.OPEN}
        assert await broker.settle(letters, Fate.REPLAYED, publish) == 20
    back = {record.value: record for record in await broker.records(broker.events)}
    assert len(back) == 20
    for number in range(20):
        was, record = rejected(broker, number), back[b"body %d" % number]
        assert (record.key, record.timestamp) == (was.key, was.timestamp)
        assert record.headers[:3] == was.headers
        assert origin(record) == (broker.events, 0, number, was.timestamp)
    after = await broker.letters()
    assert len(after) == 20
    assert {letter.status for letter in after} == {Status.REPLAYED}


def refusing(
    publish: Publish, is_refused: Callable[[str, bytes | None], bool], error: BridgeError
) -> Publish:
    """Publishes what it does not refuse, by topic and value, with that error."""

    async def refuse_or_publish(
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: int | None = None,
    ) -> None:
        if is_refused(topic, value):
            raise error
        await publish(topic, key, value, headers, timestamp)

    return refuse_or_publish


async def test_what_is_discarded_is_marked_and_goes_nowhere(broker: Broker) -> None:
    """A mark is all that a discard leaves, and the others stay open."""
    async with broker.producer() as publish:
        await bury(broker, publish, 3)
        await publish(broker.events, None, b"alone", [])
        first, *others = await broker.letters()
        await broker.settle([first], Fate.DISCARDED, publish)
    statuses = {letter.place: letter.status for letter in await broker.letters()}
    assert statuses == {first.place: Status.DISCARDED} | {each.place: Status.OPEN for each in others}
    assert [record.value for record in await broker.records(broker.events)] == [b"alone"]


async def test_a_replay_that_was_not_marked_is_done_again(broker: Broker) -> None:
    """With the broker lost between the two the letter stays open, and is replayed with the same place."""
    async with broker.producer() as publish:
        await bury(broker, publish, 1)
        lossy = refusing(publish, lambda topic, _: topic == broker.dead, KafkaUnavailable("gone"))
        with pytest.raises(KafkaUnavailable):
            await broker.settle(await broker.letters(), Fate.REPLAYED, lossy)
        (letter,) = await broker.letters()
        assert letter.status is Status.OPEN
        await broker.settle([letter], Fate.REPLAYED, publish)
    one, two = await broker.records(broker.events)
    assert origin(one) == origin(two)
    assert (one.value, one.timestamp) == (two.value, two.timestamp)


async def test_a_letter_that_its_topic_does_not_take_stops_no_other(broker: Broker) -> None:
    """It is told with the reason and stays open; all the others are replayed."""
    async with broker.producer() as publish:
        await bury(broker, publish, 5)
        picky = refusing(
            publish, lambda topic, value: (topic, value) == (broker.events, b"body 0"), TopicUnfit("too long")
        )
        with pytest.raises(TopicUnfit, match="too long"):
            await broker.settle(await broker.letters(), Fate.REPLAYED, picky)
    statuses = {letter.offset: letter.status for letter in await broker.letters()}
    assert statuses == {0: Status.OPEN} | dict.fromkeys(range(1, 5), Status.REPLAYED)


async def test_a_whole_topic_is_read(broker: Broker) -> None:
    """More records than a batch has, over several partitions, each once."""
    async with broker.producer() as publish:
        sent = [b"%d" % number for number in range(1_500)]
        await asyncio.gather(*(publish(broker.dead, value, value, []) for value in sent))
    found = await broker.records(broker.dead)
    assert sorted(record.value or b"" for record in found) == sorted(sent)
    assert {letter.status for letter in await broker.letters()} == {Status.FOREIGN}


async def test_offsets_without_a_record_do_not_hold_up_the_end(real_kafka: Cluster) -> None:
    """A topic whose last offsets are a transaction's marks is read to its end."""
    topic = await lasting_topic(real_kafka, 1)
    producer = AIOKafkaProducer(**real_kafka.arguments(), transactional_id=topic)
    async with producer:
        for value in (b"a", b"b"):
            async with producer.transaction():
                await producer.send_and_wait(topic, value)
    broker = Broker(real_kafka, topic, topic)
    assert [record.value for record in await broker.records(topic)] == [b"a", b"b"]


async def test_an_empty_topic_has_no_letters(real_kafka: Cluster) -> None:
    """There is nothing to wait for."""
    topic = await lasting_topic(real_kafka, 2)
    assert await find(real_kafka, topic, Query(places=frozenset([Place(0, 0)])), 0, ()) == []


async def test_a_topic_that_is_missing_is_named(real_kafka: Cluster) -> None:
    """The error is of the topic and not of the broker."""
    with pytest.raises(TopicUnfit, match="no-such-topic is missing"):
        await find(real_kafka, "no-such-topic", Query(), 0, ())


async def test_a_broker_that_falls_silent_is_given_up(
    kafka_process: KafkaProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two batches the broker stops to answer: that is an error, and not the topic's end."""
    topic = await lasting_topic(kafka_process.cluster, 1)
    broker = Broker(kafka_process.cluster, topic, topic)
    async with broker.producer() as publish:
        for _ in range(5):
            await publish(topic, b"key", b"x" * 900_000, [])
    seen: list[Record] = []
    with ExitStack() as stack:

        async def freeze(records: list[Record]) -> None:
            if not seen:
                stack.enter_context(kafka_process.frozen())
                monkeypatch.setattr(reader, "_PATIENCE_SECONDS", 1.0)
            seen.extend(records)

        with pytest.raises(KafkaUnavailable, match="TimeoutError"):
            await read_topic(broker.cluster, topic, freeze)
    assert 0 < len(seen) < 5


async def test_without_a_broker_nothing_is_waited_for() -> None:
    """A broker that is away is told at once."""
    with pytest.raises(KafkaUnavailable, match="dead"):
        await find(Cluster(f"127.0.0.1:{free_port()}"), "dead", Query(), 0, ())
