"""A desk to try repairs at: a Jira, a ledger, and a worker that is started when a test wants one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bridge.errors import JiraError
from bridge.jira.client import JiraClient
from bridge.leaseholder import Leaseholder
from bridge.mapping.identity import is_global_id
from bridge.model import Action, Call, Change, Link, Subject, Version
from bridge.ports import Item, Jira, Lease
from bridge.reconcile import Reconciliation, Rounds
from bridge.simulator.jira_server import JiraServer
from bridge.state.pace import Allowance
from bridge.state.reconcile import Plan, Policy
from bridge.writer import Writer
from tests.brokers import eventually
from tests.ledgers import Shown, pending

SITE = "main"
OURS = "system=github:github.com&type=build&id={}"


def link(title: str) -> Link:
    return Link.model_validate({"object": {"url": "https://ci.example", "title": title}})


@dataclass
class Desk:
    """A ledger, a Jira, and a worker that is started when a test wants one."""

    jira: JiraServer
    client: JiraClient
    ledger: Shown
    states: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    time: int = 0
    writers: Leaseholder = field(init=False)

    def __post_init__(self) -> None:
        self.writers = Leaseholder(self.ledger, "one", [SITE], self._writer, self.observe, time.time)

    def observe(self, state: str, /, **fields: object) -> None:
        """An Observe that remembers."""
        self.states.append((state, fields))

    def told(self, state: str) -> list[dict[str, object]]:
        """What was told each time that the state was met."""
        return [fields for name, fields in self.states if name == state]

    def _writer(self, lease: Lease) -> Writer:
        async def bury(_call: Call, _error: JiraError) -> None:
            pass

        return Writer(
            lease=lease,
            ledger=self.ledger,
            jira=self.client,
            allowance=Allowance(),
            bury=bury,
            observe=self.observe,
            clock=time.time,
            jitter=lambda: 1.0,
        )

    async def wish(self, issue: str, title: str | None = "A", number: int = 1) -> None:
        """Merge a change that is newer than all before."""
        self.time += 1
        action = Action.UPSERT if title else Action.DELETE
        version = Version(0, self.time, 0, self.time, self.time)
        subject = Subject(SITE, OURS.format(number))
        event = f"//ci e{self.time}"
        change = Change(action, subject, (issue,), link(title) if title else None, version, event)
        await self.ledger.merge([Item(event, (change,))], "group", [], time.time(), {})
        self.writers.hear(SITE)

    async def links(self, count: int) -> None:
        """So many links, each on an issue of its own, written and at rest."""
        for number in range(1, count + 1):
            await self.wish(f"PROJ-{number}", number=number)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing wants a call any more."""

        async def nothing_waits() -> bool:
            return not await pending(self.ledger)

        await eventually(nothing_waits)

    def standing(self) -> dict[tuple[str, str | None], str]:
        """The titles that stand in Jira, by issue and globalId."""
        links = self.jira.model.links()
        return {(one["issue"], one["globalId"]): one["body"]["object"]["title"] for one in links}

    @property
    def lists(self) -> int:
        """How often an issue's links were listed."""
        return sum(call.method == "GET" and "globalId" not in call.path for call in self.jira.calls)

    def reconciliation(self, jira: Jira | None = None) -> Reconciliation:
        """What compares, as fast as it can."""
        return Reconciliation(
            {SITE: jira or self.client}, is_global_id, 1_000, self.observe, time.time, self.writers.hear
        )

    async def reconcile(self, policy: Policy | None = None, percent: float = 50) -> Plan:
        """One round."""
        compares = self.reconciliation()
        rounds = Rounds(compares, self.ledger, lambda: [SITE], policy or Policy(), percent, 3_600)
        return await rounds.reconcile(SITE)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """A worker writes, until it is left."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.writers.run(stop))
        try:
            await eventually(lambda: bool(self.writers.held))
            yield
        finally:
            stop.set()
            await running
