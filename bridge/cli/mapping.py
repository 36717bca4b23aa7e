"""The command `map`: what events would ask for, without Kafka, ledger or Jira."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bridge.cli import options
from bridge.cli.app import FAILED, app, out
from bridge.errors import Unmappable, UsageError
from bridge.kafka.dead_letters import Origin
from bridge.kafka.envelope import decode
from bridge.mapping.mapper import Mapped, Site
from bridge.model import Event, Record, Webhook
from bridge.parts import mapped_sites, mapper
from bridge.pipeline import Pipeline, change
from bridge.sources.base import load_sources

CLOUDEVENTS = "cloudevents"
_NOWHERE = Origin("", 0, 0, 0)


@app.command(
    "map", epilog="Example: `jira-bridge map body.json --source github --event pull_request --project PROJ`"
)
def map_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Webhook bodies, or CloudEvents.")],
    source: Annotated[str, typer.Option("--source", metavar="KIND", help="github…, or cloudevents.")],
    event: Annotated[
        str,
        typer.Option("--event", metavar="TYPE", help="The event's type, as the source's header names it."),
    ] = "",
    project: options.Projects = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show which links each file would want; nothing is written.

    An empty set (`issue` null) takes the object's links off all issues.
    """
    settings = options.settings(config)
    sites = mapped_sites(settings)
    if project or not sites:
        sites = [Site(options.SITE, frozenset(project) if project else None)]
    pipeline = Pipeline(load_sources(), mapper(settings, sites), float("inf"))
    results = [_result(pipeline, file, source, event) for file in files]
    for result in results:
        if json:
            print(orjson.dumps(result).decode())  # noqa: T201 - for a script
        else:
            _tell(result)
    if any("error" in result for result in results):
        raise typer.Exit(FAILED)


def _result(pipeline: Pipeline, file: Path, source: str, type_: str) -> dict[str, Any]:
    result: dict[str, Any] = {"file": str(file), "event": type_, "skipped": None, "changes": []}
    try:
        event = pipeline.event(_delivery(pipeline, file, source, type_))
        wanted = pipeline.mapper.map(event)
    except Unmappable as error:
        return {**result, "skipped": error.code, "error": str(error)}
    return {
        **result,
        "event": event.type,
        "skipped": wanted.skipped,
        "changes": list(_changes(event, wanted)),
    }


def _delivery(pipeline: Pipeline, file: Path, source: str, type_: str) -> Webhook | Event:
    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    now = datetime.now(UTC)
    if source == CLOUDEVENTS:
        headers = (("content-type", b"application/cloudevents+json"),)
        return decode(Record("", 0, 0, int(now.timestamp() * 1000), None, body, headers))
    if source not in pipeline.sources:
        known = ", ".join(sorted({*pipeline.sources, CLOUDEVENTS}))
        raise UsageError(f"--source: there is no {source}; there are {known}")
    if not type_:
        raise UsageError(f"--event: is needed with {source}, whose bodies do not tell their type")
    sent = pipeline.sources[source].headers(type_, file.name)
    return Webhook("", source, file.name, sent, body, now)


def _changes(event: Event, wanted: Mapped) -> Iterator[dict[str, Any]]:
    for wish in wanted.wishes:
        version = change(wish, event.id, _NOWHERE).version.text()
        for issue in wish.issues or (None,):
            yield {
                "action": wish.action.value,
                "site": wish.site,
                "issue": issue,
                "globalId": wish.global_id,
                "version": version,
                "link": wish.link.body(wish.global_id) if wish.link and issue else None,
            }


def _tell(result: dict[str, Any]) -> None:
    out.print(f"{result['file']} ({result['event'] or 'no type'})", markup=False, style="bold")
    if result["skipped"]:
        out.print(f"  skipped: {result['skipped']} {result.get('error', '')}".rstrip(), markup=False)
    for one in result["changes"]:
        title = one["link"]["object"]["title"] if one["link"] else "no link"
        out.print(
            f"  {one['action']} {one['issue'] or 'no issue'}: {title}  [{one['globalId']}]", markup=False
        )
