"""The intake: merges what the consumer read, and tells the writer.

Rejected records go to the dead-letter topic first; only with the broker's acknowledgement may
the position move. Then one transaction merges the batch and moves the positions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.errors import Unmappable
from bridge.kafka.dead_letters import dead_letter
from bridge.model import Position, Record
from bridge.ports import Judge, Ledger, Merged, Observe, Publish


@dataclass(frozen=True, slots=True)
class Intake:
    """What a consumer does with each batch.

    `held` tells of the sites, with their leases' fences, whose rows are claimed with the merge, and
    `offer` is handed what the merge came to; `clock` gives seconds since the epoch; `max_bytes` is
    what the dead-letter topic takes.
    """

    judge: Judge
    ledger: Ledger
    group: str
    publish: Publish
    dead_letter_topic: str
    max_bytes: int
    held: Callable[[], Mapping[str, int]]
    offer: Callable[[Merged], None]
    observe: Observe
    clock: Callable[[], float]

    async def __call__(self, records: Sequence[Record], read: Sequence[tuple[Position, Position]]) -> None:
        """Merge one batch. Raises PositionMoved and KafkaUnavailable, with nothing merged.

        After LedgerUnavailable it may be merged; the ledger's positions tell.
        """
        began = time.perf_counter()
        items = [self.judge(record) for record in records]
        judged = zip(records, items, strict=True)
        rejected = [(record, item.event, item.error) for record, item in judged if item.error]
        await asyncio.gather(*(self._bury(*each) for each in rejected))
        merged = await self.ledger.merge(items, self.group, read, self.clock(), self.held())
        self.offer(merged)
        seconds = time.perf_counter() - began
        self.observe("batch_merged", seconds=seconds, records=len(records), pending=len(merged.pending))
        for item, outcome in zip(items, merged.outcomes, strict=True):
            kind = (item.detail or {}).get("kind")
            self.observe("event", outcome=outcome.value, reason=item.reason, kind=kind, event_id=item.event)

    async def _bury(self, record: Record, event: str, error: Unmappable) -> None:
        key, value, headers = dead_letter(record, error, self.max_bytes)
        await self.publish(self.dead_letter_topic, key, value, headers)
        self.observe("dead_letter", code=error.code, event_id=event, error=str(error))
