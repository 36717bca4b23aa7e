"""What stands on the dead-letter topic: letters, what became of each, and which are asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from bridge.errors import BadEnvelope
from bridge.kafka.dead_letters import Fate, Place, dead, has_home, is_letter, number, read_marker
from bridge.kafka.envelope import decode
from bridge.model import Event, Record


class Status(StrEnum):
    """How a letter stands; the first is the only one that can be replayed."""

    OPEN = "open"
    CUT = "cut"  # it was too long for the topic, and its body is not whole
    EXPIRED = "expired"  # it is older than what the topics keep
    FOREIGN = "foreign"  # not a dead letter, or of a topic that this bridge does not read
    REPLAYED = Fate.REPLAYED.value
    DISCARDED = Fate.DISCARDED.value


@dataclass(frozen=True, slots=True)
class Letter:
    """What a list tells of one record on the dead-letter topic; times are in milliseconds.

    `topic`, `partition`, `offset` and `timestamp` are the record's first place, of which a
    refused link has the topic and the timestamp only. `event` and `source` name the event, where
    the record can be read; `site` and `issue` are a canonical event's. `size` is that of the body.
    """

    place: Place
    status: Status
    buried_at: int
    size: int
    reason: str | None = None
    error_class: str | None = None
    error: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    attempts: int | None = None
    program: str | None = None
    event: str | None = None
    source: str | None = None
    site: str | None = None
    issue: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Which letters are asked for: those that all that is given holds of.

    `project` is one that the body names an issue of; `source` is a part of the source's name;
    `older_than` and `newer_than` are moments, in milliseconds since the epoch.
    """

    places: frozenset[Place] = frozenset()
    reason: str | None = None
    project: str | None = None
    source: str | None = None
    site: str | None = None
    older_than: int | None = None
    newer_than: int | None = None

    def takes(self, letter: Letter, body: bytes) -> bool:
        """Whether the letter, whose body is given too, is asked for."""
        return (
            (not self.places or letter.place in self.places)
            and self.reason in {None, letter.reason}
            and self.site in {None, letter.site}
            and (self.source or "").lower() in (letter.source or "").lower()
            and (self.older_than is None or letter.buried_at < self.older_than)
            and (self.newer_than is None or letter.buried_at > self.newer_than)
            and (self.project is None or _names_issue_of(self.project, body))
        )


class Survey:
    """Takes in the topic's records in any order, and keeps what the query asks for, without bodies.

    `oldest` is in milliseconds since the epoch: a letter whose record is older is expired. Its
    deletes may be forgotten, so that a replay could bring back a link that is rightly gone.
    `topics` are those that a letter may go back to: one of another is foreign.
    """

    def __init__(self, query: Query, oldest: int, topics: Collection[str]) -> None:
        self._query = query
        self._oldest = oldest
        self._topics = topics
        self._letters: dict[Place, Letter] = {}
        self._fates: dict[Place, Fate] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        if (found := read_marker(record)) is not None:
            place, fate = found
            self._fates[place] = fate
            return
        letter = read_letter(record, self._oldest, self._topics)
        if self._query.takes(letter, record.value or b""):
            self._letters[letter.place] = letter

    def letters(self) -> list[Letter]:
        """The letters that are asked for, each with what became of it, oldest first."""
        fated = (
            replace(letter, status=Status(self._fates[place])) if place in self._fates else letter
            for place, letter in self._letters.items()
        )
        return sorted(fated, key=lambda letter: (letter.buried_at, letter.place))


def place_of(record: Record) -> Place:
    """Where the record stands in its topic."""
    return Place(record.partition, record.offset)


def read_letter(record: Record, oldest: int, topics: Collection[str]) -> Letter:
    """What a list tells of the record; what is no letter tells no more than its place and size."""
    letter = Letter(place_of(record), Status.FOREIGN, record.timestamp, len(record.value or b""))
    if not is_letter(record):
        return letter
    return replace(
        _named(letter, record),
        status=_status(record, oldest, topics),
        reason=dead(record, "reason"),
        error_class=dead(record, "error-class"),
        error=dead(record, "error"),
        trace_id=dead(record, "trace-id"),
        request_id=dead(record, "request-id"),
        topic=dead(record, "topic"),
        partition=number(record, "partition"),
        offset=number(record, "offset"),
        timestamp=number(record, "timestamp"),
        attempts=number(record, "attempts"),
        program=dead(record, "program"),
    )


def _status(record: Record, oldest: int, topics: Collection[str]) -> Status:
    if not has_home(record, topics):
        return Status.FOREIGN
    if dead(record, "cut") is not None:
        return Status.CUT
    return Status.EXPIRED if (number(record, "timestamp") or 0) < oldest else Status.OPEN


def _named(letter: Letter, record: Record) -> Letter:
    """The letter with its event's names, as far as the record can be read."""
    try:
        found = decode(record)
    except BadEnvelope:
        return letter
    if not isinstance(found, Event):
        return replace(letter, event=found.delivery_id, source=found.source)
    data = found.data if isinstance(found.data, dict) else {}
    site, issue = data.get("site"), data.get("issue")
    return replace(
        letter,
        event=found.id,
        source=found.source,
        site=site if isinstance(site, str) else None,
        issue=str(issue) if isinstance(issue, str | int) else None,
    )


def _names_issue_of(project: str, body: bytes) -> bool:
    # A key begins a word; in JSON a letter before it may end an escape (`\nPROJ-1`).
    key = rb"(?:(?<![A-Z0-9_])|(?<=\\[bfnrt]))" + re.escape(project.encode()) + rb"-[1-9]"
    return re.search(key, body, re.IGNORECASE) is not None
