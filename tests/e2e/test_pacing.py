"""A worker under Jira Cloud's limits, on real Kafka: never told to slow down, and hardly ever idle."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from bridge.simulator.faults import Knobs, Limits
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.brokers import create_topic, eventually
from tests.e2e.bridge_process import WorkerProcess
from tests.limits import at_best

EVENTS, ISSUES, LINKS, SECONDS = 20_000, 50, 40, 240
BUSIEST = "PROJ-1"
HEADERS = [("content-type", b"application/cloudevents+json")]


def event(number: int, issue: str, link: int) -> dict[str, Any]:
    """A wish for one of the issue's links that no earlier event has uttered."""
    global_id = f"system=ci&id={issue}/{link}"
    return {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "//ci.example.com",
        "type": "remotelink.upsert",
        "time": datetime.now(UTC).isoformat(),
        "subject": global_id,
        "data": {
            "issue": issue,
            "globalId": global_id,
            "object": {"url": f"https://ci.example.com/{link}", "title": f"build {number}"},
        },
    }


@pytest.mark.slow
async def test_twenty_thousand_events_on_fifty_issues_meet_no_429(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """A fifth of the events are one issue's: 95 % of what Jira allows it are used, and nothing is refused."""
    chance, topic = random.Random(1), await create_topic(real_kafka, 12)
    names = [f"PROJ-{number + 1}" for number in range(ISSUES)]
    chosen = chance.choices(names, [0.2, *[0.8 / (ISSUES - 1)] * (ISSUES - 1)], k=EVENTS)
    newest: dict[str, str] = {}
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as jira,
        Producer(real_kafka, observe=lambda *_, **__: None, health=Health(lambda: 0.0)) as publish,
    ):
        jira.knobs = Knobs(limits=Limits.CLOUD)
        worker = WorkerProcess(real_kafka.bootstrap, topic, jira.url, tmp_path, limit="cloud")
        worker.start()
        try:
            clock = asyncio.get_running_loop().time
            began = clock()
            for number, issue in enumerate(chosen):
                await asyncio.sleep(began + number * SECONDS / EVENTS - clock())
                told = event(number, issue, chance.randrange(LINKS))
                newest[told["subject"]] = told["data"]["object"]["title"]
                await publish(topic, told["subject"].encode(), orjson.dumps(told), HEADERS)
            busy = [entry.at for entry in jira.model.history if entry.issue == BUSIEST]

            def is_right() -> bool:
                links = jira.model.links()
                return {link["globalId"]: link["body"]["object"]["title"] for link in links} == newest

            await eventually(is_right, 90)
            assert worker.stop() == 0
        finally:
            worker.kill()
    allowed = at_best(busy[0], busy[-1])
    print(f"\n{EVENTS} events, {len(jira.model.history)} writes; {dict(jira.counts)}")  # noqa: T201
    print(f"{BUSIEST}: {len(busy)} writes in {busy[-1] - busy[0]:.1f} s; {allowed} are allowed")  # noqa: T201
    assert not any(count.endswith(" 429") for count in jira.counts)
    assert not any(entry.needless for entry in jira.model.history)
    assert len(busy) >= 0.95 * allowed
