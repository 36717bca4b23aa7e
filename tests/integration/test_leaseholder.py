"""Leaseholders over one ledger and a Jira over HTTP: halts, takeovers, pauses, and cancellation anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import JiraError, LedgerUnavailable
from bridge.jira.auth import Basic
from bridge.jira.client import JiraClient
from bridge.leaseholder import Leaseholder
from bridge.ledger.sqlite import SqliteLedger
from bridge.model import Action, Call, Change, Link, Subject, Version
from bridge.ports import Item, Lease
from bridge.simulator.faults import Knobs, Login
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.state.pace import Allowance
from bridge.writer import Writer
from tests.brokers import eventually
from tests.cancelling import cancelled_after
from tests.ledgers import pending

SITES = ("one", "two")
LEASE_SECONDS = 0.6


class Wire:
    """The ledger as a worker reaches it: over a connection that can be cut, or hang."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self.is_cut = False
        self.moves = asyncio.Event()
        self.moves.set()

    def __getattr__(self, name: str) -> Any:
        """Each method of the ledger, behind the connection."""
        method = getattr(self._ledger, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def over_the_wire(*args: Any) -> Any:
            await self.moves.wait()
            if self.is_cut:
                raise LedgerUnavailable("the connection is cut")
            return await method(*args)

        return over_the_wire


@dataclass
class Site:
    """One Jira and the bridge's account there."""

    jira: JiraServer
    client: JiraClient

    def titles(self) -> set[str]:
        """The titles of all its links."""
        return {link["body"]["object"]["title"] for link in self.jira.model.links()}


@dataclass
class Office:
    """A ledger and two sites, at which workers come and go."""

    ledger: SqliteLedger
    sites: dict[str, Site]
    states: list[tuple[str, str, Any]] = field(default_factory=list)
    time: int = 0

    def worker(self, name: str, wire: Wire | None = None, *sites: str) -> Leaseholder:
        """A worker that is not started yet."""

        def observe(state: str, /, **fields: object) -> None:
            self.states.append((name, state, fields.get("site")))

        async def bury(_call: Call, error: JiraError) -> None:
            raise AssertionError(f"nothing is to be refused here: {error}")

        def writer(lease: Lease) -> Writer:
            return Writer(
                lease=lease,
                ledger=holder.ledger,
                jira=self.sites[lease.site].client,
                allowance=Allowance(),
                bury=bury,
                observe=observe,
                clock=time.time,
                jitter=lambda: 1.0,
                drain_seconds=5.0,
            )

        ledger: Any = wire or self.ledger
        holder = Leaseholder(ledger, name, sites or SITES, writer, observe, time.time, seconds=LEASE_SECONDS)
        return holder

    @asynccontextmanager
    async def works(self, holder: Leaseholder) -> AsyncIterator[Leaseholder]:
        """The worker at work, until the context ends."""
        stop = asyncio.Event()
        running = asyncio.create_task(holder.run(stop))
        try:
            yield holder
        finally:
            stop.set()
            await running

    async def wish(self, title: str, *sites: str, links: int = 5) -> None:
        """Somebody merges that all links of the sites bear the title."""
        self.time += 1
        link = Link.model_validate({"object": {"url": "https://ci.example", "title": title}})
        for site in sites or SITES:
            changes = tuple(
                Change(
                    Action.UPSERT,
                    Subject(site, f"g{number}"),
                    (f"PROJ-{number}",),
                    link,
                    Version(0, self.time, 0, self.time, number),
                    f"//ci e{self.time}-{number}",
                )
                for number in range(1, links + 1)
            )
            items = [Item(change.event, (change,)) for change in changes]
            await self.ledger.merge(items, "group", [], time.time(), {})

    def told(self, worker: str, state: str) -> list[Any]:
        """The sites of which that worker told that state."""
        return [site for name, each, site in self.states if (name, each) == (worker, state)]

    async def settled(self, title: str, *sites: str) -> None:
        """Wait until all links of the sites bear the title, and nothing else is due there."""

        async def all_stand() -> bool:
            waiting = {row.key.site for row in await pending(self.ledger)}
            return not waiting & set(sites or SITES) and all(
                self.sites[site].titles() == {title} for site in sites or SITES
            )

        await eventually(all_stand)

    def needless(self) -> list[Any]:
        """Writes that changed nothing."""
        history = [entry for site in self.sites.values() for entry in site.jira.model.history]
        return [entry for entry in history if entry.needless]


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """Two sites without a worker, where those that wait for the dead need not wait long."""
    monkeypatch.setattr("bridge.ledger.sqlite_tables.ARRIVAL", 0.2)
    monkeypatch.setattr("bridge.leaseholder._AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("bridge.state.circuit.REFUSED_WAIT", 0.05)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    async with AsyncExitStack() as stack:
        sites = {}
        for name in SITES:
            jira = await stack.enter_async_context(JiraServer(JiraModel(projects=["PROJ"])))
            client = JiraClient(jira.url, Basic("demo@example.com", "demo"), attempts=1)
            sites[name] = Site(jira, await stack.enter_async_context(client))
        yield Office(ledger, sites)
    await ledger.close()


async def test_a_halted_site_holds_no_other(office: Office) -> None:
    """With one site's credentials refused the other gets all its links, and then the first one too."""
    office.sites["one"].jira.knobs = Knobs(login=Login.FAILED)
    async with office.works(office.worker("w")):
        for title in "ABC":
            await office.wish(title)
            await office.settled(title, "two")
        assert office.sites["one"].titles() == set()
        assert set(office.told("w", "site_halted")) == {"one"}
        office.sites["one"].jira.knobs = Knobs()
        await office.settled("C")


async def test_sites_are_shared_out(office: Office) -> None:
    """A second worker gets its share, and all of them when the first one leaves."""
    async with office.works(office.worker("late")):
        async with office.works(office.worker("early")):
            await eventually(lambda: len(office.told("late", "lease_taken")) == 2)
            await eventually(lambda: len(office.told("early", "lease_taken")) == 1)
            await office.wish("A")
            await office.settled("A")
        await eventually(lambda: len(office.told("late", "lease_taken")) == 3)
        await office.wish("B")
        await office.settled("B")
    assert office.needless() == []


async def test_a_ledger_that_is_away_is_a_pause(office: Office) -> None:
    """It is told, and told when it is over; nothing is lost, and nothing written twice."""
    wire = Wire(office.ledger)
    async with office.works(office.worker("w", wire)):
        await office.wish("A")
        await office.settled("A")
        wire.is_cut = True
        await office.wish("B")
        await eventually(lambda: "ledger_unavailable" in {state for _, state, _ in office.states})
        wire.is_cut = False
        await office.settled("B")
    assert office.told("w", "ledger_available") == [None]
    assert office.needless() == []


async def test_who_cannot_renew_its_lease_stops_before_another_has_it(office: Office) -> None:
    """One worker's way to the ledger hangs amid its requests; another takes over and is right."""
    wire = Wire(office.ledger)
    office.sites["one"].jira.knobs = Knobs(rate_slow_after=1.0, slow=30.0)
    async with office.works(office.worker("hanging", wire, "one")):
        await office.wish("A", "one")
        await eventually(lambda: office.sites["one"].titles() == {"A"})
        wire.moves.clear()
        office.sites["one"].jira.knobs = Knobs()
        async with office.works(office.worker("other", None, "one")):
            await eventually(lambda: office.told("other", "lease_taken") == ["one"])
            assert office.told("hanging", "lease_lost") == ["one"]
            await office.wish("B", "one")
            await office.settled("B", "one")
            wire.moves.set()
            await office.wish("C", "one")
            await office.settled("C", "one")


async def lives_and_stops(office: Office, holder: Leaseholder) -> None:
    """The whole life of a worker: it takes leases, writes what waits, and drains."""
    stop = asyncio.Event()

    async def stop_when_done() -> None:
        await office.settled("A")
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_when_done())
        await holder.run(stop)


async def writes(office: Office, holder: Leaseholder) -> None:
    """One site's writer alone, under a lease."""
    stop = asyncio.Event()
    leases, _ = await office.ledger.hold("w", SITES, {}, LEASE_SECONDS, time.time())
    lease = next(lease for lease in leases if lease.site == "one")

    async def stop_when_done() -> None:
        await office.settled("A", "one")
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_when_done())
        await holder.writer(lease).run(stop)


def left_over() -> list[str]:
    """The bridge's own tasks that still run."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("Writer.", "Leaseholder."))]


@pytest.mark.parametrize("work", [lives_and_stops, writes])
async def test_it_may_be_cancelled_at_every_await(
    office: Office, work: Callable[[Office, Leaseholder], Any]
) -> None:
    """Wherever a worker is cut short, nothing of it goes on, and the next one brings all links right."""
    count, came_to_it = 0, True
    while came_to_it:
        count += 1
        await office.wish("A", links=3)
        came_to_it = await cancelled_after(work(office, office.worker(f"cut {count}")), count)
        await eventually(lambda: not left_over())
        await office.ledger.hold("", [], {}, 0.0, time.time())
        async with office.works(office.worker(f"next {count}")):
            await office.wish(f"B{count}", links=3)
            await office.settled(f"B{count}")
    assert count > 5
    assert office.needless() == []
