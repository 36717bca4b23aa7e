"""Ledgers to test on, and what goes into them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg

from bridge.ledger.migrate import migrate
from bridge.model import (
    Action,
    CallKind,
    Change,
    Link,
    LinkKey,
    Outcome,
    Phase,
    Position,
    Row,
    Subject,
    Version,
)
from bridge.ports import Item, Lease, Ledger, Settled, Turn
from bridge.state.decide import decide

GLOBAL_ID = "system=ci&id=1"
KEY = LinkKey("main", "PROJ-1", GLOBAL_ID)
NOW = 1_700_000_000.0


class Shows(Protocol):
    """Whatever shows all rows of a ledger."""

    async def rows(self) -> list[Row]:
        """All rows, by key."""
        ...


class Shown(Ledger, Shows, Protocol):
    """A ledger that shows all its rows."""


async def pending(ledger: Shows) -> list[Row]:
    """All rows that want a call."""
    return [row for row in await ledger.rows() if row.phase is Phase.PENDING]


async def postgresql(server: str, *, tables: bool = True) -> str:
    """The URL of an empty ledger of one's own: a schema, with the tables in it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE SCHEMA {name}")
    await connection.close()
    url = f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}"
    if tables:
        await migrate(url, None, lambda _: None)
    return url


def link(title: str = "build 1") -> Link:
    return Link.model_validate({"object": {"url": "https://ci.example/1", "title": title}})


def item(
    time: int,
    *issues: str,
    action: Action = Action.UPSERT,
    title: str | None = "build 1",
    global_id: str = GLOBAL_ID,
    site: str = "main",
) -> Item:
    """An event of that time, as it comes out of the pipeline; its place in the topic is its time."""
    version = Version(0, time, 0, int(NOW * 1000), time)
    event = f"//ci event-{time}"
    wanted = link(title) if title else None
    return Item(event, (Change(action, Subject(site, global_id), issues, wanted, version, event),))


def skipped(time: int) -> Item:
    return Item(f"//ci event-{time}", outcome=Outcome.SKIPPED, reason="no_issue_key", detail={"kind": "ci"})


def read(first: int, last: int, partition: int = 0) -> list[tuple[Position, Position]]:
    return [(Position("events", partition, first), Position("events", partition, last))]


async def merge(ledger: Ledger, *items: Item, held: dict[str, int] | None = None) -> list[Row]:
    """Merge with a partition of their own; the rows that then want a call."""
    place = read(0, len(items), partition=uuid.uuid4().int % 2**31)
    return list((await ledger.merge(items, "group", place, NOW, held or {})).pending)


async def lease(
    ledger: Ledger,
    worker: str = "one",
    *sites: str,
    kept: dict[str, int] | None = None,
    seconds: float = 60.0,
    now: float = NOW,
) -> dict[str, Lease]:
    """The leases that the worker then has, by site."""
    found, _ = await ledger.hold(worker, sites or ("main",), kept or {}, seconds, now)
    return {each.site: each for each in found}


async def start(ledger: Shown, held: Lease, *keys: LinkKey) -> Turn:
    """A turn in which the calls leave that the rows want."""
    kinds: dict[LinkKey, CallKind | None] = {row.key: decide(row) for row in await ledger.rows()}
    return await ledger.turn(held, [], {key: kind for key in keys if (kind := kinds[key])}, 0, NOW)


async def settle(ledger: Ledger, held: Lease, *answers: tuple[Any, Any], room: int = 0) -> Turn:
    """A turn that takes in these answers to these calls."""
    settled = [Settled(call, answer, NOW, 1.0) for call, answer in answers]
    return await ledger.turn(held, settled, {}, room, NOW)


def issues(rows: Sequence[Row]) -> list[str]:
    return [row.key.issue for row in rows]
