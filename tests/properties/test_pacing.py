"""Pacing over a clock of its own: of 20,000 events no limit is exceeded, and hardly any left unused."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest

from bridge.model import Action, Call, Change, Known, Link, Row, Subject, Version, Written
from bridge.parts import allowance
from bridge.ports import Answer
from bridge.settings import Site
from bridge.state.decide import call_for
from bridge.state.merge import SubjectRows, merge
from bridge.state.schedule import Schedule
from bridge.state.settle import settle
from bridge.state.site import METHOD
from tests.limits import PER_ISSUE, at_best

EVENTS = 20_000
ISSUES = [f"PROJ-{number}" for number in range(1, 51)]
BUSIEST = ISSUES[0]
PER_SECOND = {"POST": 100}


@dataclass
class Window:
    """What Jira counts: no more than `most` arrivals in any `seconds`."""

    most: int
    seconds: float
    arrivals: deque[float] = field(default_factory=deque)

    def arrive(self, moment: float) -> bool:
        """Whether one more was allowed."""
        while self.arrivals and self.arrivals[0] <= moment - self.seconds:
            self.arrivals.popleft()
        self.arrivals.append(moment)
        return len(self.arrivals) <= self.most


class Jira:
    """Judges each request at the moment of its arrival, by the documented limits."""

    def __init__(self) -> None:
        self.writes: dict[str, list[float]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self._issues = {issue: [Window(*each) for each in PER_ISSUE] for issue in ISSUES}
        self._methods = {method: Window(most, 1.0) for method, most in PER_SECOND.items()}

    def arrive(self, call: Call, moment: float) -> None:
        """Count a write."""
        self.writes[call.key.issue].append(moment)
        method = METHOD[call.kind]
        if not self._methods[method].arrive(moment):
            self.refused[method] += 1
        for window in self._issues[call.key.issue]:
            if not window.arrive(moment):
                self.refused["issue"] += 1


class Day:
    """Events, requests and answers on one clock, in the order of their moments.

    Each request arrives between 20 and 50 ms after it left and is answered up to 0.3 s later; the
    scheduler is up to 10 ms late, and what it hands out leaves up to 20 ms later.
    """

    def __init__(self, seed: int) -> None:
        self.jira = Jira()
        self.now = 0.0
        self._chance = Random(seed)
        self._schedule = Schedule(
            allowance(Site(url="https://jira.example", auth="anonymous", max_in_flight=200))
        )
        self._rows: dict[Subject, SubjectRows] = {}
        self._moments: list[tuple[float, int, str, object]] = []
        self._numbers = count()
        self._next_look = float("inf")

    def happen(self, moment: float, issue: str, link: int, content: int) -> None:
        """An event will ask for that content of one of the issue's links."""
        subject = Subject("main", f"{issue} {link}")
        wish = Link.model_validate({"object": {"url": "https://ci.example", "title": f"{content}"}})
        number = next(self._numbers)
        version = Version(0, number, 0, 0, number)
        change = Change(Action.UPSERT, subject, (issue,), wish, version, f"e{number}")
        self._at(moment, "event", change)

    def run(self, until: float = float("inf")) -> None:
        """Let everything happen, up to a moment."""
        self._at(0.0, "look", None)
        while self._moments and self._moments[0][0] <= until:
            self.now = self._moments[0][0]
            while self._moments and self._moments[0][0] == self.now:
                _, _, what, value = heappop(self._moments)
                getattr(self, f"_{what}")(value)
            self._look_for_more()

    def _at(self, moment: float, what: str, value: object) -> None:
        heappush(self._moments, (moment, next(self._numbers), what, value))

    def _event(self, change: Change) -> None:
        before = self._rows.get(change.subject, SubjectRows(change.subject))
        merged = merge(before, change)
        self._rows[change.subject] = merged.after
        self._schedule.put(merged.changed, self.now)

    def _look(self, _: object) -> None:
        """Whatever happens, there is a look for more after it."""

    def _leave(self, call: Call) -> None:
        self._schedule.left(call.key, self.now)
        self._at(self.now + self._chance.uniform(0.02, 0.05), "arrive", call)

    def _arrive(self, call: Call) -> None:
        self.jira.arrive(call, self.now)
        self._at(self.now + self._chance.uniform(0.0, 0.3), "answer", call)

    def _answer(self, call: Call) -> None:
        answer: Answer = Written(1, call.key.issue, created=True)
        self._schedule.answered(call, answer, None, self.now)
        self._schedule.done(call.key, self.now)
        row = self._row(call)
        self._put(settle(row, call, answer, self.now, 1.0).row)

    def _row(self, call: Call) -> Row:
        return self._rows[call.key.subject].rows[call.key.issue]

    def _put(self, row: Row) -> None:
        self._rows[row.key.subject] = SubjectRows(row.key.subject, None, {row.key.issue: row})
        self._schedule.put([row], self.now)

    def _look_for_more(self) -> None:
        leaves = self.now + self._chance.uniform(0.0, 0.02)
        for key in self._schedule.take(self.now):
            row = self._rows[key.subject].rows[key.issue]
            call = call_for(row)
            assert call is not None
            self._rows[key.subject] = SubjectRows(
                key.subject, None, {key.issue: Row(key, row.wanted, Known.UNSURE, row.digest, row.link_id)}
            )
            self._at(leaves, "leave", call)
        wake = self._schedule.wake(self.now)
        if wake < self._next_look or self._next_look <= self.now:
            self._next_look = wake
            if wake < float("inf"):
                self._at(wake + self._chance.uniform(0.001, 0.01), "look", None)


def contents() -> Iterator[int]:
    """Always another one, so that no event is without a write to come."""
    return count()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_busy_issue_gets_nearly_all_that_jira_allows_and_no_more(seed: int) -> None:
    """Four minutes of events, a fifth of them for one issue: no request too many, 95 % of its share used."""
    day, chance, content = Day(seed), Random(seed), contents()
    weights = [0.2, *[0.8 / 49] * 49]
    for number, issue in enumerate(chance.choices(ISSUES, weights, k=EVENTS)):
        day.happen(number * 240 / EVENTS, issue, chance.randrange(40), next(content))
    day.run(until=240.0)
    writes = [moment for moment in day.jira.writes[BUSIEST] if moment < 240.0]
    assert not day.jira.refused
    assert len(writes) >= 0.95 * at_best(writes[0], 240.0)


def test_a_backlog_of_all_issues_gets_nearly_all_that_the_method_allows_and_no_more() -> None:
    """20,000 new links at once: no second has a POST too many, and 95 % of the rate is used."""
    day, content = Day(3), contents()
    for number in range(EVENTS):
        day.happen(0.0, ISSUES[number % 50], number // 50, next(content))
    day.run()
    moments = sorted(moment for writes in day.jira.writes.values() for moment in writes)
    assert not day.jira.refused
    assert len(moments) == EVENTS
    assert EVENTS / (moments[-1] - moments[0]) >= 0.95 * PER_SECOND["POST"]
