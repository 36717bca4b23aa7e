"""The commands on the ledger itself: `ledger migrate` and `ledger rebuild`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import Progress

from bridge.cli import options
from bridge.cli.app import app, err, out
from bridge.errors import UsageError
from bridge.ledger import open_anew, open_ledger
from bridge.observe.logs import set_up
from bridge.parts import cluster, pipeline
from bridge.rebuild import Rebuilding, Rebuilt
from bridge.settings import Settings
from bridge.settings.sections import Ledger

ledger_app = typer.Typer(
    help="Make the ledger's tables, bring them to this version, or make a lost ledger anew.",
    no_args_is_help=True,
)
app.add_typer(ledger_app, name="ledger")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the SQL instead, and change nothing.")]


@ledger_app.command(
    epilog="Example: `jira-bridge ledger migrate --ledger postgresql://bridge@db.example/bridge --dry-run`"
)
def migrate(config: options.Config = None, ledger: options.Ledger = None, dry_run: DryRun = False) -> None:
    """Make the tables of a PostgreSQL ledger, or bring them to this version, before its workers start.

    One transaction: it is done whole or not at all. Several at a time wait for each other, and
    with nothing left to do it says so. SQLite's ledger is brought forward by whoever opens it.
    """
    settings = options.settings(config, ledger__url=ledger).ledger
    if settings.is_file:
        asyncio.run(_open(settings, dry_run=dry_run))
    else:
        asyncio.run(_migrate(settings, dry_run=dry_run))


async def _open(settings: Ledger, *, dry_run: bool) -> None:
    if dry_run:
        out.print(f"{settings.url} is brought forward when it is opened; there is no SQL to show.")
        return
    ledger = open_ledger(settings.url)
    await ledger.close()
    out.print(f"{settings.url} has the present format: opening it has seen to that.", markup=False)


async def _migrate(settings: Ledger, *, dry_run: bool) -> None:
    from bridge.ledger.migrate import migrate, plan  # noqa: PLC0415 - Alembic takes its time to load

    if dry_run:
        script = await plan(settings.url, settings.secret)
        print(script, end="")  # noqa: T201 - for a file
        if not script:
            err.print(f"{settings.url} has the present format; there is nothing to do.", markup=False)
    elif await migrate(
        settings.url, settings.secret, lambda step: out.print(f"Format {step}…", markup=False)
    ):
        out.print(f"{settings.url} has the present format now.", markup=False)
    else:
        out.print(f"{settings.url} has the present format already.", markup=False)


@ledger_app.command(
    epilog="Example: `jira-bridge ledger rebuild --config bridge.yaml --dry-run`, then without --dry-run"
)
def rebuild(
    config: options.Config = None,
    ledger: options.Ledger = None,
    kafka: options.Kafka = None,
    topic: options.Topics = None,
    group: options.Group = None,
    jira: options.Jira = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count only; change nothing.")] = False,
) -> None:
    """Make a ledger that was lost or is damaged anew, from the topics' first record to their end.

    Stop the workers first. Nothing is asked of Jira: the worker that starts on the new ledger looks each
    link up, and writes only where Jira differs. An SQLite file that is there is kept under another name;
    PostgreSQL's tables are emptied, but for the journal. Broken off, it is begun again.
    """
    set_up(sys.stderr, json=False, level="warning")
    settings = options.settings(
        config,
        ledger__url=ledger,
        kafka__bootstrap_servers=kafka,
        kafka__topics=topic,
        kafka__group=group,
        sites__default__url=jira,
        sites__default__auth="anonymous" if jira else None,
    )
    if not settings.sites:
        raise UsageError("sites: is empty, so no event would concern one; give --config FILE, or --jira URL")
    came_to = asyncio.run(_rebuild(settings, dry_run=dry_run))
    for line in _told(came_to, settings, dry_run=dry_run):
        out.print(line, markup=False)


async def _rebuild(settings: Settings, *, dry_run: bool) -> Rebuilt:
    kafka, url = settings.kafka, settings.ledger.url
    bar = Progress(console=err, transient=True, disable=not err.is_terminal)
    task = bar.add_task("records", total=None)

    def told(so_far: Rebuilt) -> None:
        bar.update(task, total=so_far.total, completed=so_far.records)

    new = nullcontext() if dry_run else open_anew(url, settings.ledger.secret)
    with bar:
        async with new as ledger:
            rebuilding = Rebuilding(
                cluster(settings), kafka.group, pipeline(settings), ledger, time.time, told
            )
            return await rebuilding.run(kafka.topics)


def _told(came_to: Rebuilt, settings: Settings, *, dry_run: bool) -> Iterator[str]:
    topics = ", ".join(settings.kafka.topics)
    yield f"{came_to.records} records of {topics} read, {sum(came_to.rejected.values())} of them rejected."
    for code, count in sorted(came_to.rejected.items()):
        yield f"  {count} {code}; its letter stands on {settings.kafka.dead_letter_topic} already."
    if came_to.since is None:
        yield "The topics have all that they ever had."
    else:
        since = datetime.fromtimestamp(came_to.since / 1000, UTC).isoformat(timespec="seconds")
        yield (
            f"The topics' first records are gone: the ledger knows what was said since {since}. Links "
            "without an event since then stand in Jira without a row. On the issues that it knows, "
            "`jira-bridge reconcile --dry-run` shows them as orphaned; set `reconcile.orphaned: keep` unless "
            "they are to be deleted."
        )
    if dry_run:
        yield "Nothing was changed."
    else:
        yield f"{settings.ledger.url} is made anew. Start the workers: they look up each link that they have."
