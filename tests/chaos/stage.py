"""The stage of one fault: real Kafka, a simulated Jira, workers on a ledger, and events that flow."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import aiohttp

from bridge.errors import KafkaUnavailable, TopicUnfit
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from tests.brokers import KafkaCluster, Missing, PostgresProcess, create_topic, eventually
from tests.chaos import reading
from tests.chaos.checker import Evidence
from tests.chaos.front import Front, front
from tests.chaos.jira_process import PROJECTS, TOKEN, USERS, Simulator
from tests.chaos.load import Load, Message
from tests.chaos.processes import BRIDGE, CRASHING, Process
from tests.chaos.toxiproxy import Toxiproxy, toxiproxy
from tests.chaos.wishes import Record, wish_of

GROUP = "chaos"
MOST_EVENTS = 20_000
BURST = 10
KILLED = -9


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fault wants on its stage. `rate` is in events a second, `events` the fewest of a run.

    `way` is what stands before Jira: nothing, Toxiproxy, or a front that answers. `topic` are the
    topic's settings, `worker` and `kafka` sections of the workers' configuration, `environ` their
    environment, `before` a command before theirs, `load` what is different about the events. `tmpfs`
    is the size of a disk of its own for a SQLite ledger. `is_quiet_in` is how long it may take, in
    seconds, until all is done.
    """

    ledger: Literal["sqlite", "postgresql"] = "sqlite"
    workers: int = 1
    partitions: int = 4
    sites: int = 1
    way: Literal["", "toxiproxy", "front"] = ""
    rate: float = 150.0
    events: int = 600
    knobs: Mapping[str, Any] = field(default_factory=dict)
    limit: str = "none"
    topic: Mapping[str, str] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    tmpfs: str = ""
    before: tuple[str, ...] = ()
    is_quiet_in: float = 180.0


class Stage:
    """What a fault works on. `hits` counts its injections that struck; `notes` are figures of its own."""

    def __init__(self, seed: int, folder: Path, cluster: Cluster, setting: Setting) -> None:
        self.seed, self.folder, self.cluster, self.setting = seed, folder, cluster, setting
        self.chance = random.Random(seed)
        projects = tuple(PROJECTS.values())[: setting.sites]
        self.load = Load(seed, datetime.now(UTC), projects=projects, **setting.load)
        self.hits = 0
        self.notes: dict[str, int] = {}
        self.published = 0
        self.injected = asyncio.Event()
        self.workers: list[Process] = []
        self.held: set[int] = set()
        self.moved: dict[str, str] = {}
        self.gone: set[str] = set()
        self.bad: dict[str, bytes | None] = {}
        self.vanished: list[Record] = []
        self._may_publish = asyncio.Event()
        self._may_publish.set()
        self.group = GROUP
        self.crash: Callable[[], Mapping[str, str] | None] = lambda: None
        self.topic = self.dead_letters = ""
        self.broker: object = None
        self.session: aiohttp.ClientSession
        self.jira: Simulator
        self.tables: reading.Tables
        self.database: PostgresProcess
        self.proxy: Toxiproxy
        self.front: Front
        self.url = ""
        self.excuses_refused = True
        self.publish: Producer

    @property
    def replicas(self) -> int:
        """How many replicas topics have."""
        return len(self.broker.brokers) if isinstance(self.broker, KafkaCluster) else 1

    # --- workers -----------------------------------------------------------------------------

    def write_configuration(self) -> Path:
        """The workers' configuration, from what the stage has."""
        sites = {
            name: {
                "url": self.url,
                "auth": {"basic": {"email": USERS[name], "token": "env:CHAOS_TOKEN"}},
                "projects": [project],
                "limit": self.setting.limit,
            }
            for name, project in list(PROJECTS.items())[: self.setting.sites]
        }
        kafka = {
            "bootstrap_servers": self.cluster.bootstrap,
            "topics": [self.topic],
            "dead_letter_topic": self.dead_letters,
            "group": self.group,
            "partitions": self.setting.partitions,
            "replication": self.replicas,
            "session_seconds": 3,  # a member that was killed is missed after so long
            **self.setting.kafka,
        }
        configuration = {
            "version": 1,
            "kafka": kafka,
            "sites": sites,
            "ledger": {"url": self.tables.url},
            "worker": {"host": "127.0.0.1", "port": 0, **self.setting.worker},
            "ingress": {"host": "127.0.0.1", "port": 0, "topic": self.topic},
            "log": {"format": "json", "level": "info"},
        }
        path = self.folder / "bridge.yaml"
        path.write_text(json.dumps(configuration), "utf-8")
        return path

    def reconfigure(self, **changes: Any) -> None:
        """Have workers that start from now on be told otherwise."""
        self.setting = replace(self.setting, **changes)
        self.write_configuration()

    def new_worker(self) -> Process:
        """One more worker, started."""
        command = [*self.setting.before, *BRIDGE, "worker", "--config", str(self.write_configuration())]
        environ = {"CHAOS_TOKEN": TOKEN, **self.setting.environ}
        worker = Process(command, self.folder / f"worker-{len(self.workers)}.log", environ)
        self.workers.append(worker)
        self._start(worker)
        return worker

    def _start(self, worker: Process) -> None:
        """Start it, with a fuse where the fault wants one."""
        plain, environ = worker.command, worker.environ
        if (fuse := self.crash()) is not None:
            arguments = list(plain)[len(self.setting.before) + len(BRIDGE) :]
            worker.command = [*self.setting.before, *CRASHING, *arguments]
            worker.environ = {**environ, **fuse}
        worker.start()
        worker.command, worker.environ = plain, environ

    async def tend(self) -> None:
        """Start workers that have ended anew, as an orchestrator does, but for those that are held."""
        while True:
            for number, worker in enumerate(self.workers):
                if not worker.is_running and number not in self.held:
                    self._start(worker)
            await asyncio.sleep(0.05)

    @property
    def ends(self) -> list[int]:
        """The exit codes of all workers' former lives."""
        return [code for worker in self.workers for code in worker.ends]

    # --- events ------------------------------------------------------------------------------

    async def feed(self) -> None:
        """Publish events at the setting's rate, until there are enough and the fault is over."""
        messages = self.load.messages()
        while self.published < MOST_EVENTS:
            if self.injected.is_set() and self.published >= self.setting.events:
                return
            began = asyncio.get_running_loop().time()
            await self._may_publish.wait()
            burst = list(islice(messages, BURST))
            await asyncio.gather(*map(self.put, burst))
            self.published += len(burst)
            took = asyncio.get_running_loop().time() - began
            await asyncio.sleep(max(0.0, BURST / self.setting.rate - took))

    async def put(self, message: Message) -> None:
        """Publish one record, however long it takes."""
        while True:
            try:
                await self.publish(self.topic, message.key, message.value, message.headers)
            except KafkaUnavailable:
                await asyncio.sleep(0.2)
            else:
                return

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is published meanwhile."""
        self._may_publish.clear()
        before = -1
        while before != self.published:  # the burst under way ends
            before = self.published
            await asyncio.sleep(2 * BURST / self.setting.rate + 0.5)
        yield
        self._may_publish.set()

    async def flowed(self, events: int, seconds: float = 120.0) -> None:
        """Return once so many more events are published."""
        until = self.published + events
        await eventually(lambda: self.published >= until, seconds)

    async def asked(self, requests: int, seconds: float = 120.0) -> None:
        """Return once Jira was asked so many more times."""
        until = await self.jira.calls() + requests

        async def reached() -> bool:
            return await self.jira.calls() >= until

        await eventually(reached, seconds)

    def reasons(self, *names: str) -> int:
        """How often the journal gives one of these reasons."""
        with suppress(sqlite3.OperationalError, subprocess.CalledProcessError):  # away, or being made
            found = reading.reasons(self.tables)
            return sum(found[name] for name in names)
        return 0

    async def struck(self, counted: Callable[[], Awaitable[int]], least: int, seconds: float = 120.0) -> None:
        """Return once so many more injections have struck, and add them to the hits."""
        before = await counted()

        async def enough() -> bool:
            await asyncio.sleep(0.1)
            return await counted() - before >= least

        await eventually(enough, seconds)
        self.hits += await counted() - before

    async def command(self, *arguments: str) -> str:
        """What one of the bridge's own commands prints, with the stage's configuration."""
        words = [*BRIDGE, *arguments, "--config", str(self.write_configuration())]
        environ = {**os.environ, "CHAOS_TOKEN": TOKEN}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, env=environ, stdout=pipe, stderr=pipe)
        said, complained = await process.communicate()
        assert process.returncode == 0, f"{' '.join(arguments)}: {complained.decode()[-300:]}"
        return said.decode()

    # --- the end -----------------------------------------------------------------------------

    async def quiet(self) -> None:
        """Return once all is merged and every row is settled. Raises TimeoutError."""
        left = {wish.event for record in await self.records() if (wish := wish_of(record))}
        ends = await self.topic_ends()

        async def is_quiet() -> bool:
            await asyncio.sleep(0.1)
            with suppress(sqlite3.OperationalError, subprocess.CalledProcessError):  # away, or being made
                reached = reading.positions(self.tables)
                if all(reached.get(key, 0) >= end for key, end in ends.items()):
                    return not (reading.pending(self.tables) or left - reading.journal(self.tables))
            return False

        await eventually(is_quiet, self.setting.is_quiet_in)

    async def topic_ends(self) -> dict[tuple[str, int], int]:
        """The next offset of each partition that has records."""
        ends: dict[tuple[str, int], int] = {}
        for record in await self.records():
            key = record.place[:2]
            ends[key] = max(ends.get(key, 0), record.place.offset + 1)
        return ends

    async def records(self) -> list[Record]:
        """All that stands in the topic now."""
        return await reading.records(self.cluster, [self.topic])

    async def evidence(self, *, with_journal: bool = True) -> Evidence:
        """What the run has left."""
        letters: list[Record] = []
        records = {(each.place, each.timestamp): each for each in (*self.vanished, *await self.records())}
        with suppress(TopicUnfit):  # nothing was ever rejected
            letters = await reading.records(self.cluster, [self.dead_letters])
        state = await self.jira.ask("GET", "")
        return Evidence(
            records=list(records.values()),
            letters=letters,
            history=(await self.jira.ask("GET", "/history"))["history"],
            links=state["links"],
            journal=reading.journal(self.tables) if with_journal else None,
            positions=reading.positions(self.tables),
            committed=await reading.committed(self.cluster, self.group),
            is_excused=self.excuses_refused,
            moved=self.moved,
            gone=frozenset(self.gone),
        )


Inject = Callable[[Stage], Awaitable[None]]


@asynccontextmanager
async def staged(
    seed: int, folder: Path, cluster: Cluster, broker: object, setting: Setting
) -> AsyncIterator[Stage]:
    """A stage with all at work, and no events yet. Raises brokers.Missing."""
    stage = Stage(seed, folder, cluster, setting)
    stage.broker = broker
    async with AsyncExitStack() as stack:
        stage.session = await stack.enter_async_context(aiohttp.ClientSession())
        stage.jira = Simulator(folder, stage.session, seed)
        stack.callback(stage.jira.process.kill)
        stage.jira.process.start()
        stage.topic = await create_topic(cluster, setting.partitions, stage.replicas, **setting.topic)
        stage.dead_letters = f"{stage.topic}.dead"
        stage.group = f"{GROUP}-{stage.topic}"
        await eventually(stage.jira.answers)
        await stage.jira.turn(**setting.knobs)
        await _lay_way(stack, stage)
        stage.tables = _tables(stack, stage)
        stage.publish = await stack.enter_async_context(
            Producer(
                cluster,
                observe=_unheard,
                health=Health(lambda: 0.0),
                max_record_bytes=12_000_000,
                patience=5.0,
            )
        )
        if setting.ledger == "postgresql":
            await stage.command("ledger", "migrate")
        stack.callback(lambda: [worker.kill() for worker in stage.workers])
        for _ in range(setting.workers):
            stage.new_worker()
        tending = asyncio.create_task(stage.tend())
        stack.callback(tending.cancel)
        yield stage


async def _lay_way(stack: AsyncExitStack, stage: Stage) -> None:
    stage.url = stage.jira.url
    if stage.setting.way == "toxiproxy":
        stage.proxy = await stack.enter_async_context(toxiproxy(stage.url, stage.folder, stage.session))
        stage.url = stage.proxy.url
    elif stage.setting.way == "front":
        stage.front = await stack.enter_async_context(front(stage.url, stage.session))
        stage.url = stage.front.url


def _tables(stack: AsyncExitStack, stage: Stage) -> reading.Tables:
    setting, folder = stage.setting, stage.folder
    if setting.ledger == "postgresql":
        stage.database = stack.enter_context(PostgresProcess(folder / "postgres"))
        return reading.PostgresqlTables(stage.database.uri)
    if setting.tmpfs:
        folder = folder / "disk"
        folder.mkdir()
        options = f"size={setting.tmpfs}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            raise Missing("no tmpfs: this user may not mount one")
        stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    return reading.SqliteTables(folder / "ledger.sqlite")


def _unheard(_state: str, /, **_fields: object) -> None:
    pass
