"""The commands `sources …`: which systems the bridge understands, and how each is set up."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markdown import Markdown
from rich.table import Column, Table

from bridge.cli import deliveries, options
from bridge.cli.app import FAILED, app, out
from bridge.errors import BadSignature, ConfigError, UsageError
from bridge.mapping.builtin import builtin_files
from bridge.mapping.rules import RuleMapping, is_of
from bridge.model import Request
from bridge.ports import Source
from bridge.sources.base import load_sources, page
from bridge.times import parse_time

sources_app = typer.Typer(
    help="List the systems whose webhooks are understood; show how to set one up; check a signature.",
    epilog="Examples: `jira-bridge sources`, `jira-bridge sources show gitlab`",
    invoke_without_command=True,
)
app.add_typer(sources_app, name="sources")

Kind = Annotated[str, typer.Argument(metavar="NAME", help="The source, as `jira-bridge sources` lists it.")]


@sources_app.callback()
def list_(context: typer.Context, json: options.Json = False) -> None:
    """List all sources: vendor, events, signature, and where its set-up begins."""
    if context.invoked_subcommand is not None:
        return
    rows = rows_of(load_sources().values())
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())  # noqa: T201 - for a script
        return
    table = Table(
        Column("name", no_wrap=True),
        "vendor",
        Column("events", ratio=2),
        Column("signature", ratio=2),
        "set-up",
        box=None,
        pad_edge=False,
    )
    for each in rows:
        table.add_row(
            each["name"], each["vendor"], ", ".join(each["events"]), each["signature"], each["setUp"]
        )
    out.print(table)
    out.print("\n`jira-bridge sources show NAME` is the page of one.", markup=False)


@sources_app.command(epilog="Example: `jira-bridge sources show zendesk`")
def show(name: Kind, json: options.Json = False) -> None:
    """Show a source's set-up page: what to click, which events, what the links look like; its samples."""
    source = deliveries.known_source(name)
    samples = list(deliveries.samples(name))
    told = f"{page(source).rstrip()}\n\n## Samples\n\nFor `jira-bridge send {name}`: {', '.join(samples)}"
    if json:
        (row,) = rows_of([source])
        print(orjson.dumps({**row, "page": page(source), "samples": samples}).decode())  # noqa: T201 - for a script
    elif sys.stdout.isatty():
        out.print(Markdown(told))
    else:
        out.print(told, markup=False)


@sources_app.command(
    epilog="Example: `jira-bridge sources verify github --secret env:SECRET "
    "--header 'X-Hub-Signature-256: sha256=…' body.json`"
)
def verify(
    name: Kind,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The raw body, as it was sent.")],
    secret: deliveries.Secret,
    header: deliveries.Headers = None,
    option: deliveries.Options = None,
    method: Annotated[
        str, typer.Option("--method", help="The request's method, which HubSpot signs.")
    ] = "POST",
    url: Annotated[
        str,
        typer.Option("--url", help="The address that the sender has, which HubSpot signs; ?token= in it."),
    ] = "https://localhost/webhooks/trial",
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="When it came, in ISO 8601, for signatures that age; or now."
        ),
    ] = None,
) -> None:
    """Check a delivery's signature; where it is wrong, say which part, and what would be right."""
    source = deliveries.known_source(name, option or [])
    now = parse_time(at) if at else datetime.now(UTC)
    if now is None:
        raise UsageError("--at: expected a time in ISO 8601")
    sent = deliveries.headers_of(header or [])
    request = Request(method, url, sent, deliveries.read(file))
    key = deliveries.revealed(secret)
    try:
        source.signature.check(key)
    except ConfigError as error:
        raise UsageError(f"--secret: {error}") from None
    try:
        source.signature.verify(request, [key], now)
    except BadSignature as error:
        out.print(f"The signature is wrong. {str(error).removesuffix(error.advice).strip()}", markup=False)
        out.print(f"Expected: {source.signature.described}", markup=False)
        for remedy in remedies(source, request, key, now):
            out.print(f"It would be right {remedy}.", markup=False)
        raise typer.Exit(FAILED) from None
    out.print("The signature is right.")


def rows_of(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """What the table tells of sources, by their names."""
    mappings = builtin_files()
    return [_row(source, mappings) for source in sorted(sources, key=lambda source: source.kind)]


def _row(source: Source, mappings: Iterable[RuleMapping]) -> dict[str, Any]:
    own = [mapping for mapping in mappings if source.kind in mapping.sources]
    types = {type_ for mapping in own for type_ in mapping.types}
    # `incident.*` says all of `incident.resolved`.
    types = {each for each in types if not any(is_of(each, (other,)) for other in types - {each, "*"})}
    return {
        "name": source.kind,
        "vendor": source.vendor,
        "events": sorted(types - {"*"}) or ["any"],
        "signature": source.signature.described,
        "setUp": first_step(page(source)),
    }


def first_step(told: str) -> str:
    """Where a page's set-up begins: the first place to click, which stands in italics, or the first step."""
    set_up = told.partition("## Set up")[2].partition("\n## ")[0]
    found = re.search(r"(?<!\*)\*([^*\n]+(?:\n[^*\n]+)?)\*(?!\*)", set_up)
    step = found[1] if found else set_up.partition("1. ")[2].partition("\n\n")[0].partition("\n2. ")[0]
    return " ".join(step.split()).rstrip(":.")


def remedies(source: Source, request: Request, key: bytes, now: datetime) -> Iterator[str]:
    """What could be changed about the body, the secret or the time for the signature to hold."""
    body = request.body
    bodies = {
        "without the line break at the end of the file": body.rstrip(b"\r\n"),
        "with a line break at the end of the file": body + b"\n",
        "with \\n for \\r\\n": body.replace(b"\r\n", b"\n"),
        "if the JSON were written without spaces: the body was formatted after it was signed": _dumped(body),
        "if the JSON had a space behind each comma and colon: it was formatted after it was signed": _spaced(
            body
        ),
    }
    keys = {
        "without the spaces or line breaks around the secret": key.strip(),
        "with a line break at the end of the secret": key + b"\n",
    }
    for remedy, other in bodies.items():
        if other != body and _holds(source, replace(request, body=other), key, now):
            yield remedy
    for remedy, other in keys.items():
        if other != key and _holds(source, request, other, now):
            yield remedy


def _holds(source: Source, request: Request, key: bytes, now: datetime) -> bool:
    try:
        source.signature.check(key)
        source.signature.verify(request, [key], now)
    except (BadSignature, ConfigError):
        return False
    return True


def _spaced(body: bytes) -> bytes:
    """As Python's `json.dumps` writes it, which is how many receivers print a body."""
    try:
        return dumps(orjson.loads(body)).encode()
    except (orjson.JSONDecodeError, ValueError, RecursionError):
        return body


def _dumped(body: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(body))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it reads deeper than it writes
        return body
