"""The producer's port over real brokers."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed

from bridge.errors import ConfigError, KafkaUnavailable, TopicUnfit
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.embedded import EmbeddedBroker
from bridge.observe.health import Health
from tests.brokers import create_topic, free_port


def producer(cluster: Cluster, told: list[str] | None = None, **more: float) -> Producer:
    """A producer with a short patience, which notes the states that it tells."""
    health = Health(time.monotonic, "kafka")

    def observe(state: str, /, **_: object) -> None:
        if told is not None:
            told.append(state)

    settings: dict[str, Any] = {"timeout": 2.0, "patience": 60.0} | more
    return Producer(cluster, observe=observe, health=health, **settings)


async def test_a_record_that_the_topic_never_takes_is_no_outage(real_kafka: Cluster) -> None:
    """A record above the topic's limit, or above the client's own, names the topic; the next one is taken."""
    topic = await create_topic(real_kafka, 1, max_message_bytes="2000")
    async with producer(real_kafka) as send:
        for size in (5_000, 2_000_000):
            with pytest.raises(TopicUnfit, match=topic):
                await send(topic, None, b"x" * size, [])
        await send(topic, None, b"x", [])


async def test_many_records_go_out_together(real_kafka: Cluster) -> None:
    """Senders that publish at the same time do not wait for one another's acknowledgement."""
    topic = await create_topic(real_kafka, 4)
    async with producer(real_kafka) as send:
        began = time.monotonic()
        await asyncio.gather(*(send(topic, b"%d" % number, b"x" * 500, []) for number in range(1_000)))
        assert time.monotonic() - began < 5


async def test_a_client_that_was_closed_is_replaced(embedded_broker: Cluster) -> None:
    """One failed publish is the last: a client that will never send again is not kept.

    Whoever is late to meet its failure does not take the new one down.
    """
    async with producer(embedded_broker) as send:
        await send("events", b"k", b"a", [])
        old = send._client
        assert old is not None
        await old.stop()
        with pytest.raises(KafkaUnavailable, match="ProducerClosed") as raised:
            await send("events", b"k", b"b", [])
        assert isinstance(raised.value.__cause__, ProducerClosed)
        await send("events", b"k", b"c", [])
        new = send._client
        await send._failed(old, ProducerClosed())
        assert send._client is new is not old


async def test_a_broker_that_comes_later_is_found() -> None:
    """A producer that started without its broker works once there is one, and tells of both."""
    told: list[str] = []
    away = Cluster(f"127.0.0.1:{free_port()}")
    send = producer(away, told)
    async with send:
        with pytest.raises(KafkaUnavailable):
            await send("events", b"k", b"a", [])
        with EmbeddedBroker() as here:
            send._cluster = here
            await send("events", b"k", b"a", [])
    assert set(told) == {"kafka_unavailable", "kafka_available"}


async def test_leaving_is_quick_while_the_broker_is_away() -> None:
    """What was not acknowledged was told so; nobody waits for it at the end."""
    with EmbeddedBroker() as cluster:
        send = await producer(cluster).__aenter__()
        await send("events", b"k", b"a", [])
    with pytest.raises(KafkaUnavailable):
        await send("events", b"k", b"b", [])
    async with asyncio.timeout(4):
        await send.__aexit__(None, None, None)


def test_the_embedded_broker_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra package the error names it."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigError, match=r"jira-link-bridge\[demo\]"):
        EmbeddedBroker()


def test_a_cluster_does_not_show_its_password() -> None:
    """The text of a cluster, which may come into a log, has no password in it."""
    assert "hush" not in repr(Cluster("a:1", "SASL_SSL", "PLAIN", "me", "hush"))


async def test_encryption_has_a_context() -> None:
    """With SSL the clients get a context that checks certificates; in clear text they get none."""
    assert Cluster("a:1", "SASL_SSL").arguments()["ssl_context"].check_hostname
    assert Cluster("a:1", "SASL_PLAINTEXT").arguments()["ssl_context"] is None
