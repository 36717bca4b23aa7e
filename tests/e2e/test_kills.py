"""A worker that is killed between a request and its answer, on real Kafka."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.brokers import create_topic, eventually
from tests.e2e.bridge_process import WorkerProcess

LINKS, ISSUES, EVENTS = 25, 5, 500
CONTENTS = ("A", "B", "A", None, "A", "C")
WRITES = {"POST", "PUT", "DELETE"}


def corpus(seed: int) -> list[dict[str, Any]]:
    """Events on links whose contents return (A, B, A, gone, A…), in disorder within a short reach."""
    chance = random.Random(seed)
    events = []
    for number in range(EVENTS):
        link, turn = number % LINKS, number // LINKS
        content = CONTENTS[turn % len(CONTENTS)]
        global_id = f"system=ci&id={link}"
        data: dict[str, Any] = {"issue": f"PROJ-{link % ISSUES + 1}", "globalId": global_id}
        if content:
            data["object"] = {"url": f"https://ci.example.com/{link}", "title": f"build {link}: {content}"}
        events.append(
            {
                "specversion": "1.0",
                "id": f"event-{number}",
                "source": "//ci.example.com",
                "type": "remotelink.upsert" if content else "remotelink.delete",
                "time": f"2026-01-01T10:{turn:02}:00.{number:06}Z",
                "subject": global_id,
                "data": data,
            }
        )
    arrival = sorted(range(EVENTS), key=lambda number: number + chance.uniform(0, 1.5 * LINKS))
    return [events[number] for number in arrival]


def expected(events: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What the newest event of each link says: (issue, globalId) to title."""
    newest: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: str(event["time"])):
        newest[event["subject"]] = event["data"]
    return {
        (data["issue"], subject): data["object"]["title"]
        for subject, data in newest.items()
        if "object" in data
    }


@dataclass
class Gallows:
    """Kills the worker when Jira has applied a write and has not answered it yet."""

    worker: WorkerProcess
    is_armed: bool = False
    kills: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, method: str, _path: str) -> None:
        """Awaited by Jira after it applied a request, before it answers."""
        if self.is_armed and method in WRITES:
            self.is_armed = False
            self.worker.kill()
            self.kills += 1
            self.struck.set()


async def drive(kafka: Cluster, folder: Path, kills: int) -> tuple[JiraModel, Gallows, WorkerProcess]:
    """Send the events in portions, with a kill in each, and wait until all is as it should be."""
    events, topic = corpus(kills), await create_topic(kafka, 4)
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as jira,
        Producer(kafka, observe=lambda *_, **__: None, health=Health(lambda: 0.0)) as publish,
    ):
        worker = WorkerProcess(kafka.bootstrap, topic, jira.url, folder)
        gallows = Gallows(worker)
        jira.after_apply = gallows
        headers = [("content-type", b"application/cloudevents+json")]
        portion = len(events) // kills
        worker.start()
        try:
            for number in range(kills):
                gallows.struck.clear()
                gallows.is_armed = True
                last = len(events) if number == kills - 1 else (number + 1) * portion
                for event in events[number * portion : last]:
                    await publish(topic, event["subject"].encode(), orjson.dumps(event), headers)
                async with asyncio.timeout(60):
                    await gallows.struck.wait()
                worker.start()

            def is_right() -> bool:
                standing = {(link["issue"], link["globalId"]): link["body"] for link in jira.model.links()}
                return {place: body["object"]["title"] for place, body in standing.items()} == expected(
                    events
                )

            await eventually(is_right, 60)
            assert worker.stop() == 0
        finally:
            worker.kill()
    return jira.model, gallows, worker


async def _kill(kafka: Cluster, folder: Path, kills: int) -> None:
    model, gallows, worker = await drive(kafka, folder, kills)
    needless = [entry for entry in model.history if entry.needless]
    written = len(model.history)
    print(f"\n{kills} kills, {EVENTS} events: {written} writes, {len(needless)} of them needless")  # noqa: T201
    assert gallows.kills == kills
    assert not needless
    assert "Traceback" not in worker.log


async def test_a_killed_worker_loses_and_repeats_nothing(real_kafka: Cluster, tmp_path: Path) -> None:
    """Killed twice between a request and its answer, it ends with exactly the right links."""
    await _kill(real_kafka, tmp_path, 2)


@pytest.mark.slow
async def test_a_worker_killed_twenty_times_loses_and_repeats_nothing(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """The same twenty times, while five hundred events with returning contents are under way."""
    await _kill(real_kafka, tmp_path, 20)
