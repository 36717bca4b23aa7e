"""The producer: a record is on the broker's disks, or KafkaUnavailable says that it may not be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from bridge.drain import pause
from bridge.errors import KafkaUnavailable, TopicUnfit
from bridge.kafka.cluster import Cluster, reason
from bridge.observe.health import Health
from bridge.ports import Observe

CONDITION = "kafka"
"""The condition of health that the producer keeps."""

BEAT = "producer"
"""Its sign of life."""

_PROBE_SECONDS = 5.0
_LIFE_SECONDS = 120.0
_CLOSE_SECONDS = 1.0
_UNFIT = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

T = TypeVar("T")


class Producer:
    """The port Publish over Kafka: `async with Producer(…) as publish`.

    Entering waits for no broker: publishing connects, and raises KafkaUnavailable while it is
    away. A task in the background connects too, and keeps the condition "kafka" of `health`. A
    client that has met nothing but failures for `patience` seconds is replaced (aiokafka #1133:
    it may stay closed for good).

    Records are not compressed: a topic's `compression.type` has the broker do that.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        observe: Observe,
        health: Health,
        max_record_bytes: int = 1_048_576,
        timeout: float = 10.0,
        patience: float = 30.0,
    ) -> None:
        self._cluster = cluster
        self._observe = observe
        self._health = health
        self._max_record_bytes = max_record_bytes
        self._timeout = timeout
        self._patience = patience
        self._client: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._failing_since: float | None = None
        self._is_up: bool | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._health.set(CONDITION, ok=False, reason="not reached yet")
        self._health.beat(BEAT, _LIFE_SECONDS)
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._keeper is not None:
            # A client that is cancelled while it connects leaves its connection open.
            await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        self._health.rest(BEAT)
        await self._discard(self._client)

    async def __call__(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: int | None = None,
    ) -> None:
        """Put the record on `topic`; returns once all in-sync replicas have it.

        `timestamp` is in milliseconds since the epoch, None for now. Raises KafkaUnavailable
        when no acknowledgement came in time: the record may still arrive later. Raises
        TopicUnfit when the topic will never take it.
        """
        client = None
        try:
            client = await self._in_time(self._connected())  # or its turn to connect
            await self._in_time(
                client.send_and_wait(topic, value, key=key, headers=list(headers), timestamp_ms=timestamp)
            )
        except _UNFIT as error:
            raise TopicUnfit(f"{topic} does not take the record: {error}") from error
        except (KafkaError, TimeoutError, OSError) as error:
            await self._failed(client, error)
            raise KafkaUnavailable(f"{topic}: {reason(error)}") from error
        self._failing_since = None
        self._succeeded()

    # --- the client --------------------------------------------------------------------------

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._client is None:
                client = self._new_client()
                try:
                    await self._in_time(client.start())
                except BaseException:
                    await _close(client)
                    raise
                self._client = client
            return self._client

    def _new_client(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._cluster.arguments(),
            enable_idempotence=True,
            acks="all",
            max_request_size=self._max_record_bytes,
            request_timeout_ms=int(self._timeout * 1000),
        )

    async def _in_time(self, awaitable: Awaitable[T]) -> T:
        async with asyncio.timeout(self._timeout):  # wait_for may lose a cancellation
            return await awaitable

    async def _discard(self, client: AIOKafkaProducer | None) -> None:
        """Close the client, unless another call has done so and made a new one."""
        if client is not None and client is self._client:
            self._client = None
            await _close(client)

    # --- how it is ---------------------------------------------------------------------------

    async def _keep(self) -> None:
        while not self._leaving.is_set():
            await self._probe()
            await pause(self._leaving, _PROBE_SECONDS)

    async def _probe(self) -> None:
        """Ask a broker for its metadata, so that health is known without any traffic."""
        self._health.beat(BEAT, _LIFE_SECONDS)
        client = None
        try:
            client = await self._connected()
            if not await self._in_time(client.client.force_metadata_update()):
                raise KafkaConnectionError("No broker answers.")
        except (KafkaError, TimeoutError, OSError) as error:
            await self._failed(client, error)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._health.set(CONDITION, ok=True)
            self._observe("kafka_available", client="producer")

    async def _failed(self, client: AIOKafkaProducer | None, error: BaseException) -> None:
        self._is_up = False
        self._health.set(CONDITION, ok=False, reason=f"kafka_unavailable: {reason(error)}")
        self._observe("kafka_unavailable", client="producer", error=reason(error))
        self._failing_since = self._failing_since or time.monotonic()
        # An error that repeating cannot cure (a sequence number out of order, a closed client)
        # stays with the client that met it.
        lasting = isinstance(error, KafkaError) and not error.retriable
        if lasting or time.monotonic() - self._failing_since > self._patience:
            self._failing_since = None
            await self._discard(client)


async def _close(client: AIOKafkaProducer) -> None:
    """Stop the client. Who waits for a record that it still holds is told that it failed."""
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.stop()
    # stop() waits for records that the broker never takes; it leaves these two open then.
    sender: Any = client._sender  # noqa: SLF001
    if sender.sender_task is not None and not sender.sender_task.done():
        sender.sender_task.cancel()
        await asyncio.wait({sender.sender_task}, timeout=_CLOSE_SECONDS)
    await client.client.close()
