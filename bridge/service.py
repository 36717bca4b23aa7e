"""The composition root: which parts a process has, how they are joined, started and drained.

Started from the outside in: broker and topics, ledger, Jira, writer, consumer, and the probes at
once, so that they can tell what is still missing. Drained the other way: the batch and the
requests under way are finished, then everything is closed.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Flag, auto
from functools import partial
from typing import Any

from aiohttp import web

from bridge.drain import in_time, pause, unless
from bridge.errors import (
    ConfigError,
    JiraError,
    KafkaUnavailable,
    LedgerUnavailable,
    UsageError,
)
from bridge.ingress import make_app
from bridge.intake import Intake
from bridge.jira.client import JiraClient
from bridge.kafka.client import Producer
from bridge.kafka.consumer import Consumer
from bridge.kafka.dead_letters import refused
from bridge.kafka.envelope import HEADERS_ALLOWANCE
from bridge.kafka.topics import Topic, ensure_topics
from bridge.leaseholder import Leaseholder
from bridge.ledger import open_ledger
from bridge.model import Call
from bridge.observe.health import Health
from bridge.observe.logs import Logs
from bridge.observe.metrics import Metrics
from bridge.observe.server import probes
from bridge.observe.states import tee
from bridge.parts import allowance, clock, cluster, endpoints, jiras, pipeline, policy, reconciliation
from bridge.ports import Lease, Ledger, Observe, Publish
from bridge.reconcile import Rounds
from bridge.settings import Settings
from bridge.shadow import Shadow
from bridge.writer import Bury, Writer

MAX_RECORD_BYTES = 1_000_000 + HEADERS_ALLOWANCE
"""The longest body that `ingress.max_body_bytes` may allow, with its headers; Kafka's default takes it."""
_DAY = 86_400
_HOUR = 3_600
_PRUNE_SECONDS = 3_600.0
_AGAIN_SECONDS = 5.0
_ANY = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


class Role(Flag):
    """What a process does."""

    INGRESS = auto()
    WORKER = auto()
    ALL = INGRESS | WORKER


Job = Callable[[asyncio.Event], Awaitable[None]]


@dataclass
class Service:
    """One process of the bridge.

    `started` is set once the process listens, at `addresses` (what is served there, to its URL).
    """

    settings: Settings
    role: Role
    observe: Observe = field(default_factory=Logs)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    addresses: dict[str, str] = field(default_factory=dict)
    health: Health = field(default_factory=lambda: Health(time.monotonic))
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        """Let the metrics and the health hear what the observer hears."""
        self._cluster = cluster(self.settings)
        self._fit = asyncio.Event()
        self._tell = tee(self.observe, self.metrics, self._watch)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then finish what is under way; `worker.drain_seconds` later that is cancelled.

        Raises ConfigError, LedgerBusy, LedgerFormat, LedgerCorrupt, TopicUnfit, PositionLost and
        MemberFenced: what no waiting puts right.
        """
        seconds = self.settings.worker.drain_seconds
        if not await in_time(self._run(stop), stop, seconds):
            self._tell("drain_cut_short", seconds=seconds)
        self._tell("stopped")

    async def _run(self, stop: asyncio.Event) -> None:
        if Role.WORKER in self.role and not self.settings.sites:
            raise ConfigError("sites: is empty; a worker needs at least one Jira site (`--jira URL`)")
        self._tell("starting", role=self.role.name)
        async with AsyncExitStack() as stack:
            producer = Producer(self._cluster, observe=self._tell, health=self.health)
            publish = await stack.enter_async_context(producer)
            jobs: list[Job] = []
            if Role.WORKER in self.role:
                jobs.append(await self._worker(stack, publish))
            if Role.INGRESS in self.role:
                await self._ingress(stack, publish)
            jobs.append(self._topics)
            self.started.set()
            self._tell("listening", **self.addresses)
            await self._until(stop, [*jobs, self._drain])

    async def _until(self, stop: asyncio.Event, jobs: Sequence[Job]) -> None:
        """Run the jobs; one that fails stops the others, and its error is raised in the end."""

        async def run(job: Job) -> None:
            try:
                await job(stop)
            finally:
                stop.set()

        tasks = [asyncio.create_task(run(job)) for job in jobs]
        try:
            await stop.wait()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    async def _drain(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._tell("draining")

    # --- ingress -----------------------------------------------------------------------------

    async def _ingress(self, stack: AsyncExitStack, publish: Publish) -> None:
        ingress = self.settings.ingress
        app = make_app(
            endpoints(self.settings),
            publish,
            observe=self._tell,
            now=lambda: datetime.now(UTC),
            max_body_bytes=ingress.max_body_bytes,
            max_bytes_in_flight=ingress.max_bytes_in_flight,
            probes=probes(self.health, self.metrics),
        )
        await self._serve(stack, app, "webhooks", ingress.host, ingress.port)

    # --- worker ------------------------------------------------------------------------------

    async def _worker(self, stack: AsyncExitStack, publish: Publish) -> Job:
        settings = self.settings
        ledger = open_ledger(settings.ledger.url, settings.ledger.secret)
        stack.push_async_callback(ledger.close)
        sites = {name: await stack.enter_async_context(client) for name, client in jiras(settings).items()}
        stopping = asyncio.Event()
        writers = self._writers(ledger, sites, self._burial(publish, stopping))
        consumer = self._consumer(ledger, writers, publish)
        app = web.Application()
        app.add_routes(probes(self.health, self.metrics))
        await self._serve(stack, app, "worker", settings.worker.host, settings.worker.port)

        async def heed(stop: asyncio.Event) -> None:
            await stop.wait()
            stopping.set()

        async def read(stop: asyncio.Event) -> None:
            await self._fit.wait()  # which the writer need not: it goes on with what the ledger wants
            await consumer.run(stop)

        async def job(stop: asyncio.Event) -> None:
            jobs: list[Job] = [read, writers.run, partial(self._prune, ledger)]
            jobs += self._rounds(ledger, sites, writers)
            await self._until(stop, [*jobs, heed])

        return job

    def _writers(self, ledger: Ledger, sites: Mapping[str, JiraClient], bury: Bury) -> Leaseholder | Shadow:
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        if self.settings.worker.shadow:
            return Shadow(ledger, name, list(sites), self._tell, clock)

        def writer(lease: Lease) -> Writer:
            return Writer(
                lease=lease,
                ledger=ledger,
                jira=sites[lease.site],
                allowance=allowance(self.settings.sites[lease.site]),
                bury=bury,
                observe=self._tell,
                clock=clock,
                jitter=lambda: random.uniform(0.7, 1.3),  # noqa: S311 - spreads retries, guards nothing
                most=self.settings.worker.max_rows,
                # Sooner than everything is cancelled, so that the lease is released.
                drain_seconds=0.8 * self.settings.worker.drain_seconds,
            )

        return Leaseholder(ledger, name, list(sites), writer, self._tell, clock)

    def _rounds(
        self, ledger: Ledger, sites: Mapping[str, JiraClient], writers: Leaseholder | Shadow
    ) -> list[Job]:
        reconcile = self.settings.reconcile
        if reconcile.every_hours is None or isinstance(writers, Shadow):
            return []
        compares = reconciliation(self.settings, sites, self._tell, writers.hear)
        every, percent = reconcile.every_hours * _HOUR, reconcile.max_deletes_percent
        return [Rounds(compares, ledger, lambda: writers.written, policy(self.settings), percent, every).run]

    async def write_during(
        self,
        ledger: Ledger,
        sites: Mapping[str, JiraClient],
        work: Callable[[Callable[[str], None]], Coroutine[Any, Any, None]],
    ) -> None:
        """Do the work, and meanwhile write what the ledger wants, as a worker does.

        The work is given what is to be told of each site for which it leaves rows.
        """
        stop, stopping = asyncio.Event(), asyncio.Event()
        self._fit.set()  # the topics are a worker's to look at
        async with Producer(self._cluster, observe=self._tell, health=self.health) as publish:
            writers = self._writers(ledger, sites, self._burial(publish, stopping))
            tell = writers.hear
            writing, working = asyncio.create_task(writers.run(stop)), asyncio.create_task(work(tell))
            try:
                await asyncio.wait({writing, working}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.set()
                stopping.set()
                if not working.done():
                    working.cancel()
                await writing
            await working

    def _consumer(self, ledger: Ledger, writers: Leaseholder | Shadow, publish: Publish) -> Consumer:
        kafka = self.settings.kafka
        intake = Intake(
            judge=pipeline(self.settings),
            ledger=ledger,
            group=kafka.group,
            publish=publish,
            dead_letter_topic=kafka.dead_letter_topic,
            max_bytes=MAX_RECORD_BYTES,
            held=lambda: writers.held,
            offer=writers.offer,
            observe=self._tell,
            clock=clock,
        )
        return Consumer(
            self._cluster,
            kafka.topics,
            kafka.group,
            positions=partial(ledger.positions, kafka.group),
            take=intake,
            observe=self._tell,
            health=self.health,
            start=kafka.start,
            on_lost_position=kafka.on_lost_position,
            instance_id=kafka.instance_id,
            fetch_bytes=kafka.fetch_bytes,
            session_timeout_ms=kafka.session_seconds * 1000,
        )

    def _burial(self, publish: Publish, stopping: asyncio.Event) -> Bury:
        kafka = self.settings.kafka

        async def bury(call: Call, error: JiraError) -> None:
            key, value, headers = refused(call, error, kafka.topics[0], MAX_RECORD_BYTES)
            await self._fit.wait()
            while True:
                try:
                    await publish(kafka.dead_letter_topic, key, value, headers)
                except KafkaUnavailable:
                    if stopping.is_set():
                        raise
                    await pause(stopping, _AGAIN_SECONDS)
                else:
                    break
            self._tell("dead_letter", code=error.code, event_id=call.event, error=str(error))

        return bury

    async def _prune(self, ledger: Ledger, stop: asyncio.Event) -> None:
        """Drop what is too old to matter, now and then."""
        days = self.settings.ledger
        while not stop.is_set():
            now = time.time()
            try:
                gone = await ledger.prune(now - days.journal_days * _DAY, now - days.tombstone_days * _DAY)
                self._tell("pruned", entries=gone)
            except LedgerUnavailable as error:
                self._tell("ledger_unavailable", client="prune", error=str(error))
            await pause(stop, _PRUNE_SECONDS)

    # --- common ------------------------------------------------------------------------------

    async def _topics(self, stop: asyncio.Event) -> None:
        """See that the topics are there and fit, as soon as Kafka is. Raises TopicUnfit."""
        kafka = self.settings.kafka
        names = (
            {*kafka.topics, kafka.dead_letter_topic}
            if Role.WORKER in self.role
            else {self.settings.ingress.topic}
        )
        retention = kafka.retention_days * _DAY * 1000
        topics = [
            Topic(name, kafka.partitions, kafka.replication, retention, MAX_RECORD_BYTES)
            for name in sorted(names)
        ]
        self.health.set("topics", ok=False, reason="not looked at yet")
        look = partial(ensure_topics, create=kafka.create_topics, observe=self._tell)
        is_away = False
        while not (stop.is_set() or self._fit.is_set()):
            try:
                if await unless(stop, look(self._cluster, topics)):
                    self._fit.set()
            except KafkaUnavailable as error:
                is_away = True
                self.health.set("topics", ok=False, reason=f"kafka_unavailable: {error}")
                self._tell("kafka_unavailable", client="admin", error=str(error))
                await pause(stop, _AGAIN_SECONDS)
        if self._fit.is_set():
            self.health.set("topics", ok=True)
            if is_away:
                self._tell("kafka_available", client="admin")
        await stop.wait()
        self._fit.set()

    async def _serve(
        self, stack: AsyncExitStack, app: web.Application, name: str, host: str, port: int
    ) -> None:
        runner = web.AppRunner(app, access_log=None)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
        port = runner.addresses[0][1]
        self.addresses[name] = f"http://{'127.0.0.1' if host in _ANY else host}:{port}"

    def _watch(self, state: str, /, **fields: object) -> None:
        """An Observe: what is away makes the process unready, until it is back."""
        match state:
            case "site_halted" | "circuit_open":
                self.health.set(f"jira {fields['site']}", ok=False, reason=f"{state}: {fields['error']}")
            case "circuit_closed" | "lease_released" | "lease_lost":
                self.health.set(f"jira {fields['site']}", ok=True)
            case "ledger_unavailable" if fields["client"] in {"leases", "consumer"}:
                self.health.set("ledger", ok=False, reason=f"{state}: {fields['error']}")
            case "ledger_available":  # those two tell
                self.health.set("ledger", ok=True)
