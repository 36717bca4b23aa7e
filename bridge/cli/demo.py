"""The command `demo`: the whole way at work in one process, with nothing to install."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import uuid
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from shlex import quote
from typing import Annotated, TypeVar

import aiohttp
import orjson
import typer

from bridge.cli.app import FAILED, app, err, out
from bridge.cli.explain import sentence
from bridge.cli.links import table
from bridge.cli.options import SITE
from bridge.cli.simulator import DEFAULT_AUTH
from bridge.errors import KafkaUnavailable
from bridge.jira.client import JiraClient
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.embedded import EmbeddedBroker
from bridge.ledger import open_reader
from bridge.model import RemoteLink, Request
from bridge.observe.health import Health
from bridge.observe.logs import Logs, set_up
from bridge.observe.states import tee
from bridge.parts import jira
from bridge.ports import Publish
from bridge.service import Role, Service
from bridge.settings import Settings
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.traffic import EXPECTED, Expected, Step, story
from bridge.sources.base import load_sources

T = TypeVar("T")

PROJECT = "DEMO"
SECRET = "It's a Secret to Everybody"  # noqa: S105 - the demonstration's own, GitHub's documented example
TOPIC = "bridge.events"
STEP_SECONDS = 30.0


@dataclass
class Ear:
    """An Observe that tells when an event has been dealt with, in Jira too."""

    merged: list[str] = field(default_factory=list)
    backlog: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, state: str, /, **fields: object) -> None:
        """Hear one state."""
        match state:
            case "event":
                self.merged.append(str(fields["event_id"]))
            case "batch_merged":
                self.backlog += int(str(fields["pending"]))
            case "backlog":
                self.backlog = int(str(fields["rows"]))
        self.changed.set()

    async def settled(self, event_id: str) -> str:
        """Wait until the event with that id is merged and nothing waits for Jira; its whole name."""
        while True:
            self.changed.clear()
            heard = next((event for event in self.merged if event.endswith(f" {event_id}")), None)
            if heard and not self.backlog:
                return heard
            await self.changed.wait()


@app.command(epilog="Example: `jira-bridge demo --once && echo right`")
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End when the story is told; exit 0 when all is right.")
    ] = False,
) -> None:
    """Tell a story through the whole bridge: webhooks, Kafka, ledger, Jira.

    Kafka is embedded and Jira is simulated, both for trying only. Everything stays up until
    Ctrl-C, unless --once is given.
    """
    set_up(sys.stderr, json=False, level="warning")
    with EmbeddedBroker() as cluster, tempfile.TemporaryDirectory(prefix="jira-bridge-demo-") as folder:
        is_right = asyncio.run(_demo(cluster, Path(folder), once=once))
    if not is_right:
        raise typer.Exit(FAILED)


async def _demo(cluster: Cluster, folder: Path, *, once: bool) -> bool:
    stop, ear = asyncio.Event(), Ear()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(JiraServer(JiraModel(projects=[PROJECT]), auth=DEFAULT_AUTH))
        settings = _settings(cluster, server.url, folder)
        observe = tee(Logs(), ear)
        service = Service(settings, Role.ALL, observe=observe)
        running = asyncio.create_task(service.run(stop))
        client = await stack.enter_async_context(jira(settings.sites[SITE]))
        publish = await stack.enter_async_context(
            Producer(cluster, observe=observe, health=Health(lambda: 0.0))
        )
        try:
            await _first(service.started.wait(), running)
            telling = _tell(service, settings, ear, publish)
            told = await _first(telling, running)
            is_right = told is not None and await _check(client)
            if told and not once and not stop.is_set():
                _invite(service, settings, cluster, told)
                await _first(stop.wait(), running)
        finally:
            stop.set()
            await running
    return is_right


async def _first(wanted: Awaitable[T], running: asyncio.Task[None]) -> T | None:
    """What `wanted` comes to, or None when the service ended before; its error is raised."""
    task = asyncio.ensure_future(wanted)
    await asyncio.wait({task, running}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    task.cancel()
    running.result()
    return None


async def _tell(service: Service, settings: Settings, ear: Ear, publish: Publish) -> str:
    """Send the story's steps one by one, and say what became of each; the last one's id."""
    event = ""
    async with aiohttp.ClientSession() as session:
        for step in story(datetime.now(UTC) - timedelta(hours=1)):
            out.print(f"\n{step.words}", style="bold", markup=False)
            async with asyncio.timeout(STEP_SECONDS):
                event = await ear.settled(await _send(service, session, publish, step))
            async with open_reader(settings.ledger.url) as reader:
                for entry in await reader.explain(event):
                    out.print(f"  {sentence(entry)}", markup=False)
    return event.partition(" ")[2]


async def _send(service: Service, session: aiohttp.ClientSession, publish: Publish, step: Step) -> str:
    """Deliver one step as its sender would; the id by which it is known."""
    body = orjson.dumps(step.body)
    if step.webhook is None:
        headers = [("content-type", b"application/cloudevents+json")]
        await publish(TOPIC, step.body["subject"].encode(), body, headers)
        return str(step.body["id"])
    delivery = str(uuid.uuid4())
    url = f"{service.addresses['webhooks']}/webhooks/github"
    async with session.post(url, data=body, headers=_signed(url, step.webhook, delivery, body)) as response:
        if response.status != HTTPStatus.ACCEPTED:
            raise KafkaUnavailable(f"{url} answered {response.status}: {await response.text()}")
    return delivery


def _signed(url: str, event: str, delivery: str, body: bytes) -> dict[str, str]:
    source = load_sources()["github"]
    headers = {"content-type": "application/json", **source.headers(event, delivery)}
    request = Request("POST", url, headers, body)
    return {**headers, **source.signature.sign(request, SECRET.encode(), datetime.now(UTC))}


async def _check(client: JiraClient) -> bool:
    """Print the links as they stand in Jira, and whether they are those that should."""
    remotes = [remote for issue in _issues() for remote in await client.list_links(issue)]
    standing = {(remote.issue, remote.global_id): remote for remote in remotes}
    out.print("\nThe links as they stand in Jira", style="bold")
    out.print(table(remotes))
    missing = [wanted for wanted in EXPECTED if not any(_is(remote, wanted) for remote in remotes)]
    is_right = not missing and len(standing) == len(EXPECTED)
    out.print(
        "\nAll links are right." if is_right else "\nThe links are not what they should be.", style="bold"
    )
    for wanted in missing:
        err.print(f"missing: {wanted}", markup=False)
    return is_right


def _is(remote: RemoteLink, wanted: Expected) -> bool:
    status = remote.link.object.status
    resolved = bool(status and status.resolved)
    named = wanted.kind in (remote.global_id or "")
    return remote.issue == wanted.issue and named and resolved == wanted.resolved


def _issues() -> list[str]:
    return [f"{PROJECT}-{number}" for number in range(1, 5)]


def _invite(service: Service, settings: Settings, cluster: Cluster, event_id: str) -> None:
    """Say what is up, how to ask it, and how to send a webhook by hand."""
    steps = story(datetime.now(UTC) - timedelta(minutes=5))
    step = next(step for step in steps if step.webhook == "pull_request")
    body = orjson.dumps(step.body)
    url, site = f"{service.addresses['webhooks']}/webhooks/github", settings.sites[SITE].url
    sent = _signed(url, "pull_request", str(uuid.uuid4()), body)
    headers = " ".join(f"-H {quote(f'{name}: {value}')}" for name, value in sent.items())
    out.print("\nEverything stays up until Ctrl-C:", style="bold")
    for name, address in (
        ("webhooks", url),
        ("readiness", f"{service.addresses['worker']}/readyz"),
        ("metrics", f"{service.addresses['worker']}/metrics"),
        ("Jira (simulated)", f"{site}/_simulator"),
        ("Kafka (embedded)", cluster.bootstrap),
    ):
        out.print(f"  {name:<17} {address}", markup=False)
    out.print("\nTo try, in another terminal:\n", style="bold")
    out.print(f"jira-bridge explain {event_id} --ledger {settings.ledger.url}", markup=False)
    out.print(f"jira-bridge links list DEMO-1 --jira {site} --jira-auth basic:{DEFAULT_AUTH}", markup=False)
    out.print(f"curl -i {url} {headers} --data-raw {quote(body.decode())}\n", markup=False)


def _settings(cluster: Cluster, jira_url: str, folder: Path) -> Settings:
    local = {"host": "127.0.0.1", "port": 0}
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": cluster.bootstrap, "topics": [TOPIC]},
            "ingress": {
                **local,
                "topic": TOPIC,
                "endpoints": {"github": {"source": "github", "secrets": [SECRET]}},
            },
            "sites": {SITE: {"url": jira_url, "auth": f"basic:{DEFAULT_AUTH}", "projects": [PROJECT]}},
            "ledger": {"url": f"sqlite:///{folder / 'ledger.sqlite'}"},
            "worker": local,
        }
    )
