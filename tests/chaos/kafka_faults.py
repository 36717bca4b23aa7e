"""What befalls Kafka: its brokers, the group, the topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from bridge.kafka.consumer import close_client
from tests.brokers import KafkaCluster, KafkaProcess, eventually
from tests.chaos import reading
from tests.chaos.checker import Evidence
from tests.chaos.faults import Fault
from tests.chaos.load import Message
from tests.chaos.processes import Process
from tests.chaos.setting import Setting
from tests.chaos.stage import KILLED, Inject, Stage

STOPPED = 3
"""How a worker ends that cannot go on."""


@asynccontextmanager
async def _admin(stage: Stage) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**stage.cluster.arguments())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


# --- brokers -------------------------------------------------------------------------------


def _broker(stage: Stage) -> KafkaProcess:
    assert isinstance(stage.broker, KafkaProcess)
    return stage.broker


async def restart(stage: Stage, times: int, seconds: float) -> None:
    """The broker is killed while events flow, and is back after so long."""
    for _ in range(times):
        await stage.flowed(100)
        _broker(stage).kill()
        await asyncio.sleep(seconds)  # this is what the fault is
        await asyncio.to_thread(_broker(stage).start)
        stage.hits += 1
        await stage.flowed(50)


async def silence(stage: Stage, seconds: float) -> None:
    """The broker keeps its connections and answers nothing."""
    await stage.flowed(100)
    with _broker(stage).frozen():
        await asyncio.sleep(seconds)
    stage.hits += 1
    await stage.flowed(100)


async def kill_each(stage: Stage) -> None:
    """Of three brokers one at a time is killed, and comes back."""
    assert isinstance(stage.broker, KafkaCluster)
    for broker in stage.broker.brokers:
        await stage.flowed(100)
        broker.kill()
        await stage.flowed(200)
        await asyncio.to_thread(broker.start)
        await eventually(lambda: _is_whole(stage), 60)
        stage.hits += 1


async def _is_whole(stage: Stage) -> bool:
    """Whether all replicas are in sync again."""
    async with _admin(stage) as admin:
        (topic,) = await admin.describe_topics([stage.topic])
    return all(len(partition["isr"]) == len(partition["replicas"]) for partition in topic["partitions"])


# --- the group -----------------------------------------------------------------------------


async def storm(stage: Stage, seconds: float) -> None:
    """Another member joins the group and leaves it, every half second."""
    until = asyncio.get_running_loop().time() + seconds
    await stage.flowed(50)
    before = _rebalances(stage)
    while asyncio.get_running_loop().time() < until:
        other = AIOKafkaConsumer(
            stage.topic,
            **stage.cluster.arguments(),
            group_id=stage.group,
            enable_auto_commit=False,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=3_000,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=60_000,
        )
        await other.start()
        await asyncio.sleep(0.5)  # as long as it stays
        await close_client(other)
    stage.hits = _rebalances(stage) - before


def _rebalances(stage: Stage) -> int:
    return sum(worker.said.count('"partitions_assigned"') for worker in stage.workers)


# --- topics --------------------------------------------------------------------------------


async def refuse_letters(stage: Stage) -> None:
    """The dead-letter topic takes no record while some have to go there."""
    (worker,) = stage.workers
    await stage.flowed(100)
    await _set(stage, stage.dead_letters, {"max.message.bytes": "10"})
    for number in range(4):
        await stage.put(Message(b"bad-%d" % number, b"not JSON"))
    await eventually(lambda: worker.ends.count(STOPPED) > 0, 60)
    await stage.flowed(100)
    assert "topic_unfit" in worker.said
    stage.hits = worker.ends.count(STOPPED)
    letters = await reading.records(stage.cluster, [stage.dead_letters])
    assert not letters, "the topic took a letter after all"
    await _set(stage, stage.dead_letters, {"max.message.bytes": "1048588"})


async def _set(stage: Stage, topic: str, settings: Mapping[str, str]) -> None:
    async with _admin(stage) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(settings))
        await admin.alter_configs([resource])


def four_letters(_stage: Stage, evidence: Evidence) -> None:
    """Each of the four records has its letter; one that was put again has another."""
    assert len({letter.value for letter in evidence.letters}) == 1
    assert len(evidence.letters) >= 4


async def make_anew(stage: Stage) -> None:
    """The topic is deleted and made again under its name, with fewer records than were read."""
    (worker,) = stage.workers
    stage.is_watched = False  # positions begin anew
    await stage.flowed(300)
    async with stage.paused():
        await stage.quiet()
        stage.vanished = await reading.records(stage.cluster, [stage.topic])
        async with _admin(stage) as admin:
            await admin.delete_topics([stage.topic])
            await eventually(lambda: _is_gone(admin, stage.topic))
            await admin.create_topics([NewTopic(stage.topic, stage.setting.partitions, 1)])
        await _loud(stage, worker)
    await _go_on(stage)


async def _is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def expire(stage: Stage) -> None:
    """Records are deleted before a worker that was away has read them."""
    (worker,) = stage.workers
    stage.is_watched = False  # positions begin anew
    await stage.flowed(200)
    async with stage.paused():
        await stage.quiet()
        stage.vanished = await reading.records(stage.cluster, [stage.topic])
        stage.held = {0}
        await worker.stop()
    await stage.flowed(300)
    async with stage.paused():
        ends = await stage.topic_ends()
        async with _admin(stage) as admin:
            reached = {
                TopicPartition(*key): RecordsToDelete(before_offset=end - 5) for key, end in ends.items()
            }
            await admin.delete_records(reached)
        stage.held = set()
        await _loud(stage, worker)
    await _go_on(stage)


async def _loud(stage: Stage, worker: Process) -> None:
    """The worker says that records are lost, and ends: it passes over nothing in silence."""
    await eventually(lambda: worker.is_running)
    await eventually(lambda: STOPPED in worker.ends, 120)
    assert '"position_lost"' in worker.said
    stage.hits += 1


async def _go_on(stage: Stage) -> None:
    """Somebody has read it, and lets the worker go on with what is left."""
    stage.reconfigure(kafka={"on_lost_position": "earliest"})
    await stage.flowed(200)


def _fault(name: str, how: str, inject: Inject, least: int, brokers: int = 1) -> Fault:
    setting = replace(LASTING, topic={"min.insync.replicas": "2"}) if brokers > 1 else LASTING
    return Fault(name, "Kafka", how, inject, setting, least, brokers=brokers)


def _loud_fault(name: str, how: str, inject: Inject) -> Fault:
    checks = "the worker ends with 3 and says `position_lost`; with `earliest` it goes on"
    ends = frozenset({0, KILLED, STOPPED})
    return Fault(name, "Kafka", how, inject, LASTING, 1, checks, ends=ends)


LASTING = Setting(rate=60, is_quiet_in=240)
FAULTS = [
    _fault("broker killed", "SIGKILL, and started at once, 3 times", partial(restart, times=3, seconds=0), 3),
    _fault("broker away for a minute", "SIGKILL; back after 60 s", partial(restart, times=1, seconds=60), 1),
    _fault("broker silent", "SIGSTOP; on again after 30 s", partial(silence, seconds=30), 1),
    _fault("one of three brokers killed", "SIGKILL of each in turn, and started", kill_each, 3, brokers=3),
    _fault(
        "rebalance storm", "a member joins and leaves every half second", partial(storm, seconds=300), 200, 0
    ),
    Fault(
        "dead-letter topic refusing",
        "Kafka",
        "`max.message.bytes` too small for any letter, while records are rejected",
        refuse_letters,
        LASTING,
        checks="the worker ends with 3 and says `topic_unfit`; no letter is lost, no position passes it",
        ends=frozenset({0, KILLED, STOPPED}),
        check=four_letters,
        letters=True,
    ),
    _loud_fault("topic made anew", "deleted and created under its name", make_anew),
    _loud_fault("retention past the position", "records are deleted unread", expire),
]
