"""The words of the bridge: webhook, record, event, link, change, version, row, call and answer.

Plain frozen values without any input or output. Every other module speaks in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, model_validator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """The microseconds from the Unix epoch to an aware `moment`, without floating point."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


# --- what comes in -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as its sender made it, which is what a signature is over.

    `url` is the address that the sender knows, with its query; `headers` has lower-case names.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Webhook:
    """One delivery as ingress took it: unparsed, with what is needed to judge it later.

    `headers` has lower-case names and only the headers its source asked to keep;
    `received_at` is aware, UTC.
    """

    endpoint: str
    source: str
    delivery_id: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    traceparent: str | None = None


@dataclass(frozen=True)
class Record:
    """One Kafka record. `timestamp` is milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @cached_property
    def texts(self) -> dict[str, str]:
        """The headers by lower-case name, the last of each, undecodable bytes replaced."""
        return {name.lower(): value.decode("utf-8", "replace") for name, value in self.headers}

    def header(self, name: str) -> str | None:
        """The last header of that lower-case name; None when absent."""
        return self.texts.get(name)


@dataclass(frozen=True, slots=True)
class Event:
    """What a source says happened, in the words of CloudEvents 1.0.

    `id` together with `source` names the event; a redelivery has the same two. `type` is the
    source's own word (`pull_request`, `remotelink.upsert`). `data` is the parsed body.
    `kind` is the source's kind (`github`, `cloudevents`), by which a mapping is chosen.
    """

    id: str
    source: str
    type: str
    time: datetime
    data: Any
    kind: str
    subject: str | None = None
    endpoint: str | None = None


# --- the link ------------------------------------------------------------------------------


class _Part(BaseModel):
    """A part of a link. Unknown keys, nulls and empty texts say nothing and are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nothings(cls, value: Any) -> Any:  # noqa: ANN401 - a validator of any input
        if isinstance(value, Mapping):
            return {k: v for k, v in value.items() if v is not None and v != ""}
        return value


class Icon(_Part):
    """A 16x16 picture by its address (http or https), with the text shown beside it."""

    url16x16: str | None = None
    title: str | None = None


class StatusIcon(Icon):
    """The icon of a status; `link` is where a click leads (http or https)."""

    link: str | None = None


class Status(_Part):
    """Whether the object is resolved (struck through in Jira), and the icon that says its state."""

    resolved: bool | None = None
    icon: StatusIcon | None = None


class Application(_Part):
    """The kind of system and the instance that the object lives in; Jira groups links by it.

    Jira takes up to 255 UTF-16 units of each.
    """

    type: str | None = None
    name: str | None = None


class RemoteObject(_Part):
    """The object that the link points to. What others made may lack a url or a title.

    Jira takes a `url` of http or https with a host, and a `title` of up to 255 UTF-16 units that is not
    blank.
    """

    url: str = ""
    title: str = ""
    summary: str | None = None
    icon: Icon | None = None
    status: Status | None = None


class Link(_Part):
    """A remote link's content, without its address (issue and globalId, of up to 255 UTF-16 units).

    Jira takes a `relationship` of up to 255 UTF-16 units.

    `normal` and `digest` of what is sent equal those of what Jira gives back, whether it left
    nulls out or wrote `{}` for them. Texts are not judged here, since this also reads links
    that others made; outside input is judged where it is mapped.
    """

    object: RemoteObject = RemoteObject()
    application: Application | None = None
    relationship: str | None = None

    @cached_property
    def normal(self) -> dict[str, Any]:
        """The link as plain data, without nulls and without empty parts."""
        return _without_empty(self.model_dump(exclude_none=True))

    @cached_property
    def json_bytes(self) -> bytes:
        """The normal form as JSON with sorted keys, UTF-8."""
        return orjson.dumps(self.normal, option=orjson.OPT_SORT_KEYS)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits; equal exactly when two links look the same in Jira."""
        return hashlib.blake2b(self.json_bytes, digest_size=16).hexdigest()

    def body(self, global_id: str | None = None) -> dict[str, Any]:
        """Jira's request body (`RemoteIssueLinkRequest`)."""
        return self.normal if global_id is None else {"globalId": global_id, **self.normal}


def _without_empty(part: dict[str, Any]) -> dict[str, Any]:
    inner = {k: _without_empty(v) if isinstance(v, dict) else v for k, v in part.items()}
    return {k: v for k, v in inner.items() if v != {}}


@dataclass(frozen=True, slots=True)
class RemoteLink:
    """A link as it stands in Jira. `issue` is the key that Jira's own `self` names."""

    id: int
    issue: str
    link: Link
    global_id: str | None = None


# --- what is wanted ------------------------------------------------------------------------


class Version(NamedTuple):
    """How new a statement is; a later one is greater. The order is total.

    `sequence`: the source's own counter, 0 where it has none. `time`: microseconds since the
    epoch. `rank`: of two states in one instant, the final one is greater. `timestamp`
    (milliseconds) and `offset` are the Kafka record's.
    """

    sequence: int
    time: int
    rank: int
    timestamp: int
    offset: int

    @property
    def instant(self) -> tuple[int, int]:
        """What redeliveries of one event have in common: sequence and time."""
        return self[:2]

    def text(self) -> str:
        """A text that sorts as the version does."""
        return (
            f"{self.sequence:016x}.{self.time:016x}.{self.rank:02x}.{self.timestamp:012x}.{self.offset:016x}"
        )

    @classmethod
    def parse(cls, text: str) -> Version:
        """The inverse of `text`. Raises ValueError for anything else."""
        return cls(*(int(part, 16) for part in text.split(".")))


class LinkKey(NamedTuple):
    """The address of one link: the Jira site's name, the issue's key, the globalId."""

    site: str
    issue: str
    global_id: str

    @property
    def subject(self) -> Subject:
        """The object that the link is about."""
        return Subject(self.site, self.global_id)


class Subject(NamedTuple):
    """One object of one other system, as one Jira site sees it."""

    site: str
    global_id: str


class Action(StrEnum):
    """What a change asks for."""

    UPSERT = "upsert"
    DELETE = "delete"
    SET = "set"


class Known(StrEnum):
    """What the ledger knows of one link in Jira."""

    UNSEEN = "unseen"  # never asked, never written
    ABSENT = "absent"  # Jira has no such link
    PRESENT = "present"  # Jira has it, with the digest and id in the row
    UNSURE = "unsure"  # a request left and its answer is not in the ledger
    TANGLED = "tangled"  # the same, under both keys of a moved issue: no answer tells which was last
    MISSING = "missing"  # Jira answered 404 to the link's address: the link or the issue is gone


@dataclass(frozen=True, slots=True)
class Change:
    """What one event asks of one subject.

    `upsert` and `delete` touch the one issue that they name; `set` names all the issues that
    the subject belongs to, possibly none. `event` is the id by which it is remembered and
    explained (`source` + `id`). `adopts`: a link that somebody else made may be taken over.
    `known` is what a row knows of Jira that the change makes.
    """

    action: Action
    subject: Subject
    issues: tuple[str, ...]
    link: Link | None
    version: Version
    event: str
    adopts: bool = False
    known: Known = Known.UNSEEN


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should stand in Jira: a link, or with `link` None nothing (a tombstone).

    `seen` holds the ids of all events met at the version's instant, so that one of them
    that comes again is a duplicate and not news.
    """

    version: Version
    link: Link | None
    event: str
    seen: frozenset[str]


# --- what is known -------------------------------------------------------------------------


class Phase(StrEnum):
    """Where a row stands on its way to Jira."""

    PENDING = "pending"
    SETTLED = "settled"
    REJECTED = "rejected"


class Adoption(StrEnum):
    """How far the adoption of a link that somebody else made has come."""

    SOUGHT = "sought"  # before ours is created, the issue's links are listed
    FOUND = "found"  # one of them is to become ours
    BEGUN = "begun"  # it was sent our globalId and content, and may have taken them or not
    LEFT_OVER = "left_over"  # it has our content without our globalId, and ours stands elsewhere


@dataclass(frozen=True, slots=True)
class Stray:
    """A link without a globalId that is to become ours; `digest` is that of what it was sent."""

    adoption: Adoption
    id: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The ledger's account of one link.

    `digest` and `link_id` describe what Jira has, when `known` is PRESENT. `not_before` is in
    seconds since the epoch, 0 for at once. `attempts` counts the calls that were put off
    since the last success. `reason` is the code of the error that put it off or rejected it.
    `stray` is about a link that may be adopted, None where none is.
    """

    key: LinkKey
    wanted: Wanted
    known: Known = Known.UNSEEN
    digest: str | None = None
    link_id: int | None = None
    phase: Phase = Phase.PENDING
    not_before: float = 0.0
    attempts: int = 0
    reason: str | None = None
    stray: Stray | None = None


# --- the way to Jira -----------------------------------------------------------------------


class CallKind(StrEnum):
    """What the writer does next to a row."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LOOK_UP = "look_up"
    LIST = "list"
    ADOPT = "adopt"  # give the stray our globalId and content
    DROP = "drop"  # delete the stray


@dataclass(frozen=True, slots=True)
class Call:
    """One request to Jira, and what was known before it left.

    `link` is what is wanted, and what a create, an update or an adoption sends; `event` is the one
    whose wish it fulfils. `stray` is the id of the link that is adopted or dropped. `attempts`
    counts the calls for the same wish that were put off, and `reason` is the last one's.
    """

    kind: CallKind
    key: LinkKey
    link: Link | None
    event: str
    version: Version
    before: Known
    digest: str | None = None
    link_id: int | None = None
    stray: int | None = None
    attempts: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """Jira took a create or an update. `issue` is the key that Jira's `self` names."""

    link_id: int
    issue: str
    created: bool


@dataclass(frozen=True, slots=True)
class Replaced:
    """Jira took an update by id; whether it took the globalId too, it does not say."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Jira took a delete."""


@dataclass(frozen=True, slots=True)
class Found:
    """A look-up's answer: the link as it stands."""

    remote: RemoteLink


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing's answer: all links of the issue."""

    remotes: tuple[RemoteLink, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket, as Jira Data Center tells of it.

    `remaining` of `limit` tokens are left, and `fill` more come every `seconds`.
    """

    limit: int
    remaining: int
    fill: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What an answer's headers tell of the rate limits, whatever its status.

    `is_near`: Jira warns that little of a limit is left. `bucket`: Data Center's, None on Cloud.
    """

    is_near: bool = False
    bucket: Bucket | None = None


# --- what became of it ---------------------------------------------------------------------


class Outcome(StrEnum):
    """What became of an event (the first seven) or of a row (the others, and rejected)."""

    MERGED = "merged"
    UNCHANGED = "unchanged"
    STALE = "stale"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    WRITTEN = "written"
    GONE = "gone"
    DEFERRED = "deferred"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal: what became of one event, or of one call made for it.

    `at` is in seconds since the epoch. `event` is the id as in `Change.event`; `detail` is
    plain data for a reader (version, call, status, link id), never a secret.
    """

    at: float
    event: str
    outcome: Outcome
    reason: str | None = None
    key: LinkKey | None = None
    detail: Mapping[str, str | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a group has merged one partition: `offset` is the next one to read."""

    topic: str
    partition: int
    offset: int
