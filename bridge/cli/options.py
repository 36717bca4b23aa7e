"""Options that several commands share, and the configuration that they come to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bridge.settings import Settings, load

SITE = "default"
"""The name of the site that `--jira` gives."""

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar="JIRA_BRIDGE_CONFIG", help="YAML configuration."),
]
Kafka = Annotated[str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Kafka's bootstrap servers.")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", metavar="T", help="Topic to read; may be given again.")
]
Group = Annotated[str | None, typer.Option("--group", metavar="G", help="Consumer group.")]
Jira = Annotated[str | None, typer.Option("--jira", metavar="URL", help="The Jira site, as `sites.default`.")]
JiraAuth = Annotated[
    str | None,
    typer.Option(
        "--jira-auth",
        metavar="AUTH",
        help="env:NAME or file:PATH of basic:USER:TOKEN, bearer:TOKEN or anonymous; or one of "
        "these itself, which the process list then shows.",
    ),
]
JiraLimit = Annotated[
    str | None,
    typer.Option(
        "--jira-limit",
        metavar="PER_S",
        help="Requests a second; cloud: Jira Cloud's limits; none: no pacing.",
    ),
]
Ledger = Annotated[
    str | None,
    typer.Option("--ledger", metavar="URL", help="Where state is kept: sqlite:///FILE or postgresql://…"),
]
OnLostPosition = Annotated[
    str | None,
    typer.Option("--on-lost-position", metavar="HOW", help="stop, or earliest to go on with what is left."),
]
Port = Annotated[
    int | None, typer.Option("--port", metavar="N", help="Port to listen on; 0 takes a free one.")
]
Shadow = Annotated[
    bool | None, typer.Option("--shadow/--no-shadow", help="Decide and tell, and ask nothing of Jira.")
]
Projects = Annotated[
    list[str] | None, typer.Option("--project", metavar="KEY", help="Known project; may be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(config: Path | None, **flags: object) -> Settings:
    """The configuration; `flags` are dotted keys with `__` for dots, None where not given.

    A `sites__` flag that is not given stays out, so that a file's own sites are not added to.
    """
    given = {name.replace("__", "."): value for name, value in flags.items() if value not in (None, [])}
    return load(config, os.environ, given)
