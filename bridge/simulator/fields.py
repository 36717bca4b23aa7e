"""The fields of a remote link: what Jira accepts in a body, and how it shows what it kept.

Jira keeps a link as one flat record, and its errors bear that record's names (`iconUrl`).
Required fields and the limit of globalId:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/;
the other limits were observed of Jira Server 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson

LONGEST = 255
"""UTF-16 units, as a Java string counts."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: where it stands in the body, and what it must be."""

    name: str
    path: tuple[str, ...]
    is_required: bool = False
    is_limited: bool = False
    is_url: bool = False
    kind: type = str


FIELDS = (
    Field("globalId", ("globalId",), is_limited=True),
    Field("relationship", ("relationship",), is_limited=True),
    Field("applicationType", ("application", "type"), is_limited=True),
    Field("applicationName", ("application", "name"), is_limited=True),
    Field("title", ("object", "title"), is_required=True, is_limited=True),
    Field("url", ("object", "url"), is_required=True, is_url=True),
    Field("summary", ("object", "summary")),
    Field("iconUrl", ("object", "icon", "url16x16"), is_url=True),
    Field("iconTitle", ("object", "icon", "title")),
    Field("resolved", ("object", "status", "resolved"), kind=bool),
    Field("statusIconUrl", ("object", "status", "icon", "url16x16"), is_url=True),
    Field("statusIconTitle", ("object", "status", "icon", "title")),
    Field("statusIconLink", ("object", "status", "icon", "link"), is_url=True),
)

_PARTS = sorted({field.path[:n] for field in FIELDS for n in range(1, len(field.path))}, key=len)
_CHECKED = [field for field in FIELDS if field.is_required or field.is_limited or field.is_url]
_PLACES = [(field, field.path[:-1], field.path[-1]) for field in FIELDS]

Record = Mapping[str, Any]
"""A link as Jira keeps it: values by flat name, without those that are null."""


class Misread(ValueError):
    """A body that has not the form of a link."""


def read(body: object) -> Record:
    """The record that a body stands for. Raises Misread where something is of another type.

    A number or a boolean where a text belongs is taken as a text, as Jackson takes it, which reads
    Jira's bodies.
    """
    parts: dict[tuple[str, ...], object] = {(): body}
    for path in _PARTS:
        parts[path] = _within(parts[path[:-1]], path[-1])
    record = {}
    for field, part, key in _PLACES:
        value = _within(parts[part], key)
        if value is not None and value != "":
            record[field.name] = value if type(value) is field.kind else _coerced(field, value)
    return record


def faults(record: Record) -> dict[str, str]:
    """All that Jira does not accept in a record, by flat name."""
    found = ((field.name, _fault(field, record.get(field.name))) for field in _CHECKED)
    return {name: text for name, text in found if text}


def show(record: Record) -> dict[str, Any]:
    """The body that Jira answers with: nulls left out, parts there even when they are empty."""
    shown: dict[str, Any] = {
        "application": {},
        "object": {"icon": {}, "status": {"icon": {}}},
    }
    for field in FIELDS:
        if field.name in record:
            *parts, last = field.path
            place = shown
            for part in parts:
                place = place[part]
            place[last] = record[field.name]
    return shown


def _within(part: object, key: str) -> object:
    """What stands there; None when the part is null or nothing."""
    if isinstance(part, dict):
        return part.get(key)
    if part is None:
        return None
    raise Misread(key)


def _coerced(field: Field, value: object) -> str:
    if field.kind is str and isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    raise Misread(field.name)


def _fault(field: Field, value: str | None) -> str:
    """What is wrong with the value, empty when nothing is."""
    if field.is_required and not (value or "").strip():
        return f"'{field.name}' is required."
    if value is None:
        return ""
    if field.is_limited and is_too_long(value):
        return f"'{field.name}' is longer than {LONGEST} characters."
    if field.is_url and not _is_web_address(value):
        return f"'{field.name}' is not a valid http or https URL."
    return ""


def is_too_long(text: str) -> bool:
    """Whether a limited field cannot hold the text."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST


@lru_cache(maxsize=1024)
def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
