"""Topics: created with the settings that the bridge relies on, or checked for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TopicAlreadyExistsError, for_code

from bridge.errors import KafkaUnavailable, TopicUnfit
from bridge.kafka.cluster import Cluster, reason
from bridge.ports import Observe

_TIMEOUT_SECONDS = 30.0
_SAFE_REPLICATION = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """What the bridge needs of one topic.

    `retention_ms` is how long a record stays: the ledger keeps its tombstones longer.
    `max_message_bytes` is the longest record, with key and headers.
    """

    name: str
    partitions: int
    replication: int
    retention_ms: int
    max_message_bytes: int

    def settings(self) -> dict[str, str]:
        """The topic's settings, by the names of https://kafka.apache.org/documentation/#topicconfigs."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "CreateTime",
            **({"min.insync.replicas": "2"} if self.replication >= _SAFE_REPLICATION else {}),
        }


async def ensure_topics(cluster: Cluster, topics: Sequence[Topic], *, create: bool, observe: Observe) -> None:
    """Create the topics that are missing, where `create` says so; check those that are there.

    A broker that cannot tell its settings (the embedded one) is taken as it is. Raises
    TopicUnfit, which names every setting that is wrong, and KafkaUnavailable.
    """
    admin = AIOKafkaAdminClient(**cluster.arguments())
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await admin.start()
            wrong = [text async for text in _faults(admin, topics, create=create, observe=observe)]
    except IncompatibleBrokerVersion:
        observe("topics_unchecked", topics=[topic.name for topic in topics])
        return
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailable(reason(error)) from error
    finally:
        await admin.close()
    if wrong:
        raise TopicUnfit("; ".join(wrong))


async def _faults(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], *, create: bool, observe: Observe
) -> AsyncIterator[str]:
    missing = await _missing(admin, topics)
    for topic in topics:
        if topic not in missing:
            for text in await _check(admin, topic):
                yield text
        elif not create:
            yield f"{topic.name}: is missing"
    if create and missing:
        await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, missing[0].name)])
        await _create(admin, missing, observe)


async def _missing(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[Topic]:
    there = set(await admin.list_topics())
    return [topic for topic in topics if topic.name not in there]


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], observe: Observe) -> None:
    wanted = [NewTopic(t.name, t.partitions, t.replication, topic_configs=t.settings()) for t in topics]
    try:
        answer = await admin.create_topics(wanted)
    except AttributeError as error:  # aiokafka's, while the cluster elects its controller
        raise KafkaUnavailable("the cluster has no controller yet") from error
    for name, code, message in answer.topic_errors:
        kind = for_code(code)
        if code and kind is not TopicAlreadyExistsError:  # another worker was faster
            raise TopicUnfit(f"{name} cannot be created: {kind.__name__}: {message}")
    for topic in topics:
        observe("topic_created", topic=topic.name, partitions=topic.partitions)


async def _check(admin: AIOKafkaAdminClient, topic: Topic) -> list[str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    ((code, message, _kind, _name, entries),) = answer.resources
    if code:
        raise TopicUnfit(f"{topic.name}: its settings can't be read: {for_code(code).__name__}: {message}")
    found = {entry[0]: entry[1] for entry in entries}
    return [f"{topic.name}: {text}" for text in _wrong(topic, found)]


def _wrong(topic: Topic, found: Mapping[str, str]) -> Iterator[str]:
    if "compact" in found["cleanup.policy"]:
        yield "cleanup.policy is compact, which drops events that were not read; set it to delete"
    if int(found["max.message.bytes"]) < topic.max_message_bytes:
        need = topic.max_message_bytes
        yield f"max.message.bytes is {found['max.message.bytes']}; set it to {need} or more"
    if not 0 <= int(found["retention.ms"]) <= topic.retention_ms:
        yield (
            f"retention.ms is {found['retention.ms']}, longer than the configured {topic.retention_ms}: "
            "tombstones would be dropped before the events that they hold off; make the two agree"
        )
    if found["message.timestamp.type"] != "CreateTime":
        yield "message.timestamp.type is LogAppendTime, which makes a replay look new; set it to CreateTime"
    if topic.replication >= _SAFE_REPLICATION and int(found["min.insync.replicas"]) < 2:  # noqa: PLR2004
        yield "min.insync.replicas is 1: one broker's loss would lose what was acknowledged; set it to 2"
