"""Reconciling: compares the ledger with what Jira holds, issue by issue, and marks rows anew.

It reads Jira at a rate of its own and writes nothing to it: the writer does, when a row that was
marked says other than is wanted. Rows are marked in small portions, each when the one before is
through, so that what events ask for never waits behind a repair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from bridge.errors import JiraError, JiraLoginDenied, JiraRejected, LedgerUnavailable
from bridge.model import LinkKey, Listed, Phase, Row
from bridge.ports import Jira, Ledger, Observe, Reader
from bridge.state.circuit import DENIED_WAIT, FIRST_WAIT, LONGEST_WAIT
from bridge.state.reconcile import Compared, Plan, Policy, Scope, compare, still
from bridge.state.settle import LAG

PORTION = 20
"""So many rows are marked at a time."""
_PAGE = 50
_LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Reconciliation:
    """Compares rows with the sites' links, and hands repairs to the ledger.

    `is_ours` says whether a globalId is one that the bridge makes. `per_second` issues of all sites
    are listed at the most. `clock` gives seconds. `tell` is told of the sites whose rows were marked.
    Whatever waits here may be cancelled.
    """

    sites: Mapping[str, Jira]
    is_ours: Callable[[str], bool]
    per_second: float
    observe: Observe
    clock: Callable[[], float]
    tell: Callable[[str], None] = lambda _site: None
    _free_at: float = field(init=False, default=0.0)

    async def survey(self, plan: Plan, rows: Reader, told: Callable[[Compared], None]) -> None:
        """Compare what the plan's scope has after its last issue; `told` of each issue once it is in it.

        Raises LedgerUnavailable and LedgerCorrupt.
        """
        async for of_issue in _issues(plan, rows):
            if plan.is_full:
                break
            if plan.scope.has(of_issue):
                told(await self._compare(plan, rows, of_issue))
        plan.is_whole = True

    async def _compare(self, plan: Plan, rows: Reader, of_issue: list[Row]) -> Compared:
        answer = await self._list(of_issue[0].key)
        compared = compare(of_issue, answer, plan.policy, self.is_ours)
        if keys := [finding.key for finding in compared.findings if finding.repair]:
            compared = still(compared, await rows.find(keys))
        plan.add(compared)
        for finding in compared.findings:
            self.observe("reconcile_finding", site=compared.site, finding=finding.difference.value)
        return compared

    async def _list(self, key: LinkKey) -> Listed | JiraError:
        """The issue's links, or why it has none for us; whatever else is wrong is waited for."""
        failures = 0
        while True:
            await asyncio.sleep(max(0.0, self._free_at - self.clock()))
            self._free_at = self.clock() + 1 / self.per_second
            try:
                return Listed(tuple(await self.sites[key.site].list_links(key.issue)))
            except JiraRejected as error:
                return error
            except JiraError as error:
                seconds = _wait(error, failures)
                failures += 1
                self.observe(
                    "reconcile_paused", site=key.site, code=error.code, error=str(error), seconds=seconds
                )
                await asyncio.sleep(seconds)

    async def apply(self, plan: Plan, ledger: Ledger, told: Callable[[int, int], None]) -> None:
        """Mark what the plan has left, a portion at a time.

        `told` of each portion: how many rows it had, and how many still stood as they were compared.
        Raises LedgerUnavailable and LedgerCorrupt.
        """
        while portion := plan.left[:PORTION]:
            marked = await ledger.repair(portion, self.clock())
            plan.applied += len(portion)
            for site in {repair.after.key.site for repair in portion}:
                self.tell(site)
            told(len(portion), marked)
            await _at_rest(ledger, [repair.after.key for repair in portion])


@dataclass(slots=True)
class Rounds:
    """Reconciles by the clock the sites that this worker writes.

    A round begins at each multiple of `every` seconds since the epoch, so that a restart puts none
    off for long. `written` are the sites; `percent` is the share of a site's links that a round may
    take away.
    """

    reconciliation: Reconciliation
    ledger: Ledger
    written: Callable[[], Iterable[str]]
    policy: Policy
    percent: float
    every: float

    async def run(self, stop: asyncio.Event) -> None:
        """Make rounds until `stop`, which ends one that is under way. Raises LedgerCorrupt."""
        stopping = asyncio.create_task(stop.wait())
        rounds = asyncio.create_task(self._go_round())
        try:
            await asyncio.wait({stopping, rounds}, return_when=asyncio.FIRST_COMPLETED)
            if rounds.done():
                rounds.result()
        finally:
            for task in (stopping, rounds):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await rounds

    async def _go_round(self) -> None:
        clock, observe = self.reconciliation.clock, self.reconciliation.observe
        while True:
            await asyncio.sleep(self.every - clock() % self.every)
            for site in sorted(self.written()):
                try:
                    await self.reconcile(site)
                except LedgerUnavailable as error:
                    observe("ledger_unavailable", client="reconcile", error=str(error))

    async def reconcile(self, site: str) -> Plan:
        """Compare one site, and mark what differs, unless too much would be taken away."""
        observe, plan, marked = self.reconciliation.observe, Plan(Scope((site,)), self.policy), 0

        def count(_rows: int, stood: int) -> None:
            nonlocal marked
            marked += stood

        observe("reconcile_started", site=site)
        await self.reconciliation.survey(plan, self.ledger, lambda _compared: None)
        if plan.is_within(self.percent):
            await self.reconciliation.apply(plan, self.ledger, count)
        else:
            observe("reconcile_refused", site=site, deletes=plan.taken_away, links=plan.links)
        observe("reconcile_ended", site=site, issues=plan.issues, links=plan.links, marked=marked)
        return plan


async def _issues(plan: Plan, rows: Reader) -> AsyncIterator[list[Row]]:
    """The rows of each issue that the plan has not come to, a while after they were read."""
    first = plan.scope.sites.index(plan.at[0]) if plan.at else 0
    for site in plan.scope.sites[first:]:
        after = plan.at[1] if plan.at and plan.at[0] == site else ""
        while page := await rows.page(site, after, _PAGE):
            await asyncio.sleep(LAG)  # Jira shows by then what these rows say that it holds
            for _, of_issue in groupby(page, key=lambda row: row.key.issue):
                yield list(of_issue)
            after = page[-1].key.issue


async def _at_rest(ledger: Ledger, keys: Sequence[LinkKey]) -> None:
    """Wait until none of the links wants a call any more."""
    while any(row.phase is Phase.PENDING for row in await ledger.find(keys)):  # noqa: ASYNC110 - only it tells
        await asyncio.sleep(_LOOK_SECONDS)


def _wait(error: JiraError, failures: int) -> float:
    """Seconds, never less than Jira asks for; each try prolongs a login that is locked."""
    backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures, 10))
    least = DENIED_WAIT if isinstance(error, JiraLoginDenied) else backoff
    return max(least, error.retry_after or 0.0)
