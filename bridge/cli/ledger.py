"""The commands on the ledger itself: `ledger migrate`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bridge.cli import options
from bridge.cli.app import app, err, out
from bridge.ledger import open_ledger
from bridge.settings.sections import Ledger

ledger_app = typer.Typer(
    help="Make the ledger's tables, or bring them to this version.", no_args_is_help=True
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
    if settings.url.startswith("sqlite:"):
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
