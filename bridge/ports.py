"""What the core and the shells need from outside, as Protocols. Shells meet only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.errors import JiraError, Unmappable
from bridge.model import (
    Budget,
    Call,
    CallKind,
    Change,
    Deleted,
    Entry,
    Event,
    Found,
    Link,
    LinkKey,
    Listed,
    Outcome,
    Position,
    Record,
    RemoteLink,
    Replaced,
    Row,
    Webhook,
    Written,
)

Answer = Written | Replaced | Deleted | Found | Listed | JiraError
"""What came back for a call."""


class Observe(Protocol):
    """Tells metrics and logs that a named state was met.

    `state` is a name of `bridge.observe.states.STATES`; `fields` are plain values.
    """

    def __call__(self, state: str, /, **fields: object) -> None:
        """Tell of one state."""
        ...


class Source(Protocol):
    """What one vendor's webhooks look like. Pure: functions of headers and bytes.

    `kind` is the name that configuration uses. `kept_headers` are the lower-case names that
    travel with the body. Header names handed in are lower-case.
    """

    kind: str
    kept_headers: frozenset[str]

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes]) -> None:
        """Raise BadSignature unless one of `secrets` signs `body`, in constant time."""
        ...

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The vendor's id of this delivery, the same when it sends it again."""
        ...

    def record_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """The object that the delivery is about, so that all of one object's stay in order.

        Never raises: what cannot be read is keyed by less.
        """
        ...

    def event(self, webhook: Webhook) -> Event:
        """Parse the delivery. Raises BadBody."""
        ...

    def headers(self, event: str, delivery_id: str) -> dict[str, str]:
        """The headers with which the vendor sends an event of that type; for trials and tests."""
        ...

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        """The headers with which the vendor signs the body; for trials and tests."""
        ...


class Publish(Protocol):
    """Puts a record on Kafka and returns once the broker has it. Raises KafkaUnavailable."""

    async def __call__(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: int | None = None,
    ) -> None:
        """Publish one record; `timestamp` in milliseconds, None for the moment of sending."""
        ...


class Jira(Protocol):
    """One site's remote links, one attempt each. All raise JiraError.

    Every operation takes the issue's key or id first.
    """

    @property
    def budget(self) -> Budget:
        """What the newest answer told of the rate limits."""
        ...

    async def upsert(self, issue: str, link: Link, global_id: str | None) -> Written:
        """Create the link, or replace the one that the issue has under `global_id`."""
        ...

    async def delete_by_global_id(self, issue: str, global_id: str) -> None:
        """Delete the link; JiraNotFound when the issue or the link is not there."""
        ...

    async def get_by_global_id(self, issue: str, global_id: str) -> RemoteLink:
        """Read the link; JiraNotFound when the issue or the link is not there."""
        ...

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """Read all links of the issue."""
        ...

    async def update(self, issue: str, link_id: int, link: Link, global_id: str | None) -> None:
        """Replace the link of that id, its globalId too."""
        ...

    async def delete(self, issue: str, link_id: int) -> None:
        """Delete the link of that id; JiraNotFound when the issue or the link is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """What one record came to: its event's id, its changes, or why there are none.

    `outcome` is None when there are changes; else SKIPPED or REJECTED with `reason`, and
    `error` is the one for which it was rejected.
    """

    event: str
    changes: tuple[Change, ...] = ()
    outcome: Outcome | None = None
    reason: str | None = None
    detail: Mapping[str, str | int | float | None] | None = None
    error: Unmappable | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to: an outcome for each item, and the rows that now want a call."""

    outcomes: tuple[Outcome, ...]
    pending: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """A call, its answer and the moment it came (seconds since the epoch)."""

    call: Call
    answer: Answer
    at: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction of the writer came to.

    `rows` are the settled rows as they stand now (a moved issue's under its new key, so a key
    that was merged away is absent); `calls` are those to make next, their rows marked unsure.
    """

    rows: tuple[Row, ...]
    calls: tuple[Call, ...]
    entries: tuple[Entry, ...]


class Ledger(Protocol):
    """Where rows, positions and the journal stand. Every method is one transaction."""

    async def positions(self, group: str) -> list[Position]:
        """How far the group has merged, one entry a partition that it has met."""
        ...

    async def merge(
        self, items: Sequence[Item], group: str, read: Sequence[tuple[Position, Position]], now: float
    ) -> Merged:
        """Merge in order, and move each partition from one position to the next.

        Raises PositionMoved, with nothing merged, when a partition is not at its first one.
        """
        ...

    async def turn(
        self, settled: Sequence[Settled], starting: Mapping[LinkKey, CallKind], now: float
    ) -> Turn:
        """Take in answers, and mark the rows that are about to be called as unsure.

        `starting` has the kind of the call that was reserved for each; see `Batch.start`.
        """
        ...

    async def pending(self) -> list[Row]:
        """All rows that want a call, for a start."""
        ...

    async def explain(self, event: str) -> list[Entry]:
        """The journal of one event (its whole id, or the delivery's part of it), oldest first."""
        ...


Judge = Callable[[Record], Item]
"""The pipeline: one record to its changes, a skip or a rejection."""
