"""The command `reconcile`: compares the ledger with Jira, and repairs what differs."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from bridge.cli import options
from bridge.cli.app import FAILED, app, err, out
from bridge.cli.dlq import age
from bridge.errors import LedgerBusy, UsageError
from bridge.jira.client import JiraClient
from bridge.ledger import open_ledger, open_reader
from bridge.mapping.identity import clip
from bridge.model import microseconds
from bridge.observe.logs import Logs, set_up
from bridge.parts import jiras, policy, reconciliation
from bridge.plan_file import PlanFile
from bridge.ports import Ledger, Reader, Repair
from bridge.service import Role, Service
from bridge.settings import Settings
from bridge.state.reconcile import Compared, Difference, Plan, Scope

_SHOWN = 100
_BUSY = (
    "SQLite serves one process. Stop the worker and run this again (a plan made with --dry-run --plan FILE "
    "is then applied without a new comparison), or have the worker do it: `reconcile.every_hours`. "
    "--dry-run works beside it."
)
DOES = {
    Difference.REMOVED: "created again, or left until newer news (reconcile.removed)",
    Difference.ALTERED: "written again",
    Difference.LEFT: "deleted",
    Difference.ORPHANED: "deleted, or kept (reconcile.orphaned)",
    Difference.MOVED: "looked up: the issue has another key",
    Difference.HIDDEN: "let be: Jira does not show the issue",
    Difference.UNSURE: "let be: the writer looks it up",
    Difference.REJECTED: "let be: Jira refused it; see `dlq list`",
}
"""What is done about each difference, in words."""


@app.command(epilog="Example: `jira-bridge reconcile --config bridge.yaml --project PROJ --dry-run`")
def reconcile(
    config: options.Config = None,
    site: Annotated[str | None, typer.Option("--site", metavar="NAME", help="This site only.")] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="KEY", help="Issues of this project only.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Issues with an event since then: 2h, 3d, 1w, or 2026-01-31T12:00Z.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and show, and mark nothing.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Keep the plan there; with one that is there, go on from it."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Apply it though it takes away more than reconcile.max_deletes_percent."
        ),
    ] = False,
    kafka: options.Kafka = None,
    ledger: options.Ledger = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
    json: options.Json = False,
) -> None:
    """Compare what the ledger says of Jira's links with what Jira says, and repair what differs.

    A link that somebody removed is made again, an altered one written again, one that should be gone
    or that the ledger does not know is deleted. It reads slowly, beside the worker, and marks rows in
    small portions; the worker writes them. Stopped and run again with the same --plan FILE, it goes on
    where it was.
    """
    set_up(sys.stderr, json=False, level="warning")
    settings = options.settings(
        config,
        kafka__bootstrap_servers=kafka,
        ledger__url=ledger,
        sites__default__url=jira,
        sites__default__auth=jira_auth,
    )
    if not dry_run and settings.worker.shadow:
        raise UsageError("worker.shadow: is true, so nothing may be written; --dry-run compares only")
    made = Plan(_scope(settings, site, project, since), policy(settings))
    run = _Run(settings, made, json=json, force=force)
    with PlanFile(plan, made, datetime.now(UTC)) if plan else nullcontext() as file:
        run.file = file
        asyncio.run(run.compare() if dry_run else run.repair())
    run.tell(is_applied=not dry_run)
    if run.is_refused and not dry_run:
        raise typer.Exit(FAILED)


@dataclass
class _Run:
    """One run of the command."""

    settings: Settings
    plan: Plan
    json: bool
    force: bool
    file: PlanFile | None = None
    marked: int = 0
    _bar: Progress = field(init=False)

    def __post_init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)

    @property
    def is_refused(self) -> bool:
        """Whether the plan takes away too much."""
        return not (self.force or self.plan.is_within(self.settings.reconcile.max_deletes_percent))

    async def compare(self) -> None:
        """Compare only, beside a worker that may be writing."""
        ledger = self.settings.ledger
        async with open_reader(ledger.url, ledger.secret) as rows, _clients(self.settings) as sites:
            await self._survey(rows, sites)

    async def repair(self) -> None:
        """Compare, and have what differs written: by the worker, or here where no other could."""
        ledger = self.settings.ledger
        if ledger.is_file and not ledger.path.is_file():
            raise UsageError(f"{ledger.path}: there is no such ledger; name the worker's")
        async with AsyncExitStack() as stack:
            try:
                opened = open_ledger(ledger.url, ledger.secret)
            except LedgerBusy as error:
                raise LedgerBusy(f"{str(error).partition('. ')[0]}. {_BUSY}") from None
            stack.push_async_callback(opened.close)
            sites = await stack.enter_async_context(_clients(self.settings))
            await self._survey(opened, sites)
            if not (self.plan.left and not self.is_refused):
                return
            if ledger.is_file:
                service = Service(self.settings, Role.WORKER, Logs())
                await service.write_during(opened, sites, lambda tell: self._apply(opened, sites, tell))
            else:
                err.print(
                    "A worker that runs writes what is marked; without one it waits for it.", markup=False
                )
                await self._apply(opened, sites, lambda _site: None)

    async def _survey(self, rows: Reader, sites: Mapping[str, JiraClient]) -> None:
        if self.plan.is_whole:
            return
        task = self._bar.add_task("issues compared", total=None, completed=self.plan.issues)

        def told(compared: Compared) -> None:
            if self.file:
                self.file.add(compared)
            self._bar.advance(task)

        with self._bar:
            await reconciliation(self.settings, sites, Logs()).survey(self.plan, rows, told)
        if self.file:
            self.file.is_whole()

    async def _apply(
        self, ledger: Ledger, sites: Mapping[str, JiraClient], tell: Callable[[str], None]
    ) -> None:
        repairs = len(self.plan.repairs)
        task = self._bar.add_task("links marked", total=repairs, completed=self.plan.applied)

        def told(rows: int, stood: int) -> None:
            self.marked += stood
            if self.file:
                self.file.applied(rows)
            self._bar.advance(task, rows)

        with self._bar:
            await reconciliation(self.settings, sites, Logs(), tell).apply(self.plan, ledger, told)

    # --- what is told ----------------------------------------------------------------------

    def tell(self, *, is_applied: bool) -> None:
        """Say what was found, and what was done or would be."""
        if self.json:
            for repair in self.plan.repairs:
                print(orjson.dumps(_plain(repair)).decode())  # noqa: T201 - for a script
            print(orjson.dumps(self._summary(is_applied=is_applied)).decode())  # noqa: T201 - for a script
        else:
            self._tell_people(is_applied=is_applied)
        if self.is_refused:
            plan, most = self.plan, self.settings.reconcile.max_deletes_percent
            err.print(
                f"This would take away {plan.taken_away} of {plan.links} links, more than {most:g} % "
                "(reconcile.max_deletes_percent). Look at the plan with --dry-run; if it is right, --force "
                "applies it. If it is not, see that the ledger is whole; with `reconcile.orphaned: keep` no "
                "link is deleted that it does not know.",
                style="red",
                markup=False,
            )

    def _tell_people(self, *, is_applied: bool) -> None:
        plan = self.plan
        if plan.repairs and not is_applied:
            out.print(_table(plan.repairs))
            if len(plan.repairs) > _SHOWN:
                out.print(f"… and {len(plan.repairs) - _SHOWN} more; --json shows all.")
        if plan.found:
            out.print(_sums(plan))
        out.print(f"{plan.links} links of {plan.issues} issues compared.")
        if is_applied and not self.is_refused:
            out.print(f"{self.marked} marked; those that had changed meanwhile are left as they are.")
        elif plan.left:
            out.print(f"{len(plan.left)} would be marked.")
        if plan.is_full:
            out.print("There may be more: a plan has an end. Run it again once this one is applied.")

    def _summary(self, *, is_applied: bool) -> dict[str, Any]:
        plan = self.plan
        found = {site: {} for site in plan.scope.sites}  # type: dict[str, dict[str, int]]
        for (site, difference), count in plan.found.items():
            found[site][difference.value] = count
        return {
            "issues": plan.issues,
            "links": plan.links,
            "found": found,
            "deletes": plan.taken_away,
            "refused": self.is_refused,
            "marked": self.marked if is_applied else None,
            "left": len(plan.left),
        }


@asynccontextmanager
async def _clients(settings: Settings) -> AsyncIterator[Mapping[str, JiraClient]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(client) for name, client in jiras(settings).items()}


def _scope(settings: Settings, site: str | None, project: str | None, since: str | None) -> Scope:
    names = tuple(settings.sites)
    if not names or site not in {None, *names}:
        known = ", ".join(names) or "none; give --jira URL, or --config FILE"
        raise UsageError(f"--site: which of the sites? There are: {known}")
    return Scope(
        (site,) if site else names, project, moment(since, datetime.now(UTC)) if since is not None else None
    )


def moment(text: str, now: datetime) -> int:
    """The time that `--since` gives, in milliseconds since the epoch. Raises UsageError."""
    try:
        if re.fullmatch(r"[0-9]+[smhdw]", text):
            found = now - age("--since", text)
        else:
            found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        expected = "expected one as 2h, 3d, 1w or 2026-01-31T12:00Z"
        raise UsageError(f"--since: {text} is no time; {expected}") from None
    return microseconds(found if found.tzinfo else found.replace(tzinfo=UTC)) // 1000


def _table(repairs: list[Repair]) -> Table:
    shown = Table(
        "finding", "site", "issue", Column("globalId", overflow="fold"), "title", box=None, pad_edge=False
    )
    for repair in repairs[:_SHOWN]:
        key, link = repair.after.key, (repair.before or repair.after).wanted.link
        title = Text(clip(link.object.title)) if link else Text("")
        shown.add_row(repair.reason, key.site, key.issue, Text(clip(key.global_id)), title)
    return shown


def _sums(plan: Plan) -> Table:
    shown = Table(
        "site", "finding", Column("links", justify="right"), "what is done", box=None, pad_edge=False
    )
    for (site, difference), count in sorted(plan.found.items()):
        shown.add_row(site, difference.value, str(count), DOES[difference])
    return shown


def _plain(repair: Repair) -> dict[str, Any]:
    site, issue, global_id = repair.after.key
    return {"finding": repair.reason, "site": site, "issue": issue, "globalId": global_id}
