"""How the serving commands end: as processes, with what they wait for there, away or silent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pytest

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.observe.health import Health
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.brokers import create_topic, eventually, free_port
from tests.e2e.bridge_process import AUTH, COMMAND

ROLES = ("worker", "ingress", "run")


@dataclass
class Serving:
    """A process of the bridge, and its log."""

    process: subprocess.Popen[bytes]
    path: Path

    def states(self) -> list[str]:
        """The states in its log, in order."""
        lines = self.path.read_bytes().splitlines()
        return [orjson.loads(line)["event"] for line in lines if line.startswith(b"{")]

    def address(self, name: str) -> str:
        """Where it serves, as its log says."""
        lines = map(orjson.loads, self.path.read_bytes().splitlines())
        return str(next(line[name] for line in lines if line["event"] == "listening"))

    async def ends(self, number: int) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 20)


@contextmanager
def serving(
    role: str, folder: Path, kafka: str, topic: str, jira: str = "http://127.0.0.1:1", drain: float = 60
) -> Iterator[Serving]:
    """`jira-bridge ROLE`, which has much more time to drain than a test waits."""
    environ = {
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "BRIDGE_KAFKA__TOPICS": f"[{topic}]",
        "BRIDGE_KAFKA__GROUP": topic,
        "BRIDGE_KAFKA__DEAD_LETTER_TOPIC": f"{topic}.dead",
        "BRIDGE_INGRESS__TOPIC": topic,
        "BRIDGE_INGRESS__HOST": "127.0.0.1",
        "BRIDGE_INGRESS__PORT": "0",
        "BRIDGE_INGRESS__ENDPOINTS": "{open: {source: github, open: true}}",
        "BRIDGE_SITES": f"{{main: {{url: '{jira}', auth: 'basic:{AUTH}', limit: none}}}}",
        "BRIDGE_LEDGER__URL": f"sqlite:///{folder}/ledger.sqlite",
        "BRIDGE_WORKER__HOST": "127.0.0.1",
        "BRIDGE_WORKER__PORT": "0",
        "BRIDGE_WORKER__DRAIN_SECONDS": str(drain),
    }
    path = folder / f"{uuid.uuid4().hex}.log"
    with path.open("wb") as log:
        process = subprocess.Popen([*COMMAND, role], stderr=log, env={**os.environ, **environ})
    try:
        yield Serving(process, path)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """An address that takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


async def put_link(cluster: Cluster, topic: str) -> None:
    """An event that wants one link."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "remotelink.upsert",
        "time": "2026-01-01T10:00:00Z",
        "subject": "system=ci&id=1",
        "datacontenttype": "application/json",
        "data": {
            "issue": "PROJ-1",
            "globalId": "system=ci&id=1",
            "object": {"url": "https://ci.example.com/1", "title": "built"},
        },
    }
    health = Health(asyncio.get_running_loop().time)
    async with Producer(cluster, observe=lambda *_, **__: None, health=health) as publish:
        headers = [("content-type", b"application/cloudevents+json")]
        await publish(topic, b"1", orjson.dumps(event), headers)


async def is_ready(running: Serving) -> bool:
    """Whether its readiness is good."""
    if "listening" not in running.states():
        return False
    name = "webhooks" if '"webhooks"' in running.path.read_text() else "worker"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.address(name)}/readyz") as answer,
    ):
        return answer.status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("role", ROLES)
async def test_a_signal_drains(real_kafka: Cluster, tmp_path: Path, role: str, number: int) -> None:
    """A process with nothing to do ends with 0 when it is told to, and says that it has."""
    topic = await create_topic(real_kafka, 2)
    with serving(role, tmp_path, real_kafka.bootstrap, topic) as running:
        await eventually(lambda: is_ready(running), seconds=40)
        assert await running.ends(number) == 0
        assert running.states()[-1] == "stopped"
        assert "drain_cut_short" not in running.states()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kafka", ["away", "silent"])
async def test_a_process_that_waits_for_kafka_ends_when_it_is_told_to(
    tmp_path: Path, role: str, kafka: str
) -> None:
    """Before it ever reached a broker, too, and without its time to drain being used up."""
    async with silent() as address:
        where = address if kafka == "silent" else f"127.0.0.1:{free_port()}"
        with serving(role, tmp_path, where, "events") as running:
            await eventually(lambda: "listening" in running.states(), seconds=40)
            assert not await is_ready(running)
            assert await running.ends(signal.SIGTERM) == 0
            assert running.states()[-1] == "stopped"
            assert "drain_cut_short" not in running.states()


async def test_a_jira_that_says_nothing_is_not_waited_for_beyond_the_deadline(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """The request under way is cancelled, that is told, and the next start makes the link."""
    topic = await create_topic(real_kafka, 1)
    await put_link(real_kafka, topic)
    async with silent() as address:
        with serving(
            "worker", tmp_path, real_kafka.bootstrap, topic, f"http://{address}", drain=1
        ) as running:
            await eventually(lambda: backlog(running), seconds=40)
            assert await running.ends(signal.SIGTERM) == 0
            assert "drain_cut_short" in running.states()
    async with JiraServer(JiraModel(projects=["PROJ"])) as jira:
        with serving("worker", tmp_path, real_kafka.bootstrap, topic, jira.url) as running:
            await eventually(lambda: bool(jira.model.history), seconds=40)
            assert await running.ends(signal.SIGTERM) == 0
            assert "drain_cut_short" not in running.states()


async def backlog(running: Serving) -> bool:
    """Whether a link is wanted and not yet in Jira: its request is under way."""
    if not await is_ready(running):
        return False
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.address('worker')}/metrics") as answer,
    ):
        return 'jira_bridge_backlog_rows{site="main"} 1.0' in await answer.text()


async def under_way(running: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A delivery that ingress has begun to take."""
    host, port = running.address("webhooks").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /webhooks/open HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
        b"X-GitHub-Event: ping\r\nX-GitHub-Delivery: d-1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(b"{}")
    return reader, writer


@pytest.mark.parametrize("role", ["ingress", "run"])
async def test_a_delivery_under_way_is_answered_before_the_end(tmp_path: Path, role: str) -> None:
    """Kafka says nothing: the sender is told so, and only then does the process end."""
    async with silent() as address:
        with serving(role, tmp_path, address, "events") as running:
            await eventually(lambda: "listening" in running.states(), seconds=40)
            reader, writer = await under_way(running)
            assert await running.ends(signal.SIGTERM) == 0
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            assert running.states()[-1] == "stopped"
            assert "drain_cut_short" not in running.states()
            writer.close()


async def test_a_second_signal_ends_ingress_at_once(tmp_path: Path) -> None:
    """A delivery under way has no answer then, and its sender sends it again."""
    async with silent() as address:
        with serving("ingress", tmp_path, address, "events") as running:
            await eventually(lambda: "listening" in running.states(), seconds=40)
            reader, writer = await under_way(running)
            running.process.send_signal(signal.SIGINT)
            await eventually(lambda: "draining" in running.states())
            assert await running.ends(signal.SIGTERM) == 143
            assert await reader.read() == b""
            writer.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_second_signal_ends_at_once(
    real_kafka: Cluster, tmp_path: Path, number: int, code: int
) -> None:
    """While a request is waited for, a second signal of either kind ends the process."""
    topic = await create_topic(real_kafka, 1)
    await put_link(real_kafka, topic)
    async with silent() as address:
        with serving("worker", tmp_path, real_kafka.bootstrap, topic, f"http://{address}") as running:
            await eventually(lambda: backlog(running), seconds=40)
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: "draining" in running.states())
            assert await running.ends(number) == code
            assert "stopped" not in running.states()
