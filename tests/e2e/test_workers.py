"""Two workers on one ledger in PostgreSQL, of which the one that writes is killed, on real Kafka."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests import ledgers
from tests.brokers import create_topic, eventually
from tests.e2e.bridge_process import WorkerProcess
from tests.e2e.test_kills import WRITES, corpus, expected


@dataclass
class Hunt:
    """Kills the worker that writes the site when Jira has applied a write and has not answered it yet."""

    ledger: str
    workers: list[WorkerProcess]
    is_armed: bool = False
    killed: asyncio.Queue[WorkerProcess] = field(default_factory=asyncio.Queue)

    async def __call__(self, method: str, _path: str) -> None:
        """Awaited by Jira after it applied a request, before it answers."""
        if not (self.is_armed and method in WRITES):
            return
        self.is_armed = False
        connection = await asyncpg.connect(self.ledger)
        name = await connection.fetchval("SELECT worker FROM leases")
        await connection.close()
        (writer,) = (worker for worker in self.workers if f"-{worker.pid}-" in name)
        writer.kill()
        self.killed.put_nowait(writer)


async def _hunt(kafka: Cluster, postgres: str, folder: Path, kills: int) -> None:
    events, topic, url = corpus(kills), await create_topic(kafka, 4), await ledgers.postgresql(postgres)
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as jira,
        Producer(kafka, observe=lambda *_, **__: None, health=Health(lambda: 0.0)) as publish,
    ):
        workers = [
            WorkerProcess(kafka.bootstrap, topic, jira.url, folder / name, flags=("--ledger", url))
            for name in ("one", "two")
        ]
        jira.after_apply = hunt = Hunt(url, workers)
        for worker in workers:
            worker.folder.mkdir()
            worker.start()
        sent: list[dict[str, Any]] = []
        try:
            for number in range(kills):
                hunt.is_armed = True
                for event in events[number::kills]:
                    headers = [("content-type", b"application/cloudevents+json")]
                    await publish(topic, event["subject"].encode(), orjson.dumps(event), headers)
                async with asyncio.timeout(60):
                    killed = await hunt.killed.get()
                sent.extend(events[number::kills])
                await eventually(lambda: standing(jira.model) == expected(sent), 60)
                killed.start()
            assert [worker.stop() for worker in workers if worker is not killed] == [0]
        finally:
            for worker in workers:
                worker.kill()
    assert [entry for entry in jira.model.history if entry.needless] == []
    assert "Traceback" not in "".join(worker.log for worker in workers)


def standing(model: JiraModel) -> dict[tuple[str, str], str]:
    """The titles of the links that Jira has."""
    return {(link["issue"], link["globalId"]): link["body"]["object"]["title"] for link in model.links()}


async def test_another_worker_goes_on_where_one_was_killed(
    real_kafka: Cluster, postgres: str, tmp_path: Path
) -> None:
    """It looks up what was under way, and the links end right, none of them written needlessly."""
    await _hunt(real_kafka, postgres, tmp_path, 1)


@pytest.mark.slow
async def test_workers_that_are_killed_in_turns_lose_and_repeat_nothing(
    real_kafka: Cluster, postgres: str, tmp_path: Path
) -> None:
    """The same five times, the killed one starting again each time."""
    await _hunt(real_kafka, postgres, tmp_path, 5)
