"""Kafka that is away, from a bridge's start on or in the middle, as an operator sees it."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.kafka.consumer import Consumer
from bridge.observe.states import STATES
from bridge.service import Role, Service
from bridge.simulator.faults import Knobs
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.brokers import KafkaProcess, eventually
from tests.e2e.test_way import OPENED, Way, bridge, canonical, settings

ADVICE = STATES["kafka_unavailable"].advice


async def away(session: aiohttp.ClientSession, url: str) -> set[str]:
    """The conditions of /readyz that name the outage and what to do."""
    async with session.get(f"{url}/readyz") as answer:
        conditions: dict[str, dict[str, Any]] = (await answer.json())["conditions"]
        assert (answer.status == 200) == all(each["ok"] for each in conditions.values())
    return {
        name
        for name, each in conditions.items()
        if each["reason"].startswith("kafka_unavailable: ") and each["advice"] == ADVICE
    }


async def missed_by(session: aiohttp.ClientSession, url: str) -> set[str]:
    """The clients that the metric counts."""
    async with session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    counted = [line for line in lines if line.startswith("jira_bridge_kafka_unavailable_total{")]
    return {line.partition('client="')[2].partition('"')[0] for line in counted}


async def test_an_outage_is_shown_and_outlived(
    kafka_process: KafkaProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness and metrics name producer and consumer; senders get 503; all goes on by itself."""
    monkeypatch.setattr("bridge.service.Consumer", partial(Consumer, patience=2.0))
    topic = f"events-{uuid.uuid4().hex[:8]}"
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as jira,
        bridge(kafka_process.cluster, tmp_path, jira, topic) as way,
    ):
        await way.put(canonical(1, "10:00:00", "before", link=1))
        await eventually(lambda: list(way.titles().values()) == ["before"])
        url = way.service.addresses["worker"]

        async def is_shown() -> bool:
            return await away(way.session, url) == {"kafka", "consumer"}

        kafka_process.kill()
        try:
            await eventually(is_shown, seconds=40)
            assert await missed_by(way.session, url) == {"producer", "consumer"}
            assert await way.send("pull_request", OPENED) == 503
        finally:
            kafka_process.start()
        await eventually(lambda: all(each.ok for each in way.service.health.ready().values()), seconds=60)
        await goes_on(way)


async def goes_on(way: Way) -> None:
    """An event that comes now reaches Jira."""
    await way.put(canonical(2, "11:00:00", "after", link=1))
    await eventually(lambda: list(way.titles().values()) == ["after"])


async def test_a_worker_that_starts_without_kafka_writes_what_its_ledger_wants(
    kafka_process: KafkaProcess, tmp_path: Path
) -> None:
    """The writer needs no Kafka: a link that was wanted before is made while topics and producer wait."""
    topic, stop = f"events-{uuid.uuid4().hex[:8]}", asyncio.Event()
    async with JiraServer(JiraModel(projects=["PROJ"])) as jira:
        jira.knobs = Knobs(is_down=True, retry_after=0.1)
        async with bridge(kafka_process.cluster, tmp_path, jira, topic) as way:
            for number in range(8):
                await way.put(canonical(1, "10:00:00", "wanted", link=number))
            await eventually(lambda: not way.service.health.ready()["jira main"].ok)
        kafka_process.kill()
        try:
            jira.knobs = Knobs()
            service = Service(settings(kafka_process.cluster, jira.url, tmp_path, topic), Role.ALL)
            running = asyncio.create_task(service.run(stop))
            await eventually(lambda: bool(jira.model.history))
            assert not service.health.ready()["topics"].ok
            stop.set()
            await running
        finally:
            kafka_process.start()


async def test_a_start_without_kafka_is_shown_and_goes_on_once_it_is_there(
    kafka_process: KafkaProcess, tmp_path: Path
) -> None:
    """The process serves its probes at once, and says that topics and producer wait for Kafka."""
    topic, told = f"events-{uuid.uuid4().hex[:8]}", []

    def observe(state: str, /, **fields: object) -> None:
        told.append((state, fields.get("client")))

    stop = asyncio.Event()
    kafka_process.kill()
    try:
        async with aiohttp.ClientSession() as session, JiraServer(JiraModel(projects=["PROJ"])) as jira:
            configuration = settings(kafka_process.cluster, jira.url, tmp_path, topic)
            service = Service(configuration, Role.ALL, observe=observe)
            running = asyncio.create_task(service.run(stop))
            await asyncio.wait_for(service.started.wait(), 20)
            url = service.addresses["worker"]

            async def is_shown() -> bool:
                return await away(session, url) == {"kafka", "topics"}

            await eventually(is_shown)
            assert await missed_by(session, url) == {"producer", "admin"}
            kafka_process.start()
            await eventually(lambda: all(each.ok for each in service.health.ready().values()), seconds=60)
            assert {("kafka_available", client) for client in ("producer", "admin", "consumer")} <= set(told)
            stop.set()
            await running
    finally:
        kafka_process.kill()
        kafka_process.start()
