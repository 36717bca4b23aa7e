"""The commands `config check` and `config schema`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import orjson
import typer

from bridge.cli import options
from bridge.cli.app import app, out
from bridge.errors import ConfigError
from bridge.mapping.examples import failures
from bridge.parts import check_jira, endpoints, own_mappings, pipeline
from bridge.settings import load
from bridge.settings import schema as settings_schema

config_app = typer.Typer(help="Check a configuration, or print its schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")

File = Annotated[Path, typer.Argument(metavar="FILE", help="YAML configuration.")]


@config_app.command(epilog="Example: `jira-bridge config check bridge.yaml`")
def check(file: File, json: options.Json = False) -> None:
    """Load a configuration with its secrets, run its mappings' own tests, and name all that is wrong."""
    settings = load(file, os.environ, {})
    pipeline(settings)
    endpoints(settings)
    check_jira(settings)
    if failed := [line for mapping in own_mappings(settings) for line in failures(mapping)]:
        raise ConfigError("\n".join(failed))
    if json:
        print(orjson.dumps(settings.redacted(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201 - for a script
    else:
        sites = ", ".join(settings.sites) or "none, so a worker will not start"
        names = ", ".join(settings.ingress.endpoints) or "none, so ingress takes nothing"
        out.print(f"{file} is right. Sites: {sites}. Endpoints: {names}.", markup=False)


@config_app.command(epilog="Example: `jira-bridge config schema > bridge.schema.json`")
def schema() -> None:
    """Print the configuration's JSON schema, for editors."""
    print(orjson.dumps(settings_schema(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201 - for a script
