"""The commands that serve: `run`, `ingress`, `worker`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from types import FrameType

from bridge.cli import options
from bridge.cli.app import app
from bridge.observe.logs import set_up
from bridge.service import Role, Service
from bridge.settings import Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@app.command(epilog="Example: `jira-bridge run --config bridge.yaml`")
def run(
    config: options.Config = None,
    kafka: options.Kafka = None,
    ledger: options.Ledger = None,
) -> None:
    """Serve everything in one process: take webhooks, and keep Jira's links."""
    serve(options.settings(config, kafka__bootstrap_servers=kafka, ledger__url=ledger), Role.ALL)


@app.command(epilog="Example: `jira-bridge ingress --config bridge.yaml --port 8080`")
def ingress(
    config: options.Config = None,
    kafka: options.Kafka = None,
    port: options.Port = None,
) -> None:
    """Take webhooks and put them on Kafka."""
    serve(options.settings(config, kafka__bootstrap_servers=kafka, ingress__port=port), Role.INGRESS)


@app.command(
    epilog="Example: `jira-bridge worker --kafka localhost:9092 --topic builds --jira https://acme.example "
    "--jira-auth env:JIRA_AUTH --ledger sqlite:///bridge.sqlite`"
)
def worker(
    config: options.Config = None,
    kafka: options.Kafka = None,
    topic: options.Topics = None,
    group: options.Group = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
    jira_limit: options.JiraLimit = None,
    ledger: options.Ledger = None,
    on_lost_position: options.OnLostPosition = None,
    port: options.Port = None,
    shadow: options.Shadow = None,
) -> None:
    """Read events from Kafka and keep Jira's links.

    Needs no file: every flag has its key in one. How far a group has read each partition is
    kept in the ledger; what that does not know is read from the group's offset in Kafka on, and by
    a group of a new name from the start. With --shadow it
    tells what it would ask of Jira (`shadow_call` in the log) and asks nothing; without, it goes on
    from there.
    """
    settings = options.settings(
        config,
        kafka__bootstrap_servers=kafka,
        kafka__topics=topic,
        kafka__group=group,
        sites__default__url=jira,
        sites__default__auth=jira_auth,
        sites__default__limit=jira_limit,
        ledger__url=ledger,
        kafka__on_lost_position=on_lost_position,
        worker__port=port,
        worker__shadow=shadow,
    )
    serve(settings, Role.WORKER)


def serve(settings: Settings, role: Role) -> None:
    """Run one process until SIGINT or SIGTERM; a second one of either ends it at once."""
    set_up(sys.stderr, json=settings.log.format == "json", level=settings.log.level)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, _drain, loop, stop)
        await Service(settings, role).run(stop)

    asyncio.run(main())


def _drain(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    stop.set()
    for number in _SIGNALS:
        loop.remove_signal_handler(number)
        # No default action: it would not end the first process of a container.
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    """End at once, as a crash would, which loses nothing; what hangs could hold up anything milder."""
    os._exit(128 + number)
