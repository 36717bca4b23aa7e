"""What befalls ingress: it is killed while it receives."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from functools import partial
from itertools import count

import aiohttp

from tests.brokers import eventually
from tests.chaos.checker import Evidence
from tests.chaos.faults import Fault
from tests.chaos.jira_process import TOKEN
from tests.chaos.load import pull_request
from tests.chaos.processes import BRIDGE, Process
from tests.chaos.setting import Setting
from tests.chaos.stage import Stage

SENDERS = 8


async def kill(stage: Stage, kills: int) -> None:
    """Senders deliver without a pause; it is killed while some wait for their answer, and started again."""
    command = [*BRIDGE, "ingress", "--config", str(stage.write_configuration())]
    ingress = Process(command, stage.folder / "ingress.log", {"CHAOS_TOKEN": TOKEN})
    numbers = count()
    ingress.start()
    senders = [asyncio.create_task(_send(stage, numbers)) for _ in range(SENDERS)]
    try:
        for _ in range(kills):
            taken, broken = len(stage.acknowledged) + 50, stage.notes.get("unanswered", 0)
            await eventually(partial(_has_taken, stage, taken), 60)
            ingress.kill()
            await eventually(lambda: not ingress.is_running)
            await asyncio.sleep(0.1)  # what was under way has failed
            stage.hits += stage.notes.get("unanswered", 0) > broken
            ingress.start()
        await eventually(partial(_has_taken, stage, len(stage.acknowledged) + 50), 60)
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        await ingress.stop()


def _has_taken(stage: Stage, deliveries: int) -> bool:
    return len(stage.acknowledged) >= deliveries


async def _send(stage: Stage, numbers: count[int]) -> None:
    """Deliver one pull request after another, each with a newer version."""
    url = f"http://127.0.0.1:{stage.ingress_port}/webhooks/github"
    for number in numbers:
        at = stage.load.began - timedelta(days=1) + timedelta(seconds=number)
        body = json.dumps(pull_request(100 + number % 20, f"DEMO-{number % 30 + 1}", "open", at)).encode()
        delivery = f"delivery-{number}"
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "pull_request",
            "X-GitHub-Delivery": delivery,
        }
        try:
            async with stage.session.post(url, data=body, headers=headers) as answer:
                if answer.status == 202:
                    stage.acknowledged.add(delivery)
                    continue
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)
        except aiohttp.ClientError:
            stage.notes["unanswered"] = stage.notes.get("unanswered", 0) + 1


def all_there(stage: Stage, evidence: Evidence) -> None:
    """What a sender was told is taken stands in the topic."""
    there = {record.headers.get("bridge-delivery-id", b"").decode() for record in evidence.records}
    missing = stage.acknowledged - there
    assert not missing, f"{len(missing)} acknowledged deliveries are not in the topic: {min(missing)}"
    stage.notes["acknowledged"] = len(stage.acknowledged)


FAULTS = [
    Fault(
        "ingress killed",
        "processes",
        f"SIGKILL while {SENDERS} senders deliver webhooks, 10 times",
        partial(kill, kills=10),
        Setting(rate=20, events=100),
        least=5,
        checks="each delivery that was answered with 202 is in the topic",
        check=all_there,
    ),
]
