"""What the core and the shells need from outside, as Protocols. Shells meet only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    Request,
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


class Signature(Protocol):
    """How a delivery proves who sent it. Pure."""

    @property
    def described(self) -> str:
        """The header and what it holds, in a few words."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """The lower-case names of the headers that must be there."""
        ...

    def check(self, secret: bytes) -> None:
        """Raise ConfigError for a secret that can sign nothing."""
        ...

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:
        """Raise BadSignature, which says what is wrong, unless one of `secrets` signs the request.

        In constant time; `now` is for signatures that hold a short while only.
        """
        ...

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:
        """The headers with which the vendor signs the request; for trials and tests."""
        ...


class Source(Protocol):
    """What one vendor's webhooks look like. Pure: functions of headers and bytes.

    The docstring of the module that a source stands in is its set-up page. Header names handed in
    are lower-case.
    """

    @property
    def kind(self) -> str:
        """The name that configuration uses: lower case with hyphens."""
        ...

    @property
    def vendor(self) -> str:
        """The name that its maker writes."""
        ...

    @property
    def signature(self) -> Signature:
        """How its deliveries are signed."""
        ...

    def configured(self, options: Mapping[str, str]) -> Source:
        """The source as an endpoint's `options` ask for it. Raises ConfigError for unknown ones."""
        ...

    def keep(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers that travel with the body; no secret is among them.

        What an endpoint's options decide is among them too: who reads the record knows no options.
        """
        ...

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The vendor's id of this delivery, the same when it sends it again. Raises BadRequest."""
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

    `outcome` is None when there are changes; else SKIPPED or REJECTED with `reason`. `error` is the
    one for which it was rejected, or, beside changes, for which some of its objects were.
    """

    event: str
    changes: tuple[Change, ...] = ()
    outcome: Outcome | None = None
    reason: str | None = None
    detail: Mapping[str, str | int | float | None] | None = None
    error: Unmappable | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to: an outcome for each item, and the rows that now want a call.

    `claimed` are the sites whose rows of these are claimed for the worker that merged them.
    """

    outcomes: tuple[Outcome, ...]
    pending: tuple[Row, ...]
    claimed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one site, until another worker takes it over: then `fence` is a greater one."""

    site: str
    worker: str
    fence: int


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
    that was merged away is absent), and those newly claimed, of which `more` may be left; `calls`
    are those to make next, their rows marked unsure.
    """

    rows: tuple[Row, ...]
    calls: tuple[Call, ...]
    entries: tuple[Entry, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """A row to be marked anew, since Jira holds other than it says.

    `before` is the row as it was compared with Jira, None for a link of ours without one. It is
    applied only while the row stands so.
    """

    before: Row | None
    after: Row
    reason: str


class Reader(Protocol):
    """What a ledger tells one who only looks. All raise LedgerUnavailable and LedgerCorrupt."""

    async def explain(self, event: str) -> list[Entry]:
        """The journal of one event (its whole id, or the delivery's part of it), oldest first."""
        ...

    async def waiting(self, event: str) -> list[Row]:
        """The rows that want a call, or were refused, for an event's whole id."""
        ...

    async def page(self, site: str, after: str, most: int) -> list[Row]:
        """All rows of the next `most` issues of the site whose keys come after `after`, by issue."""
        ...

    async def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """The rows of these links, as far as there are any under these keys."""
        ...


class Ledger(Reader, Protocol):
    """Where rows, positions, leases and the journal stand. Every method is one transaction.

    All raise LedgerUnavailable and LedgerCorrupt. One worker at a time writes a site: it has the
    site's lease, and with it all of the site's limits. The lease's fence is compared in each
    of its transactions, so that one who was overtaken stores nothing.
    """

    def on_news(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called with each site for which another worker has left rows, or its lease."""
        ...

    async def positions(self, group: str) -> list[Position]:
        """How far the group has merged, one entry a partition that it has met."""
        ...

    async def merge(
        self,
        items: Sequence[Item],
        group: str,
        read: Sequence[tuple[Position, Position]],
        now: float,
        held: Mapping[str, int],
    ) -> Merged:
        """Merge in order, and move each partition from one position to the next.

        `held` are the sites, with their leases' fences, whose rows this worker claims with the merge;
        where a fence no longer stands, as of all other sites, they are left for who has the lease.
        Raises PositionMoved, with nothing merged, when a partition is not at its first position.
        """
        ...

    async def hold(
        self, worker: str, sites: Sequence[str], kept: Mapping[str, int], seconds: float, now: float
    ) -> tuple[list[Lease], list[str]]:
        """Give a sign of life, renew the leases that are kept (site to fence), and take free ones.

        A lease ends `seconds` after it was last renewed, by the database's clock. Of the sites each
        live worker takes its share (`bridge.state.leases`). Rows of a site newly taken that are
        unsure wait until the former holder's requests have arrived or never will.

        Returns all leases that the worker has now, and the sites beyond its share, to be released.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease up; nothing happens when it is lost already."""
        ...

    async def turn(
        self,
        lease: Lease,
        settled: Sequence[Settled],
        starting: Mapping[LinkKey, CallKind],
        room: int,
        now: float,
    ) -> Turn:
        """Take in answers, mark the rows that are about to be called as unsure, and claim others.

        `starting` has the kind of the call that was reserved for each; see `Batch.start`. Of at most
        `room` subjects all rows are claimed that want a call and were not claimed under this lease.
        Raises LeaseLost, with nothing stored.
        """
        ...

    async def doubt(self, keys: Sequence[LinkKey], now: float) -> None:
        """Mark links that may have been written after the lease was lost: they are looked up again."""
        ...

    async def repair(self, repairs: Sequence[Repair], now: float) -> int:
        """Mark rows anew where they still stand as they were compared; how many did."""
        ...

    async def prune(self, journal_before: float, tombstones_before: float) -> int:
        """Drop journal entries, and tombstones that want no call, older than these seconds; how many went."""
        ...

    async def close(self) -> None:
        """Finish the transaction under way and let go of the database."""
        ...


Judge = Callable[[Record], Item]
"""The pipeline: one record to its changes, a skip or a rejection."""
