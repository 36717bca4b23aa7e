"""The shadow: stands where the writer does, tells what it would ask of Jira, and asks nothing.

What it leaves undone stays wanted, so that a writer on the same ledger goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.drain import pause
from bridge.errors import LedgerUnavailable
from bridge.model import Row
from bridge.ports import Ledger, Merged, Observe
from bridge.state.decide import call_for
from bridge.state.leases import BEATS, LEASE_SECONDS

_ISSUES = 100
"""So many issues' rows it has in mind at a time."""
_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shadow:
    """Tells of each row that wants a call, when it comes to want it."""

    ledger: Ledger
    worker: str
    sites: Sequence[str]
    observe: Observe
    clock: Callable[[], float]

    @property
    def held(self) -> dict[str, int]:
        """It claims nothing."""
        return {}

    def offer(self, merged: Merged) -> None:
        """Tell of the rows that a merge left wanting a call."""
        self._tell(merged.pending)

    def hear(self, site: str) -> None:
        """See `Leaseholder.hear`; what others leave is told when a merge changes it."""

    def _tell(self, rows: Iterable[Row]) -> None:
        for call in filter(None, map(call_for, rows)):
            self.observe(
                "shadow_call",
                site=call.key.site,
                call=call.kind.value,
                issue=call.key.issue,
                global_id=call.key.global_id,
                event_id=call.event,
                title=call.link.object.title if call.link else None,
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Tell of what waits already, and then of what comes, until `stop`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live(stop))
            for site in self.sites:
                after: str | None = ""
                while after is not None and not stop.is_set():
                    after = await self._look(site, after, stop)

    async def _live(self, stop: asyncio.Event) -> None:
        """Give signs of life without taking a lease: nobody is to empty the ledger meanwhile."""
        while not stop.is_set():
            with suppress(LedgerUnavailable):  # who merges or looks tells of it
                await self.ledger.hold(self.worker, (), {}, LEASE_SECONDS, self.clock())
            await pause(stop, LEASE_SECONDS / BEATS)

    async def _look(self, site: str, after: str, stop: asyncio.Event) -> str | None:
        """Tell of some issues' rows; the last of these issues, None when there are no more."""
        try:
            rows = await self.ledger.page(site, after, _ISSUES)
        except LedgerUnavailable as error:
            self.observe("ledger_unavailable", client="shadow", error=str(error))
            await pause(stop, _AGAIN_SECONDS)
            return after
        self._tell(rows)
        return rows[-1].key.issue if rows else None
