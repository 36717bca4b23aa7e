"""Deliveries from files: a body as its sender posted it, or a sample with its headers."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bridge.errors import BadRequest, ConfigError, UsageError
from bridge.model import Request, Webhook
from bridge.parts import source_of
from bridge.ports import Source
from bridge.sources.base import load_sources

ENDPOINT = "trial"
"""The endpoint by which a file is taken to have come, where none is named."""

Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="A header of the request; may be given again."),
]
Event = Annotated[
    str, typer.Option("--event", metavar="TYPE", help="The event's type, where the body does not tell it.")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the source; may be given again."),
]
Secret = Annotated[
    str,
    typer.Option(
        "--secret",
        metavar="SECRET",
        help="env:NAME, file:PATH, or the secret itself, which the process list then shows.",
    ),
]


def known_source(kind: str, options: Sequence[str] = ()) -> Source:
    """The source of that kind with these options. Raises UsageError."""
    given = dict(_pair(option, "=", "--option") for option in options)
    try:
        return source_of(kind, load_sources()).configured(given)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def revealed(secret: str) -> bytes:
    """The secret that `env:NAME`, `file:PATH` or the text itself stands for. Raises UsageError."""
    scheme, _, name = secret.partition(":")
    found = secret.encode("utf-8", "surrogateescape")
    if scheme == "env":
        if not os.environ.get(name):
            raise UsageError(f"--secret: the variable {name} is not set")
        found = os.fsencode(os.environ[name])
    if scheme == "file":
        found = read(Path(name)).removesuffix(b"\n")
    if not found:
        raise UsageError("--secret: is empty, and an empty one signs for everybody")
    return found


def request_in(file: Path, source: Source, event: str, headers: Sequence[str]) -> Request:
    """The request whose body the file holds; of a sample, with the headers in it. Raises UsageError."""
    body, told = read(file), headers_of(headers)
    sample = _sample(body)
    if sample is not None:
        inner = sample["request"]["body"]
        told = {**{name.lower(): str(value) for name, value in sample["request"]["headers"].items()}, **told}
        try:
            body = inner.encode() if isinstance(inner, str) else orjson.dumps(inner)
        except orjson.JSONEncodeError:  # it reads deeper than it writes
            raise UsageError(
                f"{file}: the sample's body is nested too deeply; expected it as a text"
            ) from None
    usual = {"content-type": "application/json", **source.headers(event, file.stem)}
    sent = {name: value for name, value in {**usual, **told}.items() if value}
    return Request("POST", f"https://localhost/webhooks/{ENDPOINT}", sent, body)


def webhook_of(request: Request, source: Source, endpoint: str | None) -> Webhook:
    """The request as ingress hands it on. Raises UsageError where a header is missing."""
    kept = source.keep(request.headers, request.body)
    try:
        id_ = source.delivery_id(kept, request.body)
    except BadRequest as error:
        raise UsageError(f"{str(error).removesuffix(error.advice)}Give --event, or --header.") from None
    return Webhook(endpoint or ENDPOINT, source.kind, id_, kept, request.body, datetime.now(UTC))


def samples(kind: str) -> dict[str, Path]:
    """The samples of a source that come with the bridge, by name."""
    package = Path(str(files("bridge")))
    shipped, beside = package / "samples", package.parent / "tests" / "samples"
    folder = (shipped if shipped.is_dir() else beside) / kind
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """The headers of `--header` options, their names in lower case. Raises UsageError."""
    return dict(_pair(header, ":", "--header") for header in given)


def issues_of(file: Path) -> tuple[str, ...]:
    """The issues whose links a sample says that it changes; none of a file that is no sample."""
    changes = (_sample(read(file)) or {}).get("changes") or []
    return tuple(dict.fromkeys(issue for change in changes for issue in change.get("issues") or ()))


def _sample(body: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    request = found.get("request") if isinstance(found, dict) and "from" in found else None
    is_sample = isinstance(request, dict) and "body" in request and isinstance(request.get("headers"), dict)
    return found if is_sample else None


def read(file: Path) -> bytes:
    """The bytes of a file. Raises UsageError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _pair(text: str, sign: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not re.fullmatch(r"[A-Za-z0-9_-]+", name.strip()):
        raise UsageError(f"{option}: expected NAME{sign} VALUE")
    return name.strip().lower(), value.strip()
