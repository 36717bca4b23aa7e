"""A ledger made anew from real Kafka's topics, over both ledgers: whole, alone, no needless writes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from bridge.errors import LedgerBusy
from bridge.jira.auth import Basic
from bridge.jira.client import JiraClient
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.ledger import open_anew, open_ledger
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.mapper import Mapper, Site
from bridge.model import Known, Outcome, Position
from bridge.observe.health import Health
from bridge.pipeline import Pipeline
from bridge.rebuild import Rebuilding, Rebuilt
from bridge.shadow import Shadow
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.sources.base import load_sources
from tests.brokers import create_topic, eventually
from tests.desks import SITE, Desk, link
from tests.ledgers import Shown, postgresql

COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()", "ledger", "rebuild")
STARTED = 1_767_225_600_000


@dataclass
class Topic:
    """A topic of events on a real Kafka, and the ledger that is made of it."""

    cluster: Cluster
    name: str
    url: str

    async def put(self, *events: tuple[int, int, str | None], broken: bytes | None = None) -> None:
        """Canonical events: link, minute and title, None for a delete; each link has its own issue."""
        producer = Producer(self.cluster, observe=lambda *_, **__: None, health=Health(time.monotonic))
        async with producer as publish:
            for number, minute, title in events:
                body = orjson.dumps(event(number, minute, title))
                headers = [("content-type", b"application/cloudevents+json")]
                await publish(self.name, str(number).encode(), body, headers, STARTED + minute)
            if broken is not None:
                await publish(self.name, b"x", broken, [], STARTED)

    async def rebuild(self, told: Callable[[Rebuilt], None] = lambda _: None) -> Rebuilt:
        """Make the ledger anew."""
        judge = Pipeline(load_sources(), Mapper(builtin_mappings(), [Site(SITE, None)]), 1e12)
        async with open_anew(self.url, None) as ledger:
            return await Rebuilding(self.cluster, "group", judge, ledger, time.time, told).run([self.name])

    @asynccontextmanager
    async def desk(self, jira: JiraServer, client: JiraClient) -> AsyncIterator[Desk]:
        """The ledger, before a Jira."""
        ledger = cast("Shown", open_ledger(self.url))
        try:
            yield Desk(jira, client, ledger)
        finally:
            await ledger.hold("one", [SITE], {}, 0.0, time.time())  # its worker's last sign of life
            await ledger.close()

    async def forget(self, partition: int, before: int) -> None:
        """Let Kafka drop a partition's records before that offset, as its retention does."""
        admin = AIOKafkaAdminClient(**self.cluster.arguments())
        await admin.start()
        await admin.delete_records({TopicPartition(self.name, partition): RecordsToDelete(before)})
        await admin.close()


def event(number: int, minute: int, title: str | None) -> dict[str, object]:
    global_id = f"system=ci&id={number}"
    thing = {"object": {"url": f"https://ci.example/{number}", "title": title}} if title else {}
    return {
        "specversion": "1.0",
        "id": f"{number}-{minute}",
        "source": "//ci.example.com",
        "type": "remotelink.upsert" if title else "remotelink.delete",
        "time": f"2026-01-01T00:{minute:02}:00Z",
        "subject": global_id,
        "data": {"issue": f"PROJ-{number}", "globalId": global_id, **thing},
    }


@pytest.fixture(params=["sqlite", "postgresql"])
async def topic(request: pytest.FixtureRequest, real_kafka: Cluster, tmp_path: Path) -> Topic:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    if request.param == "postgresql":
        url = await postgresql(request.getfixturevalue("postgres"))
    return Topic(real_kafka, await create_topic(real_kafka, 3, retention_ms="-1"), url)


@pytest.fixture
async def jira() -> AsyncIterator[tuple[JiraServer, JiraClient]]:
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as server,
        JiraClient(server.url, Basic("demo@example.com", "demo"), attempts=1) as client,
    ):
        yield server, client


async def test_a_lost_ledger_is_made_anew_and_nothing_unchanged_is_written(
    topic: Topic, jira: tuple[JiraServer, JiraClient]
) -> None:
    """The new one wants what the old one did, and asks Jira before it writes the one that differs."""
    server, client = jira
    await topic.put(
        (1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (3, 2, None), (1, 3, "A"), (4, 0, "d"), broken=b"?"
    )
    await topic.rebuild()
    async with topic.desk(server, client) as desk, desk.writing():
        await desk.settled()
        wanted = {(f"PROJ-{n}", f"system=ci&id={n}"): title for n, title in ((1, "A"), (2, "b"), (4, "d"))}
        assert desk.standing() == wanted
    await client.upsert("PROJ-2", link("by hand"), "system=ci&id=2")
    written, asked = len(server.model.history), len(server.calls)
    came_to = await topic.rebuild()
    assert (came_to.records, came_to.total, came_to.since) == (7, 7, None)
    assert came_to.rejected == {"bad_envelope": 1}
    assert came_to.outcomes[Outcome.MERGED] == 6
    async with topic.desk(server, client) as desk:
        rows = await desk.ledger.rows()
        assert {row.known for row in rows} == {Known.UNSURE}
        assert len(rows) == 4
        ends = {
            (place.topic, place.partition): place.offset for place in await desk.ledger.positions("group")
        }
        assert sum(ends.values()) == 7
        async with desk.writing():
            await desk.settled()
            assert desk.standing() == wanted
    assert [entry.action for entry in server.model.history[written:]] == ["updated"]
    calls = sorted(call.method for call in list(server.calls)[asked:])
    assert calls == ["GET"] * 5 + ["POST"]  # a list tells that the deleted one is gone, and not the issue


async def test_a_ledger_in_use_is_not_made_anew(topic: Topic, jira: tuple[JiraServer, JiraClient]) -> None:
    """While a worker is alive it keeps what it has; once it is stopped there is no hindrance."""
    await topic.put((1, 1, "a"))
    async with topic.desk(*jira) as desk, desk.writing():
        await desk.links(2)
        with pytest.raises(LedgerBusy, match="in use"):
            await topic.rebuild()
        assert len(await desk.ledger.rows()) == 2
    await topic.rebuild()
    async with topic.desk(*jira) as desk:
        assert [row.key.global_id for row in await desk.ledger.rows()] == ["system=ci&id=1"]


async def test_a_ledger_that_a_shadow_reads_is_not_made_anew(topic: Topic) -> None:
    """It writes no site, and its sign of life counts all the same."""
    if topic.url.startswith("sqlite"):
        pytest.skip("a lock keeps all others from the file")
    ledger = open_ledger(topic.url)
    shadow = Shadow(ledger, "shadow", [SITE], lambda *_, **__: None, time.time)
    stop = asyncio.Event()
    running = asyncio.create_task(shadow.run(stop))

    async def is_refused() -> bool:
        try:
            await topic.rebuild()
        except LedgerBusy as error:
            return "shadow" in str(error)
        return False

    await eventually(is_refused)
    stop.set()
    await running
    await ledger.close()


async def test_one_that_is_broken_off_is_begun_again(topic: Topic) -> None:
    """What it left is dropped; an SQLite ledger that was there is as it was meanwhile."""
    await topic.put(*((number, 1, "a") for number in range(1, 9)))
    await topic.rebuild()
    await topic.put((9, 1, "a"))

    def fail(_: Rebuilt) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await topic.rebuild(fail)
    if topic.url.startswith("sqlite"):
        old = cast("Shown", open_ledger(topic.url))
        assert len(await old.rows()) == 8
        await old.close()
    else:  # a worker that is started on it begins where the rebuild did
        left = open_ledger(topic.url)
        assert len(await left.positions("group")) == 3
        await left.close()
    assert (await topic.rebuild()).records == 9
    new = cast("Shown", open_ledger(topic.url))
    assert len(await new.rows()) == 9
    await new.close()


async def test_it_tells_since_when_the_ledger_knows_the_past(topic: Topic) -> None:
    """The first record that is left of the partition that forgot last; now, where one has nothing left."""
    for minute in range(5):
        await topic.put((1, minute, "a"))
    records = {place.partition: place.offset for place in await _ends(topic)}
    (partition,) = [number for number, end in records.items() if end == 5]
    assert (await topic.rebuild()).since is None
    await topic.forget(partition, 3)
    came_to = await topic.rebuild()
    assert (came_to.since, came_to.records) == (STARTED + 3, 2)
    await topic.forget(partition, 5)
    before = time.time() * 1000 - 1
    came_to = await topic.rebuild()
    assert (came_to.since or 0) >= before
    assert came_to.records == 0


async def _ends(topic: Topic) -> list[Position]:
    await topic.rebuild()
    ledger = open_ledger(topic.url)
    found = await ledger.positions("group")
    await ledger.close()
    return found


def command(cluster: Cluster, topic: str, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ledger rebuild` in a process of its own."""
    flags = ["--kafka", cluster.bootstrap, "--topic", topic, "--ledger", f"sqlite:///{path}"]
    site = ["--jira", "https://jira.example.com"]
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *flags, *site, *arguments], capture_output=True, text=True, env=env, check=False
    )


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_command_puts_a_damaged_file_aside(real_kafka: Cluster, tmp_path: Path) -> None:
    """What was there is kept, with its write-ahead log; a dry run changes nothing."""
    made = Topic(
        real_kafka,
        await create_topic(real_kafka, 2, retention_ms="-1"),
        f"sqlite:///{tmp_path}/ledger.sqlite",
    )
    await made.put((1, 1, "a"), (2, 1, "b"), broken=b"?")
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"damaged")
    path.with_name("ledger.sqlite-wal").write_bytes(b"its log")
    dry = command(real_kafka, made.name, path, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "3 records" in dry.stdout
    assert "Nothing was changed." in dry.stdout
    assert path.read_bytes() == b"damaged"
    done = command(real_kafka, made.name, path)
    assert done.returncode == 0, done.stderr
    assert "1 of them rejected" in done.stdout
    ledger = cast("Shown", open_ledger(made.url))
    assert len(await ledger.rows()) == 2
    busy = command(real_kafka, made.name, path)
    assert busy.returncode == 3
    assert f"process {os.getpid()}" in busy.stderr
    await ledger.close()
    files = sorted(_files(tmp_path))
    kept = {file.name.partition("Z")[2]: file.read_bytes() for file in files if "before-" in file.name}
    assert kept == {"": b"damaged", "-wal": b"its log"}
    assert not [file for file in files if "rebuilding" in file.name]
