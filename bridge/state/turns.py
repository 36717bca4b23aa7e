"""Turns: what is due, so that each issue has its turn whatever the others have waiting."""

from __future__ import annotations

from collections import OrderedDict, deque

from bridge.model import LinkKey


class Turns:
    """Keys by issue, each once, in the order in which they came; the issues take turns, a key each."""

    __slots__ = ("_order", "_queues")

    def __init__(self) -> None:
        self._queues: dict[str, OrderedDict[LinkKey, None]] = {}
        self._order: deque[str] = deque()

    def __bool__(self) -> bool:
        """Whether an issue has a turn: parked ones have none."""
        return bool(self._order)

    @property
    def next(self) -> str:
        """The issue whose turn it is."""
        return self._order[0]

    def add(self, key: LinkKey) -> None:
        """One more key of its issue is due."""
        queue = self._queues.get(key.issue)
        if queue is None:
            queue = self._queues[key.issue] = OrderedDict()
            self._order.append(key.issue)
        queue[key] = None

    def pop(self) -> LinkKey:
        """The first key of the issue whose turn it is; with more keys it queues up again."""
        issue = self._order.popleft()
        queue = self._queues[issue]
        key, _ = queue.popitem(last=False)
        if queue:
            self._order.append(issue)
        else:
            del self._queues[issue]
        return key

    def park(self) -> None:
        """Let the issue whose turn it is wait outside, with its keys, until `resume`."""
        self._order.popleft()

    def resume(self, issue: str) -> None:
        """The parked issue queues up again."""
        self._order.append(issue)
