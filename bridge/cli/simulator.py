"""The command `simulator`: a Jira to try things on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bridge.cli import options
from bridge.cli.app import app, out
from bridge.errors import UsageError
from bridge.simulator.faults import KNOBS, Deployment, Knobs, Limits
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.users import User, read_login

DEFAULT_AUTH = "demo@example.com:demo"

EXAMPLES = """Example: `jira-bridge simulator --port 8090 --project DEMO --issue PROJ-1`

`jira-bridge simulator --issue PROJ-1 --user ada@example.com:s3cret --limits cloud`

`jira-bridge simulator --project DEMO --seed 7 --knobs '{"rate_lost": 0.1}'`"""


@app.command(epilog=EXAMPLES)
def simulator(
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0 takes a free one."),
    ] = 8090,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    issue: Annotated[
        list[str] | None, typer.Option("--issue", metavar="KEY", help="An issue that exists.")
    ] = None,
    project: options.Projects = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="EMAIL:TOKEN",
            help="Accepted as Basic, and but for Cloud's own sites as Bearer; may be given again. "
            f"[default: {DEFAULT_AUTH}]",
        ),
    ] = None,
    limits: Annotated[
        Limits,
        typer.Option("--limits", help="Whose rate limits hold; datacenter makes it a Data Center as well."),
    ] = Limits.NONE,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the faults' chance.")] = 0,
    knobs: Annotated[
        str, typer.Option("--knobs", metavar="FILE|JSON", help="Knobs at the start; all but --limits.")
    ] = "{}",
) -> None:
    """Serve a Jira: the six remote-link operations, with a page that lists calls and links.

    In a project named by --project every issue exists. Its state is in memory only. Faults,
    permissions and rate limits are turned while it runs: see docs/simulator.md.
    """
    logins = user or [DEFAULT_AUTH]
    users = dict(map(_login, logins))
    example = next(iter(issue or [f"{key}-1" for key in project or ["DEMO"]]))
    model = _model(issue or [], project or [], _knobs(knobs, limits))

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with JiraServer(model, host=host, port=port, auth=logins[0], seed=seed, users=users) as server:
            _introduce(server.url, next(iter(users)), example)
            await stop.wait()

    try:
        asyncio.run(main())
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on: {error.strerror}") from None


def _introduce(url: str, email: str, issue: str) -> None:
    """Say where it is and what to try."""
    link = '{"globalId": "build-1", "object": {"url": "https://ci.example/1", "title": "Build 1"}}'
    out.print(f"Jira simulator: {url} (page: {url}/_simulator)", markup=False)
    out.print("\nA link (curl asks for the token), the history, and a fault:\n", markup=False)
    out.print(
        f"curl -u {email} -H 'Content-Type: application/json' -d '{link}' "
        f"{url}/rest/api/3/issue/{issue}/remotelink\n"
        f"curl {url}/_simulator/history\n"
        f'curl -X PATCH -d \'{{"latency": 0.2, "rate_429": 0.1}}\' {url}/_simulator/knobs',
        markup=False,
    )


def _login(text: str) -> tuple[str, User]:
    try:
        return read_login(text)
    except ValueError as error:
        raise UsageError(f"--user: {error}") from None


def _model(issues: list[str], projects: list[str], knobs: Knobs) -> JiraModel:
    try:
        model = JiraModel(issues=issues, projects=projects)
    except ValueError as error:
        raise UsageError(f"--issue: {error}") from None
    model.knobs = knobs
    return model


def _knobs(text: str, limits: Limits) -> Knobs:
    """The knobs of a JSON text, or of a file that has one, with the limits' own."""
    try:
        knobs = KNOBS.validate_json(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except OSError as error:
        raise UsageError(f"--knobs: {text}: {error.strerror}") from None
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"--knobs: {'; '.join(faults)}") from None
    if limits is not Limits.NONE:
        knobs.limits = limits
    if limits is Limits.DATACENTER:
        knobs.deployment = Deployment.SERVER
    return knobs
