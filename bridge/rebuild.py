"""Rebuilding: makes a ledger anew from what the topics still have.

Versions order the events, so that partitions and topics may be read one after the other. A row that
this makes knows of Jira that it must ask: the writer looks the link up, and writes it only where it
differs. What the topics have forgotten is not in the new ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.errors import LedgerBusy, PositionMoved
from bridge.kafka.cluster import Cluster
from bridge.kafka.reader import Bounds, read_topic, topic_bounds
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
    _read: set[tuple[str, int]] = field(init=False, default_factory=set)

    async def run(self, topics: Sequence[str]) -> Rebuilt:
        """Rebuild.

        Raises KafkaUnavailable, TopicUnfit, LedgerBusy when a worker merges too, LedgerUnavailable and
        LedgerCorrupt.
        """
        for topic in topics:
            found = await topic_bounds(self.cluster, topic)
            self._bounds |= {(topic, partition): each for partition, each in found.items()}
        self._came_to.total = sum(each.end - each.first for each in self._bounds.values())
        try:
            await self._rebuild(topics)
        except PositionMoved as error:
            raise LedgerBusy(
                "A worker was started meanwhile and merges too; what it has merged is not lost, but may be "
                "written where it stands already. Stop the workers, and rebuild again."
            ) from error
        return self._came_to

    async def _rebuild(self, topics: Sequence[str]) -> None:
        # All begin before any is read: a worker that is started too early would begin elsewhere.
        await self._store([], {place: (0, bounds.first) for place, bounds in self._bounds.items()})
        for topic in topics:
            await read_topic(self.cluster, topic, self._take)
        if any(each.first > 0 and place not in self._read for place, each in self._bounds.items()):
            self._came_to.since = int(self.clock() * 1000)  # of a partition nothing is left
        # A partition may end in what is no record: an aborted transaction's, or a mark's.
        await self._merge([], {place: bounds.end for place, bounds in self._bounds.items()})

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
            is_first = place not in self._read and place in self._bounds
            if is_first and self._bounds[place].first > 0:
                self._came_to.since = max(self._came_to.since or 0, record.timestamp)
            self._read.add(place)

    async def _merge(self, items: Sequence[Item], to: Mapping[tuple[str, int], int]) -> None:
        merged = {place: self._merged.get(place, 0) for place in to}
        moves = {place: (merged[place], offset) for place, offset in to.items() if offset > merged[place]}
        await self._store(items, moves)

    async def _store(self, items: Sequence[Item], moves: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Merge the items, and move the positions from the one offset to the other."""
        read = [(Position(*place, begin), Position(*place, end)) for place, (begin, end) in moves.items()]
        if self.ledger:
            merged = await self.ledger.merge(items, self.group, read, self.clock(), {})
            self._came_to.outcomes.update(merged.outcomes)
        self._merged.update({place: end for place, (_, end) in moves.items()})


def _looked_up(item: Item) -> Item:
    """The item, with rows that are looked up before anything is written."""
    return replace(item, changes=tuple(replace(change, known=Known.UNSURE) for change in item.changes))
