"""The commands `links …`: Jira's six remote-link operations by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer
from pydantic import ValidationError
from rich.table import Column, Table
from rich.text import Text

from bridge.cli import options
from bridge.cli.app import FAILED, STOPPED, app, err, out
from bridge.errors import JiraBadRequest, JiraError, JiraNotFound, UsageError
from bridge.jira.client import JiraClient
from bridge.jira.schemas import RemoteIssueLinkRequest
from bridge.model import RemoteLink
from bridge.parts import jira as client_of
from bridge.settings import Settings

links_app = typer.Typer(help="Read and write an issue's remote links by hand.", no_args_is_help=True)
app.add_typer(links_app, name="links")

T = TypeVar("T")
Issue = Annotated[str, typer.Argument(metavar="ISSUE", help="The issue's key or id.")]
GlobalId = Annotated[str | None, typer.Option("--global-id", "-g", metavar="G", help="The link's globalId.")]
LinkId = Annotated[int | None, typer.Option("--id", metavar="N", help="The link's id in Jira.")]
SiteName = Annotated[
    str | None, typer.Option("--site", metavar="NAME", help="The site, where the file names several.")
]


@links_app.command("list", epilog="Example: `jira-bridge links list PROJ-1 --config bridge.yaml`")
def list_(
    issue: Issue,
    config: options.Config = None,
    site: SiteName = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
    json: options.Json = False,
) -> None:
    """List an issue's remote links."""
    _show(_ask(config, site, jira, jira_auth, lambda client: client.list_links(issue)), json=json)


@links_app.command(epilog="Example: `jira-bridge links get PROJ-1 --global-id 'system=ci&id=1'`")
def get(
    issue: Issue,
    global_id: GlobalId = None,
    link_id: LinkId = None,
    config: options.Config = None,
    site: SiteName = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
    json: options.Json = False,
) -> None:
    """Read one link, by its globalId or its id."""
    _one_of(global_id, link_id)

    def read(client: JiraClient) -> Awaitable[RemoteLink]:
        return (
            client.get(issue, link_id)
            if link_id is not None
            else client.get_by_global_id(issue, global_id or "")
        )

    _show([_ask(config, site, jira, jira_auth, read)], json=json)


@links_app.command(
    epilog='Example: `echo \'{"object": {"url": "https://ci/1", "title": "build 1"}}\' | '
    "jira-bridge links put PROJ-1 - --global-id 'system=ci&id=1'`"
)
def put(
    issue: Issue,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Jira's request body as JSON; - for standard input.")
    ],
    global_id: GlobalId = None,
    link_id: LinkId = None,
    config: options.Config = None,
    site: SiteName = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
) -> None:
    """Create or update a link by its globalId (from the option, or the body); replace one by its id.

    Every field that is left out is emptied. Without a globalId and an id, a new link is added.
    """
    body = _body(file)
    link, global_id = body.link, global_id or body.globalId

    async def write(client: JiraClient) -> str:
        if link_id is not None:
            await client.update(issue, link_id, link, global_id)
            return f"Link {link_id} of {issue} is replaced."
        written = await client.upsert(issue, link, global_id)
        return f"Link {written.link_id} of {written.issue} is {'created' if written.created else 'updated'}."

    out.print(_ask(config, site, jira, jira_auth, write), markup=False)


@links_app.command(epilog="Example: `jira-bridge links delete PROJ-1 --global-id 'system=ci&id=1'`")
def delete(
    issue: Issue,
    global_id: GlobalId = None,
    link_id: LinkId = None,
    config: options.Config = None,
    site: SiteName = None,
    jira: options.Jira = None,
    jira_auth: options.JiraAuth = None,
) -> None:
    """Delete a link by its globalId or its id."""
    _one_of(global_id, link_id)

    def remove(client: JiraClient) -> Awaitable[None]:
        if link_id is not None:
            return client.delete(issue, link_id)
        return client.delete_by_global_id(issue, global_id or "")

    _ask(config, site, jira, jira_auth, remove)
    out.print(f"The link is deleted from {issue}.", markup=False)


def _ask(
    config: Path | None,
    site: str | None,
    jira: str | None,
    jira_auth: str | None,
    operation: Callable[[JiraClient], Awaitable[T]],
) -> T:
    settings = options.settings(config, sites__default__url=jira, sites__default__auth=jira_auth)

    async def run() -> T:
        async with client_of(settings.sites[_site(settings, site)], on_wait=_tell_wait) as client:
            return await operation(client)

    try:
        return asyncio.run(run())
    except JiraError as error:
        # Said here, since the advice that goes with it is for a bridge that goes on by itself.
        if error.status is None and isinstance(error, JiraBadRequest):
            raise UsageError(str(error)) from None
        again = f"; it may be asked again in {error.retry_after:.0f} s" if error.retry_after else ""
        err.print(f"error ({error.code}): {error}{again}", style="red", markup=False)
        raise typer.Exit(FAILED if isinstance(error, JiraNotFound) else STOPPED) from None


def _tell_wait(error: JiraError, seconds: float) -> None:
    err.print(f"{error}; again in {seconds:.0f} s", style="yellow", markup=False)


def _site(settings: Settings, name: str | None) -> str:
    names = list(settings.sites)
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        known = ", ".join(names) or "none; give --jira URL, or --config FILE"
        raise UsageError(f"--site: which of the sites? There are: {known}")
    return name


def _one_of(global_id: str | None, link_id: int | None) -> None:
    if (link_id is None) == (not global_id):
        raise UsageError("give either --global-id or --id")


def _body(file: Path) -> RemoteIssueLinkRequest:
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return RemoteIssueLinkRequest(**orjson.loads(text))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (orjson.JSONDecodeError, TypeError):
        raise UsageError(f"{file} is not a JSON object") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{file} is no link: {wrong}") from None


def _show(remotes: list[RemoteLink], *, json: bool) -> None:
    if json:
        for remote in remotes:
            body = {"id": remote.id, "issue": remote.issue, **remote.link.body(remote.global_id)}
            print(orjson.dumps(body).decode())  # noqa: T201 - for a script
        return
    out.print(table(remotes) if remotes else "No links.")


def table(remotes: list[RemoteLink]) -> Table:
    """Links as a person reads them; a resolved one is struck through, as in Jira."""
    fold = partial(Column, overflow="fold")  # a globalId is copied from here: never cut
    shown = Table("id", "issue", fold("title"), "status", fold("globalId"), box=None, pad_edge=False)
    for remote in remotes:
        thing = remote.link.object
        icon = thing.status.icon if thing.status else None
        resolved = bool(thing.status and thing.status.resolved)
        status = (icon.title if icon else None) or ("resolved" if resolved else "")
        title = Text(thing.title, style="strike" if resolved else "")
        shown.add_row(str(remote.id), remote.issue, title, Text(status or ""), Text(remote.global_id or ""))
    return shown
