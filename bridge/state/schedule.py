"""Scheduling: which rows are called next, under what Jira allows.

Decided in memory and at a given moment; nothing here waits. `take` hands out keys, `wake` says
when asking again is worth while. The order: new links first, then what is unsure, updates,
deletes; within each the issues take turns. A row that is put off, or whose issue has had its
share, holds only itself; a delete waits until the upserts of its subject are through, so that
a moved issue is known to be one before the link under its old key is deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple, TypeVar

from bridge.model import Adoption, Bucket, Call, CallKind, LinkKey, Phase, Row, Subject
from bridge.ports import Answer
from bridge.state.circuit import AWAY_CODES, Circuit, State
from bridge.state.decide import DELETES, DOUBTFUL, SENDS, WRITES, decide
from bridge.state.pace import HOUR, Allowance
from bridge.state.site import Site

T = TypeVar("T", bound="Subject | _Issue")


class _Stage(IntEnum):
    """How far a call has come."""

    WAITING = 0
    TAKEN = 1
    SENT = 2
    ANSWERED = 3


@dataclass(slots=True)
class _Due:
    """One row's place.

    `not_before` is the row's own, `ready_at` the moment that holds: earlier once the site is back.
    `leads`: deletes of its subject wait for it. `adopts`: it has a candidate for adoption, or
    looks for one, so that others of its issue may not. `is_away`: put off since its site was away.
    """

    kind: CallKind
    not_before: float
    ready_at: float
    is_upsert: bool
    is_away: bool
    adopts: bool
    leads: bool = False
    stage: _Stage = _Stage.WAITING

    @classmethod
    def of(cls, row: Row, kind: CallKind, now: float) -> _Due:
        """The place of a row that wants that call."""
        ready_at = min(row.not_before, now + HOUR)  # a clock that was set back holds nothing for long
        adopts = row.stray is not None and row.stray.adoption is not Adoption.SOUGHT
        # What is not sure may be held back until a request of another's has arrived.
        is_away = row.reason in AWAY_CODES and row.known not in DOUBTFUL
        is_upsert = row.wanted.link is not None
        return cls(kind, row.not_before, ready_at, is_upsert, is_away, adopts)

    def stands_for(self, row: Row, kind: CallKind) -> bool:
        """Whether the row as it is now has the same place."""
        is_upsert = row.wanted.link is not None
        return (self.kind, self.is_upsert, self.not_before) == (kind, is_upsert, row.not_before)


class _Issue(NamedTuple):
    """One issue; its first field keeps it apart from a Subject."""

    what: str
    site: str
    key: str

    @classmethod
    def of(cls, key: LinkKey) -> _Issue:
        """The issue of a link."""
        return cls("issue", key.site, key.issue)


class Schedule:
    """One site's rows that want a call. Times are seconds since the epoch, of one clock: the caller's."""

    def __init__(self, allowance: Allowance) -> None:
        self._site = Site(allowance)
        self._due: dict[LinkKey, _Due] = {}
        self._later: list[tuple[float, LinkKey]] = []
        self._leading: Counter[Subject] = Counter()
        self._writing: Counter[Subject] = Counter()
        self._deleting: Counter[Subject] = Counter()
        self._adopting: Counter[_Issue] = Counter()
        self._behind: dict[Subject | _Issue, list[LinkKey]] = {}

    def __len__(self) -> int:
        """Rows that wait or are in flight."""
        return len(self._due)

    @property
    def circuit(self) -> Circuit:
        """How the site's circuit stands."""
        return self._site.circuit

    def put(self, rows: Iterable[Row], now: float) -> None:
        """Take the rows as they stand now: due, later, or no longer. One in flight stays so."""
        for row in rows:
            due, kind = self._due.get(row.key), decide(row)
            if due and due.stage is not _Stage.WAITING:
                continue
            if kind is None or row.phase is not Phase.PENDING:
                self._forget(row.key)
            elif due is None or not due.stands_for(row, kind):
                self._forget(row.key)
                due = self._due[row.key] = _Due.of(row, kind, now)
                if due.adopts:
                    self._adopting[_Issue.of(row.key)] += 1
                self._place(row.key, now)

    def take(self, now: float) -> dict[LinkKey, CallKind]:
        """What to call now, as much as limits and free places allow; it is then under way.

        A call of another kind is not to be made: no place was reserved for it.
        """
        while self._later and self._later[0][0] <= now:
            moment, key = heappop(self._later)
            due = self._due.get(key)
            if due and due.stage is _Stage.WAITING and due.ready_at == moment:
                self._place(key, now)
        return dict(self._take(now))

    def left(self, key: LinkKey, now: float) -> None:
        """The call's request leaves now."""
        due = self._due[key]
        due.stage = _Stage.SENT
        self._site.leave(due.kind, now)

    def answered(self, call: Call, answer: Answer, bucket: Bucket | None, now: float) -> None:
        """The answer is there; what it says of limits and of the site's health holds from now on."""
        self._due[call.key].stage = _Stage.ANSWERED
        site = self._site
        was_closed = site.circuit.state is State.CLOSED
        site.end(call, answer, bucket, now)
        if site.circuit.state is State.CLOSED and not was_closed:
            self._hasten(now)

    def done(self, key: LinkKey, now: float) -> None:
        """The call is settled, or turned out not to be needed."""
        due = self._due.get(key)
        if due and due.stage is not _Stage.WAITING:
            if due.stage is _Stage.TAKEN:
                self._site.cancel(key, due.kind, now)
            if due.kind in WRITES:
                self._take_one(self._writing, key.subject)
            if due.kind in DELETES:
                self._take_one(self._deleting, key.subject)
            self._forget(key)
            self._release(key.subject)

    def wake(self, now: float) -> float:
        """The moment at which `take` may have more; FOREVER when only news can change that."""
        moments = [self._later[0][0]] if self._later else []
        return max(now, min([*moments, self._site.wake(now)]))

    def _take(self, now: float) -> Iterator[tuple[LinkKey, CallKind]]:
        site = self._site
        site.unpark(now)
        for kind, turns in site.kinds():
            while turns and site.free_at(kind, now) <= now:
                if site.park(kind, now):
                    continue
                key = turns.pop()
                if self._may_go(key, kind, now):
                    self._begin(key)
                    site.begin(key, kind, now)
                    yield key, kind

    def _begin(self, key: LinkKey) -> None:
        due = self._due[key]
        due.stage = _Stage.TAKEN
        if due.kind in WRITES:
            self._writing[key.subject] += 1
        if due.kind in DELETES:
            self._deleting[key.subject] += 1
        if due.kind is CallKind.LIST and due.is_upsert and not due.adopts:
            due.adopts = True
            self._adopting[_Issue.of(key)] += 1

    def _may_go(self, key: LinkKey, kind: CallKind, now: float) -> bool:
        due = self._due.get(key)
        if due is None or due.stage is not _Stage.WAITING or due.kind is not kind or due.ready_at > now:
            return False  # a place in the queue that the row has left
        first = self._waits_for(key, due)
        if first is None:
            return True
        self._behind.setdefault(first, []).append(key)
        if isinstance(first, _Issue):  # as one that is put off: it could wait for those that wait for it
            self._lead(key, due, leads=False)
        return False

    def _waits_for(self, key: LinkKey, due: _Due) -> Subject | _Issue | None:
        """The subject or issue of which others go first."""
        # A link may stand under both keys of a moved issue: what is not sure is asked in quiet, and
        # no upsert is sent while a delete may be on its way to the same link.
        is_unquiet = due.kind is CallKind.LOOK_UP and self._writing[key.subject]
        is_overtaking = due.kind in SENDS and self._deleting[key.subject]
        if is_unquiet or is_overtaking or (not due.is_upsert and self._leading[key.subject]):
            return key.subject
        # Two links of one URL could otherwise take the same one over.
        is_seeking = due.kind is CallKind.LIST and due.is_upsert and not due.adopts
        return _Issue.of(key) if is_seeking and self._adopting[_Issue.of(key)] else None

    def _place(self, key: LinkKey, now: float) -> None:
        """Queue a row that is due; one put off waits, and lets its subject's deletes pass."""
        due = self._due[key]
        if due.ready_at > now:
            heappush(self._later, (due.ready_at, key))
            return
        self._lead(key, due, leads=due.is_upsert)
        self._site.turns[due.kind].add(key)

    def _lead(self, key: LinkKey, due: _Due, *, leads: bool) -> None:
        if due.leads is leads:
            return
        due.leads = leads
        if leads:
            self._leading[key.subject] += 1
        else:
            self._take_one(self._leading, key.subject)

    def _hasten(self, now: float) -> None:
        """The site is back: what was put off because it was away is due."""
        for key, due in self._due.items():
            if due.is_away and due.stage is _Stage.WAITING and due.ready_at > now:
                due.ready_at = now
                self._place(key, now)

    def _forget(self, key: LinkKey) -> None:
        due = self._due.pop(key, None)
        if due is None:
            return
        self._lead(key, due, leads=False)
        issue = _Issue.of(key)
        if due.adopts:
            self._take_one(self._adopting, issue)
        elif issue in self._behind and not self._adopting[issue]:  # it may have been the first of them
            self._release(issue)

    def _take_one(self, counter: Counter[T], first: T) -> None:
        counter[first] -= 1
        if not counter[first]:
            del counter[first]
            self._release(first)

    def _release(self, first: Subject | _Issue) -> None:
        """Let those go that wait for it; of an issue's only the first, for whom the others wait then."""
        behind = self._behind.pop(first, [])
        while behind:
            key = behind.pop(0)
            if waiting := self._due.get(key):
                self._place(key, waiting.ready_at)
                if isinstance(first, _Issue):
                    break
        if behind:
            self._behind[first] = behind
