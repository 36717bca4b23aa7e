"""The consumer: hands on batches of records with the positions that they begin and end at.

The ledger's positions are the truth, Kafka's committed offsets are for lag monitors. What is
not obvious, with aiokafka 0.14:

- A `getmany` that is cancelled or that raises leaves the client's account of its own liveness
  wrong for good (`fetch_context` has no finally), so a client that met either is thrown away.
- The rebalance runs in the background. What `getmany` returned is taken only when the
  assignment is still the one that was sought; what another worker has merged in the meantime,
  the ledger's comparison of positions finds out.
- A partition that was just assigned would be read from Kafka's committed offset before any
  await is over. So the listener pauses it at once, and the loop seeks and resumes it.
- JoinGroup is answered when the last member has come, so the request's timeout must be longer
  than the rebalance's.
- Sticky assignment is broken (#1175, #1176): round robin.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord

from bridge.errors import KafkaUnavailable, LedgerUnavailable, PositionLost, PositionMoved
from bridge.kafka.cluster import Cluster
from bridge.model import Position, Record
from bridge.observe.health import Health
from bridge.ports import Observe

CONDITION = "consumer"
"""The condition of health, and the beat, that the consumer keeps."""

Take = Callable[[Sequence[Record], Sequence[tuple[Position, Position]]], Awaitable[None]]

_REBALANCE_SECONDS = 60.0  # longer than the longest batch takes to merge
_JOIN_SECONDS = _REBALANCE_SECONDS + 5.0
_STALL_SECONDS = _JOIN_SECONDS + 30.0  # nothing that the client does takes so long
_COMMIT_SECONDS = 5.0
_PROBE_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_LEAVE_SECONDS = 5.0
_LIFE_SECONDS = 300.0

T = TypeVar("T")
Records = Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]


class _Stopped(Exception):
    """The consumer was told to stop while it waited for Kafka."""


class _Stalled(Exception):
    """Kafka's client gave no answer for longer than it ever should."""


@dataclass
class Consumer:
    """One member of a consumer group, for as long as `run` runs.

    `positions` tells how far the group has merged. `take` merges a batch and moves the ledger
    from each first position to the second, in one transaction; it raises PositionMoved when
    the ledger stands elsewhere. A partition that the ledger does not know begins at 0. A batch
    may have no records: offsets without one (aborted transactions) move the position too.

    When a position is no longer in the topic, `on_lost_position` says whether to "stop" with
    PositionLost or to go on from the "earliest" record that is left. After `patience` seconds
    without a sign of the broker the client is built anew (aiokafka #703).
    """

    cluster: Cluster
    topics: Sequence[str]
    group: str
    _: KW_ONLY
    positions: Callable[[], Awaitable[list[Position]]]
    take: Take
    observe: Observe
    health: Health
    on_lost_position: Literal["stop", "earliest"] = "stop"
    max_records: int = 500
    poll_ms: int = 1_000
    session_timeout_ms: int = 10_000
    patience: float = 30.0
    _leaving: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; the batch under way is merged, then the group is left.

        Raises PositionLost, and whatever `take` and `positions` raise except PositionMoved,
        KafkaUnavailable and LedgerUnavailable.
        """
        self.health.set(CONDITION, ok=False, reason="joining the group")
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if await self._has_ledger(stopping):
                    await self._serve(_Member(self, stopping), stopping)
        finally:
            stopping.cancel()
            self.health.rest(CONDITION)
            if self._leaving:
                await asyncio.wait(self._leaving, timeout=_LEAVE_SECONDS)

    async def _has_ledger(self, stopping: asyncio.Task[Any]) -> bool:
        """Whether the ledger answers; without it the group's other members may have the partitions."""
        try:
            await self.positions()
        except LedgerUnavailable as error:
            await self._pause(error, stopping)
            return False
        return True

    async def _pause(self, error: Exception, stopping: asyncio.Task[Any]) -> None:
        self._tell(error)
        self.health.set(CONDITION, ok=False, reason=f"{type(error).__name__}: {error}")
        await asyncio.wait({stopping}, timeout=_PAUSE_SECONDS)

    async def _serve(self, member: _Member, stopping: asyncio.Task[Any]) -> None:
        """The life of one member, which ends with the first error of Kafka or the ledger that it meets."""
        try:
            await member.run()
        except _Stopped:
            return
        except PositionLost as error:
            self.health.set(CONDITION, ok=False, reason=str(error))
            raise
        except (_Stalled, KafkaUnavailable, LedgerUnavailable, KafkaError) as error:
            await self._pause(error, stopping)
        finally:
            # Beside whatever comes next: with the broker away it takes long.
            task = asyncio.create_task(close_client(member.client))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _tell(self, error: Exception) -> None:
        match error:
            case _Stalled():
                self.observe("consumer_stalled", detail=str(error))
            case LedgerUnavailable():
                self.observe("ledger_unavailable", client="consumer", error=str(error))
            case KafkaConnectionError() | KafkaUnavailable():
                self.observe("kafka_unavailable", client="consumer", detail=str(error))
            case _:
                self.observe("consumer_rebuilt", error=type(error).__name__, detail=str(error))


class _Read(NamedTuple):
    """What one poll gave: records, and for each partition how far it went and what is there."""

    records: Records
    reached: dict[TopicPartition, int]
    ends: dict[TopicPartition, int | None]
    signs: dict[TopicPartition, int | None]


class _Member(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka's is untyped
    """One client's time in the group."""

    def __init__(self, consumer: Consumer, stopping: asyncio.Task[Any]) -> None:
        self.client = AIOKafkaConsumer(
            **consumer.cluster.arguments(),
            group_id=consumer.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=consumer.session_timeout_ms,
            heartbeat_interval_ms=consumer.session_timeout_ms // 3,
            rebalance_timeout_ms=int(_REBALANCE_SECONDS * 1000),
            request_timeout_ms=int(_JOIN_SECONDS * 1000),
        )
        self._of = consumer
        self._stopping = stopping
        self._is_sought = False
        self._merged: dict[TopicPartition, int] = {}
        self._signs: dict[TopicPartition, int | None] = {}
        self._heard_at = time.monotonic()

    async def run(self) -> None:
        """Join, then seek and poll in turn until there is a stop or an error."""
        self._of.health.beat(CONDITION, _LIFE_SECONDS)
        self.client.subscribe(self._of.topics, listener=self)
        await self._wait(self.client.start())
        while not self._stopping.done():
            self._of.health.beat(CONDITION, _LIFE_SECONDS)
            await (self._poll() if self._is_sought else self._seek())

    async def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result. Raises _Stopped or _Stalled when that comes first, and the client is spent."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait(
                {task, self._stopping}, timeout=_STALL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
        finally:
            task.cancel()
        if self._stopping.done():
            raise _Stopped
        raise _Stalled(f"Kafka's client gave no answer for {_STALL_SECONDS:.0f} s")

    # --- the assignment: called by aiokafka, must not wait ------------------------------------

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing is to be drained: what is under way is judged by the ledger's positions."""
        if revoked:
            self._of.observe("partitions_revoked", count=len(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Hold the partitions until the loop has sought the ledger's positions."""
        self._is_sought = False
        for partition in assigned:
            self.client.seek(partition, 0)
            self.client.pause(partition)
        self._of.observe("partitions_assigned", count=len(assigned), partitions=_named(assigned))

    # --- positions ---------------------------------------------------------------------------

    async def _seek(self) -> None:
        """Go to where the ledger stands, or to the beginning of what it does not know."""
        self._is_sought = True
        assigned = list(self.client.assignment())
        stored = {TopicPartition(p.topic, p.partition): p.offset for p in await self._of.positions()}
        first = await self._wait(self.client.beginning_offsets(assigned))
        end = await self._wait(self.client.end_offsets(assigned))
        if not self._is_sought:
            return  # assigned anew in the meantime
        try:
            for partition in assigned:
                offset = self._target(partition, stored.get(partition), first[partition], end[partition])
                self.client.seek(partition, offset)
                self.client.resume(partition)
        except IllegalStateError:
            self._is_sought = False  # assigned anew, and the listener is about to be told
            return
        self._merged = {partition: stored.get(partition, 0) for partition in assigned}
        self._heard()

    def _target(self, partition: TopicPartition, stored: int | None, first: int, end: int) -> int:
        if stored is None or first <= stored <= end:
            return first if stored is None else stored
        place = f"{partition.topic}/{partition.partition}"
        self._of.observe(
            "position_lost", topic=partition.topic, place=place, ledger=stored, first=first, end=end
        )
        if self._of.on_lost_position == "stop":
            raise PositionLost(f"{place}: the ledger stands at {stored}, the topic holds {first} to {end}.")
        return first

    # --- records -----------------------------------------------------------------------------

    async def _poll(self) -> None:
        found = await self._wait(self._fetch())
        if not self._is_sought:
            return  # read under an assignment that is gone
        await self._listen(found)
        read = [
            (_position(partition, self._merged[partition]), _position(partition, offset))
            for partition, offset in found.reached.items()
            if offset != self._merged[partition]
        ]
        if read:
            await self._merge([as_record(each) for part in found.records.values() for each in part], read)

    async def _fetch(self) -> _Read:
        """One getmany, and without giving way in between the positions that go with it."""
        client, most = self.client, self._of.max_records
        records = await client.getmany(timeout_ms=self._of.poll_ms, max_records=most)
        mine = [partition for partition in client.assignment() if partition in self._merged]
        return _Read(
            records,
            {partition: await client.position(partition) for partition in mine},
            {partition: client.highwater(partition) for partition in mine},
            {partition: client.last_poll_timestamp(partition) for partition in mine},
        )

    async def _merge(self, records: list[Record], read: list[tuple[Position, Position]]) -> None:
        try:
            await self._of.take(records, read)
        except PositionMoved as error:
            self._of.observe("position_moved", detail=str(error))
            self._is_sought = False
            return
        except KafkaUnavailable as error:
            # A dead letter was not acknowledged: read the batch again, and stay in the group.
            self._of.observe("kafka_unavailable", client="consumer", detail=str(error))
            self._is_sought = False
            await asyncio.wait({self._stopping}, timeout=_PAUSE_SECONDS)
            return
        merged = {TopicPartition(after.topic, after.partition): after.offset for _, after in read}
        self._merged.update(merged)
        await self._commit(merged)
        self._heard_at = time.monotonic()

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Tell Kafka, for those who watch its lag. After a rebalance it may refuse: no matter."""
        try:
            await asyncio.wait_for(self.client.commit(offsets), _COMMIT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            self._of.observe("commit_failed", error=f"{type(error).__name__}: {error}")

    # --- signs of the broker -----------------------------------------------------------------

    async def _listen(self, found: _Read) -> None:
        """Raise KafkaUnavailable when no broker has answered for too long."""
        silence = time.monotonic() - self._heard_at
        if found.records or found.signs != self._signs:
            self._heard()
        elif not found.reached and silence > _PROBE_SECONDS:
            await self._wait(self.client.topics())  # without partitions nothing is fetched
            self._heard()
        elif silence > self._of.patience:
            raise KafkaUnavailable(f"No broker has answered for {silence:.0f} s.")
        self._signs = found.signs
        for partition, offset in found.reached.items():
            lag = max(0, (found.ends[partition] or 0) - offset)
            self._of.observe("lag", topic=partition.topic, partition=partition.partition, records=lag)

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._of.health.set(CONDITION, ok=True)


async def close_client(client: AIOKafkaConsumer) -> None:
    """Leave the group and close the connections."""
    try:
        # With the broker away, stop() awaits the fetches that it has cancelled, and ends early.
        with suppress(KafkaError, asyncio.CancelledError):
            await client.stop()
    finally:
        await client._client.close()  # noqa: SLF001 - what stop() did not come to


def _named(partitions: set[TopicPartition]) -> list[str]:
    return sorted(f"{each.topic}/{each.partition}" for each in partitions)


def _position(partition: TopicPartition, offset: int) -> Position:
    return Position(partition.topic, partition.partition, offset)


def as_record(record: ConsumerRecord[bytes, bytes]) -> Record:
    """The record in the bridge's own words."""
    headers = tuple((name, value or b"") for name, value in record.headers)
    return Record(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, headers
    )
