"""Where a partition is read from: by the ledger, else by the group, else by the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Start = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one partition, in offsets.

    `ledger` and `group` are the next ones to read by the ledger and by Kafka's committed offset,
    None where there is none. The topic holds `first` and what follows, up to but not with `end`.
    """

    ledger: int | None
    group: int | None
    first: int
    end: int

    @property
    def stored(self) -> int | None:
        """The position that counts, None for a partition that nobody has read."""
        return self.group if self.ledger is None else self.ledger

    @property
    def is_lost(self) -> bool:
        """Whether that position is no longer in the topic."""
        return self.stored is not None and not self.first <= self.stored <= self.end

    @property
    def is_adopted(self) -> bool:
        """Whether records were read that the ledger knows nothing of."""
        return self.ledger is None and self.group is not None and self.group > self.first

    def offset(self, start: Start) -> int:
        """Where to read from; `start` is for a partition that nobody has read."""
        if self.stored is None:
            return self.end if start == "latest" else self.first
        return self.first if self.is_lost else self.stored
