"""The consumer: hands on batches of records with the positions that they begin and end at.

The ledger's positions are the truth. Kafka's committed offsets are for lag monitors, and for a
partition that the ledger does not know. What is not obvious, with aiokafka 0.14:

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
- Only JoinGroup and SyncGroup bear the instance id. A static member that was replaced is told that
  its member id is unknown, forgets it, joins as if it were new, and so replaces the other, for
  ever. So the listener gives it its member id back: then Kafka says who is fenced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, asdict, dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from bridge.errors import KafkaUnavailable, LedgerUnavailable, MemberFenced, PositionLost, PositionMoved
from bridge.kafka.cluster import AWAY, Cluster, FencedInstanceId, reason
from bridge.kafka.start import Standing, Start
from bridge.model import Position, Record
from bridge.observe.health import Health
from bridge.ports import Observe

CONDITION = "consumer"
"""The condition of health, and the beat, that the consumer keeps."""

Take = Callable[[Sequence[Record], Sequence[tuple[Position, Position]]], Awaitable[None]]

_REBALANCE_SECONDS = 60.0  # longer than the longest batch takes to merge
_JOIN_SECONDS = _REBALANCE_SECONDS + 5.0
_STALL_SECONDS = _JOIN_SECONDS + 30.0  # nothing that the client does takes so long
_HEARTBEAT_MS = 3_000  # whatever the session: a member learns of a rebalance from its heartbeat
_METADATA_SECONDS = 30.0  # until new partitions are noticed, or a topic that was made anew
_COMMIT_SECONDS = 5.0
_PROBE_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_LEAVE_SECONDS = 5.0
_LIFE_SECONDS = 300.0
_RESPONSE_BYTES = 16 * 1_048_576

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
    the ledger stands elsewhere. A batch may have no records: offsets without one (aborted
    transactions) move the position too, and a partition that the ledger does not know is entered
    with the position that it starts at.

    That is Kafka's committed offset, else `start`. When a position is no longer in the topic,
    `on_lost_position` says whether to "stop" with PositionLost or to go on from the "earliest"
    record that is left. After `patience` seconds without a sign of the broker the client is built
    anew (aiokafka #703).

    A member with an `instance_id` keeps its partitions when it is away for less than the session's
    timeout. Of each partition at most `fetch_bytes`, or one record, are read ahead.
    """

    cluster: Cluster
    topics: Sequence[str]
    group: str
    _: KW_ONLY
    positions: Callable[[], Awaitable[list[Position]]]
    take: Take
    observe: Observe
    health: Health
    start: Start = "earliest"
    on_lost_position: Literal["stop", "earliest"] = "stop"
    instance_id: str | None = None
    fetch_bytes: int = 1_048_576
    max_records: int = 500
    poll_ms: int = 1_000
    max_poll_ms: int = 300_000
    session_timeout_ms: int = 10_000
    patience: float = 30.0
    _is_well: bool = field(default=False, init=False, repr=False)
    _ledger_failures: int = field(default=0, init=False, repr=False)
    owes_merge: bool = field(default=False, init=False, repr=False)
    begun: dict[TopicPartition, int] = field(default_factory=dict, init=False, repr=False)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; the batch under way is merged, then the group is left.

        Raises PositionLost, MemberFenced, and whatever `take` and `positions` raise except
        PositionMoved, KafkaUnavailable and LedgerUnavailable.
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
        """Whether the ledger answers; without it the group's other members may have the partitions.

        A ledger that can be read may still take nothing: its disk is full.
        """
        try:
            await self.positions()
        except LedgerUnavailable as error:
            await self._pause(error, stopping)
            return False
        if not self.owes_merge:
            self.find_ledger()
        return True

    def find_ledger(self) -> None:
        """The ledger does what it failed to do before."""
        self.owes_merge = False
        if self._ledger_failures:
            self._ledger_failures = 0
            self.observe("ledger_available")

    async def _pause(self, error: Exception, stopping: asyncio.Task[Any]) -> None:
        self._tell(error)
        seconds = min(_PAUSE_SECONDS * 2.0 ** min(self._ledger_failures, 10), _LONGEST_PAUSE_SECONDS)
        await asyncio.wait({stopping}, timeout=seconds)

    async def _serve(self, member: _Member, stopping: asyncio.Task[Any]) -> None:
        """The life of one member, which ends with the first error of Kafka or the ledger that it meets."""
        try:
            await member.run()
        except _Stopped:
            return
        except PositionLost as error:
            self.health.set(CONDITION, ok=False, reason=f"position_lost: {error}")
            raise
        except (_Stalled, KafkaUnavailable, LedgerUnavailable, KafkaError) as error:
            await self._pause(error, stopping)
        finally:
            # Beside whatever comes next: with the broker away it takes long.
            task = asyncio.create_task(close_client(member.client))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _tell(self, error: Exception) -> None:
        """Name the state, in readiness too. Raises MemberFenced when no other client would help."""
        if isinstance(error, _Stalled):
            self._fail("consumer_stalled", str(error))
        elif isinstance(error, LedgerUnavailable):
            self._ledger_failures += 1
            self._fail("ledger_unavailable", str(error), client=CONDITION)
        elif isinstance(error, (*AWAY, KafkaUnavailable)):
            self._fail("kafka_unavailable", reason(error), client=CONDITION)
        elif FencedInstanceId.__name__ in str(error):
            text = f"Another member of {self.group} has the instance id {self.instance_id}."
            self._fail("member_fenced", text)
            raise MemberFenced(text)
        else:
            self._fail("consumer_rebuilt", reason(error), kind=type(error).__name__)

    def _fail(self, state: str, error: str, **fields: object) -> None:
        self._is_well = False
        self.health.set(CONDITION, ok=False, reason=f"{state}: {error}")
        self.observe(state, error=error, **fields)

    def recover(self) -> None:
        """Kafka has answered a member."""
        self.health.set(CONDITION, ok=True)
        if not self._is_well:
            self._is_well = True
            self.observe("kafka_available", client=CONDITION)


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
            group_instance_id=consumer.instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=consumer.session_timeout_ms,
            heartbeat_interval_ms=min(_HEARTBEAT_MS, consumer.session_timeout_ms // 3),
            rebalance_timeout_ms=int(_REBALANCE_SECONDS * 1000),
            max_poll_interval_ms=consumer.max_poll_ms,
            fetch_max_bytes=_RESPONSE_BYTES,
            max_partition_fetch_bytes=consumer.fetch_bytes,
            request_timeout_ms=int(_JOIN_SECONDS * 1000),
            metadata_max_age_ms=int(_METADATA_SECONDS * 1000),
        )
        self._of = consumer
        self._stopping = stopping
        self._is_sought = False
        self._merged: dict[TopicPartition, int] = {}
        self._unknown: set[TopicPartition] = set()
        self._member_id = ""
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
        coordinator = self.client._coordinator  # noqa: SLF001 - see above of static members
        if self._of.instance_id and not coordinator.member_id:
            coordinator.member_id = self._member_id
        if revoked:
            self._of.observe("partitions_revoked", count=len(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Hold the partitions until the loop has sought the ledger's positions."""
        self._is_sought = False
        self._member_id = self.client._coordinator.member_id  # noqa: SLF001 - as above
        for partition in assigned:
            self.client.seek(partition, 0)
            self.client.pause(partition)
        self._of.observe("partitions_assigned", count=len(assigned), partitions=_named(assigned))

    # --- positions ---------------------------------------------------------------------------

    async def _seek(self) -> None:
        """Go to where each partition is to be read from."""
        self._is_sought = True
        found = await self._standings(list(self.client.assignment()))
        if not self._is_sought:
            return  # assigned anew in the meantime
        offsets = {partition: self._offset(partition, standing) for partition, standing in found.items()}
        try:
            for partition, offset in offsets.items():
                self.client.seek(partition, offset)
                self.client.resume(partition)
        except IllegalStateError:
            self._is_sought = False  # assigned anew, and the listener is about to be told
            return
        stored = {each: standing.ledger for each, standing in found.items() if standing.ledger is not None}
        self._unknown = offsets.keys() - stored.keys()
        self._merged = {**offsets, **stored}
        self._heard()

    async def _standings(self, assigned: list[TopicPartition]) -> dict[TopicPartition, Standing]:
        ledger = {TopicPartition(p.topic, p.partition): p.offset for p in await self._of.positions()}
        first = await self._wait(self.client.beginning_offsets(assigned))
        end = await self._wait(self.client.end_offsets(assigned))
        unknown = [each for each in assigned if each not in ledger]
        group = {each: await self._wait(self.client.committed(each)) for each in unknown}
        return {
            each: Standing(ledger.get(each), group.get(each), first[each], end[each]) for each in assigned
        }

    def _offset(self, partition: TopicPartition, standing: Standing) -> int:
        """Where to go on from; what an operator should know of it is told. Raises PositionLost."""
        place, topic = f"{partition.topic}/{partition.partition}", partition.topic
        offset = standing.offset(self._of.start)
        if standing.stored is None:  # where it was begun, though nothing could be stored of that yet
            offset = max(standing.first, self._of.begun.setdefault(partition, offset))
        if standing.is_lost:
            self._of.observe("position_lost", topic=topic, place=place, **asdict(standing))
            if self._of.on_lost_position == "stop":
                whose = "group" if standing.ledger is None else "ledger"
                raise PositionLost(
                    f"{place}: the {whose} stands at {standing.stored}, "
                    f"the topic holds {standing.first} to {standing.end}."
                )
        elif standing.is_adopted:
            self._of.observe("position_adopted", topic=topic, place=place, **asdict(standing))
        return offset

    # --- records -----------------------------------------------------------------------------

    async def _poll(self) -> None:
        found = await self._wait(self._fetch())
        if not self._is_sought:
            return  # read under an assignment that is gone
        await self._listen(found)
        read = [
            (_position(partition, self._merged[partition]), _position(partition, offset))
            for partition, offset in found.reached.items()
            if offset != self._merged[partition] or partition in self._unknown
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
            self._of.observe("position_moved", error=str(error))
            self._is_sought = False
            return
        except KafkaUnavailable as error:
            # A dead letter was not acknowledged: read the batch again, and stay in the group.
            self._of.observe("kafka_unavailable", client=CONDITION, error=reason(error))
            self._is_sought = False
            await asyncio.wait({self._stopping}, timeout=_PAUSE_SECONDS)
            return
        except LedgerUnavailable:
            self._of.owes_merge = True
            raise
        self._of.find_ledger()
        merged = {TopicPartition(after.topic, after.partition): after.offset for _, after in read}
        self._merged.update(merged)
        self._unknown -= merged.keys()
        await self._commit(merged)
        self._heard_at = time.monotonic()

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Tell Kafka, for those who watch its lag. After a rebalance it may refuse: no matter."""
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self.client.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._of.observe("commit_failed", error=reason(error))

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
        self._of.recover()


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
