"""What sources share: finding them, reading headers, bodies and times."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from typing import Any

import orjson

import bridge.sources
from bridge.errors import BadBody, BadRequest, ConfigError
from bridge.model import EPOCH
from bridge.ports import Source

ENTRY_POINTS = "bridge.sources"
"""The group under which a package outside names its sources, instances of `bridge.ports.Source`."""


def load_sources() -> dict[str, Source]:
    """All sources by kind: `SOURCE` of each module in this package, and the entry points'.

    Raises ConfigError when two have the same kind.
    """
    found: dict[str, Source] = {}
    for place, source in (*_own(), *_outside()):
        if source.kind in found:
            raise ConfigError(f"{place}: there is another source of the kind {source.kind!r}")
        found[source.kind] = source
    return found


def _own() -> Iterator[tuple[str, Source]]:
    for module in pkgutil.iter_modules(bridge.sources.__path__, "bridge.sources."):
        source = getattr(importlib.import_module(module.name), "SOURCE", None)
        if source is not None:
            yield module.name, source


def _outside() -> Iterator[tuple[str, Source]]:
    for point in entry_points(group=ENTRY_POINTS):
        yield f"{point.name} = {point.value}", point.load()


def require(headers: Mapping[str, str], name: str) -> str:
    """The header, which its source always sends. Raises BadRequest when it is missing."""
    value = headers.get(name)
    if not value:
        raise BadRequest(f"The header {name} is missing. {BadRequest.advice}")
    return value


def parse_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object in the body. Raises BadBody."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadBody(f"The body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadBody(f"The body is JSON, but not an object: {type(data).__name__}")
    return data


def parse_time(value: object) -> datetime | None:
    """The moment in UTC that ISO 8601 text or seconds since the epoch tell, else None.

    A text without a zone is taken for UTC. Nothing before the epoch is believed.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment >= EPOCH else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        read = datetime.fromisoformat(value)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return EPOCH + timedelta(seconds=value)
    return None
