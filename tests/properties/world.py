"""A world in one thread: a log of events, the ledger's real transactions, a schedule, a Jira.

Nothing runs by itself: a test decides when records are read, which requests Jira applies,
which answers come back, and where the process dies. What should stand in the end is worked
out from the log alone, in the plainest way there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.errors import JiraError
from bridge.ledger.sqlite import SqliteTables
from bridge.model import Action, Call, Change, Link, LinkKey, Outcome, Position, Subject, Version
from bridge.ports import Answer, Item, Settled
from bridge.state.circuit import State
from bridge.state.pace import FOREVER, Allowance, Window
from bridge.state.schedule import Schedule
from tests.properties.jira_oracle import JiraOracle

SITE = "main"
ISSUES = ("PROJ-1", "PROJ-2", "PROJ-3")
MAX_TURNS = 3_000
ONE_MINUTE = 60.0
ALLOWANCE = Allowance(
    issue=(Window(3, 2.0), Window(6, 30.0)), method={"POST": (Window(2, 1.0),)}, points=100, in_flight=4
)
"""Tight enough that every limit is met in a short run."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the log; `issues` are one for a per-issue change, any number for a set."""

    id: str
    subject: str
    time: int
    issues: tuple[str, ...]
    content: str | None
    is_set: bool


def link(content: str) -> Link:
    """A small link whose title and state differ by content."""
    status = {"resolved": content == "A"}
    return Link.model_validate(
        {"object": {"url": "https://ci.example.com/1", "title": f"build {content}", "status": status}}
    )


@dataclass
class World:
    """The whole way from records to Jira, driven by hand."""

    jira: JiraOracle = field(default_factory=JiraOracle)
    adopts: bool = False
    log: list[Happened] = field(default_factory=list)
    tables: SqliteTables = field(default_factory=lambda: SqliteTables(":memory:"))
    group: str = "group-0"
    read_to: int = 0
    now: float = 1_000_000.0
    in_flight: dict[LinkKey, Call] = field(default_factory=dict)
    on_their_way: dict[LinkKey, Answer] = field(default_factory=dict)
    answers: list[tuple[Call, Answer]] = field(default_factory=list)
    schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        """Begin as a process does that was just started."""
        self.start()

    def start(self) -> None:
        """A new process over the same ledger: nothing is in memory but what the ledger has."""
        self.in_flight, self.on_their_way, self.answers = {}, {}, []
        self.schedule = Schedule({SITE: ALLOWANCE})
        self.schedule.put(self.tables.pending(), self.now)
        standing = {position.partition: position.offset for position in self.tables.positions(self.group)}
        self.read_to = standing.get(0, 0)

    def replay(self) -> None:
        """A group of another name reads the topic from its start, into the same ledger."""
        self.group = f"group-{int(self.group.removeprefix('group-')) + 1}"
        self.read_to = 0

    def consume(self, count: int, *, dies: bool = False) -> tuple[Outcome, ...]:
        """Merge the next records; `dies` after the commit and before anything else."""
        records = self.log[self.read_to : self.read_to + count]
        items = [self._item(self.read_to + i, happened) for i, happened in enumerate(records)]
        before = Position("events", 0, self.read_to)
        after = Position("events", 0, self.read_to + len(records))
        merged = self.tables.merge(items, self.group, [(before, after)], self.now)
        self.read_to = after.offset
        if dies:
            self.start()
        else:
            self.schedule.put(merged.pending, self.now)
        return merged.outcomes

    def turn(self, *, dies: bool = False, meanwhile: int = 0) -> None:
        """One turn of the writer; `dies` after its commit, before a request leaves.

        So many records are merged between what the schedule decides and the transaction.
        """
        settled = [Settled(call, answer, self.now, 1.0) for call, answer in self.answers]
        self.answers = []
        starting = self.schedule.take(self.now)
        self.consume(meanwhile)
        turn = self.tables.turn(settled, starting, self.now)
        if dies:
            self.start()
            return
        for one in settled:
            self.schedule.done(one.call.key, self.now)
        called = {call.key for call in turn.calls}
        for key in starting:
            if key not in called:
                self.schedule.done(key, self.now)
        self.schedule.put(turn.rows, self.now)
        for call in turn.calls:
            assert call.key not in self.in_flight, "two requests in flight for one link"
            self.in_flight[call.key] = call
            self.schedule.left(call.key, self.now)

    def apply(self, number: int, *, is_lost: bool = False) -> None:
        """Jira does one of the requests in flight; its answer is on its way, or lost."""
        if key := self._open(number):
            self.on_their_way[key] = self.jira.ask(self.in_flight[key], is_applied=True, is_lost=is_lost)

    def fail(self, number: int, error: JiraError) -> None:
        """One of the requests in flight is answered with an error, not done."""
        if key := self._open(number):
            self.on_their_way[key] = error

    def deliver(self, number: int) -> None:
        """One of the answers on their way arrives, not in the order in which Jira gave them."""
        key = sorted(self.on_their_way)[number % len(self.on_their_way)]
        call, answer = self.in_flight.pop(key), self.on_their_way.pop(key)
        self.schedule.answered(call, answer, None, self.now)
        self.answers.append((call, answer))

    def _open(self, number: int) -> LinkKey | None:
        undone = sorted(self.in_flight.keys() - self.on_their_way.keys())
        return undone[number % len(undone)] if undone else None

    def crash(self, applied: Iterable[bool]) -> None:
        """The process dies; of the requests that Jira has not done yet it does some."""
        undone = sorted(self.in_flight.keys() - self.on_their_way.keys())
        for key, is_applied in zip(undone, applied, strict=False):
            self.jira.ask(self.in_flight[key], is_applied=is_applied, is_lost=True)
        self.start()

    def settle(self) -> None:
        """Read what is left and let everything come to rest; nothing is left over then."""
        self.consume(len(self.log))
        for _ in range(MAX_TURNS):
            self.turn()
            while self.in_flight:
                self.apply(0)
                self.deliver(0)
            if not self.answers and (wake := self.schedule.wake(self.now)) > self.now:
                if wake == FOREVER:
                    break
                self.now = wake
        else:
            raise AssertionError("it does not come to rest")
        assert self.tables.pending() == [], "rows wait, and nothing will wake them"
        assert len(self.schedule) == 0
        assert self.schedule.circuit(SITE).state is State.CLOSED
        site = self.schedule._sites[SITE]
        meters = (site._whole, *site._methods.values(), *site._issues.values())
        assert [meter._reserved for meter in meters] == [0] * len(meters), "places are reserved for nobody"
        assert site._in_flight == 0
        counters = (
            self.schedule._leading,
            self.schedule._writing,
            self.schedule._deleting,
            self.schedule._adopting,
        )
        assert not any(counters)
        assert not self.schedule._behind

    def key_now(self, issue: str) -> str:
        """The key that an issue bears in the end."""
        found = self.jira.model.find(issue)
        return found.key if found else issue

    def expected(self) -> dict[tuple[str, str], str]:
        """What should stand in Jira: (issue, globalId) to content, by the log alone."""
        first: dict[str, tuple[int, Happened]] = {}
        for offset, happened in enumerate(self.log[: self.read_to]):
            first.setdefault(happened.id, (offset, happened))
        wanted = {}
        named = {self.key_now(issue) for _, happened in first.values() for issue in happened.issues}
        for subject in {happened.subject for _, happened in first.values()}:
            for issue in named:
                touching = [
                    (happened.time, offset, happened.content if self._is_named(issue, happened) else None)
                    for offset, happened in first.values()
                    if happened.subject == subject and (happened.is_set or self._is_named(issue, happened))
                ]
                if touching and (content := max(touching, key=lambda one: one[:2])[2]) is not None:
                    wanted[issue, subject] = content
        return wanted

    def _is_named(self, issue: str, happened: Happened) -> bool:
        return issue in map(self.key_now, happened.issues)

    def standing(self) -> dict[tuple[str, str], str]:
        """What does stand in Jira."""
        return {
            place: found.object.title.removeprefix("build ") for place, found in self.jira.links().items()
        }

    def _item(self, offset: int, happened: Happened) -> Item:
        action = Action.SET if happened.is_set else Action.UPSERT if happened.content else Action.DELETE
        issues = happened.issues if happened.content or not happened.is_set else ()
        version = Version(0, happened.time, 0, 1_000 + offset, offset)
        content = link(happened.content) if happened.content else None
        change = Change(
            action,
            Subject(SITE, happened.subject),
            issues,
            content,
            version,
            f"//test {happened.id}",
            self.adopts,
        )
        return Item(change.event, (change,))
