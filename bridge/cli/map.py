"""The command `map`: what events would ask for, without Kafka, ledger or Jira."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bridge.cli import deliveries, options
from bridge.cli.app import FAILED, app, out
from bridge.errors import Unmappable
from bridge.kafka.dead_letters import Origin
from bridge.kafka.envelope import decode
from bridge.mapping.mapper import Mapped, Mapper, Site
from bridge.model import Event as Model
from bridge.model import Record
from bridge.parts import mapped_sites, mapper
from bridge.pipeline import change
from bridge.ports import Source
from bridge.settings import Settings

CLOUDEVENTS = "cloudevents"
_NOWHERE = Origin("", 0, 0, 0)

Kind = Annotated[str, typer.Option("--source", metavar="KIND", help="github…, or cloudevents.")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="NAME", help="The endpoint that it came by: for sites, routing, options."
    ),
]


@app.command(
    "map", epilog="Example: `jira-bridge map body.json --source github --event pull_request --project PROJ`"
)
def map_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Webhook bodies, samples, or CloudEvents.")
    ],
    source: Kind,
    event: deliveries.Event = "",
    header: deliveries.Headers = None,
    option: deliveries.Options = None,
    endpoint: Endpoint = None,
    project: options.Projects = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show which links each file would want; nothing is written.

    An empty set (`issue` null) takes the object's links off all issues.
    """
    settings = options.settings(config)
    mapper_ = mapper(settings, trial_sites(settings, project))
    known = source_in(settings, source, endpoint, option or [])
    results = [_result(mapper_, file, known, event, header or [], endpoint) for file in files]
    for result in results:
        if json:
            print(orjson.dumps(result).decode())  # noqa: T201 - for a script
        else:
            _tell(result)
    if any("error" in result for result in results):
        raise typer.Exit(FAILED)


def trial_sites(settings: Settings, projects: list[str] | None) -> list[Site]:
    """The sites of a trial: the configuration's, or one with these projects or any."""
    sites = mapped_sites(settings)
    if projects or not sites:
        return [Site(options.SITE, frozenset(projects) if projects else None)]
    return sites


def source_in(settings: Settings, kind: str, endpoint: str | None, options: list[str]) -> Source | None:
    """The source with the options of the endpoint, and these over them; None for CloudEvents."""
    if kind == CLOUDEVENTS:
        return None
    configured = settings.ingress.endpoints.get(endpoint or "")
    own = configured.options if configured and configured.source == kind else {}
    return deliveries.known_source(kind, [*(f"{name}={value}" for name, value in own.items()), *options])


def event_in(
    file: Path, source: Source | None, type_: str, headers: list[str], endpoint: str | None
) -> Model:
    """The event in a file, a CloudEvent where there is no source. Raises Unmappable and UsageError."""
    if source is None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        media = (("content-type", b"application/cloudevents+json"),)
        found = decode(Record("", 0, 0, now, None, deliveries.read(file), media))
        assert isinstance(found, Model)  # noqa: S101 - a record without the envelope's headers
        return found
    request = deliveries.request_in(file, source, type_, headers)
    event = source.event(deliveries.webhook_of(request, source, endpoint))
    is_told = not type_ or type_ in source.headers(type_, "").values()
    return event if is_told else replace(event, type=type_)


def _result(
    mapper_: Mapper, file: Path, source: Source | None, type_: str, headers: list[str], endpoint: str | None
) -> dict[str, Any]:
    result: dict[str, Any] = {"file": str(file), "event": type_, "skipped": None, "changes": []}
    try:
        event = event_in(file, source, type_, headers, endpoint)
        result["event"] = event.type
        wanted = mapper_.map(event)
    except Unmappable as error:
        return {**result, "skipped": error.code, "error": str(error)}
    if wanted.fault is not None:  # the worker writes the others, and tells of this one in a letter
        result["error"] = str(wanted.fault)
    return {**result, "skipped": wanted.skipped, "changes": list(_changes(event, wanted))}


def _changes(event: Model, wanted: Mapped) -> Iterator[dict[str, Any]]:
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
    elif "error" in result:
        out.print(f"  rejected in part: {result['error']}", markup=False)
    for one in result["changes"]:
        title = one["link"]["object"]["title"] if one["link"] else "its links, if it has any, are taken off"
        out.print(
            f"  {one['action']} {one['issue'] or 'no issue'}: {title}  [{one['globalId']}]", markup=False
        )
