"""The leaseholder: keeps this worker's share of the sites' leases, and a writer at work for each.

A writer whose lease could not be renewed in time is stopped before another worker may have taken
the site; what it was writing then is in doubt, and is looked up by whoever writes the site next.
A ledger that is away ends the writers: in doubt they forget what they had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.drain import pause
from bridge.errors import LeaseLost, LedgerUnavailable
from bridge.model import LinkKey
from bridge.ports import Lease, Ledger, Merged, Observe
from bridge.state.leases import BEATS, LEASE_SECONDS
from bridge.writer import Writer

_AGAIN_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Tenure:
    """One lease's time, and the writer that works under it."""

    lease: Lease
    writer: Writer
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def last_until(self, moment: float) -> None:
        """It ends at that moment, of the loop's clock."""
        if self.end:
            self.end.cancel()
        overdue = LeaseLost(f"The lease of {self.lease.site} was not renewed in time.")
        self.end = asyncio.get_running_loop().call_at(moment, self.writer.abort, overdue)


@dataclass(slots=True)
class Leaseholder:
    """Runs a writer for each site that this worker has the lease of.

    `worker` names this process among all that use the ledger. `writer` makes the writer of a lease;
    `clock` gives seconds since the epoch.
    """

    ledger: Ledger
    worker: str
    sites: Sequence[str]
    writer: Callable[[Lease], Writer]
    observe: Observe
    clock: Callable[[], float]
    seconds: float = LEASE_SECONDS
    _tenures: dict[str, _Tenure] = field(init=False, default_factory=dict)
    _doubts: set[LinkKey] = field(init=False, default_factory=set)
    _wake: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _is_away: bool = field(init=False, default=False)
    _fault: BaseException | None = field(init=False, default=None)

    @property
    def held(self) -> dict[str, int]:
        """The fences of the sites whose writers take more rows."""
        return {site: one.lease.fence for site, one in self._tenures.items() if one.writer.takes_rows}

    @property
    def written(self) -> list[str]:
        """The sites that this worker writes."""
        return sorted(self._tenures)

    def offer(self, merged: Merged) -> None:
        """Hand the rows that a merge left wanting a call to their writers."""
        for site, tenure in self._tenures.items():
            rows = [row for row in merged.pending if row.key.site == site]
            if rows and site in merged.claimed:
                tenure.writer.offer(rows)
            elif rows:
                tenure.writer.hear()

    async def run(self, stop: asyncio.Event) -> None:
        """Hold leases and write until `stop`; then let the writers finish, and release the leases.

        Raises LedgerCorrupt, and what a writer never expected.
        """
        self.ledger.on_news(self.hear)
        waker = asyncio.create_task(self._wake_at(stop))
        try:
            while not (stop.is_set() or self._fault):
                await self._beat()
                await self._wait(stop)
        except asyncio.CancelledError:
            for tenure in self._tenures.values():
                if tenure.task:
                    tenure.task.cancel()
            raise
        finally:
            waker.cancel()
            await self._end()
        if self._fault:
            raise self._fault

    async def _beat(self) -> None:
        """Renew what is held, take what is free, give up what is too much."""
        until = asyncio.get_running_loop().time() + self.seconds
        try:
            await self._doubt()
            kept = {site: tenure.lease.fence for site, tenure in self._tenures.items()}
            leases, surplus = await self.ledger.hold(
                self.worker, self.sites, kept, self.seconds, self.clock()
            )
        except LedgerUnavailable as error:
            self._tell_away(error)
            return
        if self._is_away:
            self._is_away = False
            self.observe("ledger_available")
        held = {lease.site: lease for lease in leases}
        for site, tenure in self._tenures.items():
            if held.pop(site, None) != tenure.lease:
                tenure.writer.abort(LeaseLost(f"{site} is written by another worker."))
                continue
            tenure.last_until(until)
            if site in surplus:
                tenure.stop.set()
            else:
                tenure.writer.hear()
        for lease in held.values():
            if lease.fence != kept.get(lease.site):  # else its writer ended just now, and it is spent
                self._start(lease, until)

    def _start(self, lease: Lease, until: float) -> None:
        tenure = self._tenures[lease.site] = _Tenure(lease, self.writer(lease))
        self.observe("lease_taken", site=lease.site, fence=lease.fence)
        tenure.last_until(until)
        tenure.task = asyncio.create_task(self._serve(tenure))

    async def _serve(self, tenure: _Tenure) -> None:
        site, writer = tenure.lease.site, tenure.writer
        try:
            await writer.run(tenure.stop)
            await self.ledger.release(tenure.lease)
            self.observe("lease_released", site=site)
        except LeaseLost as error:
            self._doubts.update(writer.in_doubt)
            self.observe("lease_lost", site=site, doubts=len(writer.in_doubt), error=str(error))
        except LedgerUnavailable as error:
            self._doubts.update(writer.in_doubt)
            self._tell_away(error)
            self.observe("lease_released", site=site)
        except Exception as error:  # noqa: BLE001 - it is raised by `run`
            self._fault = self._fault or error
        finally:
            if tenure.end:
                tenure.end.cancel()
            del self._tenures[site]
            self._wake.set()

    async def _doubt(self) -> None:
        doubts = sorted(self._doubts)
        if doubts:
            await self.ledger.doubt(doubts, self.clock())
            self._doubts.difference_update(doubts)

    async def _end(self) -> None:
        """Let all writers finish."""
        tasks = []
        for tenure in self._tenures.values():
            tenure.stop.set()
            if tenure.task:
                tasks.append(tenure.task)
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:  # those that there was no time for
                task.cancel()
        with suppress(LedgerUnavailable):
            await self._doubt()

    def _tell_away(self, error: LedgerUnavailable) -> None:
        self._is_away = True
        self.observe("ledger_unavailable", client="leases", error=str(error))

    async def _wait(self, stop: asyncio.Event) -> None:
        """Until the next beat; news may bring it forward, but not to more than one a second."""
        await pause(stop, _AGAIN_SECONDS)
        if not self._is_away:
            await pause(self._wake, self.seconds / BEATS - _AGAIN_SECONDS)
        self._wake.clear()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    def hear(self, site: str) -> None:
        """Rows of the site were left in the ledger, or its lease."""
        if tenure := self._tenures.get(site):
            tenure.writer.hear()
        else:
            self._wake.set()
