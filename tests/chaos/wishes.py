"""What the records of a run ask for, read from their bytes alone: the checker's own understanding.

Two kinds are read: canonical events, and GitHub's pull requests in the bridge's envelope, each of
which names all the issues that it belongs to. Everything else, and all that is not well formed, is
no wish: the checker expects it among the dead letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = re.compile(r"\b[A-Z]{3,6}-[1-9][0-9]*\b")
_RANKS = {"open": 0, "closed": 2, "merged": 3}


class Place(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka gives it; `timestamp` is in milliseconds since the epoch."""

    place: Place
    timestamp: int
    headers: Mapping[str, bytes]
    value: bytes | None


class Content(NamedTuple):
    """What people see of a link."""

    url: str
    title: str
    summary: str
    resolved: bool


class Wish(NamedTuple):
    """What one record asks for: a link with this content on these issues, None for no link.

    `is_set`: on these issues and no others. `order` is greater for what is newer. `event` is the id
    by which a duplicate is known.
    """

    event: str
    order: tuple[int, int, int, int]
    subject: str
    issues: tuple[str, ...]
    content: Content | None
    is_set: bool = False


def content(body: Mapping[str, Any]) -> Content:
    """What people see of a link whose body is Jira's or an event's."""
    shown = body.get("object") or {}
    status = shown.get("status") or {}
    return Content(
        shown.get("url") or "",
        shown.get("title") or "",
        shown.get("summary") or "",
        bool(status.get("resolved")),
    )


def wish_of(record: Record) -> Wish | None:
    """What the record asks for; None when it is none of those that are read here."""
    try:
        document = json.loads((record.value or b"").decode("utf-8"))
        if "bridge-endpoint" in record.headers:
            return _pull_request(record, document)
        return _canonical(record, document)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def name_of(record: Record) -> str | None:
    """The id of the record's event, whatever else is wrong with it; None when it has none."""
    try:
        event = json.loads((record.value or b"").decode("utf-8"))
        return f"{event['source']} {event['id']}"
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def _canonical(record: Record, event: dict[str, Any]) -> Wish | None:
    media = record.headers.get("content-type", b"application/cloudevents+json")
    if event["specversion"] != "1.0" or media != b"application/cloudevents+json":
        return None
    kinds = {"remotelink.upsert": True, "remotelink.delete": False}
    data, stands = event["data"], kinds[event["type"]]
    if not isinstance(data["globalId"], str) or not _KEY.fullmatch(data["issue"]):
        return None
    wanted = content(data) if stands else None
    if wanted is not None and not (wanted.title and wanted.url.startswith("https://")):
        return None
    order = (_micros(event["time"]), 0, *_recorded(record))
    return Wish(f"{event['source']} {event['id']}", order, data["globalId"], (data["issue"],), wanted)


def _pull_request(record: Record, event: dict[str, Any]) -> Wish | None:
    if record.headers.get("bridge-source") != b"github":
        return None
    request, repository = event["pull_request"], event["repository"]
    state = "merged" if request["merged"] else request["state"]
    shown = Content(
        request["html_url"],
        f"{repository['full_name']} #{request['number']}: {request['title']}",
        f"{request['head']['ref']} into {request['base']['ref']}, by {request['user']['login']}",
        state != "open",
    )
    order = (_micros(request["updated_at"]), _RANKS[state], *_recorded(record))
    subject = f"system=github:github.com&type=pull_request&id={repository['id']}/{request['number']}"
    issues = tuple(dict.fromkeys(_KEY.findall(request["title"])))
    delivery = record.headers["bridge-delivery-id"].decode()
    return Wish(f"{repository['html_url']} {delivery}", order, subject, issues, shown, is_set=True)


def _recorded(record: Record) -> tuple[int, int]:
    return record.timestamp, record.place.offset


def _micros(text: str) -> int:
    since = datetime.fromisoformat(text) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
