"""Dead letters on the wire: how a record leaves the way, and how it comes back to it. Pure.

A dead letter is the record as it was, with these headers beside its own:

- `bridge-dead-format` (1), `-program`: which version of the bridge wrote it;
- `-reason` (the code), `-error-class`, `-error` (the text), and of Jira's answer, where it gave
  them, `-trace-id` and `-request-id`, which Atlassian's support asks for;
- `-topic`, `-partition`, `-offset`, `-timestamp` (milliseconds): where the record stood first;
- `-attempts`: how many times the record was judged, or Jira asked;
- `-cut`: how many bytes the body had, where the letter would have been longer than the topic takes.

A link that Jira refuses has the canonical event that asks for it in place of a record, no place
in a topic, and `-version`: how new the wish is. Its `-topic` is where a replay goes.

What became of a letter stands on the same topic, later: a marker, whose `-letter` is the
letter's place and whose `-fate` is `replayed` or `discarded`. So nothing but Kafka is needed.
A marker goes out once the broker has the replay; a crash between the two replays once more,
which versions make harmless.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from bridge import __version__
from bridge.errors import BadEnvelope, BridgeError, JiraError
from bridge.kafka.envelope import Headers
from bridge.model import EPOCH, Call, Record, Version

FORMAT = "1"

_DEAD = "bridge-dead-"
_VERSION = _DEAD + "version"
_ORIGIN = ("topic", "partition", "offset", "timestamp")
_RETURNING = frozenset(_DEAD + name for name in (*_ORIGIN, "attempts", "version"))
"""What goes back with a replay: it obeys versions, and another rejection still knows of the first."""
_WRITER = {"format": FORMAT, "program": f"jira-link-bridge/{__version__}"}
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_VERSION_TEXT = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}\.[0-9a-f]{2}\.[0-9a-f]{12}\.[0-9a-f]{16}", re.ASCII)
_SKEW = 600_000
"""Milliseconds by which the clocks of who wrote a record and of who rejected it may differ."""
_TEXT_LIMIT = 500
_SHOWN = 80


class Origin(NamedTuple):
    """Where a record stood first. `timestamp` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Place(NamedTuple):
    """Where a letter stands in the dead-letter topic; as text `PARTITION/OFFSET`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The inverse of `str`. Raises ValueError for anything else."""
        partition, slash, offset = text.partition("/")
        if not (slash and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)):
            raise ValueError(text)
        return cls(int(partition), int(offset))


class Fate(StrEnum):
    """What became of a letter."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Outgoing(NamedTuple):
    """A record to be published: the arguments of `bridge.ports.Publish`, in order."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int | None = None


# --- what a record says of itself ----------------------------------------------------------


def dead(record: Record, name: str) -> str | None:
    """The header `bridge-dead-NAME` as text; None when absent."""
    return record.header(_DEAD + name)


def number(record: Record, name: str) -> int | None:
    """The number in the header `bridge-dead-NAME`; None when absent, or when it is none."""
    text = dead(record, name)
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def origin_topic(record: Record) -> str | None:
    """The topic that the letter came from and goes back to; None when it is no topic's name."""
    text = dead(record, "topic")
    return text if text is not None and _TOPIC.fullmatch(text) else None


def origin(record: Record) -> Origin:
    """Where the record stood before it became a dead letter or was replayed; else where it stands."""
    came_from, numbers = origin_topic(record), [number(record, name) for name in _ORIGIN[1:]]
    partition, offset, timestamp = numbers
    if came_from is None or partition is None or offset is None or timestamp is None:
        return Origin(record.topic, record.partition, record.offset, record.timestamp)
    return Origin(came_from, partition, offset, timestamp)


def refused_version(record: Record, time: int) -> Version | None:
    """How new the wish in a replayed letter of `refused` is; None for any other record.

    `time` is the event's, in microseconds since the epoch, and the version's must be the same, as
    it is in all that `refused` writes: any producer can set a header. Raises BadEnvelope.
    """
    text = record.header(_VERSION)
    if text is None:
        return None
    if not _VERSION_TEXT.fullmatch(text):
        raise BadEnvelope(f"{_VERSION} is no version: {text!r:.{_SHOWN}}.")
    version = Version.parse(text)
    if version.time != time:
        raise BadEnvelope(f"{_VERSION} is of another time than the event: {text}.")
    return version


# --- away ----------------------------------------------------------------------------------


def dead_letter(
    record: Record, error: BridgeError, max_bytes: int
) -> tuple[bytes | None, bytes | None, Headers]:
    """The key, value and headers by which a rejected record goes to the dead-letter topic.

    `max_bytes` is what the topic takes; a letter that would be longer loses its body's end,
    then its own headers, then its key, and says in `bridge-dead-cut` how many bytes the body had.
    """
    place = {name: str(part) for name, part in zip(_ORIGIN, origin(record), strict=True)}
    attempts = (number(record, "attempts") or 0) + 1
    head = _head(error) + _headers(place | {"attempts": str(attempts)})
    own = [(name, value) for name, value in record.headers if not _is_dead(name) or name.lower() == _VERSION]
    key, value = record.key, record.value
    if _size(key, value, own + head) <= max_bytes:
        return key, value, own + head
    head += _headers({"cut": str(len(value or b""))})
    if _size(key, b"", own + head) > max_bytes:
        own = []
    if _size(key, b"", own + head) > max_bytes:
        key = None
    return key, (value or b"")[: max(0, max_bytes - _size(key, b"", own + head))], own + head


def refused(call: Call, error: JiraError, topic: str, max_bytes: int) -> tuple[bytes, bytes, Headers]:
    """The key, value and headers by which a link that Jira refuses goes to the dead-letter topic.

    The value is the canonical event that asks for it, `topic` where a replay of it goes. One
    longer than `max_bytes` loses its link and says in `bridge-dead-cut` how long it was.
    """
    told = {"topic": topic, "timestamp": str(call.version.timestamp), "version": call.version.text()}
    told["attempts"] = str(call.attempts + 1)
    headers = [("content-type", b"application/cloudevents+json"), *_head(error), *_headers(told)]
    event = _canonical(call)
    key, cut = call.key.global_id.encode(), orjson.dumps(event)
    event["data"] |= call.link.body() if call.link else {}
    value = orjson.dumps(event)
    if _size(key, value, headers) <= max_bytes:
        return key, value, headers
    return key, cut, [*headers, *_headers({"cut": str(len(value))})]


def _canonical(call: Call) -> dict[str, Any]:
    """The event that asks for what the call wanted, as yet without the link's content."""
    source, _, event_id = call.event.partition(" ")
    site, issue, global_id = call.key
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "remotelink.upsert" if call.link else "remotelink.delete",
        "time": EPOCH + timedelta(microseconds=call.version.time),
        "subject": global_id,
        "datacontenttype": "application/json",
        "data": {"site": site, "issue": issue, "globalId": global_id},
    }


def _head(error: BridgeError) -> Headers:
    told = {"reason": error.code, "error-class": type(error).__name__, "error": str(error)}
    ids = {"trace-id": error.trace_id, "request-id": error.request_id} if isinstance(error, JiraError) else {}
    return _headers(_WRITER | told | ids)


def _headers(texts: Mapping[str, str | None]) -> Headers:
    return [
        (_DEAD + name, text[:_TEXT_LIMIT].encode("utf-8", "replace")) for name, text in texts.items() if text
    ]


def _is_dead(name: str) -> bool:
    return name.lower().startswith(_DEAD)


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """At least what the record takes on the wire: lengths are varints of 5 bytes at the most."""
    framing = 100  # the batch's header (61 bytes) and the record's own fields
    body = len(key or b"") + len(value or b"")
    return framing + body + sum(10 + len(n.encode()) + len(v) for n, v in headers)


# --- and back ------------------------------------------------------------------------------


def is_letter(record: Record) -> bool:
    """Whether the record says that it is a dead letter of this format."""
    return dead(record, "format") == FORMAT and dead(record, "reason") is not None


def has_home(letter: Record, topics: Collection[str]) -> bool:
    """Whether the letter came from one of `topics`, before it was rejected: a replay may go there.

    Whoever writes to the topic may name any other, or a moment that has not come.
    """
    wrote = number(letter, "timestamp")
    return origin_topic(letter) in topics and wrote is not None and wrote <= letter.timestamp + _SKEW


def replay(letter: Record) -> Outgoing:
    """The letter's record as it stood first, its place beside it. `has_home` holds of it."""
    kept = [
        (name, value) for name, value in letter.headers if not _is_dead(name) or name.lower() in _RETURNING
    ]
    return Outgoing(origin_topic(letter) or "", letter.key, letter.value, kept, number(letter, "timestamp"))


def marker(dead_letter_topic: str, place: Place, fate: Fate) -> Outgoing:
    """The record that says what became of the letter at `place`.

    Its value is empty and not null: a topic that is compacted after all would drop a null.
    """
    headers = _headers(_WRITER | {"letter": str(place), "fate": fate.value})
    return Outgoing(dead_letter_topic, str(place).encode(), b"", headers)


def read_marker(record: Record) -> tuple[Place, Fate] | None:
    """Which letter the marker is of, and what became of it; None for any other record."""
    try:
        return Place.parse(dead(record, "letter") or ""), Fate(dead(record, "fate") or "")
    except ValueError:
        return None
