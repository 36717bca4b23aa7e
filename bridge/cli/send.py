"""The command `send`: a sample delivery, signed as its vendor signs it, to try an installation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import aiohttp
import orjson
import typer

from bridge.cli import deliveries, options
from bridge.cli.app import FAILED, app, out
from bridge.errors import ConfigError, EndpointUnreachable, UsageError
from bridge.mapping.identity import issue_keys
from bridge.model import Request
from bridge.ports import Source

_SECONDS = 30.0
_BEGINNING = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
"""Where a key begins in JSON: not within a word, but behind an escaped line break."""


@app.command(
    epilog="Example: `jira-bridge send github pull_request.opened --to http://localhost:8080/webhooks/github "
    "--secret env:GITHUB_WEBHOOK_SECRET --issue PROJ-1`"
)
def send(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The source, as `jira-bridge sources` lists it.")
    ],
    sample: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLE", help="A sample, as `jira-bridge sources show NAME` lists them; or a file."
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The endpoint: https://HOST/webhooks/NAME.")],
    secret: Annotated[
        str | None,
        typer.Option("--secret", metavar="SECRET", help="env:NAME, file:PATH or the secret; none: unsigned."),
    ] = None,
    issue: Annotated[
        str | None,
        typer.Option("--issue", metavar="KEY", help="The issue to name in place of those in the sample."),
    ] = None,
    event: deliveries.Event = "",
    header: deliveries.Headers = None,
    option: deliveries.Options = None,
    json: options.Json = False,
) -> None:
    """Sign a sample as its vendor does, post it, and tell what came back."""
    source = deliveries.known_source(name, option or [])
    if not re.match(r"https?://[^/]", to):
        raise UsageError("--to: expected an address, as http://HOST:PORT/webhooks/NAME")
    file = _file(name, sample)
    request = deliveries.request_in(file, source, event, header or [])
    if sample in deliveries.samples(name):
        request = _anew(request, source)
    if issue:
        request = _naming(request, issue, deliveries.issues_of(file))
    request = replace(request, url=to)
    if secret is not None:
        request = _signed(request, source, deliveries.revealed(secret))
    status, answer = asyncio.run(_post(request))
    is_taken = status == HTTPStatus.ACCEPTED
    if json:
        print(orjson.dumps({"status": status, "answer": answer}).decode())  # noqa: T201 - for a script
    elif is_taken:
        id_ = answer.get("deliveryId", "")
        out.print(f"Taken: delivery {id_}. `jira-bridge explain` tells what became of it.", markup=False)
    else:
        told = answer.get("detail") or "no reason"
        out.print(f"Refused with {status} ({answer.get('code', 'no code')}): {told}", markup=False)
    if not is_taken:
        raise typer.Exit(FAILED)


def _file(kind: str, sample: str) -> Path:
    known = deliveries.samples(kind)
    if sample in known:
        return known[sample]
    if Path(sample).is_file():
        return Path(sample)
    raise UsageError(f"{sample} is neither a file nor a sample of {kind}; there are {', '.join(known)}")


def _anew(request: Request, source: Source) -> Request:
    """The request as a delivery of its own: the sample's id would make a second try a duplicate."""
    former, id_ = deliveries.webhook_of(request, source, None).delivery_id, str(uuid4())
    headers = {name: id_ if value == former else value for name, value in request.headers.items()}
    body = request.body.replace(f'"{former}"'.encode(), f'"{id_}"'.encode())
    return replace(request, headers=headers, body=body)


def _naming(request: Request, issue: str, former: Iterable[str]) -> Request:
    """The request with the issue in place of the former ones, or else of the first that its body names."""
    if issue_keys([issue]) != (issue,):
        raise UsageError("--issue: expected one key, as PROJ-1")
    text = request.body.decode("utf-8", "replace")
    named = text
    for key in former or issue_keys([text])[:1]:
        for old, new in ((key, issue), (key.lower(), issue.lower())):
            named = re.sub(_BEGINNING + re.escape(old) + "(?![0-9])", new, named)
    if named == text and issue not in text:
        raise UsageError("--issue: the sample names no issue")
    return replace(request, body=named.encode())


def _signed(request: Request, source: Source, key: bytes) -> Request:
    try:
        source.signature.check(key)
    except ConfigError as error:
        raise UsageError(f"--secret: {error}") from None
    signed = source.signature.sign(request, key, datetime.now(UTC))
    return replace(request, headers={**request.headers, **signed})


async def _post(request: Request) -> tuple[int, dict[str, object]]:
    """The status and the JSON of the answer. Raises EndpointUnreachable."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                request.url, data=request.body, headers=dict(request.headers), allow_redirects=False
            ) as response,
        ):
            raw = await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        place = re.sub("//[^/]*@", "//", request.url.partition("?")[0])  # a token may stand in both
        raise EndpointUnreachable(f"{place} does not answer: {type(error).__name__}") from None
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        answer = {}
    return response.status, answer if isinstance(answer, dict) else {}
