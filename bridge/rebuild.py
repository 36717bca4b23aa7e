"""Rebuilding: makes a ledger anew from what the topics still have.

Versions order the events, so that partitions and topics may be read one after the other. A row that
this makes knows of Jira that it must ask: the writer looks the link up, and writes it only where it
differs. What the topics have forgotten is not in the new ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bridge.kafka.cluster import Cluster
from bridge.kafka.reader import Bounds, read_topic
from bridge.model import Known, Outcome, Position, Record
from bridge.ports import Item, Judge, Ledger


@dataclass(slots=True)
class Rebuilt:
    """What the topics came to.

    `records` of `total` are read. `outcomes` counts events; `rejected` those that were rejected, by
    code. `since` is the moment, in milliseconds since the epoch, before which records are gone, None
    where none is.
    """

    records: int = 0
    total: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    since: int | None = None


@dataclass(slots=True)
class Rebuilding:
    """Reads topics from their first record to the end that they have now, and merges into an empty ledger.

    Without a `ledger` it only counts. `told` hears of each batch.
    """

    cluster: Cluster
    group: str
    judge: Judge
    ledger: Ledger | None
    clock: Callable[[], float]
    told: Callable[[Rebuilt], None]
    _came_to: Rebuilt = field(init=False, default_factory=Rebuilt)
    _bounds: dict[tuple[str, int], Bounds] = field(init=False, default_factory=dict)
    _merged: dict[tuple[str, int], int] = field(init=False, default_factory=dict)

    async def run(self, topics: Sequence[str]) -> Rebuilt:
        """Rebuild.

        Raises KafkaUnavailable, TopicUnfit, PositionMoved, LedgerUnavailable and LedgerCorrupt.
        """
        for topic in topics:
            await read_topic(self.cluster, topic, self._take, partial(self._begin, topic))
        if any(each.first > 0 and place not in self._merged for place, each in self._bounds.items()):
            self._came_to.since = int(self.clock() * 1000)  # of a partition nothing is left
        # A partition may end in what is no record: an aborted transaction's, or a mark's.
        await self._merge([], {place: bounds.end for place, bounds in self._bounds.items()})
        return self._came_to

    def _begin(self, topic: str, bounds: Mapping[int, Bounds]) -> None:
        self._bounds |= {(topic, partition): each for partition, each in bounds.items()}
        self._came_to.total += sum(each.end - each.first for each in bounds.values())

    async def _take(self, records: list[Record]) -> None:
        self._see(records)
        items = [_looked_up(self.judge(record)) for record in records]
        self._came_to.rejected.update(item.reason or "" for item in items if item.error)
        await self._merge(items, {(each.topic, each.partition): each.offset + 1 for each in records})
        self.told(self._came_to)

    def _see(self, records: Sequence[Record]) -> None:
        self._came_to.records += len(records)
        for record in records:
            place = record.topic, record.partition
            is_first = place not in self._merged and place in self._bounds
            if is_first and self._bounds[place].first > 0:
                self._came_to.since = max(self._came_to.since or 0, record.timestamp)
            self._merged.setdefault(place, 0)

    async def _merge(self, items: Sequence[Item], to: Mapping[tuple[str, int], int]) -> None:
        read = [
            (Position(*place, self._merged.get(place, 0)), Position(*place, offset))
            for place, offset in to.items()
            if offset > self._merged.get(place, 0)
        ]
        if self.ledger:
            merged = await self.ledger.merge(items, self.group, read, self.clock(), {})
            self._came_to.outcomes.update(merged.outcomes)
        self._merged.update({(after.topic, after.partition): after.offset for _, after in read})


def _looked_up(item: Item) -> Item:
    """The item, with rows that are looked up before anything is written."""
    return replace(item, changes=tuple(replace(change, known=Known.UNSURE) for change in item.changes))
