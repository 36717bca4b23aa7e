"""The command `simulator`: a Jira to try things on."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from bridge.cli import options
from bridge.cli.app import app, out
from bridge.errors import UsageError
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer

DEFAULT_AUTH = "demo@example.com:demo"


@app.command(epilog="Example: `jira-bridge simulator --port 8090 --project DEMO --issue PROJ-1`")
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
    auth: Annotated[
        str, typer.Option("--auth", metavar="EMAIL:TOKEN", help="Accepted as Basic, and its token as Bearer.")
    ] = DEFAULT_AUTH,
) -> None:
    """Serve a Jira: the six remote-link operations, with a page that lists calls and links.

    In a project named by --project every issue exists. Its state is in memory only.
    """
    if not all(auth.partition(":")):
        raise UsageError("--auth: expected EMAIL:TOKEN")

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        model = JiraModel(issues=issue or [], projects=project or [])
        async with JiraServer(model, host=host, port=port, auth=auth) as server:
            out.print(f"Jira simulator: {server.url} (page: {server.url}/_simulator)", markup=False)
            knobs = 'curl -X PUT -d \'{"latency": 0.2, "rate_429": 0.1}\''
            out.print(f"Faults: {knobs} {server.url}/_simulator/knobs", markup=False)
            await stop.wait()

    try:
        asyncio.run(main())
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--issue: {error}") from None
