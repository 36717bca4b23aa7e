"""How values are read out of bodies: JSON, dotted paths, addresses, names of fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from bridge.errors import BadBody


def parse_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object in the body. Raises BadBody."""
    data = _parse(body)
    if not isinstance(data, dict):
        raise BadBody(f"The body is JSON, but not an object: {type(data).__name__}")
    return data


def parse_batch(body: bytes) -> dict[str, Any]:
    """The list of JSON objects in the body, as `events` of an object. Raises BadBody."""
    data = _parse(body)
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise BadBody("The body is JSON, but not a list of objects.")
    return {"events": data}


def _parse(body: bytes | str) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadBody(f"The body is not JSON: {error}") from None


def at(data: object, path: str) -> object:
    """What stands at a dotted path, None where it leads nowhere."""
    for name in path.split("."):
        if isinstance(data, dict):
            data = data.get(name)
        elif isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            return None
    return data


def text(value: object) -> str:
    """A text or a whole number as text; anything else is empty."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def first(data: object, paths: Iterable[str]) -> str:
    """The first text or number that is found at one of the paths, else an empty text."""
    return next((found for found in (text(at(data, path)) for path in paths) if found), "")


_SITE = re.compile(
    r"\s*(?:(https?)://)?([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(?:[/?#]|\s*$)", re.ASCII | re.IGNORECASE
)


def site(address: object) -> str:
    """`https://host` of an address, `http` where it says so; empty where it has no host's name."""
    found = _SITE.match(address) if isinstance(address, str) else None
    if found is None or not (found[1] or "." in found[2]):
        return ""
    return f"{found[1] or 'https'}://{found[2]}{found[3] or ''}".lower()


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by names such as `ticket_id`: whoever writes a template may call one `ticketId`."""
    return {_HUMP.sub("_", name).lower(): value for name, value in fields.items()}
