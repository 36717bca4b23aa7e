"""The commands `mapping …`: test, check and try a mapping of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from bridge.cli import deliveries, options
from bridge.cli.app import FAILED, app, out
from bridge.cli.map import CLOUDEVENTS, Endpoint, event_in, source_in, trial_sites
from bridge.errors import ConfigError, Unmappable, WrongMapping
from bridge.mapping.builtin import lint_own, parse_own
from bridge.mapping.examples import results
from bridge.mapping.rules import RuleMapping
from bridge.mapping.schema import json_schema
from bridge.mapping.trial import Step, trial
from bridge.parts import mapper_of
from bridge.sources.base import load_sources

mapping_app = typer.Typer(help="Test, check and try mappings of your own.", no_args_is_help=True)
app.add_typer(mapping_app, name="mapping")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A mapping: YAML.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Mappings: YAML.")]


@mapping_app.command(epilog="Example: `jira-bridge mapping test own.yaml`")
def test(files: Files, json: options.Json = False) -> None:  # noqa: PT028 - the command's name
    """Run the tests that mapping files carry, and show what differs."""
    found = [(str(file), name, wrong) for file in files for name, wrong in results(_parsed(file))]
    failed = [each for each in found if each[2]]
    if json:
        for file, name, wrong in found:
            print(orjson.dumps({"file": file, "test": name, "failure": wrong}).decode())  # noqa: T201 - for a script
    else:
        for file, name, wrong in found:
            out.print(f"{'FAILED' if wrong else 'passed'}  {file}: {name}", markup=False)
            if wrong:
                out.print(f"        {wrong}", markup=False)
        out.print(f"{len(found) - len(failed)} passed, {len(failed)} failed.")
        if failed:
            out.print("`jira-bridge mapping try FILE PAYLOAD` shows step by step what comes of a payload.")
    if failed:
        raise typer.Exit(FAILED)


@mapping_app.command(epilog="Example: `jira-bridge mapping lint own.yaml`")
def lint(files: Files, json: options.Json = False) -> None:
    """Say what is wrong with mapping files, or looks so: with line and column, and what was meant."""
    kinds = {*load_sources(), CLOUDEVENTS}
    found = [finding for file in files for finding in lint_own(_text(file), str(file), kinds)]
    for each in found:
        if json:
            print(orjson.dumps(each._asdict()).decode())  # noqa: T201 - for a script
        else:
            out.print(str(each), markup=False)
    if not found and not json:
        out.print("Nothing to say against it." if len(files) == 1 else "Nothing to say against them.")
    if found:
        raise typer.Exit(FAILED)


@mapping_app.command(
    "try", epilog="Example: `jira-bridge mapping try own.yaml body.json --event pull_request --project PROJ`"
)
def try_(
    file: File,
    payload: Annotated[Path, typer.Argument(metavar="PAYLOAD", help="A webhook's body, or a sample.")],
    source: Annotated[
        str | None, typer.Option("--source", metavar="KIND", help="Of several in the file, the one it is of.")
    ] = None,
    event: deliveries.Event = "",
    header: deliveries.Headers = None,
    option: deliveries.Options = None,
    endpoint: Endpoint = None,
    project: options.Projects = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show step by step which rule speaks of a payload, why others do not, and what comes of it."""
    mapping = _parsed(file)
    settings = options.settings(config)
    known = source_in(settings, source or min(mapping.sources), endpoint, option or [])
    try:
        found = event_in(payload, known, event, header or [], endpoint)
    except Unmappable as error:
        steps, is_event = [Step(0, f"The payload is no event: {error}")], False
    else:
        is_event = True
        sites = mapper_of(settings, [mapping], trial_sites(settings, project)).sites(found)
        steps = list(trial(mapping, found, sites))
    for step in steps:
        if json:
            print(orjson.dumps(step._asdict()).decode())  # noqa: T201 - for a script
        else:
            out.print(f"{'  ' * step.depth}{step.text}", markup=False)
    if not is_event:
        raise typer.Exit(FAILED)


@mapping_app.command(epilog="Example: `jira-bridge mapping schema > mapping.schema.json`")
def schema() -> None:
    """Print the JSON schema of mapping files, for editors."""
    print(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201 - for a script


def _parsed(file: Path) -> RuleMapping:
    try:
        return parse_own(_text(file), str(file))
    except ConfigError as error:
        raise WrongMapping(str(error)) from None


def _text(file: Path) -> str:
    return deliveries.read(file).decode("utf-8", "replace")
