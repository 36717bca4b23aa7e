"""Topics on a real Kafka: made with the right settings, or refused with all that is wrong."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bridge.errors import KafkaUnavailable, TopicUnfit
from bridge.kafka.cluster import Cluster
from bridge.kafka.topics import Topic, ensure_topics
from tests.brokers import create_topic, free_port

DAY_MS = 86_400_000


def a_topic(name: str | None = None) -> Topic:
    """What a test wants of a topic."""
    return Topic(name or f"test-{uuid.uuid4().hex[:12]}", 3, 1, 14 * DAY_MS, 1_048_576)


async def ensured(cluster: Cluster, *topics: Topic, create: bool = True) -> list[object]:
    """Ensure the topics; the names of those that were created."""
    told: list[object] = []

    def observe(state: str, /, **fields: object) -> None:
        assert state == "topic_created"
        told.append(fields["topic"])

    await ensure_topics(cluster, topics, create=create, observe=observe)
    return told


async def test_a_missing_topic_is_created_as_it_should_be(real_kafka: Cluster) -> None:
    """The topic has the partitions and settings that were asked for, and is then left alone."""
    topic = a_topic()
    assert await ensured(real_kafka, topic) == [topic.name]
    assert await ensured(real_kafka, topic) == []
    admin = AIOKafkaAdminClient(**real_kafka.arguments())
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic.name])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    finally:
        await admin.close()
    settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert len(described["partitions"]) == 3
    assert settings.items() >= topic.settings().items()


def test_three_replicas_acknowledge_in_pairs() -> None:
    """A topic with three replicas is made such that one broker's loss loses nothing."""
    assert replace(a_topic(), replication=3).settings()["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in a_topic().settings()


async def test_a_missing_topic_that_may_not_be_created_is_named(real_kafka: Cluster) -> None:
    """Where creating is not allowed, a missing topic is an error and stays missing."""
    topic = a_topic()
    for _ in range(2):
        with pytest.raises(TopicUnfit, match=f"{topic.name}: is missing"):
            await ensured(real_kafka, topic, create=False)


async def test_a_topic_that_cannot_be_created_says_why(real_kafka: Cluster) -> None:
    """What the broker answers to an impossible wish is what the error says."""
    with pytest.raises(TopicUnfit, match="InvalidReplicationFactor"):
        await ensured(real_kafka, replace(a_topic(), replication=9))


async def test_every_setting_that_is_wrong_is_named(real_kafka: Cluster) -> None:
    """One error lists all that would lose data, so that one correction is enough."""
    name = await create_topic(
        real_kafka,
        1,
        cleanup_policy="compact",
        max_message_bytes="1000",
        retention_ms="-1",
        message_timestamp_type="LogAppendTime",
    )
    with pytest.raises(TopicUnfit) as raised:
        await ensured(real_kafka, replace(a_topic(name), replication=3))
    for setting in a_topic(name).settings() | {"min.insync.replicas": "2"}:
        assert f"{name}: {setting} is " in str(raised.value)


async def test_a_shorter_retention_is_nobodys_harm(real_kafka: Cluster) -> None:
    """Tombstones may outlive their records, so a topic that keeps less than configured is fit."""
    name = await create_topic(real_kafka, 1, retention_ms=str(DAY_MS), max_message_bytes="2000000")
    assert await ensured(real_kafka, a_topic(name)) == []


async def test_a_broker_that_is_away_is_no_unfit_topic() -> None:
    """Without a broker nothing can be said of the topic."""
    with pytest.raises(KafkaUnavailable):
        await ensured(Cluster(f"127.0.0.1:{free_port()}"), a_topic())
